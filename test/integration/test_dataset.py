#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""A data set of real records (tools/make-dataset) goes in, and all of it is there afterwards.

TIDEMARK_RECORDS is the number of keys; soak_dataset.py asks for more than half a million. The
server runs with small segments and a small flush budget, so that rolls, flushes and trims are part
of it.
"""
import os
import random
import re
import subprocess
import sys
import time

from lib import (ROOT, Failure, Server, expect, expect_true, patience, require_command, run,
                 temp_folder, tidemark, wait_until)

RECORDS = int(os.environ.get("TIDEMARK_RECORDS", "60000"))
KILLS = int(os.environ.get("TIDEMARK_DATASET_KILLS", "3"))
PATIENCE = 60 + RECORDS // 500  # seconds for any one of the programs below
SMALL = {"log_segment_size": "4m", "flush_budget_min": "2m", "flush_budget_max": "4m",
         "log_reserve_size": "16m"}


def program(*arguments, stdin=None, status=0):
    """Runs a program of tools/ or of Redis; returns its output."""
    done = subprocess.run([str(a) for a in arguments], stdin=stdin or subprocess.DEVNULL, cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=patience(PATIENCE), check=False)
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode != status:
        name = " ".join(str(a) for a in arguments[:2])
        raise Failure(f"{name}: status {done.returncode}, expected {status}\n{text[-4000:]}")
    return text


_made = []


def dataset():
    """(file, number of keys), made once."""
    if not _made:
        path = os.path.join(temp_folder("dataset"), "dataset.resp")
        summary = program("tools/make-dataset", "--limit", RECORDS, "--out", path)
        print("   ", summary.strip())
        _made.append((path, int(re.search(r"keys=(\d+)", summary)[1])))
    return _made[0]


def check_digest(server):
    """Of a stopped server: what was kept running equals what a recount gives."""
    line = tidemark("store", "digest", server.data, timeout=PATIENCE)
    found = re.fullmatch(r"mark=(\S+) digest=([0-9a-f]{32}) recount=([0-9a-f]{32})\n", line)
    expect_true(found is not None, f"a line of mark, digest and recount, not {line!r}")
    expect(found[2], found[3], "digest and recount")
    return found[2]


def the_data_set_is_the_same_each_time_and_has_every_type():
    path, _ = dataset()
    again = os.path.join(temp_folder("again"), "again.resp")
    summary = program("tools/make-dataset", "--limit", RECORDS, "--out", again)
    expect_true(subprocess.run(["cmp", "-s", path, again], check=False).returncode == 0,
                "two runs of make-dataset write the same bytes")
    for kind in ("SET", "HSET", "SADD", "ZADD", "RPUSH"):
        expect_true(f" {kind}=" in summary, f"a key made by {kind}")


def redis_cli_pipe_loads_it_and_a_restart_replays_nothing():
    require_command("redis-cli")
    path, keys = dataset()
    with Server(**SMALL) as server:
        start = time.monotonic()
        with open(path, "rb") as file:
            said = program("redis-cli", "-p", server.port, "--pipe", stdin=file)
        print(f"    redis-cli --pipe: {time.monotonic() - start:.1f} s")
        expect_true(re.search(r"errors: 0, replies: [1-9]", said), f"no errors in {said!r}")
        with server.client(timeout=60) as client:
            expect(client.call("DBSIZE"), keys, "DBSIZE")
            digest = client.call("DIGEST")[1]
        expect(server.stop(PATIENCE), 0, "exit status")
        expect(check_digest(server).encode(), digest, "the digest before and after the stop")
        server.start()
        with server.client(timeout=60) as client:
            expect(client.info("tidemark")["start_gap_entries"], "0")
            expect(client.call("DBSIZE"), keys, "DBSIZE")
            expect(client.call("DIGEST")[1], digest, "DIGEST")
        program(sys.executable, "tools/check-dataset", path, "--port", server.port)
        expect(server.stop(PATIENCE), 0, "exit status")


def start_loading(server, record, *more):
    path, _ = dataset()
    loader = subprocess.Popen(  # pylint: disable=consider-using-with
        [sys.executable, "tools/load-recorded", path, "--port", str(server.port), "--record",
         record, *more], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    expect(loader.stdout.readline(), b"loading\n")
    return loader


def finish(loader, status):
    try:
        said, _ = loader.communicate(timeout=patience(PATIENCE))
    except subprocess.TimeoutExpired:
        loader.kill()
        loader.communicate()
        raise Failure("load-recorded does not end") from None
    if loader.returncode != status:
        raise Failure(f"load-recorded: status {loader.returncode}, expected {status}\n{said!r}")


def loaded_keys(server):
    with server.client(timeout=60) as client:
        return client.call("DBSIZE")


def kill_9_during_the_load_loses_and_doubles_nothing():
    path, keys = dataset()
    record = os.path.join(temp_folder("record"), "record")
    dice = random.Random(1)
    with Server(**SMALL) as server:
        loader = start_loading(server, record)
        for number in range(KILLS):
            part = keys * (number + dice.random()) // (KILLS + 1)
            wait_until(lambda least=part: loader.poll() is not None or loaded_keys(server) > least,
                       PATIENCE, "the load going on")
            expect(loader.poll(), None, "the loader before the kill")
            server.kill()
            server.start()
        finish(loader, 0)
        said = program(sys.executable, "tools/check-dataset", path, "--port", server.port,
                       "--record", record)
        print("   ", said.strip().splitlines()[-1])
        expect(server.stop(PATIENCE), 0, "exit status")
        check_digest(server)


def what_was_in_flight_at_kill_9_is_there_once_or_not_at_all():
    path, keys = dataset()
    record = os.path.join(temp_folder("record"), "record")
    with Server(**SMALL) as server:
        loader = start_loading(server, record, "--stop-when-lost", "--window", "500")
        wait_until(lambda: loader.poll() is not None or loaded_keys(server) > keys // 3, PATIENCE,
                   "the load going on")
        server.kill()
        finish(loader, 3)
        server.start()
        said = program(sys.executable, "tools/check-dataset", path, "--port", server.port,
                       "--record", record)
        print("   ", said.strip().splitlines()[-1])


if __name__ == "__main__":
    run(the_data_set_is_the_same_each_time_and_has_every_type,
        redis_cli_pipe_loads_it_and_a_restart_replays_nothing,
        kill_9_during_the_load_loses_and_doubles_nothing,
        what_was_in_flight_at_kill_9_is_there_once_or_not_at_all)
