#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 240
"""Point in time: a server that archives, killed now and then under load; and what `restore` makes
of the archive, to LSNs in the middle of the load, to times, to its end, and when files of it are
missing, damaged or of others."""
import datetime
import os
import random
import re
import shutil
import time

from lib import Server, expect, expect_true, patience, run, temp_folder, tidemark, wait_until
from storm import Mark, Writer

SEED = int(os.environ.get("TIDEMARK_SEED", random.randrange(1 << 32)))
SMALL = {"log_segment_size": "1m", "log_reserve_size": "2m", "flush_budget_min": "256k",
         "flush_budget_max": "1m", "cache_size": "8m", "archive_interval": 1}
WRITERS = 4
KILLS = 4
REFUSED, CORRUPT, USAGE = 2, 3, 1


def archiving(folder, **options):
    os.makedirs(folder, exist_ok=True)
    return Server(archive_dir=folder, **{**SMALL, **options})


def figures(client):
    return client.info("persistence")


def wait_archived(client, lsn=None, seconds=30):
    """Everything that is there now is in the archive."""
    lsn = lsn or Mark(client.call("POS.GET").decode()).lsn
    wait_until(lambda: int(figures(client)["archive_lsn"]) >= lsn, seconds,
               f"LSN {lsn} in the archive", pause=0.05)


def parts_of(line):
    return dict(part.split("=", 1) for part in line.split())


def restore(archive, *target, status=0):
    """Returns mark and digest of the restored data, and its folder; with a status: the message."""
    folder = os.path.join(temp_folder("restored"), "data")
    line = tidemark("restore", "--from", archive, "--dir", folder, *target, status=status)
    if status != 0:
        expect_true(not os.path.exists(folder), f"nothing of {folder} is left")
        return None
    parts = parts_of(line)
    told = parts_of(tidemark("store", "digest", folder))
    expect(told["mark"], parts["mark"])
    expect(told["digest"], parts["digest"])
    expect(told["recount"], parts["digest"])
    return Mark(parts["mark"]), parts["digest"], folder


def history_of(archive):
    names = [name for name in os.listdir(archive) if re.fullmatch(r"[0-9a-f]{32}", name)]
    expect(len(names), 1, f"histories in {archive}")
    return os.path.join(archive, names[0])


def names_of(archive, ending):
    folder = history_of(archive)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder))
            if name.endswith(ending)]


def span_of(path):
    first, last = os.path.basename(path).split(".")[0].split("-")
    return int(first, 16), int(last, 16)


def digest_now(client):
    mark, digest = client.call("DIGEST")[:2]
    return Mark(mark.decode()), digest.decode()


