# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""What every integration test needs: servers that start, stop and die, clients, folders, waiting.

A test is an executable file test/integration/test_<what>.py:

    #!/usr/bin/env python3
    from lib import Server, expect, run

    def a_write_survives_kill_9():
        with Server() as server:
            with server.client() as client:
                client.call("SET", "a", 1)
            server.kill()
            server.start()
            with server.client() as client:
                expect(client.call("GET", "a"), b"1")

    if __name__ == "__main__":
        run(a_write_survives_kill_9)

test/integration/run gives each file a fresh TMPDIR and TIDEMARK_BIN, and removes what is left. A
file can be started by hand too. Only the standard library is used. Nothing waits without bound; the
bounds go through patience(), because a server built with sanitizers is slow. A report of a
sanitizer, about any process, makes the function fail in which it was written.
"""
import atexit
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

from resp import (Client, ConnectionClosed, ProtocolError, Push, ReplyError,  # noqa: F401
                  SetReply, Verbatim, encode_command)
# Its folder: see resp.py.
from sanitizers import Reports, environment, patience, without_leak_check  # noqa: F401

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = 77  # the exit status of a test that cannot run here


class Failure(AssertionError):
    """An expectation that does not hold."""


class ServerDied(Exception):
    """The server ended while it was waited for; `status` as Popen gives it."""

    def __init__(self, text, status):
        super().__init__(text)
        self.status = status


# ---- Expectations --------------------------------------------------------------------------------

def expect(actual, wanted, what=""):
    if actual != wanted or type(actual) is not type(wanted):
        raise Failure(f"{what + ': ' if what else ''}expected {wanted!r}, got {actual!r}")


def expect_true(condition, what):
    if not condition:
        raise Failure(f"expected: {what}")


def expect_error(reply, code):
    """`reply` (of Client.ask) is an error reply with this code."""
    if not isinstance(reply, ReplyError) or reply.code != code:
        raise Failure(f"expected an error {code}, got {reply!r}")


def wait_until(condition, timeout=10.0, what="the condition", pause=0.02):
    """Calls condition() until it is true, returns its value; a Failure when that takes too long."""
    timeout = patience(timeout)
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what} did not come true within {timeout} s")
        time.sleep(pause)


def skip(reason):
    """Ends the test file: it cannot run here."""
    print(f"skipped: {reason}", flush=True)
    sys.exit(SKIPPED)


def require_command(*commands):
    for command in commands:
        if shutil.which(command) is None:
            skip(f"{command} is not installed")


def strace_works():
    """True when strace is here and may trace (a container can forbid it)."""
    if shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=20,
                          check=False)
    return done.returncode == 0


# ---- Folders and ports ---------------------------------------------------------------------------

def temp_folder(name="t"):
    """A new empty folder. test/integration/run removes it with the whole TMPDIR; by hand, we do."""
    folder = tempfile.mkdtemp(prefix=f"tidemark-{name}-")
    if "TIDEMARK_RUNNER" not in os.environ:
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def keys_folder(data, kind):
    """The folder of the "log" or the "store" that counts in a data directory: keys/current says
    which."""
    with open(os.path.join(data, "keys", "current"), encoding="ascii") as file:
        words = dict(line.split() for line in file)
    return os.path.join(data, "keys", f"{kind}-{words[kind]}")


def _is_free(port):
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


_given_ports = set()


def free_port():
    """A port p; p and p + 10000 (the peer port) are free, and below the ephemeral range."""
    dice = random.Random(os.urandom(8))
    for _ in range(1000):
        port = dice.randrange(10001, 20000)
        if port not in _given_ports and _is_free(port) and _is_free(port + 10000):
            _given_ports.add(port)
            return port
    raise Failure("no free port was found")


# ---- Processes -----------------------------------------------------------------------------------

_running = []


def _end_all():
    for process in list(_running):
        if process.poll() is None:
            process.kill()
            process.wait(10)


atexit.register(_end_all)


def binary():
    """The server under test, as an absolute path."""
    return os.path.join(ROOT, os.environ.get("TIDEMARK_BIN", "build/tidemark"))


def tidemark(*arguments, timeout=60.0, status=0):
    """Runs a command of the tidemark program and returns its standard output as text."""
    done = subprocess.run([binary(), *map(str, arguments)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=patience(timeout), check=False)
    if status is not None and done.returncode != status:
        raise Failure(f"tidemark {' '.join(map(str, arguments))}: status {done.returncode}, "
                      f"expected {status}\n{done.stderr.decode('utf-8', 'replace')}")
    return done.stdout.decode("utf-8", "replace")


class Process:
    """A server of any kind on a port of its own: started, asked, stopped or killed by its pid."""

    def __init__(self, name, folder=None, port=None):
        self.name = name
        self.folder = folder or temp_folder(name)
        self.port = port or free_port()
        self.log_path = os.path.join(self.folder, "server.log")
        self.process = None
        self.wrapper = []  # e.g. ["strace", "-D", "-f", "-e", "inject=fdatasync:error=EIO:when=3"]
        self.environment = {}

    def command(self):
        raise NotImplementedError

    def __enter__(self):
        if self.process is None:
            self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is not None and kind is not SystemExit:
            print(f"---- the end of the log of {self.name} (port {self.port})")
            print(self.log_tail() + "----")
        self.kill()

    @property
    def pid(self):
        return self.process.pid

    def start(self, wait=True, timeout=30.0):
        """Starts it; with `wait`, returns when it answers PING."""
        if self.is_running():
            raise Failure(f"{self.name} runs already")
        log = open(self.log_path, "ab")  # pylint: disable=consider-using-with
        with log:
            self.process = subprocess.Popen(  # pylint: disable=consider-using-with
                self.wrapper + self.command(), cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **self.environment})
        _running.append(self.process)
        if wait:
            self.wait_ready(timeout)
        return self

    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def answers(self):
        """True when a PING is answered with PONG, or with NOAUTH."""
        try:
            with self.client(timeout=2.0) as client:
                reply = client.ask("PING")
        except (OSError, ConnectionClosed):
            return False
        return reply == "PONG" or (isinstance(reply, ReplyError) and reply.code == "NOAUTH")

    def wait_ready(self, timeout=30.0):
        timeout = patience(timeout)
        end = time.monotonic() + timeout
        while not self.answers():
            if not self.is_running():
                status = self.process.returncode
                raise ServerDied(f"{self.name} ended with status {status} at its start\n"
                                 + self.log_tail(), status)
            if time.monotonic() > end:
                raise Failure(f"{self.name} does not answer after {timeout} s\n{self.log_tail()}")
            time.sleep(0.02)

    def wait_exit(self, timeout=30.0):
        """Waits for it to end and returns its status (negative: a signal)."""
        timeout = patience(timeout)
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} still runs after {timeout} s\n{self.log_tail()}") from None
        if self.process in _running:
            _running.remove(self.process)
        return status

    def signal(self, number):
        os.kill(self.process.pid, number)

    def stop(self, timeout=30.0):
        """SIGTERM, as an operator does; returns the exit status."""
        self.signal(signal.SIGTERM)
        return self.wait_exit(timeout)

    def kill(self):
        """SIGKILL; does nothing when it does not run."""
        if self.is_running():
            self.process.kill()
        if self.process is not None:
            self.wait_exit()

    def restart(self, **options):
        self.stop()
        return self.start(**options)

    def pause(self):
        self.signal(signal.SIGSTOP)

    def resume(self):
        self.signal(signal.SIGCONT)

    def client(self, timeout=10.0):
        return Client(port=self.port, timeout=timeout)

    def log_text(self):
        try:
            with open(self.log_path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    def log_tail(self, lines=40):
        return "".join(line + "\n" for line in self.log_text().splitlines()[-lines:])


class Server(Process):
    """The server under test. Options are directives: Server(durability="always", maxclients=10).

    An underscore in a keyword stands for a hyphen: log_sync="fdatasync". `options` may be changed
    between two starts. The data is in `server.data`.
    """

    def __init__(self, name="server", folder=None, port=None, **options):
        super().__init__(name, folder, port)
        self.data = os.path.join(self.folder, "data")
        self.http_port = free_port()
        self.options = {key.replace("_", "-"): value for key, value in options.items()}

    def command(self):
        options = {"bind": "127.0.0.1", "port": self.port, "http-port": self.http_port,
                   "dir": self.data, **self.options}
        command = [binary(), "server"]
        for key, value in options.items():
            if value is not None:
                command += [f"--{key}", str(value)]
        return command


class StockRedis(Process):
    """Debian's redis-server, without persistence unless `options` ask for it: to compare with."""

    def __init__(self, name="redis", folder=None, port=None, **options):
        super().__init__(name, folder, port)
        self.options = {key.replace("_", "-"): value for key, value in options.items()}

    def command(self):
        require_command("redis-server")
        options = {"bind": "127.0.0.1", "port": self.port, "dir": self.folder, "save": "",
                   "appendonly": "no", "daemonize": "no", **self.options}
        command = ["redis-server"]
        for key, value in options.items():
            command += [f"--{key}", str(value)]
        return command


