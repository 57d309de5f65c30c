#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""A primary and its replica on the shipped binary: roles, reads, waits, refusals, and what is there
after either of them was killed."""
import http.client
import json
import re
import threading
import time

from lib import (Server, expect, expect_error, expect_true, patience, run, wait_until)
from resp import ReplyError
from storm import Mark, Writer

SEED = 11
COUNTED_COMMANDS = 75  # at least so many rows of the table write


def status_of(server):
    """REPL.STATUS as a dict; its copies as a list of dicts."""
    def pairs(reply):
        return {name.decode(): value for name, value in zip(reply[::2], reply[1::2])}
    with server.client() as client:
        status = pairs(client.call("REPL.STATUS"))
    status["copies"] = [pairs(copy) for copy in status["copies"]]
    return status


def in_sync(replica):
    return lambda: (replica.answers() and status_of(replica)["role"] == b"replica" and
                    status_of(replica)["link-state"] == b"in_sync")


def wait_in_sync(replica, timeout=30.0):
    wait_until(in_sync(replica), timeout, f"{replica.name} is in sync")


def mark_and_digest(server):
    with server.client() as client:
        return client.call("DIGEST")


def expect_equal_copies(primary, replica, timeout=30.0):
    """At rest: the marks meet, and with them the digests."""
    def met():
        there = mark_and_digest(replica)
        return there if there[0] == mark_and_digest(primary)[0] else None
    found = wait_until(met, timeout, "the marks of both copies are equal")
    expect(found, mark_and_digest(primary), "the digest at an equal mark")


def pair(**options):
    """Both running, in sync."""
    primary = Server("primary", **options)
    replica = Server("replica", replicaof=f"127.0.0.1 {primary.port}", **options)
    primary.start()
    replica.start()
    wait_in_sync(replica)
    return primary, replica


def ask_http(server, path):
    connection = http.client.HTTPConnection("127.0.0.1", server.http_port, timeout=patience(10))
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        return reply.status, reply.read().decode("utf-8")
    finally:
        connection.close()


def metric(server, name, **labels):
    """The value of the one sample with these labels."""
    for line in ask_http(server, "/metrics")[1].splitlines():
        match = re.fullmatch(rf"tidemark_{name}(?:\{{(.*)\}})? (.*)", line)
        if match and all(f'{key}="{value}"' in (match.group(1) or "")
                         for key, value in labels.items()):
            return float(match.group(2))
    return None


# ---- Roles ---------------------------------------------------------------------------------------

def a_replica_follows_serves_reads_and_says_so():
    primary, replica = pair()
    with primary, replica:
        with primary.client() as client:
            client.call("SET", "a", "1")
            client.call("RPUSH", "list", *range(100))
            expect(client.call("WAIT", 1, 10000), 1)
            expect(client.call("WAITAOF", 1, 1, 10000), [1, 1])
            role = client.call("ROLE")
            info = client.info("replication")
        expect(role[0], b"master")
        expect([copy[:2] for copy in role[2]], [[b"127.0.0.1", str(replica.port).encode()]])
        expect(info["role"], "master")
        expect(info["connected_slaves"], "1")
        expect_true(re.fullmatch(rf"ip=127.0.0.1,port={replica.port},state=online,offset=\d+,"
                                 r"lag=\d+", info["slave0"]), info["slave0"])
        expect(info["tidemark_peer_port"], str(primary.port + 10000))
        with replica.client() as client:
            expect(client.call("GET", "a"), b"1")
            expect(client.call("LLEN", "list"), 100)
            role = client.call("ROLE")
            expect(role[:4], [b"slave", b"127.0.0.1", primary.port, b"connected"])
            expect(client.call("CONFIG", "GET", "replicaof"),
                   [b"replicaof", f"127.0.0.1 {primary.port}".encode()])
            info = client.info("replication")
            expect(info["role"], "slave")
            expect(info["master_link_status"], "up")
            expect(info["master_port"], str(primary.port))
            expect(info["slave_read_only"], "1")
            expect_error(client.ask("WAIT", 0, 0), "ERR")
        expect_equal_copies(primary, replica)


def replicaof_is_kept_over_a_restart_and_gives_up_other_data():
    with Server("primary") as primary, Server("replica") as replica:
        with primary.client() as client:
            client.call("MSET", "a", 1, "b", 2)
        with replica.client() as client:
            client.call("SET", "mine", 1)
            expect_error(client.ask("REPLICAOF", "127.0.0.1", 0), "ERR")
            expect(client.call("REPLICAOF", "127.0.0.1", primary.port), "OK")
        wait_in_sync(replica)
        with replica.client() as client:
            expect(client.call("REPLICAOF", "127.0.0.1", primary.port),
                   "OK Already connected to specified master")
            expect(client.call("GET", "mine"), None)
            expect(client.call("GET", "b"), b"2")
        expect_equal_copies(primary, replica)
        replica.restart()
        wait_in_sync(replica)
        with primary.client() as client:
            client.call("SET", "c", 3)
            expect(client.call("WAIT", 1, 10000), 1)
        expect_equal_copies(primary, replica)


def a_replica_refuses_every_command_that_writes_and_keeps_its_state():
    primary, replica = pair()
    with primary, replica:
        with primary.client() as client:
            client.call("SET", "1", "1")
            expect(client.call("WAIT", 1, 10000), 1)
        before = mark_and_digest(replica)
        refused = 0
        with replica.client() as client:
            for row in client.call("COMMAND"):
                name, arity, flags = row[0].decode(), row[1], row[2]
                if "write" in {str(flag) for flag in flags}:
                    reply = client.ask(name, *["1"] * (abs(arity) - 1))
                    expect(str(reply), "READONLY You can't write against a read only replica.",
                           name)
                    refused += 1
            expect_error(client.ask("FUNCTION", "FLUSH"), "READONLY")
            expect_true(refused >= COUNTED_COMMANDS, f"{refused} commands write")
            expect(client.call("MULTI"), "OK")
            expect_error(client.ask("SET", "1", "2"), "READONLY")
            expect_error(client.ask("EXEC"), "EXECABORT")
            expect(client.call("PUBLISH", "a", "b"), 0)
            expect(client.call("GET", "1"), b"1")
        expect(mark_and_digest(replica), before)


# ---- Waits ---------------------------------------------------------------------------------------

def a_mark_can_be_waited_for_and_is_stale_or_lost_by_name():
    primary, replica = pair()
    with primary, replica, Server("stranger") as stranger:
        with primary.client() as writer, replica.client(timeout=30.0) as reader:
            for number in range(200):
                writer.call("SET", "number", number)
                mark = writer.call("POS.GET")
                expect(reader.call("POS.WAIT", mark, 10000), "OK")
                expect_true(int(reader.call("GET", "number")) >= number, "the write is seen")
            replica_mark = Mark(mark)
            history, epoch, _, lineage = replica_mark.text.split(":")
            ahead = f"{history}:{epoch}:{replica_mark.lsn + 1000}:{lineage}"
            began = time.monotonic()
            expect_error(reader.ask("POS.WAIT", ahead, 300), "STALE")
            expect_true(time.monotonic() - began >= 0.29, "it has waited")
            with stranger.client() as client:
                client.call("SET", "a", 1)
                foreign = client.call("POS.GET")
            expect_error(reader.ask("POS.WAIT", foreign, 300), "LOST")
            expect_error(reader.ask("POS.WAIT", "x", 300), "ERR")


def wait_tells_how_many_copies_have_it_when_the_time_is_over():
    primary, replica = pair()
    with primary, replica:
        with primary.client(timeout=30.0) as client:
            client.call("SET", "a", 1)
            expect(client.call("WAIT", 1, 0), 1)
            began = time.monotonic()
            expect(client.call("WAIT", 2, 300), 1)
            expect_true(time.monotonic() - began >= 0.29, "it has waited")
            replica.pause()
            try:
                client.call("SET", "a", 2)
                expect(client.call("WAIT", 1, 300), 0)
                expect(client.call("WAITAOF", 1, 1, 300), [1, 0])
                client.send("WAIT", 1, 0)
                expect_true(client.is_silent(0.3), "the wait has no end yet")
            finally:
                replica.resume()
            expect(client.receive(), 1)
        expect_equal_copies(primary, replica)


# ---- What others see -----------------------------------------------------------------------------

def lag_and_readiness_are_told_over_http():
    primary, replica = pair()
    with primary, replica:
        copy = status_of(replica)["copy"].decode()
        expect([c["id"].decode() for c in status_of(primary)["copies"]], [copy])
        expect(ask_http(replica, "/readyz"), (200, "ready\n"))
        wait_until(lambda: metric(primary, "copy_state", copy=copy, state="in_sync") == 1,
                   what="the primary sees it in sync")
        expect(metric(primary, "role", role="primary"), 1.0)
        expect(metric(replica, "role", role="replica"), 1.0)
        replica.pause()
        try:
            with primary.client() as client:
                for number in range(100):
                    client.call("SET", number, "x" * 100)
            wait_until(lambda: metric(primary, "copy_lag_entries", copy=copy) >= 100,
                       what="the lag in entries rises")
            wait_until(lambda: metric(primary, "copy_lag_seconds", copy=copy) > 0.5,
                       what="the lag in time rises")
            expect_true(metric(primary, "copy_lag_bytes", copy=copy) >= 100 * 100,
                        "the lag in bytes has risen")
        finally:
            replica.resume()
        wait_until(lambda: metric(primary, "copy_lag_entries", copy=copy) == 0,
                   what="the lag falls to 0")
        copies = json.loads(ask_http(primary, "/status")[1])["shards"]["keys"]["copies"]
        expect(copies["role"], "primary")
        expect([one["id"] for one in copies["others"]], [copy])
        primary.stop()
        wait_until(lambda: ask_http(replica, "/readyz")[0] == 503, 30, "it is not ready alone")
        expect(ask_http(replica, "/readyz")[1], "not ready: not in sync with its primary\n")
        with replica.client() as client:
            expect(client.call("GET", "1"), b"x" * 100)
            expect(client.info("replication")["master_link_status"], "down")
        primary.start()
        wait_in_sync(replica)


def events_name_each_decision():
    primary, replica = pair()
    with primary, replica:
        with primary.client() as client:
            events = client.call("REPL.EVENTS", 100)
        names = [dict(zip(event[::2], event[1::2]))[b"what"] for event in events]
        expect_true(any(b"session" in name for name in names), f"sessions among {names}")
        numbers = [dict(zip(event[::2], event[1::2]))[b"number"] for event in events]
        expect(numbers, list(range(numbers[0], numbers[0] + len(numbers))))


# ---- Kills ---------------------------------------------------------------------------------------

def begin(primary, writers):
    for writer in writers:
        writer.begin(primary.port)


def settle(primary, writers):
    for writer in writers:
        writer.stop()
        writer.end(patience(60.0))
    with primary.client(timeout=60.0) as client:
        for writer in writers:
            writer.settle(client)
            writer.check(client)


def a_replica_that_is_killed_under_load_catches_up():
    primary, replica = pair()
    writers = [Writer(number, SEED) for number in range(2)]
    with primary, replica:
        for _ in range(3):
            begin(primary, writers)
            time.sleep(0.7)
            replica.kill()
            time.sleep(0.7)
            replica.start()
            wait_in_sync(replica)
            settle(primary, writers)
            expect_equal_copies(primary, replica)


def a_primary_that_is_killed_under_load_is_followed_again():
    primary, replica = pair()
    writers = [Writer(number, SEED + 1) for number in range(2)]
    with primary, replica:
        for _ in range(3):
            begin(primary, writers)
            time.sleep(0.7)
            primary.kill()
            primary.start()
            settle(primary, writers)
            wait_in_sync(replica)
            expect_equal_copies(primary, replica)
        with primary.client() as client:
            expect(client.call("ROLE")[0], b"master")


def a_replica_that_was_away_gets_what_it_missed_over_restarts_of_both():
    primary, replica = pair()
    with primary, replica:
        replica.stop()
        with primary.client() as client:
            client.pipeline(*[["SET", f"k{number}", number] for number in range(5000)])
        primary.restart()
        replica.start()
        wait_in_sync(replica)
        with replica.client() as client:
            expect(client.call("GET", "k4999"), b"4999")
        expect_equal_copies(primary, replica)


# ---- Who leads -----------------------------------------------------------------------------------

def a_promotion_in_mode_local_says_what_is_missing_and_force_begins_a_new_history():
    primary, replica = pair()
    with primary, replica:
        with primary.client() as client:
            client.call("SET", "a", 1)
            expect(client.call("WAIT", 1, 10000), 1)
        history = Mark(mark_and_digest(replica)[0]).history
        primary.kill()
        with replica.client(timeout=60.0) as client:
            reply = client.ask("REPLICAOF", "NO", "ONE")
            expect_true(isinstance(reply, ReplyError) and reply.code == "ERR", f"{reply!r}")
            expect_error(client.ask("SET", "a", 2), "READONLY")
            expect_true(client.call("PROMOTE", "FORCE").startswith("OK"), "it is promoted")
        wait_until(lambda: status_of(replica)["role"] == b"primary", 30, "it leads")
        with replica.client() as client:
            wait_until(lambda: client.ask("SET", "a", 2) == "OK", 30, "it takes writes")
            expect(client.call("ROLE")[0], b"master")
        expect_true(Mark(mark_and_digest(replica)[0]).history != history, "a new history")


def a_copy_that_counts_takes_the_lead_without_a_loss():
    primary, replica = pair(repl_mode="all", min_in_sync=1)
    with primary, replica:
        copy = status_of(replica)["copy"]
        with primary.client(timeout=60.0) as client:
            expect(client.call("REPL.ADD", copy), "OK")
            expect(client.call("REPL.RULE", "all", 2), "OK")
            expect(client.info("tidemark")["mode"], "all")
            stop = threading.Event()
            acked = []

            def write():
                with primary.client(timeout=60.0) as writer:
                    while not stop.is_set():
                        if isinstance(writer.ask("RPUSH", "list", len(acked)), ReplyError):
                            return
                        acked.append(len(acked))
            thread = threading.Thread(target=write, daemon=True)
            thread.start()
            time.sleep(0.5)
            expect_true(client.call("FAILOVER", "TIMEOUT", 30000).startswith("OK"), "it begins")
            wait_until(lambda: status_of(replica)["role"] == b"primary", 40, "it leads")
            stop.set()
            thread.join(patience(60))
        with replica.client(timeout=60.0) as client:
            wait_until(lambda: client.ask("SET", "a", 2) == "OK", 30, "it takes writes")
            found = [int(value) for value in client.call("LRANGE", "list", 0, -1)]
            expect(found[:len(acked)], acked, "what was acked is there in order, once")
            expect_true(len(found) <= len(acked) + 1, "and nothing but what was sent")
        wait_in_sync(primary)
        expect_equal_copies(replica, primary)


if __name__ == "__main__":
    run(a_replica_follows_serves_reads_and_says_so,
        replicaof_is_kept_over_a_restart_and_gives_up_other_data,
        a_replica_refuses_every_command_that_writes_and_keeps_its_state,
        a_mark_can_be_waited_for_and_is_stale_or_lost_by_name,
        wait_tells_how_many_copies_have_it_when_the_time_is_over,
        lag_and_readiness_are_told_over_http,
        events_name_each_decision,
        a_replica_that_is_killed_under_load_catches_up,
        a_primary_that_is_killed_under_load_is_followed_again,
        a_replica_that_was_away_gets_what_it_missed_over_restarts_of_both,
        a_promotion_in_mode_local_says_what_is_missing_and_force_begins_a_new_history,
        a_copy_that_counts_takes_the_lead_without_a_loss)
