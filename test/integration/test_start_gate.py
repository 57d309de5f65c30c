#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The start gate on the shipped binary: what is taken away or put back while the server is down,
and what the next start makes of it. Whatever it makes, the data is what it was, to the digest; or
the start is refused with its status, says what to do, and changes nothing.
"""
import glob
import os
import re
import shutil

from lib import (Failure, ServerDied, expect, expect_true, keys_folder, run, stopped,
                 tidemark, wait_until)

REFUSED, CORRUPT = 2, 3
SMALL = {"log_segment_size": "1m", "log_reserve_size": "4m", "save": ""}
FLUSHING = {**SMALL, "flush_budget_min": "1m", "flush_budget_max": "1m"}


def fill(client, first, count):
    for base in range(first, first + count, 100):
        client.call("MSET", *(word for i in range(base, base + 100)
                              for word in (f"key:{i}", f"value {i} " + "x" * (i % 400))))
    client.call("RPUSH", "list", *(f"item {i}" for i in range(first, first + 50)))
    ranks = ((first + i, f"m{first + i}") for i in range(50))
    client.call("ZADD", "ranks", *(word for pair in ranks for word in pair))


def start(server):
    """(outcome, reason, digest) of a start; it is stopped again, cleanly."""
    server.start()
    with server.client() as client:
        info = client.info("tidemark")
        digest = client.call("DIGEST")[1].decode()
    expect(server.stop(), 0, "exit status")
    return info["start_outcome"], info["start_reason"], digest


def lived(server, keys=3000, image=True, more=300):
    """A life: an image in the middle, and something behind it. Returns the digest of the end."""
    server.start()
    with server.client() as client:
        fill(client, 0, keys)
        if image:
            client.call("SAVE")
        fill(client, keys, more)
    expect(server.stop(), 0, "exit status")
    outcome, reason, digest = start(server)
    expect((outcome, reason), ("skip", ""), "a start with nothing amiss")
    return digest


def refusal(server, status, *words):
    """A start is refused with this status and these words, and has made and removed nothing."""
    keys = os.path.join(server.data, "keys")
    before = sorted(os.listdir(keys)) if os.path.isdir(keys) else None
    try:
        server.start()
    except ServerDied as death:
        expect(death.status, status, "exit status")
    else:
        raise Failure("the server serves")
    said = server.log_tail()
    for word in words:
        expect_true(word in said, f"{word!r} in {said[-600:]!r}")
    expect(sorted(os.listdir(keys)) if os.path.isdir(keys) else None, before, "names in keys")


def ready_line(server):
    return [line for line in server.log_tail(100000).splitlines() if " node ready " in line][-1]


def a_store_that_was_deleted_is_made_from_an_image():
    with stopped(**SMALL) as server:
        digest = lived(server)
        shutil.rmtree(keys_folder(server.data, "store"))
        expect(start(server), ("execute", "store_missing", digest))
        line = ready_line(server)
        for word in ("shard=keys", "outcome=execute", "reason=store_missing", "image=", "seconds="):
            expect_true(word in line, f"{word} in {line!r}")
        expect_true(int(re.search(r" replayed=(\d+)", line)[1]) > 0, "what the image lacks")
        expect(sorted(os.listdir(os.path.join(server.data, "keys"))),
               ["current", "images", "log-1", "store-2"], "what is left")
        said = tidemark("store", "digest", server.data)
        expect_true("digest=" in said, said)
        expect(start(server), ("skip", "", digest))


def a_store_whose_mark_is_gone_is_made_from_an_image():
    """An empty folder, as of a mount that is not there, and one that does not read."""
    with stopped(**SMALL) as server:
        digest = lived(server)
        store = keys_folder(server.data, "store")
        shutil.rmtree(store)
        os.mkdir(store)
        outcome, _, after = start(server)
        expect((outcome in ("execute", "fallback"), after), (True, digest))
        for path in glob.glob(os.path.join(keys_folder(server.data, "store"), "*.sst")):
            with open(path, "r+b") as file:
                file.truncate(os.path.getsize(path) // 2)
        outcome, reason, after = start(server)
        expect((outcome, after), ("fallback", digest), reason)


def an_older_store_that_was_put_back_goes_on_from_the_newest_image():
    """With a log that has all since, and with one that has been trimmed."""
    for options, reason in (({"save": ""}, "behind_image"), (SMALL, "behind_log")):
        with stopped(reason, **options) as server:
            lived(server, 1000, image=False)
            old = os.path.join(server.folder, "old")
            shutil.copytree(keys_folder(server.data, "store"), old)
            digest = lived(server, 4000)
            shutil.rmtree(keys_folder(server.data, "store"))
            shutil.copytree(old, keys_folder(server.data, "store"))
            expect(start(server), ("execute", reason, digest))


def an_older_store_without_an_image_is_replayed_or_refused():
    with stopped(**SMALL) as server:
        lived(server, 1000, image=False)
        old = os.path.join(server.folder, "old")
        shutil.copytree(keys_folder(server.data, "store"), old)
        digest = lived(server, 2000, image=False)
        shutil.rmtree(keys_folder(server.data, "store"))
        shutil.copytree(old, keys_folder(server.data, "store"))
        expect(start(server), ("skip", "", digest), "the log has all that it lacks")
    with stopped("trimmed", **FLUSHING) as server:
        lived(server, 1000, image=False)
        old = os.path.join(server.folder, "old")
        shutil.copytree(keys_folder(server.data, "store"), old)
        digest = lived(server, 30000, image=False)
        now = os.path.join(server.folder, "now")
        os.rename(keys_folder(server.data, "store"), now)
        shutil.copytree(old, keys_folder(server.data, "store"))
        refusal(server, REFUSED, "(hole)", "restore the whole data directory from a copy")
        shutil.rmtree(keys_folder(server.data, "store"))
        os.rename(now, keys_folder(server.data, "store"))
        expect(start(server), ("skip", "", digest), "with its own store again")


def a_flawed_image_is_passed_over():
    with stopped(**SMALL) as server:
        digest = lived(server)
        shutil.rmtree(keys_folder(server.data, "store"))
        path = max(glob.glob(os.path.join(server.data, "keys", "images", "*.image")))
        with open(path, "r+b") as file:
            file.seek(os.path.getsize(path) // 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 4]))
        expect(start(server), ("execute", "store_missing", digest), "from the log alone")
        expect_true("image=none" in ready_line(server), ready_line(server))


def a_missing_log_is_refused():
    with stopped(**SMALL) as server:
        digest = lived(server)
        log = keys_folder(server.data, "log")
        away = os.path.join(server.folder, "away")
        os.rename(log, away)
        refusal(server, REFUSED, "(log_missing)", log, "mount it")
        os.mkdir(log)  # the place of a mount that is not there
        refusal(server, REFUSED, "(log_missing)")
        expect(os.listdir(log), [], "nothing was made there")
        os.rmdir(log)
        os.rename(away, log)
        expect(start(server), ("skip", "", digest))


def a_mount_of_everything_that_is_not_there_is_refused():
    with stopped(**SMALL) as server:
        digest = lived(server)
        keys = os.path.join(server.data, "keys")
        away = os.path.join(server.folder, "away")
        os.rename(keys, away)
        refusal(server, REFUSED, "keys/current is gone", "mount")
        expect_true(not os.path.exists(keys), "nothing was made")
        os.mkdir(keys)
        refusal(server, REFUSED, "keys/current is gone")
        os.rmdir(keys)
        os.rename(away, keys)
        expect(start(server), ("skip", "", digest))


def an_older_log_is_refused():
    with stopped(**SMALL) as server:
        lived(server, 1000, image=False)
        old = os.path.join(server.folder, "old")
        shutil.copytree(keys_folder(server.data, "log"), old)
        lived(server, 2000, image=False)
        shutil.rmtree(keys_folder(server.data, "log"))
        shutil.copytree(old, keys_folder(server.data, "log"))
        refusal(server, REFUSED, "(log_ends_before_store)", "put back the log")


def leftovers_of_an_install_are_removed():
    with stopped(**SMALL) as server:
        digest = lived(server)
        keys = os.path.join(server.data, "keys")
        for name in ("store-7", "log-9", "store-07", "my-store-7"):
            os.makedirs(os.path.join(keys, name, "scratch"))
            with open(os.path.join(keys, name, "scratch", "file"), "w", encoding="ascii") as file:
                file.write("half of something")
        expect(start(server), ("skip", "", digest))
        left = ["current", "images", "log-1", "my-store-7", "store-07", "store-1"]
        server.start()  # it removes them while it serves
        wait_until(lambda: sorted(os.listdir(keys)) == left, what="only what counts")
        expect(server.stop(), 0, "exit status")


def a_damaged_pointer_is_refused_as_corrupt():
    with stopped(**SMALL) as server:
        digest = lived(server)
        path = os.path.join(server.data, "keys", "current")
        with open(path, "rb") as file:
            was = file.read()
        with open(path, "wb") as file:
            file.write(was.replace(b"store 1", b"store 2"))
        refusal(server, CORRUPT, "keys/current")
        with open(path, "wb") as file:
            file.write(was)
        expect(start(server), ("skip", "", digest))


if __name__ == "__main__":
    run(a_store_that_was_deleted_is_made_from_an_image,
        a_store_whose_mark_is_gone_is_made_from_an_image,
        an_older_store_that_was_put_back_goes_on_from_the_newest_image,
        an_older_store_without_an_image_is_replayed_or_refused,
        a_flawed_image_is_passed_over,
        a_missing_log_is_refused,
        a_mount_of_everything_that_is_not_there_is_refused,
        an_older_log_is_refused,
        leftovers_of_an_install_are_removed,
        a_damaged_pointer_is_refused_as_corrupt)
