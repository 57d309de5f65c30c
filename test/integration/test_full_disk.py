#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 400
"""A file system that runs full: writes are refused with a clear error, reads and DEL go on, and
writes come back, without a restart, when there is space again: because somebody else has freed it,
or because keys were deleted or have expired. Nothing acked is lost."""
import os
import random
import time

from disks import SmallDisk
from lib import Failure, ReplyError, Server, ServerDied, expect, expect_true, run, wait_until

DISK_MIB = 96
BALLAST_MIB = 32
SMALL = {"log_segment_size": "1m", "log_reserve_size": "4m", "flush_budget_min": "1m",
         "flush_budget_max": "2m", "cache_size": "8m"}
VALUE_BYTES = 8000


def value_of(number, size=VALUE_BYTES):
    """Not compressible, and known."""
    return random.Random(number).randbytes(size)


def fill(client, acked, most=40000):
    """SETs until one is refused; returns the error."""
    for number in range(len(acked), most):
        reply = client.ask("SET", f"k:{number}", value_of(number))
        if isinstance(reply, ReplyError):
            return reply
        expect(reply, "OK")
        acked.append(number)
    raise Failure(f"{most} values of {VALUE_BYTES} bytes fit on a disk of {DISK_MIB} MiB")


def check_reads(client, numbers):
    for number in numbers:
        expect(client.call("GET", f"k:{number}"), value_of(number), f"k:{number}")


def writes_work(client, deleted):
    reply = client.ask("SET", "back", "again")
    if isinstance(reply, ReplyError):
        expect(reply.code, "MISCONF", "the error while there is no space")
        return False
    deleted.discard("back")
    return True


def start_on_a_full_disk(server, disk):
    """It serves, or says that there is no space and serves when there is."""
    try:
        server.start()
    except ServerDied as died:
        expect(died.status, 2, "the status of a start without space")
        print("    the start was refused: " + server.log_tail(1).strip())
        os.remove(disk.ballast[1])
        server.start()


def the_disk_runs_full(kind):
    with SmallDisk(kind, DISK_MIB, BALLAST_MIB) as disk, Server(folder=None, **SMALL) as server:
        server.stop()
        server.data = os.path.join(disk.mount, "data")
        server.start()
        acked, deleted = [], set()
        with server.client(timeout=30) as client:
            refused = fill(client, acked)
            print(f"    {kind}: full after {len(acked)} values, {disk.free() >> 10} KiB free: "
                  f"{refused}")
            expect(refused.code, "MISCONF", "the code of the refusal")
            expect_true(len(acked) * VALUE_BYTES > (DISK_MIB - BALLAST_MIB) << 18,
                        "a good part of the disk was used")
            # Reads and what frees space go on; all that adds data is refused, whatever its type.
            check_reads(client, acked[::50])
            for command in (["RPUSH", "l", "x" * 100], ["HSET", "h", "f", "v"], ["INCR", "n"],
                            ["MSET", "a", 1, "b", 2]):
                expect(client.ask(*command).code, "MISCONF", command[0])
            for number in acked[:20]:
                expect(client.ask("DEL", f"k:{number}"), 1, f"DEL k:{number} on a full disk")
                deleted.add(number)
            expect(client.call("GET", f"k:{acked[0]}"), None)
            expect(client.info("tidemark")["low_space"], "1")
            expect(client.info("persistence")["aof_last_write_status"], "err")
            # The same process goes on when there is space again.
            expect_true(server.is_running(), "the server runs")
            os.remove(disk.ballast[0])
            wait_until(lambda: writes_work(client, deleted), 20, "writes coming back", pause=0.2)
            extra = range(100)
            for number in extra:  # the store's own work may make it refuse again for a while
                wait_until(lambda n=number: client.ask("SET", f"extra:{n}", value_of(n)) == "OK",
                           20, f"write {number} of 100 more", pause=0.2)
            # And it can run full again.
            again = fill(client, acked)
            expect(again.code, "MISCONF")
        server.kill()
        start_on_a_full_disk(server, disk)
        with server.client(timeout=30) as client:
            check_reads(client, [n for n in acked if n not in deleted])
            for number in deleted:
                expect(client.call("GET", f"k:{number}"), None, f"deleted k:{number}")
            expect(client.call("GET", "back"), b"again")
            expect(client.call("MGET", *(f"extra:{n}" for n in extra)),
                   [value_of(n) for n in extra])
            expect(client.call("DBSIZE"), len(acked) - len(deleted) + 1 + len(extra))


