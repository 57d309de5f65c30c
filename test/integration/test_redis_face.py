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
        a_listener_that_does_not_read_is_dropped, a_password_is_asked_for)