def a_restore_to_an_lsn_in_the_middle_of_a_load_has_the_digest_recorded_there():
    print(f"    TIDEMARK_SEED={SEED}")
    dice = random.Random(SEED)
    archive = temp_folder("archive")
    writers = [Writer(number, SEED) for number in range(WRITERS)]
    recorded, times = {}, []
    with archiving(archive) as server:
        for life in range(KILLS + 1):
            for writer in writers:
                writer.begin(server.port)
            with server.client(timeout=60) as client:
                for _ in range(4):
                    time.sleep(patience(0.05 + dice.random() * 0.3))
                    mark, digest = digest_now(client)
                    recorded[mark.lsn] = digest
                    times.append((time.time(), mark.lsn))
                    if dice.random() < 0.3:
                        client.ask("BGSAVE")
            for writer in writers:
                if life == KILLS:
                    writer.stop()
            if life < KILLS:
                server.kill()
            for writer in writers:
                writer.end()
            if life < KILLS:
                server.start()
        with server.client(timeout=60) as client:
            mark, digest = digest_now(client)
            recorded[mark.lsn] = digest
            wait_archived(client, mark.lsn)
            facts = figures(client)
            expect(facts["archive_status"], "ok")
            expect(facts["archive_gaps"], "0")
        expect(server.stop(), 0)
    out = tidemark("archive", "verify", archive)
    expect_true(" bad=0 holes=0" in out, out)
    check_once(archive)
    for lsn in dice.sample(sorted(recorded), 6) + [mark.lsn]:
        there, digest, _ = restore(archive, "--to-lsn", lsn)
        expect(there.lsn, lsn)
        expect(digest, recorded[lsn], f"the digest at LSN {lsn}")
    there, digest, _ = restore(archive, "--latest")
    expect_true(there.lsn >= mark.lsn, "the end of the archive")
    when, lsn = times[len(times) // 2]
    check_time(archive, when, lsn)


def check_once(archive):
    """Each entry is in the archive once."""
    spans = [span_of(path) for path in names_of(archive, ".entries")]
    for before, after in zip(spans, spans[1:]):
        expect(after[0], before[1] + 1, f"spans {before} and {after}")
    expect(spans[0][0], 1)


def utc(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


def check_time(archive, when, lsn):
    """`lsn` was applied just before `when`; and no entry before the restored end is later."""
    there, _, _ = restore(archive, "--to-time", utc(when))
    expect_true(there.lsn >= lsn, f"LSN {there.lsn} at a time when LSN {lsn} was there")
    next_one, _, _ = restore(archive, "--to-time", utc(when + 0.2))
    expect_true(next_one.lsn > there.lsn, "a later time is a later place")


def a_restored_server_serves_writes_and_is_of_another_history():
    archive = temp_folder("archive")
    with archiving(archive) as server:
        with server.client() as client:
            for number in range(100):
                client.call("SET", f"k:{number}", number)
            place = Mark(client.call("POS.GET").decode())
            client.call("FLUSHALL")
            wait_archived(client)
        server.stop()
    there, _, folder = restore(archive, "--to-lsn", place.lsn)
    expect(there.lsn, place.lsn)
    with archiving(archive) as other:
        other.data = folder
        other.restart()
        with other.client() as client:
            expect(client.call("DBSIZE"), 100)
            expect(client.call("GET", "k:99"), b"99")
            mark = Mark(client.call("POS.GET").decode())
            expect_true(mark.lsn > place.lsn, "LSNs go on behind it")
            client.call("SET", "after", 1)
            # It has no entries from before: an image is taken by itself.
            wait_until(lambda: figures(client)["archive_covered"] == "1"
                       and int(figures(client)["archive_image_lsn"]) > 0, 30, "an image of its own")
            client.call("SET", "last", 1)
            end, digest = digest_now(client)
            wait_archived(client, end.lsn)
        other.stop()
    folders = [name for name in os.listdir(archive) if re.fullmatch(r"[0-9a-f]{32}", name)]
    # The server that was started to get a folder has one, too.
    expect_true(len(folders) >= 2, f"each history has a folder of its own: {folders}")
    restore(archive, "--latest", status=REFUSED)
    history = end.text.split(":")[0]
    there, again, _ = restore(archive, "--latest", "--history", history)
    expect((there.lsn, again), (end.lsn, digest))


def what_is_missing_or_damaged_is_refused_by_name():
    archive = temp_folder("archive")
    with archiving(archive, archive_interval=0) as server:
        with server.client() as client:
            for number in range(5):
                client.call("SET", "a", number)
                wait_archived(client)
            end = Mark(client.call("POS.GET").decode()).lsn
            client.call("SAVE")
            wait_until(lambda: int(figures(client)["archive_image_lsn"]) > 0, 20, "the image")
            client.call("SET", "a", 9)
            wait_archived(client)
        server.stop()
    spans = names_of(archive, ".entries")
    image = names_of(archive, ".image")[-1]
    restore(archive, "--to-lsn", end + 100, status=REFUSED)
    restore(archive, "--to-lsn", 0, status=REFUSED)
    restore(archive, "--to-time", "2001-01-01T00:00:00Z", status=REFUSED)
    restore(archive, "--to-time", utc(time.time() + 3600), status=REFUSED)
    restore(archive, "--to-time", "yesterday", status=USAGE)
    restore(archive, "--to-lsn", 3, "--latest", status=USAGE)
    restore(archive, "--latest", "--history", "0" * 32, status=REFUSED)
    restore(temp_folder("empty"), "--latest", status=REFUSED)
    restore("/nonexistent", "--latest", status=USAGE)
    # An image in the middle of the way is not needed for what is before it.
    restore(archive, "--to-lsn", 4)
    damage(image, 200, lambda: (restore(archive, "--latest", status=CORRUPT),
                                restore(archive, "--to-lsn", end - 1),
                                tidemark("archive", "verify", archive, status=CORRUPT)))
    second = spans[1]
    for place in (10, 50, os.path.getsize(second) - 90, os.path.getsize(second) // 2):
        damage(second, place, lambda: (restore(archive, "--to-lsn", end - 1, status=CORRUPT),
                                       tidemark("archive", "verify", archive, status=CORRUPT)))
    os.rename(second, second + ".away")
    restore(archive, "--to-lsn", end - 1, status=REFUSED)
    expect_true("hole first=" in tidemark("archive", "list", archive), "the hole is told")
    restore(archive, "--latest")  # from the image on
    os.rename(second + ".away", second)
    # One of another archive under this name.
    saved = open(second, "rb").read()
    shutil.copy(spans[2], second)
    restore(archive, "--to-lsn", end - 1, status=CORRUPT)
    with open(second, "wb") as file:
        file.write(saved)
    restore(archive, "--to-lsn", end - 1)
    full = temp_folder("full")
    open(os.path.join(full, "mine"), "w", encoding="ascii").close()
    tidemark("restore", "--from", archive, "--dir", full, "--latest", status=REFUSED)
    expect(os.listdir(full), ["mine"])


def damage(path, place, check):
    with open(path, "r+b") as file:
        file.seek(place)
        byte = file.read(1)
        file.seek(place)
        file.write(bytes([byte[0] ^ 1]))
    check()
    with open(path, "r+b") as file:
        file.seek(place)
        file.write(byte)


def check_end(archive, mark, digest):
    """The mark is in the archive; what may follow it there (a stamp) changes no key."""
    there, again, _ = restore(archive, "--to-lsn", mark.lsn)
    expect((there.lsn, again), (mark.lsn, digest))
    there, again, _ = restore(archive, "--latest")
    expect_true(there.lsn >= mark.lsn, "the end of the archive")
    expect(again, digest)


def an_archive_that_fails_stops_nothing_and_is_caught_up_with():
    folder = os.path.join(temp_folder("archive"), "mount")
    with Server(archive_dir=folder, **SMALL) as server, server.client() as client:
        wait_until(lambda: figures(client)["archive_status"] == "err", 10, "the failure is told")
        expect_true("mount" in figures(client)["archive_error"], "with its path")
        for number in range(1000):
            client.call("SET", f"k:{number}", "x" * 5000)
        wait_until(lambda: int(figures(client)["archive_lag_entries"]) >= 1000, 10,
                   "how far it is behind")
        os.makedirs(folder)
        mark, digest = digest_now(client)
        wait_archived(client, mark.lsn)
        expect(figures(client)["archive_status"], "ok")
        expect(figures(client)["archive_gaps"], "0")
        server.stop()
        check_end(folder, mark, digest)


def past_the_budget_the_archive_has_a_gap_and_begins_anew_with_an_image():
    folder = os.path.join(temp_folder("archive"), "mount")
    os.makedirs(folder)
    with Server(archive_dir=folder, **{**SMALL, "archive_budget": "4m"}) as server, \
            server.client() as client:
        client.call("SET", "a", 1)
        before, digest_before = digest_now(client)
        wait_archived(client, before.lsn)
        os.rename(folder, folder + ".away")
        for number in range(3000):
            client.call("SET", f"k:{number}", "x" * 5000)
        wait_until(lambda: "archive-budget" in server.log_text(), 20, "the hold is dropped")
        os.rename(folder + ".away", folder)
        wait_until(lambda: figures(client)["archive_gaps"] == "1", 70, "the gap is told")
        wait_until(lambda: figures(client)["archive_covered"] == "1", 30, "an image closes it")
        client.call("SET", "a", 2)
        mark, digest = digest_now(client)
        wait_archived(client, mark.lsn)
        server.stop()
        check_end(folder, mark, digest)
        there, again, _ = restore(folder, "--to-lsn", before.lsn)
        expect((there.lsn, again), (before.lsn, digest_before))
        restore(folder, "--to-lsn", before.lsn + 10, status=REFUSED)


def a_copy_of_the_data_that_went_another_way_writes_nothing_there():
    archive = temp_folder("archive")
    with archiving(archive, archive_interval=0) as server:
        with server.client() as client:
            client.call("SET", "a", 1)
            wait_archived(client)
        server.stop()
        copy = server.data + ".copy"
        shutil.copytree(server.data, copy)
        server.start()
        with server.client() as client:
            for number in range(20):
                client.call("SET", "a", number)
            wait_archived(client)
        server.stop()
        there = names_of(archive, ".entries")
        server.data = copy
        server.start()
        with server.client() as client:
            wait_until(lambda: "branch" in figures(client)["archive_error"], 10, "the refusal")
            for number in range(100):
                client.call("SET", "b", number)
            wait_until(lambda: "is followed by another entry" in server.log_text(), 20,
                       "the entry that does not follow")
            expect(figures(client)["archive_status"], "err")
        server.stop()
        expect(names_of(archive, ".entries"), there)


def grow(server, archive, key, lives=2, entries=4):
    """A span an entry."""
    server.options["archive-dir"] = archive
    for _ in range(lives):
        server.start()
        with server.client() as client:
            for number in range(entries):
                client.call("SET", key, number)
                wait_archived(client)
        server.stop()


def spans_of_two_branches_do_not_make_one_state():
    archive, other = temp_folder("archive"), os.path.join(temp_folder("other"), "archive")
    with archiving(archive, archive_interval=0) as server:
        with server.client() as client:
            client.call("SET", "a", 1)
            wait_archived(client)
        server.stop()
        common = max(span_of(path)[1] for path in names_of(archive, ".entries"))
        copy = server.data + ".copy"
        shutil.copytree(server.data, copy)
        shutil.copytree(archive, other)
        grow(server, archive, "a")
        server.data = copy
        grow(server, other, "b")
    ends = {span_of(path)[1]: path for path in names_of(archive, ".entries")}
    begins = {span_of(path)[0]: path for path in names_of(other, ".entries")}
    seam = max(end for end in ends if end > common + 1 and end + 1 in begins)
    for folder in (archive, other):
        restore(folder, "--latest")
    for end, path in ends.items():
        if end > seam:
            os.remove(path)
    for begin, path in begins.items():
        if begin > seam:
            shutil.copy(path, history_of(archive))
    restore(archive, "--to-lsn", seam)
    restore(archive, "--to-lsn", seam + 1, status=CORRUPT)
    tidemark("archive", "verify", archive, status=CORRUPT)


if __name__ == "__main__":
    run(a_copy_of_the_data_that_went_another_way_writes_nothing_there,
        spans_of_two_branches_do_not_make_one_state,
        a_restore_to_an_lsn_in_the_middle_of_a_load_has_the_digest_recorded_there,
        a_restored_server_serves_writes_and_is_of_another_history,
        what_is_missing_or_damaged_is_refused_by_name,
        an_archive_that_fails_stops_nothing_and_is_caught_up_with,
        past_the_budget_the_archive_has_a_gap_and_begins_anew_with_an_image)
