#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Bytes on disk that are not what was written: refused with status 3, naming file and offset; and
what a crash may leave behind: accepted. Also lost and foreign files."""
import glob
import os
import random
import re
import shutil
import subprocess

from lib import (Failure, ServerDied, binary, expect, expect_true, keys_folder, patience,
                 run, stopped, tidemark, wait_until)
from storm import Writer

REFUSED, CORRUPT = 2, 3
SMALL = {"log_segment_size": "1m", "log_reserve_size": "4m"}
FLUSHING = {**SMALL, "flush_budget_min": "1m", "flush_budget_max": "1m"}


def log_of(server):
    return keys_folder(server.data, "log")


def segments_of(server):
    return sorted(glob.glob(os.path.join(log_of(server), "*.log")))


def entries_of(server):
    """[(lsn, file, offset)] of a stopped server's log."""
    text = tidemark("log", "dump", server.data)
    found = re.findall(r"^lsn=(\d+) .* at=(\S+):(\d+) ", text, re.MULTILINE)
    return [(int(lsn), os.path.basename(file), int(offset)) for lsn, file, offset in found]


def flip(path, offset, mask=0x10):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)
        file.seek(offset)
        file.write(bytes([byte[0] ^ mask]))


def start_status(server):
    """The status of a start that is refused; a Failure when it serves."""
    try:
        server.start()
    except ServerDied as died:
        return died.status
    raise Failure("the server serves")


def refused_start(server):
    """What a start says that ends with status 3."""
    size = len(server.log_text())
    expect(start_status(server), CORRUPT, "exit status of the start")
    return server.log_text()[size:]


def written(server, count=2000, clean=True, seed=1):
    """Starts the server, writes, ends it; returns the settled writer."""
    writer = Writer(seed, seed)
    server.start()
    writer.begin(server.port, limit=count)
    writer.end()
    with server.client() as client:
        writer.settle(client)
    if clean:
        expect(server.stop(), 0, "exit status")
    else:
        server.kill()
    return writer


def serves_all(server, writer):
    server.start()
    with server.client() as client:
        writer.check(client)


def check_refused(server, name, low, high):
    """Verify and start both refuse, name the file and an offset in [low, high], change nothing."""
    before = snapshot(server.data)
    try:
        tidemark("log", "verify", server.data, status=CORRUPT)
        said = tidemark_error("log", "verify", server.data)
        check_names(said, name, low, high)
        check_names(refused_start(server), name, low, high)
    finally:
        expect_true(snapshot(server.data) == before, "nothing on disk was changed")


