#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The log's sync is made to fail under the shipped binary: nothing is acked from then on, the exit
status is 4, and after a restart everything that was acked is there.

strace is attached to the running server and injects the error into the system calls that write and
sync. Both methods (direct, fdatasync) are tried, on the loop's thread and on the log's own.
"""
import os
import re
import signal
import subprocess
import time

from lib import (ConnectionClosed, Failure, Server, ServerDied, expect, expect_true, keys_folder,
                 run, skip, strace_works, temp_folder, wait_until, without_leak_check)
from storm import Writer

os.environ.update(without_leak_check())  # strace is there when the servers end

LOG_SYNC_FAILED = 4
SLOW_US = 4000
# The server says at `verbose` where it carries its writes out.
SEGMENT_BYTES = 1 << 20
SMALL = {"log_segment_size": SEGMENT_BYTES, "log_reserve_size": "4m", "loglevel": "verbose"}


class Tracer:
    """strace on a running server, from the moment that __init__ returns until detach()."""

    def __init__(self, server, inject, trace=None):
        self.path = os.path.join(temp_folder("strace"), "out")
        trace = trace or inject.split(":")[0]
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["strace", "-f", "-ttt", "-y", "-p", str(server.pid), "-o", self.path, "-e",
             f"trace={trace}", "-e", "signal=none", "-e", f"inject={inject}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.server = server
        wait_until(self._is_attached, 20, "strace attached")

    def _is_attached(self):
        if self.process.poll() is not None:
            said = self.process.stderr.read().decode("utf-8", "replace")
            if " attached" in said:  # and the server has ended already
                return True
            raise Failure("strace: " + said)
        tasks = f"/proc/{self.server.pid}/task"
        try:
            for task in os.listdir(tasks):
                with open(f"{tasks}/{task}/status", encoding="ascii") as status:
                    if "TracerPid:\t0\n" in status.read():
                        return False
        except (FileNotFoundError, ProcessLookupError):  # a thread has ended; or all: see above
            return False
        return True

    def detach(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.process.wait(20)
        self.process.stderr.close()

    def injected(self):
        """[(thread, time)] of the calls that were answered with what we injected."""
        with open(self.path, encoding="utf-8", errors="replace") as file:
            lines = [line for line in file if "(INJECTED)" in line]
        found = [re.match(r"(\d+) +(\d+\.\d+)", line) for line in lines]
        return [(int(match[1]), float(match[2])) for match in found if match]


def fill_until_thread(server, call):
    """Makes the writes slow until the server carries them out on the log's own thread."""
    tracer = Tracer(server, f"{call}:delay_exit={SLOW_US}")
    writer = Writer(7, 1)
    writer.begin(server.port)
    try:
        wait_until(lambda: "op=write_sync place=thread" in server.log_text(), 20,
                   "the server changing to the log's thread")
    finally:
        writer.stop()
        writer.end()
        tracer.detach()
    return writer


def one_by_one(client, most=20000):
    """SETs in a closed loop until the connection ends: (how many were acked, when the last was)."""
    acked, last = 0, 0.0
    try:
        while acked < most:
            client.call("SET", f"one:{acked}", "v" * 600)
            last = time.time()
            acked += 1
    except (ConnectionClosed, ConnectionError):
        return acked, last
    raise Failure(f"{most} writes were acked with a disk that fails")


def check_all_there(server, writers, singles=0):
    """After a restart: all writers' writes, and the first `singles` of one_by_one."""
    with server.client(timeout=30) as client:
        for writer in writers:
            if writer.round.settled is None:
                writer.settle(client)
            else:
                writer.check(client)
        replies = client.pipeline(*(["STRLEN", f"one:{i}"] for i in range(singles + 2)))
        expect(replies[:singles], [600] * singles, "the acked SETs")
        expect(replies[singles + 1], 0, "what was never sent")


def slowed(server, inject, on_thread):
    """The writers that it took to get the writes to where they are wanted."""
    if not on_thread:
        return []
    writer = fill_until_thread(server, inject.split(":")[0])
    with server.client() as client:
        writer.settle(client)
    return [writer]


def wait_for_spares(server):
    """The log's next call is then one of a write, and not one that fills a file for later: when
    that finds no space, writes are refused before one of them can fail."""
    def ready():
        folder = keys_folder(server.data, "log")
        names = [name for name in os.listdir(folder) if name.endswith(".spare")]
        sizes = [os.path.getsize(os.path.join(folder, name)) for name in names]
        return len(sizes) == 2 and min(sizes) == SEGMENT_BYTES
    wait_until(ready, 20, "two spare files of the log")


def fails_one_by_one(inject, on_thread=False, **options):
    """One write at a time: what is in flight when the sync fails must never be acked.

    True when the failing call was made on the log's thread.
    """
    require_tracing()
    with Server(**SMALL, **options) as server:
        writers = slowed(server, inject, on_thread)
        with server.client(timeout=20) as client:
            expect(client.call("SET", "before", 1), "OK")
            wait_for_spares(server)
            tracer = Tracer(server, inject)
            acked, last = one_by_one(client)
        expect(server.wait_exit(), LOG_SYNC_FAILED, "exit status")
        tracer.detach()
        injected = tracer.injected()
        expect_true(injected, "strace injected the error")
        expect_true(last < injected[0][1], "nothing is acked after the call that failed")
        was_on_thread = injected[0][0] != server.pid
        server.start()
        check_all_there(server, writers, acked)
        expect(server.stop(), 0, "exit status of a clean stop")
    return was_on_thread