# ---- Running -------------------------------------------------------------------------------------

if "TIDEMARK_RUNNER" not in os.environ:
    os.environ.update(environment(temp_folder("reports")))
_reports = Reports(os.environ.get("TIDEMARK_REPORTS"))


def expect_no_reports():
    """No sanitizer has written anything since the last call."""
    found = _reports.new()
    if found:  # the runner shows what was written
        raise Failure("a sanitizer has reported something"
                      + ("" if "TIDEMARK_RUNNER" in os.environ else f":\n{found}"))


@contextlib.contextmanager
def stopped(name="server", **options):
    """A server that was never started; it ends with the block; a failure shows its log."""
    server = Server(name, **options)
    try:
        yield server
    except Exception:
        print(f"---- the end of the log of {server.name}\n{server.log_tail()}----")
        raise
    finally:
        server.kill()


def run(*tests):
    """Runs the functions one after the other, ends the program. Arguments choose by part of name.

    The last line is `N passed, N failed`. The status is 0 only when nothing failed.
    """
    wanted = sys.argv[1:]
    if not os.access(binary(), os.X_OK):
        print(f"{binary()} is not there: run make\n0 passed, 1 failed")
        sys.exit(1)
    passed = failed = 0
    for test in tests:
        if wanted and not any(re.search(part, test.__name__) for part in wanted):
            continue
        start = time.monotonic()
        try:
            try:
                test()
            finally:
                expect_no_reports()
        except Exception:  # pylint: disable=broad-exception-caught
            traceback.print_exc(file=sys.stdout)
            print(f"  FAILED {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            failed += 1
        else:
            print(f"  ok {test.__name__} ({time.monotonic() - start:.1f} s)", flush=True)
            passed += 1
    print(f"{passed} passed, {failed} failed", flush=True)
    sys.exit(1 if failed or not passed else 0)
