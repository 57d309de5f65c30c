#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 400
"""HTTP on the shipped binary: every route, bad, slow and many clients, metrics under load."""
import http.client
import json
import re
import socket
import subprocess
import threading
import time

from lib import (Server, expect, expect_true, patience, require_command, run, tidemark,
                 wait_until)

CONNECTION_SECONDS = 15  # HTTP_CONNECTION_US_MAX
CONNECTIONS_MAX = 32


def ask(server, path, method="GET", body=None, timeout=30.0, host="127.0.0.1"):
    """Returns (status, headers in lower case, body)."""
    connection = http.client.HTTPConnection(host, server.http_port, timeout=patience(timeout))
    try:
        connection.request(method, path, body)
        reply = connection.getresponse()
        headers = {name.lower(): value for name, value in reply.getheaders()}
        return reply.status, headers, reply.read().decode("utf-8")
    finally:
        connection.close()


def raw(server, data, timeout=30.0):
    """Sends the bytes, returns what comes until the other side closes."""
    with socket.create_connection(("127.0.0.1", server.http_port),
                                  timeout=patience(timeout)) as stream:
        received = b""
        try:
            stream.sendall(data)
            while True:
                piece = stream.recv(65536)
                if not piece:
                    return received
                received += piece
        except ConnectionError:
            return received


# ---- A strict reader of Prometheus's text format 0.0.4 -------------------------------------------

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
VALUE = r"-?(?:[0-9]+(?:\.[0-9]+)?|\+Inf)"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"')
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? ({VALUE})")
SUFFIXES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}


def read_labels(text):
    labels = {}
    while text:
        match = LABEL.match(text)
        expect_true(match and match[1] not in labels, f"good labels, not {text!r}")
        labels[match[1]] = match[2]
        text = text[match.end():]
        if text:
            expect_true(text.startswith(",") and len(text) > 1, f"a comma in {text!r}")
            text = text[1:]
    return labels


def read_metrics(text):
    """{(sample's name, sorted labels): value}, after checking every line."""
    expect_true(text.endswith("\n"), "the last line has an end")
    families, samples, family, help_of = {}, {}, None, None
    for line in text[:-1].split("\n"):
        if line.startswith("# HELP "):
            match = re.fullmatch(rf"# HELP ({NAME}) ((?:[^\\]|\\\\|\\n)+)", line)
            expect_true(match and match[1] not in families, f"a new family: {line!r}")
            help_of, family = match[1], None
            continue
        if line.startswith("#"):
            match = re.fullmatch(rf"# TYPE ({NAME}) (counter|gauge|histogram)", line)
            expect_true(match and match[1] == help_of, f"a type behind its help: {line!r}")
            family, help_of = match[1], None
            families[family] = match[2]
            expect(family.endswith("_total"), match[2] == "counter", family)
            expect_true(family.startswith("tidemark_"), family)
            continue
        match = SAMPLE.fullmatch(line)
        expect_true(match and family, f"a sample within its family: {line!r}")
        expect_true(match[1] in [family + s for s in SUFFIXES[families[family]]], line)
        key = (match[1], tuple(sorted(read_labels(match[2] or "").items())))
        expect_true(key not in samples, f"a sample once: {line!r}")
        samples[key] = float(match[3])
    for name, kind in families.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return samples


def check_histogram(name, samples):
    shards = {dict(labels)["shard"] for found, labels in samples if found == name + "_count"}
    expect_true(shards, f"{name} has samples")
    for shard in shards:
        buckets = [(float(dict(labels)["le"]), value) for (found, labels), value in samples.items()
                   if found == name + "_bucket" and dict(labels)["shard"] == shard]
        expect(buckets, sorted(buckets), f"{name} is in order and cumulative")
        label = (("shard", shard),)
        expect(buckets[-1], (float("inf"), samples[name + "_count", label]), f"{name}: the last")
        expect_true(samples[name + "_sum", label] >= 0, f"{name}: a sum")


def metrics(server):
    status, headers, body = ask(server, "/metrics")
    expect(status, 200, "/metrics")
    expect(headers["content-type"], "text/plain; version=0.0.4; charset=utf-8")
    return read_metrics(body)


def of_shard(samples, name, **labels):
    return samples["tidemark_" + name, tuple(sorted({"shard": "keys", **labels}.items()))]


# ---- Tests ---------------------------------------------------------------------------------------

def every_route_answers():
    with Server() as server:
        expect(ask(server, "/healthz")[::2], (200, "ok\n"))
        expect(ask(server, "/readyz")[::2], (200, "ready\n"))
        samples = metrics(server)
        status, headers, body = ask(server, "/status?x=%00")
        expect((status, headers["content-type"]), (200, "application/json"))
        page = json.loads(body)
        build = next(dict(labels) for name, labels in samples if name == "tidemark_build_info")
        expect(tidemark("--version"), f"tidemark {build['version']} ({build['commit']})\n")
        expect((page["version"], page["commit"]), (build["version"], build["commit"]))
        expect(page["ready"], True)
        with server.client() as client:
            info = client.info("tidemark")
            expect(page["shards"]["keys"]["mark"].split(":")[0], info["history"])
            for name in ("appended", "durable", "committed", "applied", "flushed", "floor"):
                expect(page["shards"]["keys"]["lsn"][name], int(info[f"{name}_lsn"]), name)
                expect(of_shard(samples, f"{name}_lsn"), float(info[f"{name}_lsn"]), name)
        for path in ("/healthz", "/readyz", "/status", "/metrics"):
            status, headers, body = ask(server, path, "HEAD")
            expect((status, body), (200, ""), f"HEAD {path}")
            expect_true(int(headers["content-length"]) > 2, f"HEAD {path} has the length")
            expect(headers["connection"], "close")


