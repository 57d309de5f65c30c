# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""A small client of the Redis protocol, RESP2 and RESP3, for tests.

    client = Client(port=7379)
    client.call("SET", "a", 1)                     'OK'; an error reply is raised as ReplyError
    client.ask("INCR", "text")                     the same, but an error reply is returned
    client.pipeline(["GET", "a"], ["GET", "b"])    all are sent, then all replies are read
    client.send("GET", "a"); client.receive()      the two halves
    client.send_bytes(b"*1\\r\\n$4\\r\\nPI")           what no client would send
    client.receive_strings()                       an array of many strings, read at once
    client.hello(3)                                from now on RESP3

Replies as Python values: simple string -> str, bulk string -> bytes, integer and big number -> int,
null -> None, array -> list, map -> dict, set -> SetReply (a list), double -> float, boolean ->
bool, verbatim string -> Verbatim (bytes with a format), push -> Push (a list), error -> ReplyError.
Pushes that come while a reply is awaited are put into client.pushes. The timeout bounds each wait;
with a sanitized server it is longer than what is said.
"""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../scripts"))
from sanitizers import patience  # noqa: E402 (found by the line above)


class ReplyError(Exception):
    """An error reply; `code` is its first word. Two are equal when their texts are."""

    def __init__(self, text):
        super().__init__(text)
        self.text = text
        self.code = text.split(" ")[0]

    def __eq__(self, other):
        return isinstance(other, ReplyError) and self.text == other.text

    def __hash__(self):
        return hash(self.text)


class ConnectionClosed(Exception):
    """The other side ended the connection."""


class ProtocolError(Exception):
    """The other side sent something that is no RESP."""


class SetReply(list):
    """A RESP3 set, in the order in which it came."""


class Push(list):
    """A RESP3 push message."""


class Verbatim(bytes):
    """A RESP3 verbatim string; `format` is its three letters."""
    format = "txt"


def encode_argument(argument):
    if isinstance(argument, (bytes, bytearray)):
        return bytes(argument)
    if isinstance(argument, float):
        return repr(argument).encode()
    return str(argument).encode("utf-8", "surrogateescape")


def encode_command(*arguments):
    parts = [b"*%d\r\n" % len(arguments)]
    for argument in map(encode_argument, arguments):
        parts += [b"$%d\r\n" % len(argument), argument, b"\r\n"]
    return b"".join(parts)


class Client:
    """One connection, over TCP or (path=...) a Unix socket."""

    def __init__(self, port=None, host="127.0.0.1", path=None, timeout=10.0):
        timeout = patience(timeout)
        if path is not None:
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(timeout)
            self.socket.connect(path)
        else:
            self.socket = socket.create_connection((host, port), timeout=timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pushes = []
        self.attributes = []
        self._held = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def set_timeout(self, seconds):
        self.socket.settimeout(patience(seconds))

    # ---- Commands ----

    def send(self, *arguments):
        self.send_bytes(encode_command(*arguments))

    def send_bytes(self, data):
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise ConnectionClosed(str(error)) from error

    def ask(self, *arguments):
        self.send(*arguments)
        return self.receive()

    def call(self, *arguments):
        reply = self.ask(*arguments)
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def pipeline(self, *commands):
        """Each command is a list; returns the replies in order, errors as ReplyError."""
        self.send_bytes(b"".join(encode_command(*c) for c in commands))
        return [self.receive() for _ in commands]

    def transaction(self, *commands):
        """MULTI, the commands, EXEC; returns EXEC's reply."""
        reply = self.pipeline(["MULTI"], *commands, ["EXEC"])[-1]
        if isinstance(reply, ReplyError):
            raise reply
        return reply

    def hello(self, protocol, *more):
        return self.call("HELLO", protocol, *more)

    def info(self, *sections):
        """INFO as a dict of texts."""
        text = bytes(self.call("INFO", *sections)).decode("utf-8", "replace")
        lines = (line for line in text.split("\r\n") if line and not line.startswith("#"))
        return {name: value for name, _, value in (line.partition(":") for line in lines)}

    # ---- Replies ----

    def receive(self):
        """The next reply; pushes before it are put aside."""
        while True:
            reply = self._read()
            if not isinstance(reply, Push):
                return reply
            self.pushes.append(reply)

    def receive_push(self):
        """The next push, or one that was put aside."""
        if self.pushes:
            return self.pushes.pop(0)
        reply = self._read()
        if not isinstance(reply, Push):
            raise ProtocolError(f"a push was expected, not {reply!r}")
        return reply

    def receive_strings(self):
        """The next reply, an array of strings without line ends: many of them are read fast."""
        line = self._line()
        if line[:1] == b"-":
            raise ReplyError(line[1:].decode("utf-8", "surrogateescape"))
        if not re.fullmatch(rb"\*\d+", line):
            raise ProtocolError(f"an array was expected, not {line[:40]!r}")
        lines = 2 * int(line[1:])
        while self._held.count(b"\r\n") < lines:
            self._fill()
        *parts, rest = bytes(self._held).split(b"\r\n", lines)
        self._held[:] = rest
        strings = parts[1::2]
        if parts[::2] != [b"$%d" % len(string) for string in strings]:
            raise ProtocolError(f"an array of {lines // 2} strings whose sizes are wrong")
        return strings

    def receive_bytes(self, count):
        return self._take(count)

    def is_silent(self, seconds):
        """True when nothing arrives for that long."""
        if self._held:
            return False
        before = self.socket.gettimeout()
        self.socket.settimeout(seconds)
        try:
            self._fill()
        except TimeoutError:
            return True
        finally:
            self.socket.settimeout(before)
        return False

    def is_closed(self, seconds=10.0):
        """True when the other side closes within that time; what it sends is dropped."""
        self.socket.settimeout(patience(seconds))
        try:
            while True:
                self._fill()
        except TimeoutError:
            return False
        except ConnectionClosed:
            return True

    # ---- Reading ----

    def _fill(self):
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError as error:
            raise ConnectionClosed(str(error)) from error
        if not data:
            raise ConnectionClosed("end of stream")
        self._held += data

    def _take(self, count):
        while len(self._held) < count:
            self._fill()
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def _line(self):
        start = 0
        while True:
            end = self._held.find(b"\r\n", start)
            if end >= 0:
                return self._take(end + 2)[:-2]
            start = max(0, len(self._held) - 1)
            self._fill()

    def _bulk(self, line):
        count = int(line)
        if count < 0:
            return None
        data = self._take(count + 2)
        if data[-2:] != b"\r\n":
            raise ProtocolError(f"a string of {count} bytes ends with {data[-2:]!r}")
        return data[:-2]

    def _items(self, line):
        count = int(line)
        return None if count < 0 else [self._read() for _ in range(count)]

    def _map(self, line):
        pairs = [(self._read(), self._read()) for _ in range(int(line))]
        try:
            return dict(pairs)
        except TypeError:  # a key is a list: keep the pairs
            return pairs

    def _verbatim(self, line):
        data = self._bulk(line)
        text = Verbatim(data[4:])
        text.format = data[:3].decode("ascii", "replace")
        return text

    def _attribute(self, line):
        self.attributes.append(self._map(line))
        return self._read()

    def _boolean(self, line):
        if line not in (b"t", b"f"):
            raise ProtocolError(f"a boolean {line!r}")
        return line == b"t"

    def _read(self):
        line = self._line()
        readers = {
            b"+": lambda text: text.decode("utf-8", "surrogateescape"),
            b"-": lambda text: ReplyError(text.decode("utf-8", "surrogateescape")),
            b":": int,
            b"$": self._bulk,
            b"*": self._items,
            b"%": self._map,
            b"~": lambda text: SetReply(self._items(text)),
            b">": lambda text: Push(self._items(text)),
            b"_": lambda text: None,
            b"#": self._boolean,
            b",": float,
            b"(": int,
            b"=": self._verbatim,
            b"!": lambda text: ReplyError(self._bulk(text).decode("utf-8", "surrogateescape")),
            b"|": self._attribute,
        }
        reader = readers.get(line[:1])
        if reader is None:
            raise ProtocolError(f"a reply that begins with {line[:40]!r}")
        try:
            return reader(line[1:])
        except ValueError as error:
            raise ProtocolError(f"{line[:40]!r}: {error}") from error
