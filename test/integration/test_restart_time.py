#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""How long it takes from the start of the process to the first reply, after kill -9.

TIDEMARK_KEYS is the number of keys, TIDEMARK_RESTART_SECONDS the bound (soak_restart_time.py: ten
million keys and one second). The figure is printed, and written as a line of JSON to the file
TIDEMARK_FIGURES when that is set. Default settings: what is unflushed is what the server allows.
"""
import json
import os
import time

from lib import Server, expect, expect_true, patience, run

KEYS = int(os.environ.get("TIDEMARK_KEYS", "300000"))
BOUND = patience(float(os.environ.get("TIDEMARK_RESTART_SECONDS", "3")))
ROUNDS = 3
PIECE = 1000  # keys in one command


def preload(server):
    begin = time.monotonic()
    with server.client(timeout=60) as client:
        for first in range(0, KEYS, PIECE * 10):
            replies = client.pipeline(*(
                ["MSET", *(word for i in range(at, min(at + PIECE, KEYS))
                           for word in (f"key:{i:012d}", f"value-{i}"))]
                for at in range(first, min(first + PIECE * 10, KEYS), PIECE)))
            expect(set(replies), {"OK"})
    print(f"    {KEYS} keys in {time.monotonic() - begin:.1f} s", flush=True)


def time_of_start(server):
    """Seconds from exec to the reply to a GET."""
    begin = time.monotonic()
    server.start(wait=False)
    while True:
        try:
            with server.client(timeout=30) as client:
                value = client.ask("GET", f"key:{KEYS - 1:012d}")
            if value == f"value-{KEYS - 1}".encode():
                return time.monotonic() - begin
        except OSError:
            pass
        expect_true(server.is_running(), "the server runs")
        expect_true(time.monotonic() - begin < patience(60), "a reply within a minute")
        time.sleep(0.002)


def note(name, seconds, client):
    gap = client.info("tidemark")["start_gap_entries"]
    cpu = client.info("cpu")
    used = float(cpu["used_cpu_user"]) + float(cpu["used_cpu_sys"])
    print(f"    {name}: {seconds * 1000:.0f} ms, {used * 1000:.0f} ms of processor time, {gap} "
          "entries applied again", flush=True)
    if "TIDEMARK_FIGURES" in os.environ:
        with open(os.environ["TIDEMARK_FIGURES"], "a", encoding="ascii") as file:
            file.write(json.dumps({"figure": f"restart_{name}", "keys": KEYS, "unit": "s",
                                   "value": round(seconds, 4), "gap_entries": int(gap)}) + "\n")


def the_first_reply_after_kill_9_comes_within_the_bound():
    with Server() as server:
        preload(server)
        worst = 0.0
        for number in range(ROUNDS):
            with server.client(timeout=30) as client:  # something new to apply again each time
                client.pipeline(*(["INCR", f"n:{i % 1000}"] for i in range(20000)))
            server.kill()
            seconds = time_of_start(server)
            worst = max(worst, seconds)
            with server.client(timeout=30) as client:
                note(f"kill_{number}", seconds, client)
                expect(client.call("GET", "n:0"), str(20 * (number + 1)).encode())
                expect(client.call("DBSIZE"), KEYS + 1000)
        expect_true(worst < BOUND, f"the first reply within {BOUND} s, not {worst:.2f}")
        expect(server.stop(), 0, "exit status")
        seconds = time_of_start(server)
        with server.client(timeout=30) as client:
            note("clean", seconds, client)
        expect_true(seconds < BOUND, f"after a clean stop within {BOUND} s, not {seconds:.2f}")


if __name__ == "__main__":
    run(the_first_reply_after_kill_9_comes_within_the_bound)
