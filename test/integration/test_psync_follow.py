#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 900
"""The server under test follows Debian's redis-server, as one of Redis's own replicas would.

What it holds is compared key by key with the primary: taken as a whole under a storm of writes over
every type, when links are cut, when either of the two is restarted or killed. What the primary has
counted (sync_full, sync_partial_ok) says how it was taken.
"""
import os
import threading
import time

from lib import (Failure, Server, StockRedis, expect, expect_error, expect_true, patience, run,
                 wait_until)
from relay import Relay
from resp import ReplyError
from stock import DATABASES, Storm, content, expect_equal, info_of, settle

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))
SECONDS = float(os.environ.get("TIDEMARK_SECONDS", "6"))


class Copy(Server):
    """The server under test, with what stock.settle() asks of a replica."""

    def follow(self, primary, host="127.0.0.1"):
        with self.client() as client:
            expect(str(client.call("REPLICAOF", host, primary.port)), "OK", "REPLICAOF")
        return self

    def info(self, name):
        return info_of(self, "replication").get(name)

    def is_linked(self):
        return self.info("master_link_status") == "up"

    def status(self):
        with self.client() as client:
            fields = client.call("REPL.STATUS")
        pairs = fields.items() if isinstance(fields, dict) else zip(fields[::2], fields[1::2])
        return {key.decode(): value for key, value in pairs}

    def why(self):
        return self.status()["why"].decode()


def redis(name="redis", **options):
    options.setdefault("repl_diskless_sync_delay", 0)
    options.setdefault("repl_backlog_size", "64mb")
    return StockRedis(name, **options)


def stat(server, name):
    return int(info_of(server, "stats")[name])


