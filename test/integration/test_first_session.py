#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What a newcomer does in the first minutes: redis-cli, redis-benchmark, INFO, CONFIG."""
import os
import re
import subprocess
import time

from lib import ROOT, Server, expect, expect_error, expect_true, patience, require_command, run

SECTIONS = ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Modules",
            "Cluster", "Keyspace", "Tidemark")


def cli(server, *words, stdin=b""):
    require_command("redis-cli")
    done = subprocess.run(["redis-cli", "-p", str(server.port), *words], input=stdin,
                          timeout=patience(60), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          check=False)
    text = done.stdout.decode("utf-8", "replace")
    expect(done.returncode, 0, f"redis-cli {' '.join(words)}: {text}")
    return text


def a_session_with_redis_cli():
    with Server() as server:
        session = [("SET greeting hello", "OK"), ("GET greeting", "hello"),
                   ("HSET user:1 name Ada born 1815", "2"), ("HGET user:1 name", "Ada"),
                   ("ZADD scores 10 ada 7.5 bob", "2"),
                   ("ZRANGE scores 0 -1 WITHSCORES", "bob\n7.5\nada\n10"),
                   ("EXPIRE greeting 100", "1"), ("TTL greeting", "100"),
                   ("RPUSH queue a b c", "3"), ("LPOP queue", "a"), ("SADD tags x y", "2"),
                   ("INCR visits", "1"), ("TYPE scores", "zset"), ("DBSIZE", "6")]
        for line, wanted in session:
            expect(cli(server, *line.split()).strip(), wanted, line)
        said = cli(server, stdin=b"MULTI\nINCR visits\nGET user:1\nRPUSH queue d\nEXEC\n"
                                 b"GET visits\n")
        expect_true("WRONGTYPE" in said and said.rstrip().endswith("2"), f"a transaction: {said!r}")
        server.kill()
        server.start()
        expect(cli(server, "HGETALL", "user:1").strip(), "name\nAda\nborn\n1815")
        expect(cli(server, "LRANGE", "queue", "0", "-1").strip(), "b\nc\nd")
        expect_true(90 < int(cli(server, "TTL", "greeting")) <= 100, "the time to live goes on")


def the_session_of_the_readme():
    """Every `redis-cli` line in README's code blocks that shows its answer."""
    path = os.path.join(ROOT, "README.md")
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        text = file.read()
    pairs = re.findall(r"^127\.0\.0\.1:7379(?:\(TX\))?> (.+)\n"
                       r"((?:(?!127\.0\.0\.1|\$|```).*\n)*)", text, re.MULTILINE)
    if not pairs:
        return
    with Server() as server:
        lines = "".join(line + "\n" for line, _ in pairs).encode()
        require_command("redis-cli")
        said = subprocess.run(["redis-cli", "--no-raw", "-p", str(server.port)], input=lines,
                              timeout=patience(60), stdout=subprocess.PIPE,
                              check=False).stdout.decode()
        shown = [part.strip() for _, answer in pairs for part in answer.strip().splitlines()]
        answers = [part.strip() for part in said.strip().splitlines()]
        expect(answers, shown, "README's session")
        # And what README does next: a kill, a start, the same history and digest.
        with server.client() as client:
            before = client.call("DIGEST")
        server.kill()
        server.start()
        with server.client() as client:
            after = client.call("DIGEST")
        expect(after[0].split(b":")[0], before[0].split(b":")[0], "the history")
        expect(after[1], before[1], "the digest")