def fill_for_good(client, kept, size, at):
    """MSETs until they stay refused, cleaning included; returns the next free number."""
    def refused():
        nonlocal at
        for _ in range(40000):
            numbers = range(at, at + max(1, VALUE_BYTES // size))
            words = [word for n in numbers for word in (f"k:{n}", value_of(n, size))]
            reply = client.ask("MSET", *words)
            if isinstance(reply, ReplyError):
                expect(reply.code, "MISCONF", "the refusal")
                return True
            expect(reply, "OK")
            kept.update(numbers)
            at = numbers.stop
        raise Failure("the disk does not run full")

    refusals = 0
    while refusals < 12:  # in a row, for about three seconds
        before = at
        refused()
        refusals = refusals + 1 if at == before else 0
        time.sleep(0.25)
    return at


def delete_most(client, kept, dice):
    """All but a tenth; DELs of 20 keys."""
    gone = sorted(kept)
    dice.shuffle(gone)
    gone = gone[len(gone) // 10:]
    for i in range(0, len(gone), 20):
        part = gone[i:i + 20]
        wait_until(lambda p=part: client.ask("DEL", *(f"k:{n}" for n in p)) == len(p), 10,
                   "DEL on a full disk", pause=0.1)
        kept.difference_update(part)


def check_kept(client, kept, size, dice):
    expect(client.call("DBSIZE"), len(kept) + 1, "DBSIZE")  # and `back`
    for number in dice.sample(sorted(kept), min(len(kept), 300)):
        expect(client.call("GET", f"k:{number}"), value_of(number, size), f"k:{number}")


def deleting_frees_space(kind, size, ways):
    """What the data has filled, deletions free: in one process, again and again."""
    dice = random.Random(size)
    with SmallDisk(kind, DISK_MIB, BALLAST_MIB) as disk, Server(folder=None, **SMALL) as server:
        server.stop()
        for path in disk.ballast:
            os.remove(path)
        server.data = os.path.join(disk.mount, "data")
        server.start()
        kept, at = set(), 0
        for way in ways:
            with server.client(timeout=30) as client:
                at = fill_for_good(client, kept, size, at)
                full = len(kept)
                expect_true(full * size > DISK_MIB << 18, "a good part of the disk was used")
                if way == "DEL":
                    delete_most(client, kept, dice)
                else:
                    expect(client.call("FLUSHALL"), "OK")
                    kept.clear()
                began = time.monotonic()
                wait_until(lambda c=client: c.ask("SET", "back", "again") == "OK", 30,
                           f"writes after {way}", pause=0.1)
                print(f"    {kind}, {size} bytes: full with {full} values; writes came back "
                      f"{time.monotonic() - began:.1f} s after {way} of {full - len(kept)}")
                check_kept(client, kept, size, dice)
                expect_true(server.is_running(), "the server runs")
        with server.client(timeout=30) as client:
            at = fill_for_good(client, kept, size, at)
            delete_most(client, kept, dice)
        time.sleep(dice.random())  # in the middle of the cleaning
        server.kill()
        server.start()
        with server.client(timeout=30) as client:
            check_kept(client, kept, size, dice)
            wait_until(lambda: client.ask("SET", "back", "again") == "OK", 30,
                       "writes after a kill", pause=0.1)
        log = server.log_text()
        for event in ("store reserve_given_up", "store reserve_back"):
            expect_true(event in log, f"the log says `{event}`")


def deleting_frees_space_for_new_writes():
    deleting_frees_space("tmpfs", VALUE_BYTES, ("DEL", "FLUSHALL", "DEL"))
    deleting_frees_space("ext4", VALUE_BYTES, ("DEL", "FLUSHALL", "DEL"))
    deleting_frees_space("tmpfs", 100, ("DEL",))


def what_has_expired_frees_space():
    with SmallDisk("tmpfs", DISK_MIB, BALLAST_MIB) as disk, Server(folder=None, **SMALL) as server:
        server.stop()
        server.data = os.path.join(disk.mount, "data")
        server.start()
        with server.client(timeout=30) as client:
            end, number, refused = int(time.time()) + 8, 0, None
            while not isinstance(refused, ReplyError):
                refused = client.ask("SET", f"e:{number}", value_of(number), "EXAT", end)
                number += 1
            expect(refused.code, "MISCONF")
            wait_until(lambda: client.call("DBSIZE") == 0, 30, "expiry on a full disk", pause=0.2)
            wait_until(lambda: client.ask("SET", "back", "again") == "OK", 30,
                       "writes after expiry", pause=0.1)


def a_full_tmpfs():
    the_disk_runs_full("tmpfs")


def a_full_ext4():
    the_disk_runs_full("ext4")


def there_is_no_space_for_a_new_directory():
    options = {**SMALL, "log_segment_size": "8m"}
    with SmallDisk("tmpfs", DISK_MIB, BALLAST_MIB) as disk, Server(**options) as server:
        server.stop()
        server.data = os.path.join(disk.mount, "data")
        with open(os.path.join(disk.mount, "more"), "wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.free() - (4 << 20))
        server.start(wait=False)
        time.sleep(0.1)
        expect(server.wait_exit(), 2, "exit status")
        os.remove(os.path.join(disk.mount, "more"))
        server.start()  # what the refused start left behind is no obstacle
        with server.client() as client:
            expect(client.call("SET", "a", 1), "OK")


if __name__ == "__main__":
    run(a_full_tmpfs, a_full_ext4, deleting_frees_space_for_new_writes,
        what_has_expired_frees_space,
        there_is_no_space_for_a_new_directory)
