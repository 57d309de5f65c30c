#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 300
"""What comes between two copies: frames that were changed, doubled or swapped on the way; several
copies that are filled at once; two primaries that both took writes."""
import itertools
import re
import socket
import struct
import threading
import time

from lib import Server, expect, expect_true, patience, run, wait_until
from storm import Mark, Writer
from test_copies import (ask_http, expect_equal_copies, mark_and_digest, metric, settle, status_of,
                         wait_in_sync)

SEED = 23
HEADER_BYTES = 64
MAGIC = 0x31536474
ENTRIES = 5  # the type of frame
_hosts = itertools.count(1)


class Meddler:
    """Stands for `server` at `host`. What its peer port says goes frame by frame through
    `meddle(type, frame)`, which returns what is sent in its place."""

    def __init__(self, server, meddle):
        self.host = f"127.1.0.{next(_hosts)}"
        self.meddle = meddle
        self.listeners = []
        for port in (server.port, server.port + 10000):
            listener = socket.create_server((self.host, port))
            self.listeners.append(listener)
            threading.Thread(target=self._accept, args=(listener, port), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener, port):
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", port), 5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            carry = self._copy if port < 20000 else self._meddle
            for part in ((self._copy, near, far), (carry, far, near)):
                threading.Thread(target=self._carry, args=part, daemon=True).start()

    @staticmethod
    def _carry(how, one, other):
        try:
            how(one, other)
        except OSError:
            pass
        for end in (one, other):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    @staticmethod
    def _copy(one, other):
        while data := one.recv(65536):
            other.sendall(data)

    def _meddle(self, one, other):
        data = b""
        while more := one.recv(65536):
            data += more
            while len(data) >= HEADER_BYTES:
                magic, _, kind, size = struct.unpack_from("<IBBxxI", data)
                expect_true(magic == MAGIC, "a frame")
                if len(data) < HEADER_BYTES + size:
                    break
                frame, data = data[:HEADER_BYTES + size], data[HEADER_BYTES + size:]
                other.sendall(self.meddle(kind, frame))


def followed_through(meddle, primary, replica):
    """The replica follows the primary through a meddler, which is to be closed."""
    meddler = Meddler(primary, meddle)
    replica.options["replicaof"] = f"{meddler.host} {primary.port}"
    replica.start()
    wait_in_sync(replica)
    return meddler


# ---- On the way ----------------------------------------------------------------------------------

class Flips:
    """Changes a bit at a place of the next frame with entries, once."""

    def __init__(self):
        self.place = None
        self.done = 0

    def __call__(self, kind, frame):
        if kind != ENTRIES or self.place is None or self.place >= len(frame):
            return frame
        place, self.place = self.place, None
        self.done += 1
        return frame[:place] + bytes([frame[place] ^ 0x10]) + frame[place + 1:]


def a_byte_that_is_changed_on_the_way_is_refused_counted_and_fetched_again():
    flips = Flips()
    with Server("primary") as primary:
        replica = Server("replica")
        with followed_through(flips, primary, replica), replica, primary.client() as client:
            places = [*range(HEADER_BYTES), *range(HEADER_BYTES, HEADER_BYTES + 60, 12)]
            for number, place in enumerate(places, 1):
                flips.place = place
                client.call("INCR", "count")
                expect(client.call("WAIT", 1, int(patience(20)) * 1000), 1, f"byte {place}")
                expect(status_of(replica)["damaged-frames"], number, f"with byte {place}")
            expect(flips.done, len(places), "frames that were changed")
            wait_in_sync(replica)
            expect_equal_copies(primary, replica)
            with replica.client() as reader:
                expect(reader.call("GET", "count"), str(len(places)).encode())
                expect(reader.info("tidemark")["copies_damaged_frames"], str(len(places)))
            expect(metric(replica, "damaged_frames_total"), float(len(places)))
            expect(status_of(primary)["damaged-frames"], 0)
            with primary.client() as other:
                events = [dict(zip(event[::2], event[1::2]))
                          for event in other.call("REPL.EVENTS", 1000)]
            reasons = [event[b"reason"] for event in events if event[b"what"] == b"session_ended"]
            expect(reasons, [b"damaged"] * len(places))


class Doubles:
    """Doubles frames with entries, sends an earlier one again behind a later one, and once, when
    `swap` is set, two of them in the wrong order."""

    def __init__(self):
        self.seen = []
        self.swap = False
        self.held = b""
        self.doubled = self.again = self.swapped = 0

    def __call__(self, kind, frame):
        if kind != ENTRIES:
            return frame
        if self.held:
            held, self.held = self.held, b""
            self.swapped += 1
            return frame + held
        if self.swap:
            self.swap, self.held = False, frame
            return b""
        said = frame
        self.seen = [*self.seen[-4:], frame]
        if len(self.seen) == 5 and self.doubled % 3 == 2:
            self.again += 1
            said = frame + self.seen[1] + self.seen[2]
        self.doubled += 1
        return said + frame