def the_default_set_of_redis_benchmark_runs():
    require_command("redis-benchmark")
    with Server() as server:
        done = subprocess.run(["redis-benchmark", "-p", str(server.port), "-q", "-n", "2000"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=patience(200), check=False)
        text = done.stdout.decode("utf-8", "replace").replace("\r", "\n")
        expect(done.returncode, 0, text[-2000:])
        rates = re.findall(r"^([A-Z_]+[^:\n]*): [\d.]+ requests per second", text, re.MULTILINE)
        names = {rate.split()[0] for rate in rates}
        missing = {"PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "LPUSH", "RPUSH", "LPOP",
                   "RPOP", "SADD", "HSET", "SPOP", "ZADD", "ZPOPMIN", "LRANGE_100", "LRANGE_600",
                   "MSET"} - names
        expect(missing, set(), f"tests without a result in {text[-3000:]}")
        expect_true("ERR" not in text, f"no errors: {text[-2000:]}")
        with server.client() as client:
            stats = client.info("commandstats")
        failed = {name: value for name, value in stats.items()
                  if "failed_calls=0" not in value or "rejected_calls=0" not in value}
        expect(failed, {}, "failed calls")


def scan_sees_every_key():
    with Server() as server:
        names = {f"key:{i}" for i in range(3000)}
        with server.client() as client:
            client.pipeline(*(["SET", name, 1] for name in names))
            client.pipeline(*(["SADD", f"other:{i}", 1] for i in range(100)))
        said = cli(server, "--scan", "--pattern", "key:*").split()
        expect(len(said), len(set(said)), "no name twice")
        expect(set(said), names)
        expect_true("summary" in cli(server, "--bigkeys"), "redis-cli --bigkeys ends")


def info_and_config():
    with Server() as server:
        with server.client() as client:
            text = client.call("INFO").decode()
            found = re.findall(r"^# (\w+)\r$", text, re.MULTILINE)
            missing = set(SECTIONS) - set(found)
            expect(missing, set(), f"sections missing in {found}")
            for name in ("redis_version", "process_id", "tcp_port", "uptime_in_seconds", "run_id",
                         "connected_clients", "used_memory", "used_memory_rss", "maxmemory",
                         "loading", "aof_enabled", "rdb_bgsave_in_progress", "role",
                         "total_commands_processed", "used_cpu_sys", "used_cpu_user",
                         "appended_lsn", "durable_lsn", "committed_lsn", "applied_lsn",
                         "flushed_lsn", "floor_lsn", "history", "epoch", "mode", "start_outcome",
                         "start_gap_entries"):
                expect_true(name in client.info(), f"INFO has {name}")
            for section in ("server", "clients", "keyspace", "tidemark", "commandstats", "all",
                            "everything", "default"):
                expect_true(client.call("INFO", section), f"INFO {section}")
            expect(client.call("CONFIG", "GET", "save"), [b"save", b""])
            expect(client.call("CONFIG", "GET", "appendonly"), [b"appendonly", b"yes"])
            expect(client.call("CONFIG", "GET", "appendfsync"), [b"appendfsync", b"always"])
            expect(client.call("CONFIG", "SET", "appendfsync", "everysec"), "OK")
            expect(client.call("CONFIG", "GET", "durability"), [b"durability", b"everysec"])
            expect_true(len(client.call("CONFIG", "GET", "*")) > 100, "CONFIG GET *")
            client.call("SET", "a", 1)
            client.call("SELECT", 3)
            client.call("SET", "b", 1, "EX", 100)
            keyspace = client.info("keyspace")
            expect_true(keyspace["db0"].startswith("keys=1,expires=0"), f"db0: {keyspace}")
            expect_true(keyspace["db3"].startswith("keys=1,expires=1"), f"db3: {keyspace}")


def a_hundred_thousand_commands_in_one_pipeline():
    count = 100000
    with Server() as server, server.client(timeout=60) as client:
        begin = time.monotonic()
        commands = b"".join(b"*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n" for _ in range(count))
        # Sent in pieces while the replies are read, as a client with a thread for each does.
        read, at = 0, 0
        while read < count:
            if at < len(commands):
                client.send_bytes(commands[at:at + 65536])
                at += 65536
            limit = count if at >= len(commands) else min(count, (at - 65536) // 25)
            while read < limit:
                read += 1
                expect(client.receive(), read)
        print(f"    {count} INCR in {time.monotonic() - begin:.2f} s")
        server.kill()
        server.start()
        with server.client() as again:
            expect(again.call("GET", "n"), str(count).encode())


def a_client_that_sends_all_before_it_reads():
    count = 20000
    with Server() as server, server.client(timeout=60) as client:
        replies = client.pipeline(*(["SET", f"k{i}", "v"] for i in range(count)))
        expect(replies, ["OK"] * count)
        replies = client.pipeline(*(["GET", f"k{i}"] for i in range(count)))
        expect(replies, [b"v"] * count)


def resp3():
    with Server() as server, server.client() as client:
        hello = client.hello(3)
        expect(hello[b"proto"], 3)
        expect(hello[b"role"], b"master")
        client.call("HSET", "h", "a", "1", "b", "2")
        expect(client.call("HGETALL", "h"), {b"a": b"1", b"b": b"2"})
        client.call("SADD", "s", "x")
        expect(list(client.call("SMEMBERS", "s")), [b"x"])
        client.call("ZADD", "z", 1.5, "m")
        expect(client.call("ZSCORE", "z", "m"), 1.5)
        expect(client.call("ZRANGE", "z", 0, -1, "WITHSCORES"), [[b"m", 1.5]])
        expect(client.call("GET", "nothing"), None)
        expect_true(isinstance(client.call("CONFIG", "GET", "save"), dict), "CONFIG GET is a map")
        client.send("SUBSCRIBE", "news")
        expect(list(client.receive_push()), [b"subscribe", b"news", 1])
        with server.client() as other:
            expect(other.call("PUBLISH", "news", "hello"), 1)
        expect(list(client.receive_push()), [b"message", b"news", b"hello"])
        expect(client.call("GET", "nothing"), None, "RESP3 allows commands while subscribed")
        expect_error(client.ask("HELLO", 4), "NOPROTO")
        client.send("UNSUBSCRIBE", "news")
        expect(list(client.receive_push()), [b"unsubscribe", b"news", 0])
        client.hello(2)
        reply = client.call("HGETALL", "h")
        expect(dict(zip(reply[::2], reply[1::2])), {b"a": b"1", b"b": b"2"})


def inline_commands_and_broken_ones():
    with Server() as server:
        with server.client() as client:
            client.send_bytes(b"PING\r\nSET a 'x y'\r\nGET a\r\n")
            expect([client.receive() for _ in range(3)], ["PONG", "OK", b"x y"])
        for broken in (b"*1\r\n:1\r\n", b"*-5x\r\n", b"*1\r\n$-2\r\n", b"*99999999999\r\n"):
            with server.client() as client:
                client.send_bytes(broken + b"*1\r\n$4\r\nPING\r\n")
                reply = client.receive()
                expect_error(reply, "ERR")
                expect_true(client.is_closed(), f"{broken!r} ends the connection")
        with server.client() as client:
            expect_error(client.ask("NONSENSE"), "ERR")
            expect_error(client.ask("GET"), "ERR")
            expect(client.call("PING"), "PONG")


if __name__ == "__main__":
    run(a_session_with_redis_cli,
        the_session_of_the_readme,
        the_default_set_of_redis_benchmark_runs,
        scan_sees_every_key,
        info_and_config,
        a_hundred_thousand_commands_in_one_pipeline,
        a_client_that_sends_all_before_it_reads,
        resp3,
        inline_commands_and_broken_ones)
