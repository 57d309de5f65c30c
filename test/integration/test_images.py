#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 200
"""Images of the shipped server: BGSAVE and what clients are told of it, a schedule, and what is
left when the server is killed or stopped, the disk runs full, or an image rots in the middle."""
import os
import random
import re
import threading
import time

from disks import SmallDisk
from lib import ReplyError, Server, expect, expect_error, expect_true, run, wait_until

SMALL = {"log_segment_size": "1m", "log_reserve_size": "2m", "flush_budget_min": "1m",
         "flush_budget_max": "2m", "cache_size": "8m"}
VALUE_BYTES = 10000


def folder_of(server):
    """Where its images are, however the data directory is laid out."""
    for folder, _, _ in os.walk(server.data):
        if os.path.basename(folder) == "images":
            return folder
    raise AssertionError("there is no folder for images")


def names_of(server):
    return sorted(os.listdir(folder_of(server)))


def fill(client, keys, seed=1):
    """Values that cannot be compressed."""
    dice = random.Random(seed)
    for begin in range(0, keys, 100):
        words = []
        for number in range(begin, min(begin + 100, keys)):
            words += [f"k:{number}", dice.randbytes(VALUE_BYTES)]
        expect(client.call("MSET", *words), "OK")


def persistence(client):
    return client.info("persistence")


def is_saving(client):
    return persistence(client)["rdb_bgsave_in_progress"] == "1"


def wait_saved(client, seconds=20):
    wait_until(lambda: not is_saving(client), seconds, "the end of the image")


def begin_slow_image(server, client):
    """One of 60 MB: it takes a moment, for it has only its part of the loop."""
    fill(client, 6000)
    expect(client.call("BGSAVE"), "Background saving started")
    wait_until(lambda: any(name.endswith(".image.tmp") for name in names_of(server)), 20,
               "an image under way", pause=0.001)
    expect_true("image_progress_percent" in persistence(client), "its progress is told")


def check_pattern(server, images, bad=0):
    names = names_of(server)
    good = [name for name in names if re.fullmatch(r"[0-9a-f]{16}\.image", name)]
    aside = [name for name in names if re.fullmatch(r"[0-9a-f]{16}\.image\.bad", name)]
    expect(len(good), images, f"images in {names}")
    expect(len(aside), bad, f"images set aside in {names}")
    expect(len(names), images + bad, f"other names in {names}")
    return good


def bgsave_under_write_load_is_told_as_clients_expect():
    with Server(**SMALL) as server, server.client() as client:
        facts = persistence(client)
        expect(client.call("LASTSAVE"), 0)
        expect(facts["rdb_last_save_time"], "0")
        expect(facts["rdb_last_bgsave_status"], "ok")
        expect(facts["rdb_last_bgsave_time_sec"], "-1")
        expect(facts["rdb_current_bgsave_time_sec"], "-1")
        fill(client, 3000)
        ended, written = threading.Event(), []

        def write():
            with server.client() as other:
                while not ended.is_set():
                    other.call("INCR", "counter")
                    written.append(None)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            began = int(time.time())
            expect(client.call("BGSAVE"), "Background saving started")
            expect_error(client.ask("BGSAVE"), "ERR")
            expect_true("already in progress" in str(client.ask("SAVE")), "one at a time")
            before = len(written)
            for setting in (("durability", "everysec"), ("image-keep", "3"),
                            ("flush-budget-max", "4m"), ("save", "3600 1")):
                expect(client.call("CONFIG", "SET", *setting), "OK")
            expect_true(is_saving(client), "settings change while it is written")
            wait_saved(client)
            expect_true(len(written) > before, "writes go on meanwhile")
        finally:
            ended.set()
            writer.join()
        saved = client.call("LASTSAVE")
        expect_true(began <= saved <= time.time() + 1, "the time of the image")
        facts = persistence(client)
        expect(facts["rdb_last_save_time"], str(saved))
        expect(facts["rdb_last_bgsave_status"], "ok")
        expect_true(int(facts["rdb_last_bgsave_time_sec"]) >= 0, "how long it took")
        expect_true(int(facts["image_bytes"]) > 3000 * VALUE_BYTES, "its size")
        expect_true(int(facts["rdb_changes_since_last_save"]) > 0, "there were writes behind it")
        expect(facts["images"], "1")
        good = check_pattern(server, 1)
        expect(int(good[0].split(".")[0], 16), int(facts["image_lsn"]))
        time.sleep(1.1)  # the resolution of LASTSAVE
        expect(client.call("SAVE"), "OK")
        expect_true(client.call("LASTSAVE") > saved, "LASTSAVE moves")
        expect(persistence(client)["rdb_changes_since_last_save"], "0")