def fails_under_load(inject, on_thread=False, **options):
    """Many writes of all types at a time."""
    require_tracing()
    with Server(**SMALL, **options) as server:
        writers = slowed(server, inject, on_thread)
        many = [Writer(number, 1) for number in range(3)]
        for writer in many:
            writer.begin(server.port)
        time.sleep(0.2)
        tracer = Tracer(server, inject)
        expect(server.wait_exit(), LOG_SYNC_FAILED, "exit status")
        tracer.detach()
        for writer in many:
            writer.end()
        server.start()
        check_all_there(server, writers + many)
        expect(server.stop(), 0, "exit status of a clean stop")


def a_failing_call(inject, **options):
    # Where a write is carried out is the server's choice, by how long the last ones took.
    on_thread = options.get("on_thread", False)
    seen = [fails_one_by_one(inject, **options)]
    while seen[-1] != on_thread and len(seen) < 5:
        seen.append(fails_one_by_one(inject, **options))
    expect(seen[-1], on_thread, "the failing call was made on the log's thread")
    fails_under_load(inject, **options)


def require_tracing():
    if not strace_works():
        skip("strace may not trace here")


def a_failed_direct_write_on_the_loop():
    a_failing_call("pwritev2:error=EIO:when=1+", log_sync="direct")


def a_failed_direct_write_on_the_thread():
    a_failing_call("pwritev2:error=EIO:when=1+", on_thread=True, log_sync="direct")


def a_direct_write_that_fails_for_want_of_space():
    a_failing_call("pwritev2:error=ENOSPC:when=1+", log_sync="direct")


def a_direct_write_that_comes_short():
    # Under load a batch of one sector would pass for whole.
    fails_one_by_one("pwritev2:retval=512:when=1+", log_sync="direct")


def a_failed_fdatasync_on_the_loop():
    a_failing_call("fdatasync:error=EIO:when=1+", log_sync="fdatasync")


def a_failed_fdatasync_on_the_thread():
    a_failing_call("fdatasync:error=EIO:when=1+", on_thread=True, log_sync="fdatasync")


def a_failed_write_before_fdatasync():
    a_failing_call("pwritev2:error=EIO:when=1+", log_sync="fdatasync")


def a_later_success_heals_nothing():
    """Only the first sync fails: the kernel would say OK to the next one."""
    a_failing_call("fdatasync:error=EIO:when=1", log_sync="fdatasync")
    a_failing_call("pwritev2:error=EIO:when=1", log_sync="direct")


def a_failed_sync_of_the_directory_when_a_segment_begins():
    require_tracing()
    with Server(**SMALL) as server:
        writers = [Writer(number, 1) for number in range(3)]
        tracer = Tracer(server, "fsync:error=EIO:when=1+")
        for writer in writers:
            writer.begin(server.port)
        expect(server.wait_exit(), LOG_SYNC_FAILED, "exit status")
        tracer.detach()
        expect_true(tracer.injected(), "strace injected the error")
        for writer in writers:
            writer.end()
        server.start()
        check_all_there(server, writers)


def an_interrupted_write_is_carried_out_again():
    require_tracing()
    with Server() as server:
        writer = Writer(1, 1)
        tracer = Tracer(server, "pwritev2:error=EINTR:when=1..100+3")
        writer.begin(server.port, limit=500)
        writer.end()
        tracer.detach()
        expect_true(tracer.injected(), "strace injected the error")
        server.kill()
        server.start()
        check_all_there(server, [writer])


def auto_falls_back_to_fdatasync_when_direct_writes_are_refused():
    require_tracing()
    with Server(log_sync="auto") as server:
        with server.client() as client:
            expect(client.call("SET", "before", 1), "OK")
        writer = Writer(1, 1)
        tracer = Tracer(server, "pwritev2:error=EINVAL:when=1", trace="pwritev2,fdatasync")
        writer.begin(server.port, limit=500)
        writer.end()
        tracer.detach()
        expect_true(tracer.injected(), "strace injected the error")
        with open(tracer.path, encoding="utf-8", errors="replace") as file:
            expect_true("fdatasync(" in file.read(), "fdatasync is used from then on")
        server.kill()
        server.start()
        check_all_there(server, [writer])


def a_start_whose_syncs_fail_serves_nothing():
    require_tracing()
    for inject in ("pwritev2:error=EIO:when=1+", "fdatasync:error=EIO:when=1+"):
        with Server(log_sync="direct" if inject[0] == "p" else "fdatasync") as server:
            with server.client() as client:
                client.call("SET", "a", "kept")
            server.kill()
            server.wrapper = ["strace", "-D", "-f", "-o", os.devnull, "-e",
                              f"trace={inject.split(':')[0]}", "-e", f"inject={inject}"]
            try:
                server.start()
            except ServerDied as died:
                expect_true(died.status in (2, LOG_SYNC_FAILED), f"2 or 4, not {died.status}")
            else:
                raise Failure("the server serves although no sync of its log works")
            server.wrapper = []
            server.start()
            with server.client() as client:
                expect(client.call("GET", "a"), b"kept")


if __name__ == "__main__":
    run(a_failed_direct_write_on_the_loop,
        a_failed_direct_write_on_the_thread,
        a_direct_write_that_fails_for_want_of_space,
        a_direct_write_that_comes_short,
        a_failed_fdatasync_on_the_loop,
        a_failed_fdatasync_on_the_thread,
        a_failed_write_before_fdatasync,
        a_later_success_heals_nothing,
        a_failed_sync_of_the_directory_when_a_segment_begins,
        an_interrupted_write_is_carried_out_again,
        auto_falls_back_to_fdatasync_when_direct_writes_are_refused,
        a_start_whose_syncs_fail_serves_nothing)
