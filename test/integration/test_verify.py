#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""`tidemark verify` on running copies, and digest stamps: equal copies are told from others, the
keys that differ are named, and a copy that holds something else than its mark says stops."""
import os
import re
import subprocess
import time

from lib import (Server, binary, expect, expect_true, free_port, keys_folder, patience, run,
                 wait_until)
from rocks import alter
from storm import Writer
from test_copies import mark_and_digest, metric, pair, status_of, wait_in_sync

KEYS = 3000
STATUS_DIFFERS = 5


def address(server):
    return f"127.0.0.1:{server.port}"


def verify(*arguments, status, environment=None):
    """What the tool printed on both outputs."""
    done = subprocess.run([binary(), "verify", *arguments], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=patience(120),
                          check=False, env={**os.environ, **(environment or {})})
    text = done.stdout.decode("utf-8", "replace")
    expect(done.returncode, status, text)
    return text


def fill(server, password=None):
    with server.client() as client:
        if password is not None:
            client.call("AUTH", password)
        for at in range(0, KEYS, 100):
            words = [word for i in range(at, at + 100) for word in (f"key:{i}", f"value-of-{i}")]
            client.call("MSET", *words)
        client.call("HSET", "hash", *[word for i in range(200) for word in (f"f{i}", f"v{i}")])
        client.call("ZADD", "scores", *[word for i in range(200) for word in (i, f"m{i}")])
        client.call("RPUSH", "list", *range(200))
        client.call("SELECT", 3)
        client.call("SET", "elsewhere", "x")


def meet(primary, replica):
    wait_until(lambda: mark_and_digest(primary)[0] == mark_and_digest(replica)[0], 30,
               "the marks of both copies are equal")


def altered(primary, replica, prefix, change):
    """The replica was stopped, its store was altered, and it is in sync again."""
    meet(primary, replica)
    replica.stop()
    expect(alter(keys_folder(replica.data, "store"), prefix, change), 1, "records altered")
    replica.start()
    wait_in_sync(replica)


# ---- verify --------------------------------------------------------------------------------------

def copies_are_equal_while_they_are_written_to():
    primary, replica = pair()
    with primary, replica:
        fill(primary)
        writer = Writer(1, 7)
        writer.begin(primary.port)
        try:
            for _ in range(5):
                text = verify(address(replica), address(primary), status=0)
                match = re.fullmatch(r"equal: copies=2 mark=\S+ digest=[0-9a-f]{32} keys=(\d+)\n",
                                     text)
                expect_true(match, text)
                expect_true(int(match.group(1)) >= KEYS + 4, text)
        finally:
            writer.stop()
            writer.end()
        meet(primary, replica)
        text = verify(address(primary), address(replica), status=0)
        expect_true(mark_and_digest(primary)[1].decode() in text, "the digest is that of DIGEST")


def a_value_that_was_altered_in_the_store_is_found_and_named():
    primary, replica = pair()
    with primary, replica:
        fill(primary)
        altered(primary, replica, b"K",
                lambda key, value: value.replace(b"value-of-1234", b"value-of-1235"))
        expect(mark_and_digest(primary), mark_and_digest(replica), "the running digests")
        text = verify(address(primary), address(replica), status=STATUS_DIFFERS)
        lines = text.splitlines()
        expect(lines[0], f'differs at={address(replica)} db0 "key:1234"')
        expect(len(lines), 3, text)
        expect_true(lines[1].endswith(" primary"), text)


def keys_that_are_missing_or_differ_in_an_element_are_named():
    primary, replica = pair()
    with primary, replica:
        fill(primary)
        altered(primary, replica, b"K",
                lambda key, value: None if key.endswith(b"elsewhere") else value)
        text = verify(address(primary), address(replica), status=STATUS_DIFFERS)
        expect_true(f'missing at={address(replica)} db3 "elsewhere"\n' in text, text)
        altered(primary, replica, b"E", lambda key, value: b"v7!" if value == b"v7" else value)
        text = verify(address(primary), address(replica), status=STATUS_DIFFERS)
        expect_true(f'differs at={address(replica)} db0 "hash"\n' in text, text)
        expect_true(f"{address(replica)}: the records of 1 keys do not fit one another\n" in text,
                    text)
        # seen from the other side, it is one too many
        text = verify(address(replica), address(primary), status=STATUS_DIFFERS)
        expect_true(f'missing at={address(replica)} db3 "elsewhere"\n' in text, text)


def what_cannot_be_told_is_refused_with_the_reason():
    primary, replica = pair()
    with primary, replica, Server("stranger") as stranger:
        for server in (replica, primary):
            with server.client() as client:
                client.call("CONFIG", "SET", "primaryauth", "sesame")
                client.call("CONFIG", "SET", "requirepass", "sesame")
        expect_true("NOAUTH" in verify(address(primary), address(replica), status=2), "none")
        expect_true("WRONGPASS" in verify("--password", "x", address(primary), address(replica),
                                          status=2), "a wrong one")
        verify("--password", "sesame", address(primary), address(replica), status=0)
        verify(address(primary), address(replica), status=0,
               environment={"TIDEMARK_PASSWORD": "sesame"})
        nobody = f"127.0.0.1:{free_port()}"
        text = verify("--password", "sesame", address(primary), nobody, status=2)
        expect_true(nobody in text and "refused" in text, text)
        text = verify("--password", "sesame", address(primary), address(primary), status=2)
        expect_true("are the same copy" in text, text)
        with stranger.client() as client:
            client.call("CONFIG", "SET", "requirepass", "sesame")
        text = verify("--password", "sesame", address(primary), address(stranger), status=2)
        expect_true("are not of one history" in text, text)
        expect_true("Usage: tidemark verify" in verify("--help", status=0), "help")
        verify(address(primary), status=1)
        replica.pause()
        try:  # behind: it does not even answer, and would not have come there
            text = verify("--password", "sesame", "--timeout", "1", address(primary),
                          address(replica), status=2)
            expect_true("nothing was heard in time" in text, text)
        finally:
            replica.resume()


# ---- Stamps --------------------------------------------------------------------------------------

def every_copy_compares_the_digests_in_the_log():
    primary, replica = pair()
    with primary, replica:
        with primary.client() as client:
            for i in range(600):
                client.call("SET", f"k{i}", i)
        for server in (primary, replica):
            wait_until(lambda at=server: metric(at, "stamps_checked_total") > 0, 20,
                       f"{server.name} compares a stamp")
            expect(metric(server, "stamps_asked_total"), 0.0)
        with replica.client() as client:
            info = client.info("tidemark")
        expect_true(int(info["stamp_lsn"]) % 256 == 0 and int(info["stamp_lsn"]) > 0, info)


def a_copy_whose_state_was_altered_stops_at_the_next_stamp_and_keeps_the_evidence():
    primary, replica = pair()
    with primary, replica:
        fill(primary)
        altered(primary, replica, b"K",
                lambda key, value: value.replace(b"value-of-1234", b"value-of-1235"))
        with primary.client() as client:
            client.call("SET", "key:1234", "again")  # what it takes away is not what is there
            for i in range(600):
                client.call("SET", f"k{i}", i)
        status = replica.wait_exit(60)
        expect(status, STATUS_DIFFERS, replica.log_tail())
        log = replica.log_text()
        expect_true(" digest_differs " in log and " diverged " in log, "the log names it")
        match = re.search(r"at (\S+) the digest is ([0-9a-f]{32}), but the recount ([0-9a-f]{32})",
                          log)
        expect_true(match and match.group(2) != match.group(3), log[-2000:])
        expect_true(os.path.isdir(keys_folder(replica.data, "store")), "the store is kept")
        expect_true(primary.is_running(), "the primary goes on")
        time.sleep(1)
        expect(status_of(primary)["role"], b"primary")


if __name__ == "__main__":
    run(copies_are_equal_while_they_are_written_to,
        a_value_that_was_altered_in_the_store_is_found_and_named,
        keys_that_are_missing_or_differ_in_an_element_are_named,
        what_cannot_be_told_is_refused_with_the_reason,
        every_copy_compares_the_digests_in_the_log,
        a_copy_whose_state_was_altered_stops_at_the_next_stamp_and_keeps_the_evidence)
