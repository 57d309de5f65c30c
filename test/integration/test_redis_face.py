#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What the unit tests of the Redis face show with a fake net and disk, once with real ones."""
import os
import socket

from lib import Server, expect, expect_error, expect_true, run, temp_folder, wait_until


def half_closed(server, data):
    """Sends, ends our side, returns what comes until the other side ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as stream:
        stream.sendall(data)
        stream.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            piece = stream.recv(65536)
            if not piece:
                return received
            received += piece


def a_client_that_ends_its_side_gets_its_answers():
    with Server() as server:
        expect(half_closed(server, b"SET a b\r\nGET a\r\nINCR n\r\n"), b"+OK\r\n$1\r\nb\r\n:1\r\n")
        expect(half_closed(server, b"BLPOP none 0\r\n"), b"")
        big = b"x" * 3_000_000
        with server.client() as client:
            client.call("SET", "big", big)
        replies = half_closed(server, b"GET big\r\n" * 5)
        expect_true(replies == (b"$3000000\r\n" + big + b"\r\n") * 5,
                    f"five whole replies, not {len(replies)} bytes")


def who_goes_while_it_waits_takes_nothing():
    with Server() as server:
        with server.client() as client:
            gone = socket.create_connection(("127.0.0.1", server.port))
            gone.sendall(b"BLPOP list 0\r\n" + b"PING\r\n" * 60_000)
            wait_until(lambda: b"cmd=blpop" in client.call("CLIENT", "LIST"), what="it waits")
            gone.close()
            wait_until(lambda: b"cmd=blpop" not in client.call("CLIENT", "LIST"), what="its end")
            expect(client.call("RPUSH", "list", "element"), 1)
            expect(client.call("LLEN", "list"), 1)


def unread_replies_take_no_more_than_their_limit():
    with Server() as server:
        with server.client() as client:
            client.call("CONFIG", "SET", "client-output-buffer-limit", "normal 30m 0 0")
            client.call("SET", "big", b"x" * 10_000_000)
            peak = peak_memory(server)
            with server.client() as greedy:
                greedy.send("MGET", *["big"] * 60)
                wait_until(lambda: client.call("CLIENT", "LIST").count(b"\n") == 1, what="its end")
            grown = peak_memory(server) - peak
            expect_true(grown < 80_000_000, f"the peak of memory grew by {grown} bytes")


def peak_memory(server):
    with open(f"/proc/{server.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def without_open_files_clients_are_refused_and_data_stay_safe():
    server = Server(flush_budget_min="64k", flush_budget_max="64k")  # files come all the time
    plain = server.command
    server.command = lambda: ["sh", "-c", 'ulimit -n 400 && exec "$@"', "sh"] + plain()
    with server:
        with server.client() as client:
            expect(client.call("CONFIG", "GET", "maxclients"), [b"maxclients", b"100"])
            expect_error(client.ask("CONFIG", "SET", "maxclients", 101), "ERR")
            expect(client.call("CONFIG", "SET", "maxclients", 100), "OK")
            crowd = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(600)]
            for i in range(3000):
                expect(client.call("SET", f"key:{i}", "x" * 1000), "OK")
            for one in crowd:
                one.close()
            expect(client.call("DBSIZE"), 3000)
        expect_true("maxclients_lowered from=10000 to=100" in server.log_text(), "it says so")


def other_protocols_are_closed_without_a_word():
    with Server() as server:
        expect(half_closed(server, b"POST / HTTP/1.1\r\nHost: a\r\n\r\nSET a b\r\n"), b"")
        expect(half_closed(server, b"\x16\x03\x01\x02\x00"), b"")
        with server.client() as client:
            expect(client.call("EXISTS", "a"), 0)


def quit_behind_writes_answers_them():
    with Server() as server:
        writes = b"INCR n\r\n" * 3000
        replies = half_closed(server, writes + b"QUIT\r\nINCR n\r\n")
        expect(replies, b"".join(b":%d\r\n" % (i + 1) for i in range(3000)) + b"+OK\r\n")
        with server.client() as client:
            expect(client.call("GET", "n"), b"3000")


def the_rewritten_configuration_is_used_by_the_next_start():
    path = os.path.join(temp_folder("config"), "tidemark.conf")
    with open(path, "w", encoding="utf-8") as file:
        file.write("# ours\ntimeout 0\n")
    server = Server()
    plain = server.command
    server.command = lambda: plain()[:2] + [path] + plain()[2:]
    with server:
        with server.client() as client:
            client.call("CONFIG", "SET", "timeout", 77, "maxclients", 50)
            expect(client.call("CONFIG", "REWRITE"), "OK")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        expect_true(text.startswith("# ours\ntimeout 77\n"), f"the old lines stay: {text!r}")
        expect(os.listdir(os.path.dirname(path)), ["tidemark.conf"])
        server.restart()
        with server.client() as client:
            expect(client.call("CONFIG", "GET", "timeout", "maxclients"),
                   [b"timeout", b"77", b"maxclients", b"50"])


def a_listener_that_does_not_read_is_dropped():
    with Server() as server:
        with server.client() as client, server.client() as listener:
            client.call("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 0 0")
            listener.call("SUBSCRIBE", "c")
            message = b"m" * 100_000
            for _ in range(400):
                if client.call("PUBLISH", "c", message) == 0:
                    break
            wait_until(lambda: client.call("PUBLISH", "c", "x") == 0, what="it is dropped")


def a_password_is_asked_for():
    with Server(requirepass="secret") as server:
        with server.client() as client:
            expect_error(client.ask("GET", "a"), "NOAUTH")
            expect_error(client.ask("AUTH", "wrong"), "WRONGPASS")
            expect(client.call("AUTH", "secret"), "OK")
            expect(client.call("GET", "a"), None)
        with server.client() as client:
            client.send_bytes(b"*11\r\n")
            expect_true(client.is_closed(), "eleven words are too many before the password")


if __name__ == "__main__":
    run(a_client_that_ends_its_side_gets_its_answers, other_protocols_are_closed_without_a_word,
        quit_behind_writes_answers_them, the_rewritten_configuration_is_used_by_the_next_start,
        a_listener_that_does_not_read_is_dropped, a_password_is_asked_for,
        who_goes_while_it_waits_takes_nothing, unread_replies_take_no_more_than_their_limit,
        without_open_files_clients_are_refused_and_data_stay_safe)