def tidemark_error(*arguments):
    done = subprocess.run([binary(), *arguments], stdin=subprocess.DEVNULL, timeout=patience(60),
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    return done.stderr.decode("utf-8", "replace")


def check_names(said, name, low, high):
    expect_true(name in said, f"the file {name} is named in {said!r}")
    offsets = [int(offset) for offset in re.findall(r"offset (\d+)", said)]
    expect_true(any(low <= offset <= high for offset in offsets),
                f"an offset from {low} to {high} is named in {said!r}")


def snapshot(folder):
    """Every file of the log with its bytes."""
    files = sorted(glob.glob(os.path.join(keys_folder(folder, "log"), "*")))
    found = []
    for path in files:
        with open(path, "rb") as file:
            found.append((path, file.read()))
    return found


# ---- Damage in the log ---------------------------------------------------------------------------

def damaged_bytes_below_the_watermark_after(clean):
    """Any byte of any batch but the last ones: header, entry, padding."""
    dice = random.Random(7)
    with stopped(**SMALL) as server:
        writer = written(server, clean=clean)
        entries = entries_of(server)
        expect_true(len(entries) > 1000, "enough entries")
        for lsn, name, offset in dice.sample(entries[:len(entries) // 2], 8):
            path = os.path.join(log_of(server), name)
            at = offset + dice.randrange(20)
            flip(path, at)
            # The batch may begin before the entry: it is named by its own place.
            check_refused(server, name, 0, at)
            flip(path, at)
            expect_true(lsn > 0, "an LSN")
        serves_all(server, writer)


def damage_after_a_clean_stop_is_refused():
    damaged_bytes_below_the_watermark_after(clean=True)


def damage_after_kill_9_is_refused():
    damaged_bytes_below_the_watermark_after(clean=False)


def damage_in_the_last_batch_after_a_clean_stop_is_refused():
    with stopped(**SMALL) as server:
        writer = written(server)
        _, name, offset = entries_of(server)[-1]
        path = os.path.join(log_of(server), name)
        flip(path, offset + 1)
        check_refused(server, name, 0, offset + 1)
        flip(path, offset + 1)
        serves_all(server, writer)


def a_damaged_segment_header_is_refused():
    with stopped(**SMALL) as server:
        writer = written(server)
        path = segments_of(server)[-1]
        for at in (0, 50, 4000, 4090):
            flip(path, at)
            expect_true(start_status(server) == CORRUPT, "status 3")
            flip(path, at)
        serves_all(server, writer)


def one_damaged_superblock_slot_is_made_good_and_told_and_both_are_refused():
    with stopped(**SMALL) as server:
        writer = written(server)
        slots = sorted(glob.glob(os.path.join(log_of(server), "*.superblock")))
        expect(len(slots), 2, "superblock slots")
        for path in slots:
            flip(path, 100)
            size = len(server.log_text())
            serves_all(server, writer)
            expect(server.stop(), 0, "exit status")
            said = f'warning log superblock_healed shard=0 slot={path[-len("a.superblock")]} '
            expect_true(f'{said}why="damaged superblock"' in server.log_text()[size:],
                        f"the log says {said}")
        slots = sorted(glob.glob(os.path.join(log_of(server), "*.superblock")))
        for path in slots:
            flip(path, 100)
        expect(start_status(server), CORRUPT, "exit status with both slots bad")
        for path in slots:
            flip(path, 100)
        serves_all(server, writer)


def torn_garbage_behind_the_end_is_cut():
    dice = random.Random(9)
    with stopped(**SMALL) as server:
        writer = written(server, clean=False)
        for _ in range(5):
            text = tidemark("log", "verify", server.data)
            path = segments_of(server)[-1]
            with open(path, "rb") as file:
                end = len(file.read().rstrip(b"\0"))
            end = (end + 511) // 512 * 512
            expect_true(os.path.getsize(path) > end + 8192, f"room behind the end ({text.strip()})")
            with open(path, "r+b") as file:
                file.seek(end)
                file.write(dice.randbytes(dice.randrange(1, 6000)))
            serves_all(server, writer)
            server.kill()


def a_batch_copied_behind_the_end_is_not_believed():
    """A valid batch in the wrong place: its checksum knows where it belongs."""
    with stopped(**SMALL) as server:
        writer = written(server, clean=False)
        path = segments_of(server)[-1]
        with open(path, "rb") as file:
            data = file.read().rstrip(b"\0")
        end = (len(data) + 511) // 512 * 512
        with open(path, "r+b") as file:
            file.seek(end)
            file.write(data[4096:4096 + 2048])
        serves_all(server, writer)
        with server.client() as client:
            size = client.call("DBSIZE")
        server.kill()
        server.start()
        with server.client() as client:
            expect(client.call("DBSIZE"), size)


# ---- Lost files ----------------------------------------------------------------------------------

def lost_segments_are_refused():
    with stopped(**FLUSHING) as server:
        writer = written(server, 6000, clean=False)
        segments = segments_of(server)
        expect_true(len(segments) >= 2, f"more than one segment, not {segments}")
        path = segments[0]
        os.rename(path, os.path.join(server.folder, "away"))
        expect_true(start_status(server) in (REFUSED, CORRUPT), "status 2 or 3")
        os.rename(os.path.join(server.folder, "away"), path)
        serves_all(server, writer)


def the_newest_segment_lost_after_kill_9_is_refused():
    """Only the superblock names it, and what was acknowledged last stands in it alone."""
    with stopped(**SMALL) as server:
        server.start()
        writer = Writer(1, 1)
        writer.begin(server.port)
        wait_until(lambda: len(segments_of(server)) >= 3, 30, "three segments under writes")
        before = os.path.getmtime(segments_of(server)[-1])
        wait_until(lambda: os.path.getmtime(segments_of(server)[-1]) > before, 10, "a write more")
        server.kill()
        writer.end()
        path = segments_of(server)[-1]
        away = os.path.join(server.folder, "away")
        os.rename(path, away)
        before = snapshot(server.data)
        for said in (tidemark_error("log", "verify", server.data), refused_start(server)):
            expect_true(f"{os.path.basename(path)}: the newest segment is missing" in said,
                        f"what is missing is named in {said!r}")
        expect_true(snapshot(server.data) == before, "nothing on disk was changed")
        os.rename(away, path)
        server.start()
        with server.client() as client:
            writer.settle(client)
            writer.check(client)


def the_only_segment_lost_is_refused():
    with stopped(**SMALL) as server:
        writer = written(server, 300)
        path = segments_of(server)[-1]
        away = os.path.join(server.folder, "away")
        os.rename(path, away)
        expect_true(start_status(server) in (REFUSED, CORRUPT), "status 2 or 3")
        os.rename(away, path)
        serves_all(server, writer)


def a_lost_log_is_refused():
    with stopped(**SMALL) as server:
        writer = written(server, 300)
        away = os.path.join(server.folder, "away")
        os.rename(log_of(server), away)
        expect_true(start_status(server) in (REFUSED, CORRUPT), "status 2 or 3")
        if os.path.isdir(log_of(server)):
            os.rmdir(log_of(server))  # empty: a refused start makes no log
        os.rename(away, log_of(server))
        serves_all(server, writer)


def a_store_that_misses_a_file_or_has_a_damaged_one_is_refused_as_corrupt():
    with stopped(**FLUSHING) as server:
        writer = written(server, 6000)
        store = keys_folder(server.data, "store")
        manifest = glob.glob(os.path.join(store, "MANIFEST-*"))[0]
        current = os.path.join(store, "CURRENT")
        table = glob.glob(os.path.join(store, "*.sst"))[0]
        away = os.path.join(server.folder, "away")
        for path, words in ((manifest, "No such file"), (current, "no CURRENT file"),
                            (table, "No such file")):
            os.rename(path, away)
            name = os.path.basename(path).split(".")[0]
            tidemark("store", "digest", server.data, status=CORRUPT)
            for said in (refused_start(server), tidemark_error("store", "digest", server.data)):
                expect_true(name in said and words in said, f"{name} is named in {said!r}")
            os.rename(away, path)
        for path in (manifest, current):
            middle = os.path.getsize(path) // 2
            flip(path, middle)
            refused_start(server)
            flip(path, middle)
        with open(current, "r+b") as file:
            was = file.read()
            for content in (b"MANIFEST-999999\n", was):
                file.seek(0)
                file.write(content)
                file.flush()
                if content != was:
                    refused_start(server)
        serves_all(server, writer)


def a_store_that_cannot_be_read_is_not_called_corrupt():
    with stopped(**FLUSHING) as server:
        writer = written(server, 6000)
        path = glob.glob(os.path.join(keys_folder(server.data, "store"), "MANIFEST-*"))[0]
        away = os.path.join(server.folder, "away")
        os.rename(path, away)
        os.mkdir(path)  # opens, but every read fails
        expect(start_status(server), REFUSED, "exit status")
        os.rmdir(path)
        os.rename(away, path)
        serves_all(server, writer)


def a_lost_store_is_rebuilt_from_a_whole_log():
    with stopped(**SMALL) as server:
        writer = written(server, 500)
        with_digest = tidemark("store", "digest", server.data)
        shutil.rmtree(keys_folder(server.data, "store"))
        serves_all(server, writer)
        with server.client() as client:
            expect_true(int(client.info("tidemark")["start_gap_entries"]) >= 500,
                        "all entries are applied again")
            digest = client.call("DIGEST")[1].decode()
        expect_true(f"digest={digest}" in with_digest, "the same digest as before")


def a_lost_store_is_refused_when_the_log_was_trimmed():
    with stopped(**FLUSHING) as server:
        writer = written(server, 20000)
        floor = int(re.search(r"first_lsn=(\d+)", tidemark("log", "verify", server.data))[1])
        expect_true(floor > 1, "the log was trimmed")
        store = keys_folder(server.data, "store")
        away = os.path.join(server.folder, "away")
        os.rename(store, away)
        expect(start_status(server), REFUSED, "exit status")
        shutil.rmtree(store, ignore_errors=True)
        os.rename(away, store)
        serves_all(server, writer)


def an_older_store_under_a_trimmed_log_is_refused():
    """As after a restore of one half of a backup."""
    with stopped(**FLUSHING) as server:
        written(server, 300)
        store = keys_folder(server.data, "store")
        old = os.path.join(server.folder, "old")
        shutil.copytree(store, old)
        written(server, 20000, seed=2)
        shutil.rmtree(store)
        os.rename(old, store)
        expect(start_status(server), REFUSED, "exit status")


def an_older_log_under_its_store_is_refused():
    with stopped(**SMALL) as server:
        written(server, 300)
        old = os.path.join(server.folder, "old")
        shutil.copytree(log_of(server), old)
        written(server, 300, seed=2)
        shutil.rmtree(log_of(server))
        os.rename(old, log_of(server))
        expect(start_status(server), REFUSED, "exit status")


def a_log_of_another_server_is_refused():
    with stopped("one", **SMALL) as one, stopped("two", **SMALL) as two:
        for server in (one, two):
            written(server, 300)
        shutil.rmtree(log_of(one))
        shutil.copytree(log_of(two), log_of(one))
        expect_true(start_status(one) in (REFUSED, CORRUPT), "status 2 or 3")


def a_lost_identity_is_refused():
    with stopped(**SMALL) as server:
        written(server, 10)
        identity = os.path.join(server.data, "identity")
        away = os.path.join(server.folder, "away")
        os.rename(identity, away)
        expect(start_status(server), REFUSED, "exit status")
        os.rename(away, identity)
        flip(identity, 12)
        expect_true(start_status(server) in (REFUSED, CORRUPT), "status 2 or 3")


def foreign_files_are_refused_and_left_alone():
    with stopped(**SMALL) as server:
        os.mkdir(server.data)
        with open(os.path.join(server.data, "letter.txt"), "w", encoding="ascii") as file:
            file.write("mine")
        expect(start_status(server), REFUSED, "exit status")
        expect(sorted(os.listdir(server.data)), ["letter.txt"], "what is in the folder")


if __name__ == "__main__":
    run(damage_after_a_clean_stop_is_refused,
        damage_after_kill_9_is_refused,
        damage_in_the_last_batch_after_a_clean_stop_is_refused,
        a_damaged_segment_header_is_refused,
        one_damaged_superblock_slot_is_made_good_and_told_and_both_are_refused,
        torn_garbage_behind_the_end_is_cut,
        a_batch_copied_behind_the_end_is_not_believed,
        lost_segments_are_refused,
        the_newest_segment_lost_after_kill_9_is_refused,
        the_only_segment_lost_is_refused,
        a_lost_log_is_refused,
        a_store_that_misses_a_file_or_has_a_damaged_one_is_refused_as_corrupt,
        a_store_that_cannot_be_read_is_not_called_corrupt,
        a_lost_store_is_rebuilt_from_a_whole_log,
        a_lost_store_is_refused_when_the_log_was_trimmed,
        an_older_store_under_a_trimmed_log_is_refused,
        an_older_log_under_its_store_is_refused,
        a_log_of_another_server_is_refused,
        a_lost_identity_is_refused,
        foreign_files_are_refused_and_left_alone)
