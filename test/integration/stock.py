# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Stock replicas: Debian's redis-server as a replica of the server under test, one that is made up
of a socket, a storm of writes over every type, and the comparison of two servers key by key."""
import random
import socket
import threading
import time

from lib import Failure, StockRedis, patience, wait_until
from resp import Client, ConnectionClosed, ReplyError, encode_command

DATABASES = (0, 1, 2)
READ_BYTES = 1 << 16
SHORT_MS = 30  # the time of keys that end while the writers write


# ---- Redis's own replica -------------------------------------------------------------------------

class Replica(StockRedis):
    """A redis-server that is told to follow `primary` when it has started."""

    def __init__(self, primary, name="replica", **options):
        super().__init__(name, **options)
        self.primary = primary

    def start(self, wait=True, timeout=30.0):
        super().start(wait, timeout)
        with self.client() as client:
            client.call("REPLICAOF", "127.0.0.1", self.primary.port)
        return self

    def info(self, name):
        return info_of(self, "replication").get(name)

    def is_linked(self):
        return self.info("master_link_status") == "up"

    def full_syncs(self):
        return self.log_text().count("Full resync from master")


def info_of(server, section):
    with server.client(timeout=30) as client:
        text = client.call("INFO", section)
    text = text.text if hasattr(text, "text") else text
    text = text.decode() if isinstance(text, bytes) else str(text)
    return dict(line.split(":", 1) for line in text.splitlines() if ":" in line)


def settle(primary, *replicas, timeout=60.0):
    """Waits, when no client writes, until every replica has said that it has everything."""
    def settled():
        end = info_of(primary, "replication")["master_repl_offset"]
        return all(replica.is_linked() and replica.info("slave_repl_offset") == end
                   for replica in replicas)
    time.sleep(2 * SHORT_MS / 1000)  # what ends soon has ended
    wait_until(settled, timeout, "a lag of zero", pause=0.1)


# ---- One that is made up -------------------------------------------------------------------------

class Wire:
    """A connection that says what it likes, and reads what a replica is sent."""

    def __init__(self, port, timeout=20.0):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience(timeout))
        self.data = b""
        self.offset = None  # of the next byte of the stream

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def say(self, *words):
        self.socket.sendall(encode_command(*words))

    def more(self):
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise ConnectionClosed("the stream has ended")
        self.data += data

    def line(self):
        """The next line; line ends that only keep the link alive are passed over."""
        while True:
            while self.data.startswith(b"\n"):
                self.data = self.data[1:]
            if b"\r\n" in self.data:
                line, self.data = self.data.split(b"\r\n", 1)
                return line.decode()
            self.more()

    def take(self, count):
        while len(self.data) < count:
            self.more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def ask(self, *words):
        self.say(*words)
        return self.line()

    def dump(self):
        """The dump that comes now, in either frame."""
        head = self.line()
        if not head.startswith("$"):
            raise Failure(f"expected a dump, got {head!r}")
        if not head.startswith("$EOF:"):
            return self.take(int(head[1:]))
        mark = head[5:].encode()
        while not self.data.endswith(mark):
            self.more()
        dump, self.data = self.data[:-len(mark)], b""
        return dump

    def full_sync(self, *capabilities):
        """Everything: the name of the stream, where it goes on, and the dump."""
        for capability in capabilities:
            self.ask("REPLCONF", "capa", capability)
        word, replid, offset = self.ask("PSYNC", "?", "-1").split()
        if word != "+FULLRESYNC":
            raise Failure(f"PSYNC: {word}")
        dump = self.dump()
        if "eof" in capabilities:
            self.say("REPLCONF", "ACK", offset)
        self.offset = int(offset) + 1
        return replid, int(offset), dump

    def command(self):
        """The next command of the stream."""
        head = self.line()
        size = len(head) + 2
        words = []
        for _ in range(int(head[1:])):
            length = self.line()
            words.append(self.take(int(length[1:]) + 2)[:-2])
            size += len(length) + 2 + len(words[-1]) + 2
        if self.offset is not None:
            self.offset += size
        return words

    def commands_until(self, *last):
        commands = []
        while not commands or commands[-1] != [str(word).encode() for word in last]:
            commands.append(self.command())
        return commands

    def is_closed(self, timeout=10.0):
        self.socket.settimeout(patience(timeout))
        try:
            while True:
                self.more()
        except ConnectionClosed:
            return True
        except (ConnectionResetError, BrokenPipeError):
            return True
        except socket.timeout:
            return False


# ---- Writers -------------------------------------------------------------------------------------

class Writer(threading.Thread):
    """Random commands over every type until it is told to stop; counts what must be exact."""

    def __init__(self, server, number, seed, pause=0.0):
        super().__init__(daemon=True)
        self.server, self.number, self.pause = server, number, pause
        self.dice = random.Random(seed * 1000 + number)
        self.stopping = threading.Event()
        self.counted = self.serial = 0
        self.spares = ()  # commands that it leaves alone
        self.databases = DATABASES
        self.failure = None

    def value(self):
        self.serial += 1
        return f"{self.number}.{self.serial}"

    def key(self, kind):
        return f"{kind}{self.dice.randrange(12)}"

    def run(self):
        try:
            with self.server.client(timeout=60) as client:
                while not self.stopping.is_set():
                    self.round(client)
                    if self.pause:
                        time.sleep(self.pause)
        except (OSError, ConnectionClosed):
            pass  # the server was ended
        except Exception as failure:  # pylint: disable=broad-exception-caught
            self.failure = failure

    def round(self, client):
        client.call("SELECT", self.dice.choice(self.databases))
        commands = [self.draw() for _ in range(self.dice.randrange(1, 12))]
        commands = [command for command in commands if command[0] not in self.spares]
        as_one = self.dice.random() < 0.2
        if as_one:
            commands = [("MULTI",), *commands, ("EXEC",)]
        commands += [("SELECT", 0), ("INCR", f"count{self.number}"),
                     ("RPUSH", f"row{self.number}", self.counted)]
        for command in commands:
            client.send(*command)
        for command in commands:
            reply = client.receive()
            if isinstance(reply, ReplyError) and reply.code not in ("ERR", "WRONGTYPE"):
                raise Failure(f"{command}: {reply}")
        self.counted += 1

    def draw(self):  # pylint: disable=too-many-locals
        dice, value, key = self.dice, self.value, self.key
        s, n, l, h, e, z = (key(kind) for kind in "snlhez")
        second = key(dice.choice("snlhez"))
        m = str(dice.randrange(20))
        later = dice.randrange(10**6, 10**7)
        return dice.choice((
            lambda: ("SET", s, value()), lambda: ("SET", s, value(), "PX", later * 100),
            lambda: ("SETEX", s, later, value()), lambda: ("APPEND", s, value()),
            lambda: ("GETSET", s, value()), lambda: ("GETDEL", s),
            lambda: ("GETEX", s, "EX", later), lambda: ("SETRANGE", s, dice.randrange(40), m),
            lambda: ("SETBIT", s, dice.randrange(400), 1), lambda: ("BITOP", "XOR", s, s, key("s")),
            lambda: ("SET", s, value() * 300), lambda: ("MSET", s, value(), key("s"), value()),
            lambda: ("INCRBY", n, dice.randrange(-9, 9)), lambda: ("INCRBYFLOAT", n, "0.25"),
            lambda: ("LPUSH", l, value(), value()),
            lambda: ("RPUSH", l, *(value() for _ in "abcd")),
            lambda: ("LPOP", l), lambda: ("RPOP", l, 2),
            lambda: ("LMOVE", l, key("l"), "LEFT", "RIGHT"),
            lambda: ("LREM", l, 1, value()), lambda: ("LTRIM", l, 0, 60),
            lambda: ("LINSERT", l, "BEFORE", m, value()), lambda: ("LMPOP", 2, l, key("l"), "LEFT"),
            lambda: ("HSET", h, m, value()), lambda: ("HDEL", h, m),
            lambda: ("HINCRBY", h, "n", 3), lambda: ("HINCRBYFLOAT", h, "f", "0.5"),
            lambda: ("SADD", e, value(), m), lambda: ("SPOP", e), lambda: ("SPOP", e, 3),
            lambda: ("SREM", e, m), lambda: ("SMOVE", e, key("e"), m),
            lambda: ("SUNIONSTORE", key("e"), e, key("e")),
            lambda: ("ZADD", z, dice.uniform(-9, 9), m, dice.randrange(9), value()),
            lambda: ("ZINCRBY", z, dice.uniform(-1, 1), m), lambda: ("ZPOPMIN", z, 2),
            lambda: ("ZREMRANGEBYRANK", z, 50, -1), lambda: ("ZUNIONSTORE", z, 2, z, key("z")),
            lambda: ("ZRANGESTORE", key("z"), z, 0, 40),
            lambda: ("DEL", second), lambda: ("UNLINK", second), lambda: ("EXPIRE", second, later),
            lambda: ("PERSIST", second), lambda: ("PEXPIRE", second, dice.randrange(1, SHORT_MS)),
            lambda: ("RENAME", second, second), lambda: ("COPY", e, key("e"), "REPLACE"),
            lambda: ("SORT", l, "ALPHA", "STORE", key("l")), lambda: ("MOVE", second, 1),
            lambda: ("FLUSHDB",) if dice.random() < 0.02 else ("EXISTS", s),
            lambda: ("SWAPDB", 1, 2) if dice.random() < 0.05 else ("GET", s),
            lambda: ("PUBLISH", "news", value()),
        ))()

    def stop(self):
        self.stopping.set()
        self.join(patience(60))
        if self.failure:
            raise self.failure


class Storm:
    """Several writers, for as long as the block lasts."""

    def __init__(self, server, writers=3, seed=1, pause=0.0):
        self.writers = [Writer(server, number, seed, pause) for number in range(writers)]

    def __enter__(self):
        for writer in self.writers:
            writer.start()
        return self

    def __exit__(self, kind, *_):
        for writer in self.writers:
            writer.stop()


# ---- Comparing -----------------------------------------------------------------------------------

READERS = {
    "string": lambda key: ("GET", key),
    "list": lambda key: ("LRANGE", key, 0, -1),
    "hash": lambda key: ("HGETALL", key),
    "set": lambda key: ("SMEMBERS", key),
    "zset": lambda key: ("ZRANGE", key, 0, -1, "WITHSCORES"),
}


def shape(kind, value):
    """What of a reply must be the same: sets and hashes have no order."""
    if kind == "set":
        return sorted(value)
    if kind == "hash":
        pairs = value.items() if isinstance(value, dict) else zip(value[::2], value[1::2])
        return sorted(pairs)
    return value


def ask_all(client, commands, at_once=200):
    return [reply for first in range(0, len(commands), at_once)
            for reply in client.pipeline(*commands[first:first + at_once])]


def content(server, databases=range(16)):
    """Everything that a server holds: {(database, key): (type, expiry, value)}."""
    found = {}
    with Client(port=server.port, timeout=patience(60)) as client:
        for database in databases:
            client.call("SELECT", database)
            keys = client.call("KEYS", "*")
            heads = ask_all(client, [(word, key) for key in keys
                                     for word in ("TYPE", "PEXPIRETIME")])
            kinds, expiries = [str(kind) for kind in heads[::2]], heads[1::2]
            values = ask_all(client, [READERS[kind](key) for kind, key in zip(kinds, keys)])
            for key, kind, expiry, value in zip(keys, kinds, expiries, values):
                found[database, key] = (kind, expiry, shape(kind, value))
    return found


def expect_equal(one, other):
    """Two servers hold the same: keys, types, values, order, times."""
    ours, theirs = content(one), content(other)
    if ours == theirs:
        return len(ours)
    missing = sorted(set(ours) - set(theirs))[:5]
    extra = sorted(set(theirs) - set(ours))[:5]
    differ = [(key, str(ours[key])[:300], str(theirs[key])[:300])
              for key in ours if key in theirs and ours[key] != theirs[key]][:5]
    raise Failure(f"{one.name} and {other.name} differ: missing {missing}, extra {extra}, "
                  f"others {differ}")