def so_many_images_are_kept():
    with Server(image_keep=2, **SMALL) as server, server.client() as client:
        for number in range(4):
            client.call("SET", "a", number)
            expect(client.call("SAVE"), "OK")
        check_pattern(server, 2)
        client.call("CONFIG", "SET", "image-keep", 1)
        client.call("SET", "a", "b")
        expect(client.call("SAVE"), "OK")
        newest = check_pattern(server, 1)
        saved = client.call("LASTSAVE")
        server.restart()
        expect(check_pattern(server, 1), newest)
        with server.client() as other:
            expect(other.call("LASTSAVE"), saved, "what an earlier process saved")
            expect(other.call("CONFIG", "SET", "save", "1 2"), "OK")
            other.call("MSET", "c", 1, "d", 2)
            other.call("SET", "c", 3)
            wait_until(lambda: names_of(server) != newest, 10, "an image by schedule")
            wait_saved(other)
            check_pattern(server, 2)  # as the command line says again


def killed_in_the_middle_nothing_is_left_after_the_restart():
    with Server(**SMALL) as server:
        with server.client() as client:
            client.call("SET", "first", 1)
            expect(client.call("SAVE"), "OK")
            begin_slow_image(server, client)
            server.kill()
        names = names_of(server)
        expect(len(names), 2, f"an image and what is left of another: {names}")
        expect_true(names[1].endswith(".image.tmp"), f"a leftover among {names}")
        server.start()
        check_pattern(server, 1)
        with server.client() as client:
            expect(client.call("DBSIZE"), 6001)
            expect(client.call("SAVE"), "OK")
        check_pattern(server, 2)


def stopped_in_the_middle_it_ends_at_once_and_leaves_nothing():
    with Server(**SMALL) as server:
        with server.client() as client:
            begin_slow_image(server, client)
            expect(server.stop(timeout=10), 0, "the status of a clean stop")
        expect(names_of(server), [])
        server.start()
        with server.client() as client:
            expect(client.call("DBSIZE"), 6000)


def a_full_disk_fails_the_image_and_nothing_else():
    options = {**SMALL, "store_reserve_size": 0}  # which would be given up for the image
    with SmallDisk("tmpfs", 96, 32) as disk, Server(image_keep=1, **options) as server:
        server.stop()
        server.data = os.path.join(disk.mount, "data")
        server.start()
        with server.client(timeout=30) as client:
            fill(client, 2000)
            room = disk.free() - (8 << 20)  # enough for log and store, too little for an image
            with open(disk.ballast[0] + "3", "wb") as ballast:
                os.posix_fallocate(ballast.fileno(), 0, room)
            reply = client.ask("SAVE")
            expect_true(isinstance(reply, ReplyError), f"an image of 20 MB: {reply!r}")
            print(f"    {reply}")
            facts = persistence(client)
            expect(facts["rdb_last_bgsave_status"], "err")
            expect(names_of(server), [])
            expect(client.call("LASTSAVE"), 0)
            expect_true(server.is_running(), "the server goes on")
            expect_true(client.call("GET", "k:1") is not None, "reads go on")
            for path in [*disk.ballast, disk.ballast[0] + "3"]:
                os.remove(path)
            wait_until(lambda: client.ask("SET", "a", 1) == "OK", 20, "writes", pause=0.1)
            expect(client.call("SAVE"), "OK")
            expect(persistence(client)["rdb_last_bgsave_status"], "ok")


def a_corrupt_body_is_found_after_the_start_and_set_aside():
    with Server(**SMALL) as server:
        with server.client() as client:
            fill(client, 300)
            expect(client.call("SAVE"), "OK")
            wait_until(lambda: persistence(client)["image_last_scrub_time"] != "0", 10,
                       "the check of a new image")
            expect(persistence(client)["images_bad"], "0")
        server.stop()
        name = check_pattern(server, 1)[0]
        with open(os.path.join(folder_of(server), name), "r+b") as image:
            image.seek(1000000)
            byte = image.read(1)[0]
            image.seek(1000000)
            image.write(bytes([byte ^ 1]))
        server.start()
        with server.client() as client:
            wait_until(lambda: persistence(client)["images_bad"] == "1", 10, "the report")
            facts = persistence(client)
            expect(facts["images"], "0")
            expect(client.call("LASTSAVE"), 0, "what cannot be used is no image")
            expect(client.call("DBSIZE"), 300)
            check_pattern(server, 0, bad=1)
            line = [line for line in server.log_text().splitlines() if "image_bad" in line][-1]
            expect_true(name in line and "another checksum" in line, f"file and reason: {line}")
            expect(client.call("SAVE"), "OK")
            check_pattern(server, 1, bad=1)


if __name__ == "__main__":
    run(bgsave_under_write_load_is_told_as_clients_expect,
        so_many_images_are_kept,
        killed_in_the_middle_nothing_is_left_after_the_restart,
        stopped_in_the_middle_it_ends_at_once_and_leaves_nothing,
        a_full_disk_fails_the_image_and_nothing_else,
        a_corrupt_body_is_found_after_the_start_and_set_aside)
