# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What the programs of bench/ share: servers on a disk, redis-benchmark, figures as JSON lines."""
import atexit
import csv
import datetime
import io
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
sys.path.insert(0, os.path.join(ROOT, "test", "integration"))
from lib import Server, StockRedis, require_command  # noqa: E402,F401

MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs", "overlay")
VALUE_BYTES = 100


# ---- Where ---------------------------------------------------------------------------------------

def file_system_of(folder):
    """(type, device) of the mount that holds the folder."""
    best, found = "", ("unknown", "unknown")
    folder = os.path.realpath(folder)
    with open("/proc/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            device, where, kind = line.split()[:3]
            inside = folder == where or folder.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(best):
                best, found = where, (kind, device)
    return found


def data_folder(given=None):
    """A new folder for the data of both servers, removed at the end; on a disk, or a warning."""
    base = given or os.path.join(ROOT, os.environ.get("BUILD", "build"), "bench-data")
    os.makedirs(base, exist_ok=True)
    kind, device = file_system_of(base)
    if kind in MEMORY_FILE_SYSTEMS:
        print(f"warning: {base} is on {kind}: syncs cost nothing there; give --dir on a disk")
    folder = tempfile.mkdtemp(prefix="run-", dir=base)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder, {"fs": kind, "device": device}


def subject(name, folder, **options):
    """The server `tidemark`, or `redis`: the same promise, every write synced before its answer."""
    home = os.path.join(folder, name)
    os.makedirs(home, exist_ok=True)
    if name == "tidemark":
        return Server(name, home, **options)
    # No rewrite of its file in the middle of a measurement: that would hurt it, and its neighbour.
    return StockRedis(name, home, appendonly="yes", appendfsync="always",
                      auto_aof_rewrite_percentage=0)


# ---- Figures -------------------------------------------------------------------------------------

def commit():
    done = subprocess.run(["git", "describe", "--always", "--dirty", "--abbrev=12"], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)
    return done.stdout.decode().strip() or "unknown"


class Figures:
    """Collects figures and writes each as a line of JSON to results/<date>-<commit>.jsonl."""

    def __init__(self, disk, out=None):
        self.common = {"date": datetime.date.today().isoformat(), "commit": commit(),
                       "cpus": len(os.sched_getaffinity(0)), "kernel": os.uname().release, **disk}
        results = os.path.join(HERE, "results")
        if out is None:
            os.makedirs(results, exist_ok=True)
            out = os.path.join(results, f"{self.common['date']}-{self.common['commit']}.jsonl")
        self.path = out

    def add(self, figure, **facts):
        with open(self.path, "a", encoding="ascii") as file:
            file.write(json.dumps({"figure": figure, **facts, **self.common}) + "\n")


def median(values):
    return statistics.median(values) if values else 0.0


# ---- Processes -----------------------------------------------------------------------------------

def memory_of(pid, field="VmRSS"):
    """Bytes; 0 when the process is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith(field + ":"):
                    return int(line.split()[1]) * 1024
    except FileNotFoundError:
        pass
    return 0


class MemoryWatch:
    """The greatest RSS of a process while the block runs."""

    def __init__(self, pid, period=0.1):
        self.pid = pid
        self.period = period
        self.most = 0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self):
        while not self._end.wait(self.period):
            self.most = max(self.most, memory_of(self.pid))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()


def cpu_seconds(server):
    with server.client(timeout=60) as client:
        info = client.info("cpu")
    return float(info["used_cpu_user"]) + float(info["used_cpu_sys"])


def preload(server, keys, value_bytes=VALUE_BYTES):
    """All the keys that redis-benchmark -r can name."""
    value = "v" * value_bytes
    with server.client(timeout=120) as client:
        for first in range(0, keys, 10000):
            replies = client.pipeline(*(
                ["MSET", *(word for i in range(at, min(at + 500, keys))
                           for word in (f"key:{i:012d}", value))]
                for at in range(first, min(first + 10000, keys), 500)))
            if set(replies) != {"OK"}:
                raise RuntimeError(f"preload: {replies}")


def benchmark(server, test, count, clients=50, pipeline=1, keys=1000000, value_bytes=VALUE_BYTES):
    """(requests/s, p50 ms, p99 ms) of one run of redis-benchmark."""
    done = subprocess.run(
        ["redis-benchmark", "-p", str(server.port), "-t", test, "-n", str(count), "-c",
         str(clients), "-P", str(pipeline), "-d", str(value_bytes), "-r", str(keys), "--csv"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=600,
        check=False)
    text = done.stdout.decode("utf-8", "replace")
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row.get("rps")]
    if done.returncode != 0 or len(rows) != 1:
        raise RuntimeError(f"redis-benchmark: {text[-2000:]}")
    row = rows[0]
    return float(row["rps"]), float(row["p50_latency_ms"]), float(row["p99_latency_ms"])