def entries_that_come_twice_again_or_in_another_order_are_applied_once():
    doubles = Doubles()
    with Server("primary") as primary:
        replica = Server("replica")
        writers = [Writer(number, SEED) for number in range(2)]
        with followed_through(doubles, primary, replica), replica:
            for writer in writers:
                writer.begin(primary.port)
            time.sleep(1.5)
            sessions = session_count(primary)
            doubles.swap = True
            wait_until(lambda: doubles.swapped == 1, 20, "two frames are swapped")
            settle(primary, writers)
            wait_in_sync(replica)
            expect_equal_copies(primary, replica)
            expect_true(doubles.doubled > 50 and doubles.again > 10, f"{doubles.doubled} doubled")
            expect(session_count(primary), sessions + 1, "sessions: the swap alone ended one")
            with replica.client(timeout=60.0) as client:
                for writer in writers:
                    writer.check(client)
            replica.kill()  # what it has on its disk came twice too
            replica.start()
            wait_in_sync(replica)
            expect_equal_copies(primary, replica)
            with replica.client(timeout=60.0) as client:
                for writer in writers:
                    writer.check(client)


def session_count(server):
    with server.client() as client:
        events = client.call("REPL.EVENTS", 1000)
    return sum(dict(zip(e[::2], e[1::2]))[b"what"] == b"session_begun" for e in events)


# ---- Rebuilds ------------------------------------------------------------------------------------

def fill(server, keys):
    with server.client(timeout=60.0) as client:
        for begin in range(0, keys, 100):
            client.call("MSET", *(word for number in range(begin, begin + 100)
                                  for word in (f"k{number}", f"{number:08d}" * 100)))


def several_copies_are_filled_at_once_under_a_storm_of_writes():
    options = {"rebuilds_max": 3, "rebuild_rate": "6m"}
    replicas = [Server(f"replica{number}") for number in range(3)]
    writers = [Writer(number, SEED + 1) for number in range(3)]
    with Server("primary", **options) as primary, replicas[0], replicas[1], replicas[2]:
        fill(primary, 15000)
        for writer in writers:
            writer.begin(primary.port)
        for replica in replicas:
            with replica.client() as client:
                client.call("SET", "mine", 1)
                expect(client.call("REPLICAOF", "127.0.0.1", primary.port), "OK")
        wait_until(lambda: sum(copy["image-bytes"] > 0 for copy in status_of(primary)["copies"])
                   == 3, 30, "three images are sent at once")
        for replica in replicas:
            wait_in_sync(replica, 60)
        time.sleep(0.5)
        settle(primary, writers)
        for replica in replicas:
            expect_equal_copies(primary, replica)
            with replica.client(timeout=60.0) as client:
                expect(client.call("GET", "mine"), None)
                for writer in writers:
                    writer.check(client)
        for copy in status_of(primary)["copies"]:
            expect_true(copy["plan"].startswith(b"rebuild"), f"an image, not {copy['plan']}")


# ---- Two primaries -------------------------------------------------------------------------------

def two_primaries_that_both_took_writes_end_with_one_history_and_what_goes_is_named():
    primary = Server("primary")
    replica = Server("replica", replicaof=f"127.0.0.1 {primary.port}")
    with primary, replica:
        wait_in_sync(replica)
        with primary.client() as client:
            client.call("SET", "shared", 1)
            expect(client.call("WAIT", 1, 10000), 1)
        with replica.client(timeout=60.0) as client:
            expect_true(client.call("PROMOTE", "FORCE").startswith("OK"), "it is promoted")
            wait_until(lambda: client.ask("SET", "b", 2) == "OK", 30, "it takes writes")
            for number in range(100):
                client.call("RPUSH", "list", f"b{number}")
        with primary.client() as client:
            for number in range(70):
                client.call("RPUSH", "list", f"a{number}")
            lost = Mark(client.call("POS.GET"))
            expect(client.call("ROLE")[0], b"master")
            expect(client.call("REPLICAOF", "127.0.0.1", replica.port), "OK")
        wait_in_sync(primary, 60)
        expect_equal_copies(replica, primary)
        expect(Mark(mark_and_digest(primary)[0]).history, Mark(mark_and_digest(replica)[0]).history)
        with primary.client(timeout=30.0) as client:
            expect(client.call("LRANGE", "list", 0, -1), [b"b%d" % n for n in range(100)])
            expect(client.call("GET", "shared"), b"1")
            expect(str(client.ask("POS.WAIT", lost.text, 1000)).split()[0], "LOST")
        named = [re.search(r"last=(\S+)", line)[1] for line in primary.log_text().splitlines()
                 if "state_given_up" in line]
        expect(len(named), 1, "what is given up is named once")
        given_up = Mark(named[0])
        expect((given_up.history, given_up.lineage if given_up.lsn == lost.lsn else None),
               (lost.history, lost.lineage), "the last entry that is given up")
        expect_true("state_given_up" not in replica.log_text(), "the other one keeps what it has")
        expect(ask_http(primary, "/readyz"), (200, "ready\n"))


if __name__ == "__main__":
    run(a_byte_that_is_changed_on_the_way_is_refused_counted_and_fetched_again,
        entries_that_come_twice_again_or_in_another_order_are_applied_once,
        several_copies_are_filled_at_once_under_a_storm_of_writes,
        two_primaries_that_both_took_writes_end_with_one_history_and_what_goes_is_named)
