#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""kill -9, again and again, while images are saved under pipelined writes.

After each kill, before anybody starts: every image that has its name is whole, its digest is the
one of its records, the store is not below it, and the newest that the server had told of, or a
newer one, is there. Each told one holds what had been acked before it was asked for. After each
start no temporary is left. TIDEMARK_KILLS is the number of kills, TIDEMARK_SEED the dice.
"""
import os
import random
import re
import threading
import time

from lib import Server, expect, expect_true, patience, run, tidemark, wait_until
from resp import Client, ConnectionClosed, ReplyError
from storm import Mark, Writer

KILLS = int(os.environ.get("TIDEMARK_KILLS", "12"))
SEED = int(os.environ.get("TIDEMARK_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
WRITERS = 3
KEEP = 2
SMALL = {"log_segment_size": "1m", "log_reserve_size": "8m", "flush_budget_min": "1m",
         "flush_budget_max": "2m", "cache_size": "8m", "image_keep": KEEP, "save": "1 1000"}
NAME = re.compile("[0-9a-f]{16}[.]image")


class Saver:
    """A connection that saves image after image until it loses its server."""

    def __init__(self):
        self.saved = 0
        self.told = 0  # the LSN of the newest that was told of
        self.failure = None
        self.thread = None

    def begin(self, port, writers):
        self.thread = threading.Thread(target=self._run, args=(port, writers), daemon=True)
        self.thread.start()

    def end(self):
        self.thread.join(60)
        expect_true(not self.thread.is_alive(), "the saver ends")
        if self.failure is not None:
            raise self.failure

    def _run(self, port, writers):
        try:
            with Client(port=port, timeout=30) as client:
                while True:
                    self._save(client, writers)
        except (ConnectionClosed, ConnectionError):
            pass
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure

    def _save(self, client, writers):
        acked = max([writer.mark.lsn for writer in writers if writer.mark is not None] + [0])
        reply = client.ask("SAVE")
        if isinstance(reply, ReplyError):
            expect(str(reply), "ERR Background save already in progress", "SAVE")
            time.sleep(0.005)
            return
        expect(reply, "OK", "SAVE")
        lines = client.call("INFO", "persistence").decode().splitlines()
        figures = dict(line.split(":", 1) for line in lines if ":" in line)
        lsn = int(figures["image_lsn"])
        expect_true(lsn >= acked, f"the image of LSN {lsn} holds LSN {acked}, acked before")
        expect_true(lsn >= self.told, f"the newest image, of LSN {lsn}, is not below {self.told}")
        self.told = lsn
        self.saved += 1


def images_of(server):
    folder = os.path.join(server.data, "keys", "images")
    return folder, sorted(os.listdir(folder))


def check_images(server, told):
    """While it is down."""
    folder, names = images_of(server)
    names = [name for name in names if NAME.fullmatch(name)]
    for name in names:
        tidemark("image", "verify", os.path.join(folder, name))
    newest = int(names[-1][:16], 16) if names else 0
    expect_true(newest >= told, f"an image of LSN {told} or more is there: {names}")
    if newest > 0:
        line = tidemark("store", "digest", server.data)
        mark = Mark(dict(part.split("=", 1) for part in line.split())["mark"])
        expect_true(mark.lsn >= newest, f"the store's LSN {mark.lsn} is not below image {newest}")


def check_start(server):
    _, names = images_of(server)
    expect([name for name in names if name.endswith(".tmp")], [], "temporaries after a start")


def images_of_a_storm_are_whole_and_never_above_the_store():
    print(f"    TIDEMARK_SEED={SEED}")
    dice = random.Random(SEED)
    writers = [Writer(number, SEED) for number in range(WRITERS)]
    saver = Saver()
    with Server(**SMALL) as server:
        for kill in range(KILLS):
            for writer in writers:
                writer.begin(server.port)
            saver.begin(server.port, writers)
            before = saver.saved
            if kill % 3 == 0:
                wait_until(lambda least=before: saver.saved > least or saver.failure, 30,
                           "an image")
            time.sleep(patience(0.02 + dice.random() * 0.3))
            server.kill()
            for writer in writers:
                writer.end()
            saver.end()
            check_images(server, saver.told)
            if dice.random() < 0.3:
                server.start(wait=False)
                time.sleep(dice.random() * patience(0.06))
                server.kill()
            server.start()
            check_start(server)
        with server.client(timeout=60) as client:
            expect(client.call("SAVE"), "OK")
        expect(server.stop(), 0, "exit status")
        check_images(server, saver.told)
        kept = [name for name in images_of(server)[1] if NAME.fullmatch(name)]
        expect(len(kept), KEEP, "images kept")
    print(f"    {KILLS} kills, {saver.saved} images")
    expect_true(saver.saved >= KILLS // 3, "there were images to be hurt")


if __name__ == "__main__":
    run(images_of_a_storm_are_whole_and_never_above_the_store)
