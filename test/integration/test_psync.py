#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""Redis's own replicas: Debian's redis-server follows the server under test.

What it holds is compared key by key with the server: under a storm of writes over every type, when
links are cut, when the server is restarted or killed. The tools of Redis that speak as replicas do
(`redis-cli --rdb`, `redis-cli --replica`) work. A replica that is made up of a socket says what
redis-server never would.
"""
import os
import re
import subprocess
import time

from lib import (Failure, Server, StockRedis, expect, expect_true, patience, require_command, run,
                 temp_folder, wait_until)
from resp import ConnectionClosed, ReplyError
from stock import DATABASES, Replica, Storm, Wire, content, expect_equal, info_of, settle

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))
SECONDS = float(os.environ.get("TIDEMARK_SECONDS", "6"))


def replication(server, name):
    return info_of(server, "replication")[name]


def stat(server, name):
    return int(info_of(server, "stats")[name])


def fill(server, count, size=100):
    with server.client(timeout=60) as client:
        for start in range(0, count, 500):
            for i in range(start, min(count, start + 500)):
                client.send("SET", f"filled{i}", f"{i:08d}" * (size // 8))
            for i in range(start, min(count, start + 500)):
                client.receive()


def expect_counts(storm, *servers):
    """Each counter and each row is exact: nothing is missing, nothing came twice."""
    for server in servers:
        with server.client(timeout=60) as client:
            for writer in storm.writers:
                count = int(client.call("GET", f"count{writer.number}") or 0)
                row = client.call("LRANGE", f"row{writer.number}", 0, -1)
                expect([int(item) for item in row], list(range(count)), f"{server.name}: a row")
                expect(count, writer.counted, f"{server.name}: a counter")


class Counting(Storm):
    """Writers whose counters no other command touches: what they count is exact on every copy."""

    def __init__(self, server, seed):
        super().__init__(server, seed=seed)
        for writer in self.writers:
            writer.spares = ("FLUSHDB", "SWAPDB")


# ---- Equal copies --------------------------------------------------------------------------------

def a_stock_replica_is_equal_whatever_is_written_and_however_often_its_link_is_cut():
    with Server() as server, Replica(server) as replica:
        wait_until(replica.is_linked, 30, "the first link")
        kills = 0
        with Storm(server, seed=SEED):
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.4)
                with server.client() as client:
                    kills += client.call("CLIENT", "KILL", "TYPE", "replica")
                wait_until(replica.is_linked, 30, "the link again")
        settle(server, replica)
        expect_true(kills >= 3, f"{kills} links were cut")
        expect(replica.full_syncs(), 1, "full syncs of the replica")
        expect(stat(server, "sync_full"), 1, "sync_full")
        expect(stat(server, "sync_partial_ok"), kills, "sync_partial_ok")
        expect_true(expect_equal(server, replica) > 50, "many keys")


def a_replica_that_joins_under_writes_misses_nothing_and_has_nothing_twice():
    with Server() as server:
        fill(server, 20000)
        with Replica(server, name="one") as one, Replica(server, name="two") as two:
            with Counting(server, seed=SEED + 1) as storm:
                wait_until(lambda: one.is_linked() and two.is_linked(), 60, "both links")
                for replica in (one, two):
                    with replica.client() as client:  # again from nothing, both at once
                        client.call("REPLICAOF", "NO", "ONE")
                        client.call("FLUSHALL")
                for replica in (one, two):
                    with replica.client() as client:
                        client.call("REPLICAOF", "127.0.0.1", server.port)
                wait_until(lambda: one.is_linked() and two.is_linked(), 60, "both links")
                time.sleep(1)
            settle(server, one, two)
            expect_counts(storm, server, one, two)
            expect_equal(server, one)
            expect_equal(server, two)


# ---- Going on where it stopped -------------------------------------------------------------------

def after_a_restart_and_after_kill_9_a_replica_goes_on_where_it_was():
    with Server() as server, Replica(server) as replica:
        wait_until(replica.is_linked, 30, "the first link")
        names = [replication(server, "master_replid")]
        for number, end in enumerate((server.stop, server.kill, server.kill)):
            with Storm(server, seed=SEED + 10 + number):
                time.sleep(1)
                end()  # in the middle of it
            server.start()
            wait_until(replica.is_linked, 60, "the link again")
            settle(server, replica)
            expect(stat(server, "sync_full"), 0, "sync_full of this start")
            expect(stat(server, "sync_partial_ok"), 1, "sync_partial_ok of this start")
            names.append(replication(server, "master_replid"))
            expect(replication(server, "master_replid2"), names[-2], "the name before")
            expect_true(int(replication(server, "second_repl_offset")) > 0, "where it ended")
            expect_equal(server, replica)
        expect(len(set(names)), 4, "names of streams")
        expect(replica.full_syncs(), 1, "full syncs of the replica")
        expect(replica.info("master_replid"), names[-1], "what the replica follows")


def a_replica_that_was_away_for_longer_than_the_stream_is_kept_gets_one_full_sync():
    with Server(repl_backlog_size="50k") as server, Replica(server) as replica:
        wait_until(replica.is_linked, 30, "the first link")
        fill(server, 100)
        settle(server, replica)
        replica.stop()
        fill(server, 3000, 1000)
        wait_until(lambda: int(replication(server, "repl_backlog_histlen")) < 300000, 30,
                   "what is kept is bounded")
        replica.start()
        wait_until(replica.is_linked, 30, "the link again")
        settle(server, replica)
        expect_equal(server, replica)
        expect(stat(server, "sync_full"), 2, "sync_full")


def the_stream_is_kept_for_a_replica_that_is_there_however_slow_it_is():
    with Server(repl_backlog_size="20k") as server, Wire(server.port) as slow:
        fill(server, 4000, 1000)
        slow.ask("REPLCONF", "capa", "psync2")
        word, _, offset = slow.ask("PSYNC", "?", "-1").split()
        expect(word, "+FULLRESYNC")
        started = time.monotonic()
        fill(server, 4000, 1000)  # it reads nothing meanwhile
        expect_true(time.monotonic() - started < patience(20), "writers are not held up")
        time.sleep(2.5)  # what is kept was looked through
        slow.dump()
        slow.offset = int(offset) + 1
        for i in range(4000):
            words = slow.command()
            if words[0] == b"SELECT":
                words = slow.command()
            expect(words[:2], [b"SET", f"filled{i}".encode()])


def nobody_goes_on_from_a_place_that_is_not_in_its_past():
    with Server() as server:
        with Wire(server.port) as wire:
            replid, offset, _ = wire.full_sync("psync2")
            with server.client() as client:
                for words in (("SET", "a", 1), ("SADD", "s", 1, 2, 3), ("SPOP", "s", 2),
                              ("EXPIRE", "a", 100)):
                    client.call(*words)
                client.call("PUBLISH", "mark", "x")
            borders = {offset + 1, wire.offset}
            while True:
                words = wire.command()
                inside = words == [b"MULTI"]
                while inside and words != [b"EXEC"]:
                    words = wire.command()
                borders.add(wire.offset)
                if words[0] == b"PUBLISH":
                    break
            end = wire.offset
        for wanted in range(0, end + 3):
            with Wire(server.port) as wire:
                wire.ask("REPLCONF", "capa", "psync2")
                answer = wire.ask("PSYNC", replid, str(wanted)).split()[0]
            expect(answer, "+CONTINUE" if wanted in borders else "+FULLRESYNC", f"at {wanted}")
        for name in ("0" * 40, replid[:-1], "garbage"):
            with Wire(server.port) as wire:
                expect(wire.ask("PSYNC", name, str(end)).split()[0], "+FULLRESYNC", name)


def what_an_epoch_never_had_is_not_continued():
    with Server() as server:
        with Wire(server.port) as wire:
            replid, offset, _ = wire.full_sync("psync2")
        with server.client() as client:
            client.call("SET", "a", 1)
        end = int(replication(server, "master_repl_offset")) + 1
        server.kill()
        server.start()
        with server.client() as client:
            for i in range(10):
                client.call("SET", "b", i)
        expect_true(int(replication(server, "master_repl_offset")) > end + 100, "it goes on")
        for wanted, answer in ((offset + 1, "+CONTINUE"), (end, "+CONTINUE"),
                               (end + 1, "+FULLRESYNC"), (end + 60, "+FULLRESYNC")):
            with Wire(server.port) as wire:
                wire.ask("REPLCONF", "capa", "psync2")
                expect(wire.ask("PSYNC", replid, str(wanted)).split()[0], answer, f"at {wanted}")


# ---- WAIT, and what is told ----------------------------------------------------------------------

def wait_counts_the_replicas_that_have_a_write():
    with Server() as server, Replica(server, name="one") as one, Replica(server, name="two") as two:
        wait_until(lambda: one.is_linked() and two.is_linked(), 30, "both links")
        with server.client(timeout=30) as client:
            expect(client.call("WAIT", 0, 0), 2)
            client.call("SET", "a", 1)
            expect(client.call("WAIT", 2, 10000), 2)
            for replica in (one, two):
                with replica.client() as other:
                    expect(other.call("GET", "a"), b"1")
            two.pause()
            client.call("SET", "a", 2)
            expect(client.call("WAIT", 1, 10000), 1)
            started = time.monotonic()
            expect(client.call("WAIT", 2, 300), 1)
            expect_true(time.monotonic() - started >= 0.3, "it waits as long as it may")
            two.resume()
            expect(client.call("WAIT", 2, 10000), 2)
            role, offset, replicas = client.call("ROLE")
            expect(role, b"master")
            expect(sorted(int(port) for _, port, _ in replicas), sorted((one.port, two.port)))
            expect_true(offset > 0, "an offset")
            lines = client.call("CLIENT", "LIST", "TYPE", "replica")
            lines = (lines.text if hasattr(lines, "text") else lines).decode().splitlines()
            expect(len(lines), 2)
            expect_true(all(" flags=S " in line for line in lines), "flag S")
        told = info_of(server, "replication")
        expect(told["connected_slaves"], "2")
        for i in range(2):
            expect_true(re.fullmatch(r"ip=127\.0\.0\.1,port=\d+,state=online,offset=\d+,lag=[01]",
                                     told[f"slave{i}"]), told[f"slave{i}"])


def messages_reach_the_subscribers_of_a_replica():
    with Server() as server, Replica(server) as replica:
        wait_until(replica.is_linked, 30, "the first link")
        with server.client() as client, replica.client() as listener:
            listener.send("SUBSCRIBE", "news")
            listener.receive()
            client.call("PUBLISH", "news", "hello")
            expect(list(listener.receive()), [b"message", b"news", b"hello"])


# ---- Redis's tools -------------------------------------------------------------------------------

def redis_cli_fetches_a_dump_that_a_stock_server_loads():
    require_command("redis-cli", "redis-check-rdb")
    with Server() as server:
        with Storm(server, seed=SEED + 20):
            time.sleep(1)
        time.sleep(0.5)  # what ends soon has ended: nothing changes behind the dump
        folder = temp_folder("dump")
        path = os.path.join(folder, "dump.rdb")
        subprocess.run(["redis-cli", "-p", str(server.port), "--rdb", path], check=True,
                       stdout=subprocess.DEVNULL, timeout=patience(60))
        checked = subprocess.run(["redis-check-rdb", path], check=True, stdout=subprocess.PIPE,
                                 timeout=patience(60)).stdout.decode()
        with server.client() as client:
            mark, digest = (word.decode() for word in client.call("DIGEST"))
        expect_true(f"tidemark-digest = '{digest}'" in checked, "the digest of the dump")
        told = re.search(r"tidemark-mark = '([^']*)'", checked).group(1)
        expect(told.split(":")[0], mark.split(":")[0], "the history of the dump")
        with StockRedis(folder=folder, dbfilename="dump.rdb") as stock:
            expect_equal(server, stock)
        wait_until(lambda: replication(server, "connected_slaves") == "0", 10, "it has gone")


def redis_cli_shows_the_stream_as_of_a_stock_server():
    require_command("redis-cli")
    shown = []
    with Server() as server, StockRedis(repl_diskless_sync_delay=0) as stock:
        for each in (server, stock):
            with each.client() as client:
                client.call("SET", "before", 1)
            process = subprocess.Popen(["redis-cli", "-p", str(each.port), "--replica"],
                                       stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
            try:
                wait_until(lambda each=each: "state=online" in info_of(each, "replication")
                           .get("slave0", ""), 20, "a replica")
                time.sleep(2.5)  # it says when it is ready, and sleeps before
                with each.client() as client:
                    client.call("SET", "a", "b c")
                    client.call("SELECT", 3)
                    client.call("RPUSH", "l", 1, 2)
                    client.call("MULTI")
                    client.call("LPOP", "l")
                    client.call("INCR", "n")
                    client.call("EXEC")
                    client.call("PUBLISH", "the", "end")
                lines = []
                while not lines or "PUBLISH" not in lines[-1]:
                    line = process.stdout.readline().decode().strip()
                    if line.startswith('"') and line != '"ping"' and line != '"PING"':
                        lines.append(line)
                shown.append(lines)
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
    expect(shown[0], shown[1], "what is shown")


# ---- What redis-server never says ----------------------------------------------------------------

def every_frame_and_every_kind_of_replica_gets_the_same():
    with Server() as server:
        fill(server, 300)
        dumps = []
        for capabilities in ((), ("psync2",), ("eof", "psync2"), ("eof", "later-one")):
            with Wire(server.port) as wire:
                _, offset, dump = wire.full_sync(*capabilities)
                expect(dump[:9], b"REDIS0010")
                dumps.append(dump)
                with server.client() as client:
                    client.call("SET", "last", len(dumps))
                wire.commands_until("SET", "last", len(dumps))
                expect_true(wire.offset > offset, "the stream goes on")
        with Wire(server.port) as wire:
            wire.say("SYNC")
            expect_true(wire.dump().startswith(b"REDIS0010"), "a dump for an old replica")
            with server.client() as client:
                client.call("SET", "last", "old")
            wire.commands_until("SET", "last", "old")


def bad_words_are_answered_or_end_the_connection():
    with Server() as server:
        with Wire(server.port) as wire:
            for words, answer in (
                    (("REPLCONF", "what", "ever"), "-ERR Unrecognized REPLCONF option: what"),
                    (("REPLCONF", "capa"), "-ERR syntax error"),
                    (("REPLCONF", "listening-port", "x"), "-ERR value is not an integer"),
                    (("REPLCONF", "ip-address", "x" * 300), "-ERR REPLCONF ip-address provided"),
                    (("REPLCONF", "capa", "none-of-ours"), "+OK"),
                    (("REPLCONF", "rdb-filter-only", "x"), "-ERR Unsupported rdb-filter-only"),
                    (("PSYNC", "?", "x"), "-ERR value is not an integer"),
                    (("PSYNC", "?"), "-ERR wrong number of arguments"),
                    (("PSYNC", "?", "-1", "FAILOVER"), "-ERR PSYNC FAILOVER can't be sent"),
                    (("REPLCONF", "rdb-filter-only", ""), "+OK")):
                expect_true(wire.ask(*words).startswith(answer), f"{words}: {answer}")
            wire.say("REPLCONF", "ACK", "1")  # of one who follows nothing
            expect(wire.ask("PING"), "+PONG")
        for words in (("GET", "a"), ("SET", "a", "1"), ("PING",), ("SUBSCRIBE", "a")):
            with Wire(server.port) as wire:
                wire.full_sync("psync2")
                wire.say(*words)
                expect_true(wire.is_closed(), f"{words} of a replica ends it")
        with Wire(server.port) as wire:
            wire.full_sync("psync2")
            wire.socket.sendall(b"*99999999999\r\n")
            expect_true(wire.is_closed(), "what is no command ends it")
        with server.client() as client:
            expect(client.call("GET", "a"), None)


def a_replica_that_vanishes_in_the_middle_of_its_dump_leaves_nothing():
    with Server() as server:
        fill(server, 20000, 1000)
        with server.client() as client:
            before = client.call("DIGEST")
        for _ in range(5):
            with Wire(server.port) as wire:
                wire.ask("REPLCONF", "capa", "eof")
                wire.ask("PSYNC", "?", "-1")
                wire.take(100000)
        wait_until(lambda: replication(server, "connected_slaves") == "0", 20, "all have gone")
        with server.client() as client:
            expect(client.call("DIGEST")[1], before[1])
        with Replica(server) as replica:
            wait_until(replica.is_linked, 60, "a link")
            settle(server, replica)
            expect_equal(server, replica)
        expect(server.stop(), 0, "the status of the stop")


def a_replica_that_takes_nothing_or_says_nothing_is_closed():
    with Server(repl_timeout=2) as server:
        fill(server, 20000, 1000)
        with Wire(server.port) as wire:
            wire.full_sync("psync2")
            expect_true(wire.is_closed(20), "who is silent is closed")
        with Wire(server.port) as wire:
            wire.ask("PSYNC", "?", "-1")
            wait_until(lambda: replication(server, "connected_slaves") == "0", 20,
                       "who takes nothing is closed")


def a_replica_far_behind_the_limit_is_closed_and_comes_back():
    with Server(client_output_buffer_limit="replica 1mb 0 0", repl_timeout=30) as server:
        with Wire(server.port) as wire:
            replid, _, _ = wire.full_sync("psync2")
            with server.client() as client:
                client.call("SET", "a", 1)
            wire.commands_until("SET", "a", 1)
            time.sleep(1.5)
            place = wire.offset
            fill(server, 20000, 1000)
            wait_until(lambda: replication(server, "connected_slaves") == "0", 20, "it is closed")
        with Wire(server.port) as wire:
            expect(wire.ask("PSYNC", replid, str(place)).split()[0], "+CONTINUE")


def a_stop_ends_with_replicas_in_every_state():
    with Server() as server:
        fill(server, 20000, 1000)
        with Replica(server) as replica, Wire(server.port) as one, Wire(server.port) as two:
            wait_until(replica.is_linked, 60, "a link")
            one.full_sync("psync2")
            two.ask("PSYNC", "?", "-1")
            expect(server.stop(), 0, "the status of the stop")
            expect_true(one.is_closed() and two.is_closed(), "all are closed")
            server.start()
            wait_until(replica.is_linked, 60, "the link again")
            settle(server, replica)
            expect(replica.full_syncs(), 1, "full syncs of the replica")


def the_stream_is_switched_off_when_nobody_wants_it_any_more():
    with Server(repl_backlog_ttl=1) as server:
        expect(replication(server, "repl_backlog_active"), "0")
        with Wire(server.port) as wire:
            replid, offset, _ = wire.full_sync("psync2")
            expect(replication(server, "repl_backlog_active"), "1")
        wait_until(lambda: replication(server, "repl_backlog_active") == "0", 20, "it is off")
        with Wire(server.port) as wire:
            expect(wire.ask("PSYNC", replid, str(offset + 1)).split()[0], "+FULLRESYNC")


if __name__ == "__main__":
    run(a_stock_replica_is_equal_whatever_is_written_and_however_often_its_link_is_cut,
        a_replica_that_joins_under_writes_misses_nothing_and_has_nothing_twice,
        after_a_restart_and_after_kill_9_a_replica_goes_on_where_it_was,
        a_replica_that_was_away_for_longer_than_the_stream_is_kept_gets_one_full_sync,
        the_stream_is_kept_for_a_replica_that_is_there_however_slow_it_is,
        nobody_goes_on_from_a_place_that_is_not_in_its_past,
        what_an_epoch_never_had_is_not_continued,
        wait_counts_the_replicas_that_have_a_write,
        messages_reach_the_subscribers_of_a_replica,
        redis_cli_fetches_a_dump_that_a_stock_server_loads,
        redis_cli_shows_the_stream_as_of_a_stock_server,
        every_frame_and_every_kind_of_replica_gets_the_same,
        bad_words_are_answered_or_end_the_connection,
        a_replica_that_vanishes_in_the_middle_of_its_dump_leaves_nothing,
        a_replica_that_takes_nothing_or_says_nothing_is_closed,
        a_replica_far_behind_the_limit_is_closed_and_comes_back,
        a_stop_ends_with_replicas_in_every_state,
        the_stream_is_switched_off_when_nobody_wants_it_any_more)