def fill(server, count, size=100, prefix="filled"):
    with server.client(timeout=60) as client:
        for start in range(0, count, 500):
            for i in range(start, min(count, start + 500)):
                client.send("SET", f"{prefix}{i}", f"{i:08d}" * (size // 8))
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


def linked(copy, timeout=30):
    wait_until(copy.is_linked, timeout, f"the link of {copy.name}", pause=0.05)


def keys(server):
    with server.client() as client:
        return client.call("DBSIZE")


# ---- Everything ----------------------------------------------------------------------------------

def take_everything(**options):
    with redis(**options) as primary, Copy() as copy:
        fill(copy, 500, prefix="own")
        fill(primary, 20000)
        with Counting(primary, seed=SEED) as storm:
            time.sleep(0.3)
            copy.follow(primary)
            linked(copy, 60)
            time.sleep(1)
        settle(primary, copy)
        expect_counts(storm, primary, copy)
        expect_true(expect_equal(primary, copy) > 20000, "many keys, and none of its own")
        expect(stat(primary, "sync_full"), 1, "sync_full")
        expect(stat(primary, "sync_partial_err"), 0, "sync_partial_err")


def all_keys_are_taken_from_a_disk_while_writes_go_on():
    take_everything(repl_diskless_sync="no")


def all_keys_are_taken_without_a_disk_while_writes_go_on():
    take_everything(repl_diskless_sync="yes")


def what_is_here_is_served_until_all_of_the_new_is_there():
    # Not compressed: it takes its time.
    with redis(repl_diskless_sync="yes", rdbcompression="no") as primary, Copy() as copy, \
            Relay(primary) as relay:
        fill(primary, 60000, size=2000)
        with copy.client() as client:
            client.call("SET", "own", "1")
            copy.follow(primary, relay.host)
            cuts = 0
            while cuts < 3 and not copy.is_linked():
                if copy.info("master_sync_in_progress") == "0":
                    continue
                seen = client.call("GET", "own"), client.call("EXISTS", "filled1")
                expect_true(seen in ((b"1", 0), (None, 1)), f"one of the two, not {seen}")
                relay.cut()
                cuts += seen[0] == b"1"
                time.sleep(0.1)
            expect_true(cuts >= 1, "a link was cut while what was here was served")
        linked(copy, 120)
        settle(primary, copy)
        expect(expect_equal(primary, copy), 60000, "keys")
        expect_true(stat(primary, "sync_full") >= 2, "it began anew")


def a_crash_within_a_full_sync_leaves_the_old_state_or_the_new_one():
    with redis(repl_diskless_sync="yes") as primary, Copy() as copy:
        fill(primary, 40000, size=1000)
        with copy.client() as client:
            client.call("SET", "own", "1")
        seen = set()
        for pause in (0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.2, 3.0):
            copy.follow(primary)
            time.sleep(pause)
            copy.kill()
            copy.start()
            with copy.client() as client:
                old, new = client.call("GET", "own") == b"1", client.call("DBSIZE") == 40000
            expect_true(old != new, f"one of the two, not {old} and {new}")
            seen.add("old" if old else "new")
            if new:
                break
        linked(copy, 60)
        settle(primary, copy)
        expect(expect_equal(primary, copy), 40000, "keys")


# ---- Going on ------------------------------------------------------------------------------------

def a_cut_link_goes_on_where_it_was():
    with redis() as primary, Copy() as copy, Relay(primary) as relay:
        copy.follow(primary, relay.host)
        linked(copy)
        cuts = 0
        with Counting(primary, seed=SEED) as storm:
            end = time.monotonic() + SECONDS
            while time.monotonic() < end:
                time.sleep(0.4)
                relay.cut()
                cuts += 1
                time.sleep(0.05)
                linked(copy)
        settle(primary, copy)
        expect_counts(storm, primary, copy)
        expect_equal(primary, copy)
        expect(stat(primary, "sync_full"), 1, "sync_full")
        expect_true(stat(primary, "sync_partial_ok") >= cuts, f"{cuts} links were cut")
        expect_true(cuts >= 3, f"{cuts} links were cut")


def a_copy_that_is_killed_or_restarted_goes_on_where_it_was():
    with redis() as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        ends = 0
        with Counting(primary, seed=SEED + 1) as storm:
            end = time.monotonic() + 2 * SECONDS
            while time.monotonic() < end or ends < 4:
                time.sleep(0.5)
                if ends % 3 == 2:
                    copy.stop()
                else:
                    copy.kill()
                copy.start()
                ends += 1
                linked(copy)
        settle(primary, copy)
        expect_counts(storm, primary, copy)
        expect_equal(primary, copy)
        expect(stat(primary, "sync_full"), 1, "sync_full")
        expect_true(stat(primary, "sync_partial_ok") >= ends, f"{ends} ends")


def a_primary_that_comes_back_under_another_name_is_followed_on():
    with redis(save="3600 1") as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        with Storm(primary, seed=SEED):
            time.sleep(1)
        settle(primary, copy)
        name = info_of(primary, "replication")["master_replid"]
        with primary.client() as client:
            client.send("SHUTDOWN", "SAVE")
        primary.wait_exit()
        primary.start()
        linked(copy)
        expect_true(info_of(primary, "replication")["master_replid"] != name, "another name")
        with Storm(primary, seed=SEED + 1):
            time.sleep(1)
        settle(primary, copy)
        expect_equal(primary, copy)
        expect(stat(primary, "sync_full"), 0, "sync_full since its restart")
        expect(stat(primary, "sync_partial_ok"), 1, "sync_partial_ok since its restart")
        copy.kill()
        copy.start()
        linked(copy)
        settle(primary, copy)
        expect_equal(primary, copy)
        expect(stat(primary, "sync_full"), 0, "sync_full since its restart")


def a_primary_that_was_killed_gives_everything_again():
    with redis(appendonly="yes", appendfsync="always") as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        with Counting(primary, seed=SEED) as storm:
            time.sleep(1)
            primary.kill()
        primary.start()
        linked(copy)
        expect(stat(primary, "sync_full"), 1, "sync_full since its restart")
        settle(primary, copy)
        expect_equal(primary, copy)
        del storm


# ---- The role ------------------------------------------------------------------------------------

def it_speaks_of_itself_as_a_replica():
    with redis() as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        with primary.client() as writer, copy.client() as client:
            writer.call("SET", "k", "1")
            begun = time.monotonic()
            expect(writer.call("WAIT", 1, 10000), 1, "WAIT at the primary")
            expect_true(time.monotonic() - begun < patience(0.9), "WAIT needs no second")
            expect(client.call("GET", "k"), b"1", "what was waited for")
            settle(primary, copy)
            role = client.call("ROLE")
            expect(role[:4], [b"slave", b"127.0.0.1", primary.port, b"connected"], "ROLE")
            expect(str(role[4]), info_of(primary, "replication")["master_repl_offset"], "offset")
            for command in (("SET", "k", "2"), ("DEL", "k"), ("FLUSHALL",), ("BLPOP", "l", 1)):
                expect_error(client.ask(*command), "READONLY")
            expect(info_of(primary, "replication")["connected_slaves"], "1", "connected_slaves")
            expect_true(f"port={copy.port},state=online" in
                        info_of(primary, "replication")["slave0"], "the port it is reached at")
            events = [dict(zip(event[::2], event[1::2]))[b"what"].decode()
                      for event in client.call("REPL.EVENTS")]
            expect([event for event in events if event.startswith("redis_")],
                   ["redis_full_sync", "redis_installed"], "events")
            expect(copy.status()["primary-kind"], b"redis", "primary-kind")


def its_subscribers_hear_the_primarys_messages():
    with redis() as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        with primary.client() as writer, copy.client() as client:
            client.call("SUBSCRIBE", "news")
            writer.call("PUBLISH", "news", "hello")
            message = client.receive()
            expect(list(getattr(message, "items", None) or message)[1:], [b"news", b"hello"],
                   "the message")


def a_transaction_is_seen_as_a_whole_or_not_at_all():
    with redis() as primary, Copy() as copy, Relay(primary) as relay:
        copy.follow(primary, relay.host)
        linked(copy)
        stop = threading.Event()
        failures = []

        def write():
            with primary.client(timeout=60) as client:
                while not stop.is_set():
                    for word in (("MULTI",), ("INCR", "a"), ("SELECT", 3), ("INCR", "b"),
                                 ("RPUSH", "c", "x"), ("SELECT", 0), ("EXEC",)):
                        client.send(*word)
                    for _ in range(7):
                        client.receive()

        def read():
            with copy.client(timeout=60) as client:
                while not stop.is_set():
                    for word in (("MULTI",), ("GET", "a"), ("SELECT", 3), ("GET", "b"),
                                 ("LLEN", "c"), ("SELECT", 0), ("EXEC",)):
                        client.send(*word)
                    replies = [client.receive() for _ in range(7)][6]
                    if len({int(replies[at] or 0) for at in (0, 2, 3)}) != 1:
                        failures.append(replies)
        threads = [threading.Thread(target=work, daemon=True) for work in (write, read)]
        for thread in threads:
            thread.start()
        for _ in range(6):
            time.sleep(SECONDS / 6)
            relay.cut()
        stop.set()
        for thread in threads:
            thread.join(patience(60))
        expect(failures, [], "halves of transactions")
        settle(primary, copy)
        expect_equal(primary, copy)
        expect_true(int(content(copy)[0, b"a"][2]) > 100, "transactions were seen")


def keys_end_when_the_primary_says_so():
    with redis(enable_debug_command="yes") as primary, Copy() as copy:
        with primary.client() as writer, copy.client() as client:
            writer.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
            writer.call("SET", "before", "1", "PX", 300)
            copy.follow(primary)
            linked(copy)
            writer.call("SET", "after", "1", "PX", 300)
            writer.call("RPUSH", "list", "1")
            writer.call("PEXPIRE", "list", 300)
            settle(primary, copy)
            expect(client.call("DBSIZE"), 3, "keys")
            time.sleep(1.5)  # its own search for expired keys would have found them
            expect(client.call("EXISTS", "before", "after", "list"), 0, "what is seen")
            expect(client.call("DBSIZE"), 3, "what is there")
            copy.kill()
            copy.start()
            linked(copy)
            with copy.client() as again:
                expect(again.call("EXISTS", "before", "after", "list"), 0, "what is seen")
                expect(again.call("DBSIZE"), 3, "what is there")
                expect(writer.call("EXISTS", "before", "after", "list"), 0, "at the primary")
                settle(primary, copy)
                expect(again.call("DBSIZE"), 0, "what is there then")


def told_to_lead_it_leads_with_what_it_has():
    with redis() as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        storm = Storm(primary, seed=SEED)
        for writer in storm.writers:
            writer.spares = ("PEXPIRE",)  # a key that ends is a change of its own
        with storm:
            time.sleep(1)
        settle(primary, copy)
        with copy.client() as client:
            expect(str(client.call("REPLICAOF", "NO", "ONE")), "OK", "REPLICAOF NO ONE")
            expect_equal(primary, copy)
            expect(client.call("ROLE")[0], b"master", "ROLE")
            copy.follow(primary)  # nothing was written meanwhile: it goes on where it was
            linked(copy)
            expect(stat(primary, "sync_full"), 1, "sync_full")
            expect(stat(primary, "sync_partial_ok"), 1, "sync_partial_ok")
            settle(primary, copy)
            expect(str(client.call("PROMOTE")), "OK", "PROMOTE")
            expect(str(client.call("SET", "own", "1", "PX", 200)), "OK", "a write")
            count = client.call("DBSIZE")
            wait_until(lambda: client.call("DBSIZE") == count - 1, 5, "expiry is on again")
            copy.restart()
            with copy.client() as again:
                expect(again.call("ROLE")[0], b"master", "ROLE after a restart")
            copy.follow(primary)  # now it has what the primary has not
            wait_until(lambda: stat(primary, "sync_full") == 2, 30, "a full sync")
            linked(copy)
            settle(primary, copy)
            expect_equal(primary, copy)


def a_primary_that_the_configuration_names_is_followed():
    with redis(requirepass="secret") as primary:
        with Copy(replicaof=f"127.0.0.1 {primary.port}", masterauth="wrong") as copy:
            wait_until(lambda: "WRONGPASS" in copy.why(), 30, "the reason")
            with copy.client() as client:
                client.call("CONFIG", "SET", "masterauth", "secret")
            linked(copy)
            with primary.client() as writer:
                expect(str(writer.call("AUTH", "secret")), "OK", "AUTH")
                writer.call("SET", "k", "1")
                wait_until(lambda: keys(copy) == 1, 10, "its key")
                copy.options["masterauth"] = "secret"
                copy.kill()
                copy.start()
                linked(copy)
                writer.call("SET", "l", "1")
                wait_until(lambda: keys(copy) == 2, 10, "its keys")
                expect(int(info_after_auth(primary, "sync_full")), 1, "sync_full")


def info_after_auth(server, name):
    with server.client() as client:
        client.call("AUTH", "secret")
        text = str(getattr(client.call("INFO", "stats"), "text", "")) or ""
        if not text:
            reply = client.call("INFO", "stats")
            text = reply.decode() if isinstance(reply, bytes) else str(reply)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)[name]


def a_copy_with_data_of_its_own_gives_them_up_only_when_it_is_told_to():
    with redis() as primary, Copy() as copy:
        fill(primary, 100)
        with copy.client() as client:
            client.call("SET", "own", "1")
        copy.options["replicaof"] = f"127.0.0.1 {primary.port}"
        copy.restart()
        time.sleep(1)
        with copy.client() as client:  # it has led: what the file proposes comes too late
            expect(client.call("GET", "own"), b"1", "what is here")
        copy.follow(primary)
        linked(copy)
        expect(keys(copy), 100, "keys")


# ---- What cannot be taken ------------------------------------------------------------------------

def a_dump_with_a_type_that_is_not_there_is_refused_by_name():
    with redis() as primary, Copy() as copy:
        with primary.client() as writer, copy.client() as client:
            client.call("SET", "own", "1")
            writer.call("SET", "theirs", "1")
            writer.call("XADD", "stream", "*", "f", "v")
            copy.follow(primary)
            wait_until(lambda: "stream" in copy.why(), 30, "the reason")
            time.sleep(1)
            expect(client.call("GET", "own"), b"1", "what is here")
            expect(client.call("GET", "theirs"), None, "what is theirs")
            expect(stat(primary, "sync_full"), 1, "it is not tried again and again")
            writer.call("DEL", "stream")
            copy.follow(primary)
            linked(copy)
            expect(client.call("GET", "theirs"), b"1", "what is theirs")


def a_command_that_is_not_there_stops_the_link_by_name():
    with redis() as primary, Copy() as copy:
        copy.follow(primary)
        linked(copy)
        with primary.client() as writer, copy.client() as client:
            writer.call("SET", "before", "1")
            writer.call("XADD", "stream", "*", "f", "v")
            writer.call("SET", "after", "1")
            wait_until(lambda: "XADD" in copy.why().upper(), 30, "the reason")
            wait_until(lambda: client.call("MGET", "before", "after") == [b"1", None], 10,
                       "all that came before")
            expect_error(client.ask("SET", "own", "1"), "READONLY")
            expect(copy.info("master_link_status"), "down", "the link")
            copy.kill()
            copy.start()
            with copy.client() as again:
                wait_until(lambda: "XADD" in copy.why().upper(), 30, "the reason again")
                expect(again.call("MGET", "before", "after"), [b"1", None], "what is here")
            writer.call("DEL", "stream")
            copy.follow(primary)
            linked(copy)
            settle(primary, copy)
            expect_equal(primary, copy)
            expect(stat(primary, "sync_full"), 2, "sync_full")


# ---- Chains --------------------------------------------------------------------------------------

def a_copy_of_the_copy_has_the_same():
    with redis() as primary, Copy("copy") as copy, Copy("second") as second:
        copy.follow(primary)
        linked(copy)
        second.follow(copy)
        linked(second)
        with Counting(primary, seed=SEED) as storm:
            time.sleep(2)
        settle(primary, copy)
        with copy.client() as one, second.client() as other:
            wait_until(lambda: one.call("DIGEST") == other.call("DIGEST"), 20, "equal digests")
        expect_counts(storm, primary, copy, second)
        expect_equal(copy, second)
        with redis("third") as third, third.client() as client:  # but none of another make
            client.call("REPLICAOF", "127.0.0.1", copy.port)
            time.sleep(2)
            expect(info_of(third, "replication")["master_link_status"], "down", "its link")


def a_copy_of_the_copy_stays_with_it_until_a_full_sync_begins_another_history():
    with redis() as primary, Copy("copy") as copy, Copy("second") as second:
        copy.follow(primary)
        linked(copy)
        second.follow(copy)
        linked(second)
        with primary.client() as writer, copy.client() as client:
            expect(str(client.call("REPL.ADD", second.status()["copy"])), "OK", "REPL.ADD")
            writer.call("SET", "a", "1")
            settle(primary, copy)
        copy.kill()
        copy.start()
        linked(copy)  # it leads again, with the copy that its log names, before it asks the primary
        linked(second)
        expect(stat(primary, "sync_full"), 1, "sync_full")
        with primary.client() as writer, copy.client() as client, second.client() as other:
            writer.call("SET", "b", "1")
            wait_until(lambda: other.call("GET", "b") == b"1", 10, "what was written since")
            client.call("REPLICAOF", "NO", "ONE")
            client.call("SET", "own", "1")
            copy.follow(primary)
            wait_until(lambda: stat(primary, "sync_full") == 2, 30, "a full sync")
            linked(copy)
            wait_until(lambda: "foreign" in second.why(), 30, "the reason")
            second.follow(copy)
            linked(second)
            wait_until(lambda: other.call("DIGEST") == client.call("DIGEST"), 20, "equal digests")
            expect(other.call("EXISTS", "a", "b", "own"), 2, "keys")


if __name__ == "__main__":
    run(all_keys_are_taken_from_a_disk_while_writes_go_on,
        all_keys_are_taken_without_a_disk_while_writes_go_on,
        what_is_here_is_served_until_all_of_the_new_is_there,
        a_crash_within_a_full_sync_leaves_the_old_state_or_the_new_one,
        a_cut_link_goes_on_where_it_was,
        a_copy_that_is_killed_or_restarted_goes_on_where_it_was,
        a_primary_that_comes_back_under_another_name_is_followed_on,
        a_primary_that_was_killed_gives_everything_again,
        it_speaks_of_itself_as_a_replica,
        its_subscribers_hear_the_primarys_messages,
        a_transaction_is_seen_as_a_whole_or_not_at_all,
        keys_end_when_the_primary_says_so,
        told_to_lead_it_leads_with_what_it_has,
        a_primary_that_the_configuration_names_is_followed,
        a_copy_with_data_of_its_own_gives_them_up_only_when_it_is_told_to,
        a_dump_with_a_type_that_is_not_there_is_refused_by_name,
        a_command_that_is_not_there_stops_the_link_by_name,
        a_copy_of_the_copy_has_the_same,
        a_copy_of_the_copy_stays_with_it_until_a_full_sync_begins_another_history)