def what_is_wrong_is_told():
    with Server() as server:
        for path in ("/", "/metric", "/metrics/", "/%6detrics", "/../metrics", "/v1/volumes"):
            expect(ask(server, path)[0], 404, path)
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"):
            status, headers, _ = ask(server, "/metrics", method, b"x" * 1000)
            expect((status, headers["allow"]), (405, "GET, HEAD"), method)
        for data, answer in (
                (b"GET /healthz HTTP/1.1\r\n\r\n", b"HTTP/1.1 400 "),
                (b"GET /healthz HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 "),  # no Host is asked of 1.0
                (b"GET /" + b"a" * 2000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"HTTP/1.1 414 "),
                (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"A: b\r\n" * 9000 + b"\r\n", b"HTTP/1.1 431 "),
                (b"*1\r\n$4\r\nPING\r\n\r\n", b""), (b"\x16\x03\x01\x02\x00\r\n\r\n", b""),
                (b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
                 + b"x" * 200_000, b"")):
            received = raw(server, data)
            fits = received.startswith(answer) if answer else not received.startswith(b"HTTP/1.1 2")
            expect_true(fits, f"{data[:40]} is answered with {answer}, not {received[:40]}")
            expect_true(received.count(b"HTTP/1.") <= 1, f"one answer, not {received}")
        expect(ask(server, "/healthz")[0], 200)


def slow_clients_hold_up_nobody_and_are_cut():
    with Server() as server:
        began = time.monotonic()
        crowd = [socket.create_connection(("127.0.0.1", server.http_port))
                 for _ in range(CONNECTIONS_MAX - 4)]
        for number, stream in enumerate(crowd):
            stream.settimeout(patience(60))
            stream.sendall(b"GET /met"[:number % 8])
        for _ in range(20):
            expect(ask(server, "/healthz")[0], 200)
        expect_true(time.monotonic() - began < patience(CONNECTION_SECONDS - 2),
                    "they hold nobody up")
        more = [socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(50)]
        expect(ask(server, "/readyz", timeout=120)[0], 200, "behind more than there may be")
        for stream in crowd:
            expect(stream.recv(100), b"", "what a slow client gets")
            stream.close()
        lasted = time.monotonic() - began
        expect_true(lasted > CONNECTION_SECONDS - 1, f"they were let live for {lasted} s")
        expect_true(lasted < patience(3 * CONNECTION_SECONDS), f"they were cut after {lasted} s")
        for stream in more:
            stream.close()
        expect(ask(server, "/healthz", timeout=120)[0], 200)


