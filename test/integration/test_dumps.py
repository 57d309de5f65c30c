#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 200
"""Dumps of the shipped server: behind each command that writes, and while settings change."""
import os
import subprocess
import threading
import time

from lib import (Server, StockRedis, expect, expect_true, patience, require_command, run,
                 tidemark, wait_until)
from stock import Replica, content, expect_equal, settle
from test_effects import HASHES, KEYS, LISTS, SETS, STRINGS, ZSETS, lines

OTHERS = """
SET gone 1 ; FLUSHALL ; SET here 1 ; SELECT 7 ; MSET a 1 b 2 ; FLUSHDB ; SET c 3 ;
SELECT 8 ; SET d 4 ; SWAPDB 7 8 ; SELECT 9 ; SET e 5 ; SORT none STORE none2 ;
RPUSH l 3 1 2 ; SORT l STORE sorted
"""
VALUE_BYTES = 4000


# ---- Every command -------------------------------------------------------------------------------

def key_places(client, words):
    """At which places of the command a key stands, or a word like one."""
    keys = client.ask("COMMAND", "GETKEYS", *words)
    if not isinstance(keys, list):
        return []
    keys = [key.decode() for key in keys]
    return [at for at, word in enumerate(words) if at > 0 and word in keys]


def behind_each(client, text):
    """Gives the commands one by one; what they have left is kept behind each of them, in keys of
    its own: commands up to the third write `3:name`. Returns the names that were given."""
    commands = [(words, key_places(client, words)) for words in lines(text)]
    commands = [(words, places) for words, places in commands if places]
    for last in range(len(commands)):
        for words, places in commands[:last + 1]:
            client.send(*(f"{last}:{word}" if at in places else word
                          for at, word in enumerate(words)))
        for _ in range(last + 1):
            client.receive()
    return {words[0].upper() for words, _ in commands}


def exported(server, folder):
    """The dump of an image made now."""
    with server.client(timeout=60) as client:
        expect(client.call("SAVE"), "OK")
    images = os.path.join(server.data, "keys", "images")
    dump = os.path.join(folder, "out.rdb")
    tidemark("image", "export-rdb", os.path.join(images, max(os.listdir(images))), dump)
    return dump


def writers_of(client):
    return {row[0].decode().upper() for row in client.call("COMMAND")
            if "write" in {str(flag) for flag in row[2]}}


def a_dump_behind_each_command_that_writes_is_what_its_replay_gives():
    with Server() as server:
        given = set()
        with server.client(timeout=60) as client:
            for words in lines(OTHERS):
                client.ask(*words)
                given.add(words[0])
            for database, text in enumerate((STRINGS, KEYS, HASHES, LISTS, SETS, ZSETS), 10):
                client.call("SELECT", database)
                given |= behind_each(client, text)
            expect(sorted(writers_of(client) - given), [], "commands that write and were not given")
        live = content(server)
        expect_true(len(live) > 700, f"{len(live)} keys")
        redis = StockRedis(dbfilename="out.rdb")
        subprocess.run(["redis-check-rdb", exported(server, redis.folder)], check=True,
                       stdout=subprocess.DEVNULL, timeout=patience(60))
        with redis:
            expect_equal(server, redis)
        server.kill()
        server.start()  # the entries again
        expect_true(content(server) == live, "the same behind a replay")


# ---- Settings ------------------------------------------------------------------------------------

SETTINGS = (("flush-budget-max", "4m", "2m"), ("image-keep", "3", "2"), ("save", "3600 1", ""),
            ("durability", "everysec", "always"), ("maxmemory-policy", "allkeys-lru", "noeviction"))


class Changing(threading.Thread):
    """Changes settings as fast as they are taken."""

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.stopping = threading.Event()
        self.taken = 0
        self.refused = set()

    def run(self):
        with self.server.client(timeout=60) as client:
            while not self.stopping.is_set():
                for name, *values in SETTINGS:
                    for value in values:
                        if client.ask("CONFIG", "SET", name, value) == "OK":
                            self.taken += 1
                        else:
                            self.refused.add(name)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.join(patience(60))


def settings_that_change_meanwhile_disturb_neither_an_image_nor_a_dump():
    with Server(log_segment_size="1m", log_reserve_size="2m", flush_budget_min="1m",
                flush_budget_max="2m", cache_size="8m") as server, server.client(60) as client:
        for begin in range(0, 6000, 100):
            client.call("MSET", *(word for number in range(begin, begin + 100)
                                  for word in (f"k{number}", os.urandom(VALUE_BYTES))))
        with Changing(server) as changing:
            wait_until(lambda: changing.taken > 20, what="settings are changed")
            before = changing.taken
            expect(client.call("BGSAVE"), "Background saving started")
            with Replica(server) as replica:
                wait_until(lambda: client.info("persistence")["rdb_bgsave_in_progress"] == "0", 30,
                           "the end of the image")
                expect(client.info("persistence")["rdb_last_bgsave_status"], "ok")
                wait_until(replica.is_linked, 60, "the replica has its dump")
                expect_true(changing.taken > before + 20, "settings were changed meanwhile")
                settle(server, replica)
                expect(replica.full_syncs(), 1, "dumps")
                expect_true(expect_equal(server, replica) == 6000, "all keys")
        expect(changing.refused, set(), "settings not taken")
        digest = client.call("DIGEST")[1].decode()
        images = os.path.join(server.data, "keys", "images")
        said = tidemark("image", "verify", os.path.join(images, max(os.listdir(images))))
        expect_true(f"digest={digest} recount={digest} keys=6000" in said, said)


# ---- Files ---------------------------------------------------------------------------------------

def tables_of(server):
    """The names of the store's tables."""
    found = set()
    for folder, _, names in os.walk(os.path.join(server.data, "keys")):
        found |= {os.path.join(folder, name) for name in names if name.endswith(".sst")}
    return found


def under_writes_without_a_pause_the_tables_of_the_store_stay_few_and_nobody_waits_long():
    seconds, most, slowest, seen = 6.0, 0, 0.0, set()
    with Server(log_segment_size="1m", log_reserve_size="2m", flush_budget_min="1m",
                flush_budget_max="1m", cache_size="8m") as server, server.client(60) as client:
        end = time.monotonic() + seconds
        value, number = "x" * 1000, 0
        while time.monotonic() < end or len(seen) < 80:
            began = time.monotonic()
            for _ in range(200):
                number = (number * 1103515245 + 12345) % (1 << 31)
                client.send("SET", f"k{number % 8000}", value)
            for _ in range(200):
                client.receive()
            slowest = max(slowest, time.monotonic() - began)
            tables = tables_of(server)
            most = max(most, len(tables))
            seen |= tables
            expect_true(time.monotonic() < end + patience(60), f"{len(seen)} tables are written")
        print(f"  {len(seen)} tables, {most} at once, slowest answer {slowest:.2f} s", flush=True)
        expect_true(most < 60, f"{most} tables at once")
        expect_true(slowest < patience(5), f"the slowest answer took {slowest:.2f} s")


if __name__ == "__main__":
    require_command("redis-server", "redis-check-rdb")
    run(a_dump_behind_each_command_that_writes_is_what_its_replay_gives,
        settings_that_change_meanwhile_disturb_neither_an_image_nor_a_dump,
        under_writes_without_a_pause_the_tables_of_the_store_stay_few_and_nobody_waits_long)
