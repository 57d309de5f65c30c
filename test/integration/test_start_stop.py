#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""The command line, exit statuses, starts and stops."""
import os
import re
import signal
import subprocess
import time

from lib import (Server, binary, expect, expect_true, free_port, patience, run, temp_folder,
                 tidemark)
from storm import Writer

USAGE, REFUSED = 1, 2


def status_of(*arguments):
    """(status, standard output, standard error) of a run that ends by itself."""
    done = subprocess.run([binary(), *map(str, arguments)], cwd=temp_folder("cwd"),
                          timeout=patience(30), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def help_and_version_are_0():
    for words in (["--help"], ["server", "--help"]):
        status, out, error = status_of(*words)
        expect((status, error), (0, ""), " ".join(words))
        expect_true("Usage: tidemark" in out, "a usage line")
    out = status_of("server", "--help")[1]
    for name in ("port", "dir", "durability", "log-segment-size", "maxclients"):
        expect_true(re.search(rf"\b{name}\b", out), f"{name} is described")
    status, out, _ = status_of("--version")
    expect(status, 0, "--version")
    expect_true(re.fullmatch(r"tidemark \d+\.\d+\.\d+ \(\S+\)\n", out), f"a version, not {out!r}")


def mistakes_on_the_command_line_are_1():
    for words in ([], ["nonsense"], ["log"], ["log", "nonsense", "x"], ["log", "verify"],
                  ["log", "verify", "a", "b"], ["store", "digest"], ["server", "--nonsense", "1"],
                  ["server", "--port", "99999"], ["server", "--port"], ["server", "--port", "x"],
                  ["server", "--durability", "sometimes"], ["server", "/does/not/exist.conf"],
                  ["server", "--log-segment-size", "1"]):
        status, out, error = status_of(*words)
        expect(status, USAGE, " ".join(words) or "no words")
        expect(out, "", "standard output")
        expect_true(error.strip(), f"a word about {words}")
    expect_true("nonsense" in status_of("server", "--nonsense", "1")[2], "the option is named")


def tools_on_a_folder_without_data_are_1():
    folder = temp_folder("empty")
    for words in (["log", "dump"], ["log", "verify"], ["store", "digest"]):
        expect(status_of(*words, folder)[0], USAGE, " ".join(words))
        expect(os.listdir(folder), [], "the folder afterwards")


def a_second_server_and_the_tools_are_refused_while_one_runs():
    with Server() as server:
        status, _, error = status_of("server", "--dir", server.data, "--port", free_port(),
                                     "--http-port", 0)
        expect(status, REFUSED, "the second server")
        expect_true("in use" in error, f"a word why, not {error!r}")
        for words in (["log", "dump"], ["log", "verify"], ["store", "digest"]):
            expect(status_of(*words, server.data)[0], REFUSED, " ".join(words))
        with server.client() as client:
            expect(client.call("SET", "a", 1), "OK")


def a_port_in_use_is_refused():
    with Server() as server:
        for port, http_port in ((server.port, 0), (free_port(), server.http_port)):
            folder = temp_folder("other")
            status, _, error = status_of("server", "--dir", os.path.join(folder, "data"),
                                         "--port", port, "--http-port", http_port)
            expect(status, REFUSED, error)
            taken = http_port or port
            expect_true("in use" in error and str(taken) in error, f"{taken} is told: {error!r}")
            if http_port:
                expect(os.listdir(folder), [], "what was made before the ports were looked at")


def a_configuration_file_is_read_and_the_command_line_wins():
    folder = temp_folder("config")
    path = os.path.join(folder, "tidemark.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write("# a comment\nmaxclients 77\ntimeout 5\nsave 900 1\nappendfsync everysec\n")
    with Server(timeout=9) as server:
        server.stop()
        plain = server.command
        server.command = lambda: [*plain()[:2], path, *plain()[2:]]
        server.start()
        with server.client() as client:
            got = client.call("CONFIG", "GET", "maxclients", "timeout", "durability")
            got = dict(zip(got[::2], got[1::2]))
        expect(got, {b"maxclients": b"77", b"timeout": b"9", b"durability": b"everysec"})


def sigterm_under_load_is_clean_and_the_next_start_replays_nothing():
    with Server(log_segment_size="1m", log_reserve_size="4m") as server:
        writers = [Writer(number, 3) for number in range(4)]
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            for writer in writers:
                writer.begin(server.port)
            time.sleep(0.4)
            server.signal(number)
            expect(server.wait_exit(), 0, "exit status")
            for writer in writers:
                writer.end()
            server.start()
            with server.client() as client:
                info = client.info("tidemark")
                expect(info["start_gap_entries"], "0", "entries to replay")
                for writer in writers:
                    writer.settle(client)
                    writer.check(client)
        expect_true(sum(w.acked_count() for w in writers) > 100, "there was load")


def a_second_signal_stops_at_once_and_says_so():
    for durability in ("always", "everysec"):
        with Server(durability=durability) as server:
            with server.client() as client:
                expect(client.pipeline(*[("SET", f"k{i}", i) for i in range(500)]), ["OK"] * 500)
            server.pause()  # both signals arrive together
            server.signal(signal.SIGTERM)
            server.signal(signal.SIGINT)
            server.resume()
            expect(server.wait_exit(), 7, "exit status")
            server.start()
            with server.client() as client:
                expect(client.call("DBSIZE"), 500)


def shutdown_stops_it_cleanly():
    for words in (["SHUTDOWN"], ["SHUTDOWN", "NOSAVE"], ["SHUTDOWN", "SAVE"]):
        with Server() as server:
            with server.client() as client:
                client.call("SET", "a", "kept")
                client.send(*words)
                expect_true(client.is_closed(), "the connection ends without a reply")
            expect(server.wait_exit(), 0, "exit status")
            server.start()
            with server.client() as client:
                expect(client.info("tidemark")["start_gap_entries"], "0")
                expect(client.call("GET", "a"), b"kept")


def a_blocked_client_does_not_hold_up_the_stop():
    with Server() as server:
        with server.client() as blocked, server.client() as idle:
            blocked.send("BLPOP", "nothing", 0)
            idle.call("PING")
            begin = time.monotonic()
            expect(server.stop(10), 0, "exit status")
            expect_true(time.monotonic() - begin < patience(5), "it stops within seconds")


def every_start_opens_a_new_epoch_in_the_same_history():
    with Server() as server:
        seen = []
        for clean in (True, False, True, False):
            with server.client() as client:
                info = client.info("tidemark")
                seen.append((info["history"], int(info["epoch"].split(".")[0])))
            if clean:
                server.restart()
            else:
                server.kill()
                server.start()
        expect(len({history for history, _ in seen}), 1, "histories")
        epochs = [epoch for _, epoch in seen]
        expect(epochs, sorted(set(epochs)), "epochs rise")


def the_data_folder_is_made_and_a_unix_socket_answers():
    folder = temp_folder("unix")
    path = os.path.join(folder, "s")
    with Server(unixsocket=path) as server:
        from resp import Client  # pylint: disable=import-outside-toplevel
        with Client(path=path) as client:
            expect(client.call("SET", "a", 1), "OK")
        expect(sorted(os.listdir(server.data)), ["identity", "keys", "lock"])
        server.stop()
        expect_true(not os.path.exists(path), "the socket is removed by the stop")
        server.start()
        server.kill()
        server.start()  # over the socket that a killed server left behind
        with Client(path=path) as client:
            expect(client.call("GET", "a"), b"1")


def the_tools_read_a_stopped_server():
    with Server() as server:
        with server.client() as client:
            client.call("SET", "a key", b"\x00\xff\"")
            client.transaction(["INCR", "n"], ["RPUSH", "l", "x"])
            digest = client.call("DIGEST")
        server.stop()
        text = tidemark("log", "dump", server.data)
        lines = text.splitlines()
        expect_true(" epoch" in lines[0], f"the log begins with an epoch: {lines[0]!r}")
        expect_true(any('set "a key" "\\x00\\xff\\""' in line for line in lines), "SET is shown")
        expect_true(any('incr "n" ; db0 rpush "l" "x"' in line for line in lines), "MULTI is shown")
        lsns = [int(re.match(r"lsn=(\d+) ", line)[1]) for line in lines]
        expect(lsns, list(range(1, len(lsns) + 1)), "LSNs are dense")
        line = tidemark("log", "verify", server.data)
        expect_true("clean=yes" in line and "torn_bytes=0" in line, f"a clean log, not {line!r}")
        expect_true(digest[1].decode() in tidemark("store", "digest", server.data), "the digest")


if __name__ == "__main__":
    run(help_and_version_are_0,
        mistakes_on_the_command_line_are_1,
        tools_on_a_folder_without_data_are_1,
        a_second_server_and_the_tools_are_refused_while_one_runs,
        a_port_in_use_is_refused,
        a_configuration_file_is_read_and_the_command_line_wins,
        sigterm_under_load_is_clean_and_the_next_start_replays_nothing,
        a_second_signal_stops_at_once_and_says_so,
        shutdown_stops_it_cleanly,
        a_blocked_client_does_not_hold_up_the_stop,
        every_start_opens_a_new_epoch_in_the_same_history,
        the_data_folder_is_made_and_a_unix_socket_answers,
        the_tools_read_a_stopped_server)