def many_clients_are_all_answered():
    with Server() as server:
        wrong = []

        def scrape():
            for path in ("/metrics", "/status", "/readyz"):
                try:
                    status = ask(server, path, timeout=60)[0]
                except OSError as error:
                    status = error
                if status != 200:
                    wrong.append((path, status))
        threads = [threading.Thread(target=scrape) for _ in range(100)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        expect(wrong, [], "answers other than 200")


def counters_move_with_the_writes():
    with Server() as server:
        before = metrics(server)
        with server.client() as client:
            for number in range(500):
                expect(client.call("SET", f"k{number}", "v"), "OK")
            client.call("EXPIRE", "k0", 1000)
            client.ask("NOSUCH")
            client.call("SELECT", 3)
            client.call("SET", "other", 1)
            after = metrics(server)

            def grown(name):
                return of_shard(after, name) - of_shard(before, name)
            for name in ("log_entries_total", "commit_seconds_count", "applied_lsn"):
                expect_true(502 <= grown(name) <= 504, name)  # and digest stamps, one a second
            expect_true(0 < grown("log_syncs_total") <= 504, "syncs")
            expect(grown("log_syncs_total"), grown("log_sync_seconds_count"), "two ways to count")
            expect_true(grown("commit_seconds_sum") >= grown("log_sync_seconds_sum") > 0,
                        "an entry takes no less than its sync")
            expect_true(grown("log_written_bytes_total") > 500 * 100, "bytes")
            expect((of_shard(after, "keys", db="0"), of_shard(after, "keys", db="3")), (500.0, 1.0))
            expect(of_shard(after, "keys_with_expiry", db="0"), 1.0)
            expect(after["tidemark_connected_clients", ()], 1.0)
            commands = "tidemark_commands_total", ()
            commands = after[commands] - before[commands]
            expect_true(503 <= commands <= 510, f"{commands} commands")
            expect_true(after["tidemark_command_errors_total", ()] >= 1, "an error")
            client.call("SAVE")
            saved = metrics(server)
            expect_true(of_shard(saved, "image_lsn") >= of_shard(after, "applied_lsn"), "an image")
            expect_true(of_shard(saved, "image_age_seconds") < patience(60), "its age")
            expect(of_shard(saved, "image_attempts_total"), 1.0)


def scraping_under_load_has_no_errors():
    require_command("redis-benchmark")
    with Server() as server:
        load = subprocess.Popen(  # pylint: disable=consider-using-with
            ["redis-benchmark", "-p", str(server.port), "-t", "set", "-n", "60000", "-c", "20",
             "-P", "4", "-r", "1000", "-q"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE)
        try:
            scrapes, last = 0, 0.0
            while load.poll() is None:
                now = of_shard(metrics(server), "log_entries_total")
                expect_true(now >= last, "a counter never goes back")
                json.loads(ask(server, "/status")[2])
                last, scrapes = now, scrapes + 1
        finally:
            load.kill()
            said = load.communicate()[1]
        expect((load.returncode, said), (0, b""), "redis-benchmark")
        expect_true(scrapes >= 3, f"{scrapes} scrapes")
        expect_true(of_shard(metrics(server), "log_entries_total") >= 60000, "all writes")


LAST = (503, "the server is stopping\n")  # what is told while the connections are being closed


def watch_readiness(server, until):
    """Asks /readyz and /healthz again and again; returns the answers that differed in a row."""
    seen = []
    end = time.monotonic() + patience(60)
    while time.monotonic() < end:
        try:
            answer = ask(server, "/readyz")[::2]
            healthy = ask(server, "/healthz")[::2]
        except OSError:  # not listening yet, or any more
            answer = healthy = None
        if answer and answer != LAST and (not seen or seen[-1] != answer):
            seen.append(answer)
        expect_true(healthy in (None, LAST, (200, "ok\n")), f"healthy all the time, not {healthy}")
        if until(answer):
            return seen
    raise AssertionError(f"it never came: {seen}")


def it_says_that_it_starts_and_that_it_stops():
    ready, starting = (200, "ready\n"), (503, "not ready: starting\n")
    stopping = (503, "not ready: stopping\n")
    # So much is unflushed that a replay, and the flush of a stop, take their time.
    with Server(flush_budget_min="1g", flush_budget_max="1g", durability="none") as server:
        with server.client(timeout=60) as client:
            value = "x" * 100
            for part in range(100):
                client.pipeline(*[("SET", f"{part}:{i}", value) for i in range(4000)])
        server.kill()
        server.start(wait=False)
        expect(watch_readiness(server, lambda answer: answer == ready), [starting, ready])
        server.signal(15)
        seen = watch_readiness(server, lambda answer: answer is None)
        expect(seen[-1], stopping, "the last answer")
        expect(server.wait_exit(), 0)


def without_space_it_is_not_ready_and_says_so():
    with Server(log_reserve_size="100000g") as server:  # more than any disk has
        wait_until(lambda: ask(server, "/readyz")[0] == 503, what="it is not ready")
        why = "writes are refused: the disk is nearly full"
        expect(ask(server, "/readyz")[2], f"not ready: {why}\n")
        expect(of_shard(metrics(server), "low_space"), 1.0)
        page = json.loads(ask(server, "/status")[2])
        expect((page["ready"], page["reason"]), (False, why))


def it_listens_where_bind_says_or_not_at_all():
    with Server(bind="127.0.0.1 127.0.0.2") as server:
        for host in ("127.0.0.1", "127.0.0.2"):
            expect(ask(server, "/healthz", host=host)[0], 200, host)
    with Server(http_port=0) as server:
        with server.client() as client:
            expect(client.call("CONFIG", "GET", "http-port"), [b"http-port", b"0"])
        expect_true("http listening" not in server.log_text(), "nothing listens")
    with Server(bind="127.0.0.1 -192.0.2.1") as server:  # an address of nobody, but optional
        expect(ask(server, "/healthz")[0], 200)


def a_stop_does_not_wait_for_clients():
    with Server() as server:
        idle = [socket.create_connection(("127.0.0.1", server.http_port)) for _ in range(10)]
        for stream in idle:
            stream.sendall(b"GET /metrics HTTP/1.1\r\n")
        expect(ask(server, "/healthz")[0], 200)
        began = time.monotonic()
        expect(server.stop(), 0)
        expect_true(time.monotonic() - began < patience(CONNECTION_SECONDS - 5), "at once")
        for stream in idle:
            stream.close()
        server.start()  # the port is free at once
        expect(ask(server, "/healthz")[0], 200)


if __name__ == "__main__":
    run(every_route_answers, what_is_wrong_is_told, slow_clients_hold_up_nobody_and_are_cut,
        many_clients_are_all_answered, counters_move_with_the_writes,
        scraping_under_load_has_no_errors, it_says_that_it_starts_and_that_it_stops,
        without_space_it_is_not_ready_and_says_so, it_listens_where_bind_says_or_not_at_all,
        a_stop_does_not_wait_for_clients)
