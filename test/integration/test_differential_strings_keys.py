#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 120
"""Strings, bitmaps, keys of any type, databases, transactions and keyspace events against Debian's
redis-server: the same random commands go to both, every reply must be the same, and both must tell
the same events in the same order.

TIDEMARK_SEED=n chooses another sequence, TIDEMARK_ROUNDS=n its length. With
TIDEMARK_COMPARE=port,port two servers that run already are compared (both are flushed).
"""
import os
import random
import time

from lib import Failure, Server, StockRedis, patience, require_command, run
from resp import Client

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))
ROUNDS = int(os.environ.get("TIDEMARK_ROUNDS", "150"))  # of BATCH commands
BATCH = 60
SECONDS_MAX = patience(16.0)  # for each protocol
DATABASES = 3
LARGE = 9223372036854775807

KEYS = ["a", "b", "c", "d", "n", "m", "bits", "bits2", "none", "h", "s", "l", "z"]
VALUES = ["", "0", "1", "-1", "7", "10", "hello", "world", "a\0b", "\xff\xfe", "3.5", "1e3", " 5",
          "9223372036854775807", "-9223372036854775808", "9223372036854775808", "012", "+3",
          "abcabcabdabc", "x" * 43, "x" * 70, "0x1f", "nan", "inf", "1.0", "5.0e3", "-0"]
NUMBERS = ["0", "1", "-1", "2", "3", "7", "8", "15", "100", "-5", "-100", "4095", "1000000"]
JUNK = ["junk", "", "-1", "0", "77777", "nx", "xx", "ex", "px", "get", "keepttl",
    "99999999999999999999",
        "9223372036854775807", "-9223372036854775808", "3.0", "*", "bit", "byte", "replace", "db"]
TIMES = ["100", "1000", "100000", "0", "-1", "x", "9223372036854775807", "9223372036854775", "1e3"]
LATER = ["100", "1000", "100000", "9223372036854775"]  # of these

# The two servers get a command at different moments, and the ends of the lifetime that it gives
# differ by so much: GT and LT must not be asked to compare ends that are close. So in seconds,
# modulo STEP, a lifetime is 0, 100 or 1000, a time of day 4000 from the beginning on, a lifetime
# under GT or LT 7000, each of these once. Times of day alone may be equal: they are exact.
STEP = 10000
TIME_OF_DAY, COMPARED = 4000, 7000

# Replies that tell a time: equal within so much.
TIMED = {b"TTL": 1, b"PTTL": 3000, b"EXPIRETIME": 2, b"PEXPIRETIME": 3000}
UNORDERED = {b"KEYS", b"SCAN"}


class Commands:
    """Draws commands."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.start = int(time.time())
        self.compared = [STEP * i + COMPARED for i in range(ROUNDS * BATCH)]
        self.dice.shuffle(self.compared)
        makers = {self.set: 16, self.get: 10, self.count: 10, self.part: 10, self.several: 6,
                  self.bit: 12, self.bitop: 5, self.bitfield: 8, self.lcs: 3, self.generic: 12,
                  self.expire: 10, self.time: 5, self.place: 6, self.other: 8, self.inside: 4,
                  self.database: 2}
        self.makers, self.weights = list(makers), list(makers.values())

    def key(self):
        return self.dice.choice(KEYS)

    def value(self):
        return self.dice.choice(VALUES)

    def number(self):
        return self.dice.choice(NUMBERS if self.dice.random() < 0.9 else VALUES)

    def draw(self):
        make = self.dice.choices(self.makers, self.weights)[0]
        command = [str(word) for word in make()]
        if self.dice.random() < 0.07 and command[0] not in ("MEMORY", "SELECT", "OBJECT"):
            way = self.dice.randrange(3)
            junk = self.dice.choice(JUNK)
            if junk == "77777" and {"GT", "LT"} & set(command):
                junk = "0"  # as a lifetime it could come twice
            if way == 0 and len(command) > 1:
                del command[self.dice.randrange(1, len(command))]
            elif way == 1:
                command.insert(self.dice.randint(1, len(command)), junk)
            elif len(command) > 1:
                command[self.dice.randrange(1, len(command))] = junk
        return [word.encode("latin-1") for word in command]

    # ---- Each draws one command ----

    def time_of_day(self):
        return self.start + TIME_OF_DAY + STEP * self.dice.choice([0, 1, 2, 100, 1000, 5000])

    def lifetime(self):
        word = self.dice.choice(["EX", "PX", "EXAT", "PXAT", "ex"])
        if word in ("EXAT", "PXAT"):
            return [word, self.time_of_day() * (1000 if word == "PXAT" else 1)]
        span = self.dice.choice(TIMES)
        if word == "PX" and span.isdigit() and int(span) < 100000:
            span = "100000"
        return [word, span]

    def set(self):
        command = ["SET", self.key(), self.value()]
        for _ in range(self.dice.choice([0, 0, 0, 1, 1, 2, 3])):
            command += self.dice.choice([["NX"], ["XX"], ["GET"], ["KEEPTTL"], self.lifetime(),
                                         self.lifetime()])
        return command

    def get(self):
        dice = self.dice
        return dice.choice([
            lambda: ["GET", self.key()], lambda: ["STRLEN", self.key()],
            lambda: ["GETSET", self.key(), self.value()], lambda: ["GETDEL", self.key()],
            lambda: ["GETEX", self.key(), *dice.choice([[], ["PERSIST"], self.lifetime()])],
            lambda: ["GETEX", self.key(), *self.lifetime(), *dice.choice([[], ["PERSIST"]])],
            lambda: ["GETEX", self.key(), dice.choice(["EXAT", "PXAT"]), 1000],
            lambda: ["SETNX", self.key(), self.value()],
            lambda: ["SETEX", self.key(), dice.choice(TIMES), self.value()],
            lambda: ["PSETEX", self.key(), dice.choice(["100000", "0", "-1", "x", LARGE]),
                     self.value()],
        ])()

    def count(self):
        name = self.dice.choice(["INCR", "DECR", "INCRBY", "DECRBY", "INCRBYFLOAT"])
        command = [name, self.dice.choice(["n", "m", "n", "m", self.key()])]
        if name == "INCRBYFLOAT":
            command.append(self.dice.choice(["0.1", "-0.1", "1.5", "3", "1e10", "-7.75", "inf", "x",
                                             "1e400", "5.0e3", " 1", "1e-17", "0x10"]))
        elif name.endswith("BY"):
            command.append(self.dice.choice(NUMBERS + [LARGE, -LARGE, -LARGE - 1, "x", "1.5", ""]))
        return command

    def part(self):
        name = self.dice.choice(["APPEND", "SETRANGE", "GETRANGE", "SUBSTR"])
        if name == "APPEND":
            return [name, self.key(), self.value()]
        if name == "SETRANGE":
            offset = self.dice.choice(["0", "1", "3", "10", "50", "-1", "536870911", "536870912",
                                       LARGE, "x"])
            if offset == "536870911":
                offset = "536870912"  # half a gigabyte is too much for a test
            return [name, self.key(), offset, self.value()]
        return [name, self.key(), self.number(), self.number()]

    def several(self):
        keys = [self.key() for _ in range(self.dice.randint(1, 4))]
        name = self.dice.choice(["MGET", "MSET", "MSETNX"])
        if name == "MGET":
            return [name, *keys]
        command = [name]
        for key in keys:
            command += [key if name == "MSET" else self.dice.choice([key, "new1", "new2"]),
                        self.value()]
        return command

    def bits_key(self):
        return self.dice.choice(["bits", "bits2", self.key()])

    def unit(self):
        return self.dice.choice([[], [], ["BIT"], ["BYTE"], ["bits"]])

    def bit(self):
        dice = self.dice
        return dice.choice([
            lambda: ["SETBIT", self.bits_key(), self.number(), dice.choice([0, 1, 1, 1, 2, "x"])],
            lambda: ["GETBIT", self.bits_key(), self.number()],
            lambda: ["BITCOUNT", self.bits_key()],
            lambda: ["BITCOUNT", self.bits_key(), self.number(), self.number(), *self.unit()],
            lambda: ["BITPOS", self.bits_key(), dice.choice([0, 1, 2])],
            lambda: ["BITPOS", self.bits_key(), dice.choice([0, 1]), self.number()],
            lambda: ["BITPOS", self.bits_key(), dice.choice([0, 1]), self.number(), self.number(),
                     *self.unit()],
            lambda: ["SET", self.bits_key(), dice.choice(["\xff" * 9, "\0" * 9, "\xff\xf0\x00",
                                                         "\0\0\x0f\xff", ""])],
        ])()

    def bitop(self):
        keys = [self.bits_key() for _ in range(self.dice.randint(1, 3))]
        name = self.dice.choice(["AND", "OR", "XOR", "NOT", "not", "nand"])
        return ["BITOP", name, self.key(), *(keys[:1] if name == "NOT" else keys)]

    def bitfield(self):
        name = self.dice.choice(["BITFIELD", "BITFIELD", "BITFIELD", "BITFIELD_RO"])
        command = [name, self.bits_key()]
        for _ in range(self.dice.randint(0, 4)):
            kind = self.dice.choice(["GET", "SET", "INCRBY", "OVERFLOW"])
            if name == "BITFIELD_RO" and self.dice.random() < 0.8:
                kind = "GET"
            if kind == "OVERFLOW":
                command += [kind, self.dice.choice(["WRAP", "SAT", "FAIL", "sat", "x"])]
                continue
            width = self.dice.choice([1, 2, 3, 5, 8, 13, 16, 31, 32, 33, 63, 64, 65, 0])
            place = self.dice.choice([0, 1, 3, 7, 8, 20, 64, 100, "#0", "#1", "#3", "#x", -1])
            command += [kind, self.dice.choice("iiuuix") + str(width), place]
            if kind != "GET":
                command.append(self.dice.choice([0, 1, -1, 5, 100, -100, 127, 128, 255, 256, LARGE,
                                                 -LARGE - 1, 2**31, -2**31, "x"]))
        return command

    def lcs(self):
        command = ["LCS", self.key(), self.key()]
        for _ in range(self.dice.choice([0, 0, 1, 2, 3])):
            command += self.dice.choice([["LEN"], ["IDX"], ["IDX"], ["WITHMATCHLEN"],
                                         ["MINMATCHLEN", self.dice.choice([0, 1, 2, 3, -1, "x"])]])
        return command

    def generic(self):
        name = self.dice.choice(["DEL", "UNLINK", "EXISTS", "TOUCH", "TYPE", "KEYS", "DBSIZE"])
        if name == "DBSIZE":
            return [name]
        if name == "KEYS":
            return [name, self.dice.choice(["*", "?", "b*", "[a-c]", "[^a-c]", "\\a", "*s*"])]
        if name == "TYPE":
            return [name, self.key()]
        return [name] + [self.key() for _ in range(self.dice.randint(1, 3))]

    def expire(self):
        name = self.dice.choice(["EXPIRE", "PEXPIRE", "EXPIREAT", "PEXPIREAT", "PERSIST"])
        if name == "PERSIST":
            return [name, self.key()]
        words = self.dice.choice([[], [], ["NX"], ["XX"], ["GT"], ["LT"], ["XX", "GT"],
                                  ["NX", "XX"], ["GT", "LT"], ["NX", "GT"], ["zz"]])
        compares = not name.endswith("AT") and {"GT", "LT"} & set(words)
        if name.endswith("AT"):
            seconds = self.time_of_day()
        elif compares:
            seconds = self.compared.pop()
        else:
            seconds = self.dice.randrange(STEP, 10**8, STEP)
        given = seconds * 1000 if name[0] == "P" else seconds
        span = self.dice.choice([given, self.dice.choice(TIMES)])
        if span in LATER and (compares or name.endswith("AT") and self.dice.random() < 0.7):
            span = given
        elif name == "PEXPIRE" and span in ("100", "1000"):
            span = "100000"
        return [name, self.key(), span, *words]

    def time(self):
        return [self.dice.choice(["TTL", "PTTL", "EXPIRETIME", "PEXPIRETIME"]), self.key()]

    def place(self):
        dice = self.dice
        database = dice.choice([0, 1, 2, 2, 15, 16, -1, "x", LARGE])
        return dice.choice([
            lambda: ["RENAME", self.key(), self.key()], lambda: ["RENAMENX", self.key(),
                    self.key()],
            lambda: ["MOVE", self.key(), database],
            lambda: ["COPY", self.key(), self.key(), *dice.choice([[], ["REPLACE"]])],
            lambda: ["COPY", self.key(), self.key(), "DB", database, *dice.choice([[],
            ["REPLACE"]])],
        ])()

    def other(self):
        dice = self.dice
        return dice.choice([
            lambda: ["HSET", "h", "f%d" % dice.randrange(5), self.value()],
            lambda: ["SADD", "s", self.value()], lambda: ["RPUSH", "l", self.value()],
            lambda: ["ZADD", "z", dice.randrange(5), "m%d" % dice.randrange(4)],
            lambda: ["HSET", self.key(), "f", "1"], lambda: ["RPUSH", self.key(), "1", "2"],
            lambda: ["LRANGE", self.key(), 0, -1], lambda: ["ZRANGE", self.key(), 0, -1],
        ])()

    def inside(self):
        return self.dice.choice([
            lambda: ["OBJECT", self.dice.choice(["REFCOUNT", "IDLETIME"]), "nothing"],
            lambda: ["OBJECT", "FREQ", self.key()],
            lambda: ["MEMORY", "USAGE", "nothing"],
            lambda: ["MEMORY", "USAGE", self.key(), "SAMPLES", "x"],
            lambda: ["SCAN", self.dice.choice(["x", "-", "1x"])],
            lambda: ["SCAN", "0", "COUNT", self.dice.choice(["0", "x", "-1"])],
        ])()

    def database(self):
        return self.dice.choice([
            lambda: ["SWAPDB", self.dice.randrange(DATABASES), self.dice.randrange(DATABASES)],
            lambda: ["SWAPDB", self.dice.choice([0, "x", 16, -1]), self.dice.choice([0, "y", 16])],
            lambda: ["SELECT", self.dice.randrange(DATABASES)],
            lambda: ["SELECT", self.dice.choice([16, -1, "abc", 2147483648, -2147483649,
                                                 99999999999999999999])],
            lambda: ["FLUSHDB", *self.dice.choice([[], ["SYNC"], ["ASYNC"], ["x"]])],
            lambda: ["FLUSHALL", *self.dice.choice([["x"], ["SYNC", "ASYNC"]])],
        ])()


# ---- Comparing -----------------------------------------------------------------------------------

def equal(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


class Pair:
    """The product and Redis, a connection to each, and one that listens to all events."""

    def __init__(self, ports, protocol):
        self.clients = [Client(port=port, timeout=60) for port in ports]
        self.listeners = [Client(port=port, timeout=10) for port in ports]
        self.asked = self.told = 0
        self.last = []
        for client, listener in zip(self.clients, self.listeners):
            client.call("FLUSHALL")
            client.call("CONFIG", "SET", "notify-keyspace-events", "EAn")
            if protocol == 3:
                client.hello(3)
            listener.call("PSUBSCRIBE", "__keyevent@*")

    def close(self):
        for client in self.clients + self.listeners:
            client.close()

    def check(self, good, command, ours, theirs):
        if not good:
            last = "\n".join(f"    {each!r}" for each in self.last[-12:])
            raise Failure(f"seed {SEED}, after {self.asked} commands: {command!r}\n"
                          f"  ours   {ours!r}\n  theirs {theirs!r}\n  before:\n{last}")

    def compare(self, command, ours, theirs):
        name = command[0].upper()
        good = equal(ours, theirs)
        if not good and type(ours) is type(theirs):
            if name in TIMED and isinstance(ours, int):
                good = abs(ours - theirs) <= TIMED[name]
            elif name == b"SCAN" and isinstance(ours, list):
                good = True  # where a walk goes is each server's own affair
            elif name in UNORDERED and isinstance(ours, list):
                good = sorted(ours) == sorted(theirs)
        self.check(good, command, ours, theirs)
        self.last = self.last[-12:] + [command]

    def ask_all(self, commands):
        replies = [client.pipeline(*commands) for client in self.clients]
        for command, ours, theirs in zip(commands, *replies):
            self.compare(command, ours, theirs)
        self.asked += len(commands)

    def compare_events(self, commands):
        """The events of all commands so far: a last one of our own tells where they end."""
        heard = []
        for client, listener in zip(self.clients, self.listeners):
            client.call("PUBLISH", "__keyevent@end", "end")
            events = []
            while True:
                message = listener.receive()
                message = list(message)
                if message[-1] == b"end":
                    break
                if not message[-2].endswith(b":expired"):  # told when it is found, not when it ends
                    events.append(message[-2:])
            heard.append(events)
        self.told += len(heard[0])
        self.check(heard[0] == heard[1], commands, *heard)


def compare(ports, protocol):
    pair = Pair(ports, protocol)
    commands = Commands(SEED * 10 + protocol)
    end = time.monotonic() + SECONDS_MAX
    for _ in range(ROUNDS):
        if time.monotonic() > end:
            break
        batch = [commands.draw() for _ in range(BATCH)]
        pair.ask_all(batch)
        pair.compare_events(batch)
        transaction = [command for command in (commands.draw() for _ in range(4))
                       if command[0] not in UNORDERED and command[0] not in TIMED]
        pair.ask_all([[b"MULTI"], *transaction, [b"EXEC"]])
        pair.compare_events(transaction)
    pair.close()
    print(f"    {pair.asked} commands, {pair.told} events, seed {SEED}, RESP{protocol}")
    if pair.asked < 1000 or pair.told < 300:
        raise Failure(f"only {pair.asked} commands in {SECONDS_MAX} s")


def watches(ports, protocol):
    """EXEC fails where a watched key was touched. A key that was absent may count as touched by a
    command that only named it; else both agree."""
    pair = Pair(ports, protocol)
    others = [Client(port=port, timeout=10) for port in ports]
    touches = [["SET", "k", "2"], ["DEL", "k"], ["SET", "other", "1"], ["APPEND", "k", ""],
               ["EXPIRE", "k", "1000"], ["FLUSHALL"], ["SWAPDB", "0", "1"], ["SELECT", "1"],
               ["RENAME", "k", "j"], ["PERSIST", "k"], ["TYPE", "k"], ["INCR", "k"],
               ["SETRANGE", "k", "0", ""], ["GETEX", "k", "EX", "100"], ["LPUSH", "k", "x"]]
    for present in (True, False):
        for touch in touches:
            for client in pair.clients:
                client.call("FLUSHALL")
                if present:
                    client.call("SET", "k", "1")
                client.call("WATCH", "k")
            for other in others:
                other.ask(*touch)
                other.call("SELECT", "0")
            ours, theirs = (client.pipeline(["MULTI"], ["GET", "k"], ["SET", "seen", 1], ["EXEC"],
                                            ["GET", "seen"]) for client in pair.clients)
            if present or theirs[3] is None:
                pair.check(ours == theirs, [touch, present], ours, theirs)
            pair.check((ours[3] is None) == (ours[4] is None), [touch, present], ours, theirs)
    for other in others:
        other.close()
    pair.close()


ODD = [
    [b"SET", b"k", b"v", b"EX", b"10", b"EX", b"20"], [b"TTL", b"k"],
    [b"SET", b"k", b"v", b"EX", b"10", b"PX", b"20"], [b"SET", b"k", b"v", b"KEEPTTL", b"EX", b"1"],
    [b"SET", b"k", b"v", b"NX", b"GET"], [b"SET", b"q", b"v", b"NX", b"GET"], [b"GET", b"q"],
    [b"SET", b"k", b"v", b"NX", b"XX"], [b"SET", b"k", b"v", b"PERSIST"],
    [b"SET", b"k", b"v", b"EX"], [b"SET", b"k", b"v", b"EXAT", b"1"], [b"GET", b"k"],
    [b"SET", b"k", b"v", b"PXAT", b"1"], [b"EXISTS", b"k"], [b"SET", b"k", b"v"],
    [b"SET", b"k", b"v", b"EX", b"9223372036854775807"],
    [b"SET", b"k", b"v", b"PX", b"9223372036854775807"],
    [b"EXPIRE", b"k", b"9223372036854775807"], [b"PEXPIRE", b"k", b"9223372036854775807"],
    [b"EXPIREAT", b"k", b"-9223372036854775808"], [b"EXPIRE", b"k", b"-1"], [b"EXISTS", b"k"],
    [b"RPUSH", b"l", b"1"], [b"SET", b"l", b"v", b"GET"], [b"SET", b"l", b"v", b"NX", b"GET"],
    [b"GETSET", b"l", b"v"], [b"GETDEL", b"l"], [b"GETEX", b"l", b"EX", b"x"],
    [b"APPEND", b"l", b"x"],
    [b"SET", b"l", b"string"], [b"TYPE", b"l"], [b"LRANGE", b"l", b"0", b"-1"],
    [b"MSET", b"x", b"1", b"x", b"2"], [b"GET", b"x"], [b"MSET", b"x"],
    [b"MSETNX", b"x", b"1", b"y"],
    [b"MSETNX", b"fresh", b"1", b"fresh", b"2"], [b"GET", b"fresh"],
    [b"SETRANGE", b"none", b"5", b""], [b"SETRANGE", b"none", b"536870912", b"x"],
    [b"SETRANGE", b"none", b"536870911", b"xx"], [b"SETRANGE", b"none", b"-1", b"x"],
    [b"SETRANGE", b"g", b"4", b"x"], [b"GET", b"g"], [b"GETRANGE", b"g", b"-1", b"-5"],
    [b"GETRANGE", b"g", b"0", b"9223372036854775807"], [b"GETRANGE", b"none", b"x", b"1"],
    [b"GETRANGE", b"g", b"-9223372036854775808", b"-9223372036854775808"],
    [b"BITCOUNT", b"g", b"0"], [b"BITCOUNT", b"none", b"0"],
    [b"BITCOUNT", b"none", b"x", b"y", b"z"],
    [b"BITCOUNT", b"g", b"0", b"-1", b"NIBBLE"], [b"BITCOUNT", b"g", b"-1", b"-3", b"BIT"],
    [b"BITPOS", b"g", b"0", b"-11", b"-20"], [b"BITPOS", b"g", b"1", b"9", b"3"],
    [b"BITPOS", b"none", b"1", b"x"], [b"BITPOS", b"none", b"0", b"1", b"2", b"what"],
    [b"BITPOS", b"g", b"0", b"0", b"-1", b"what"], [b"SET", b"e", b""], [b"BITPOS", b"e", b"0"],
    [b"BITPOS", b"e", b"0", b"0", b"-1"], [b"BITCOUNT", b"e"], [b"SET", b"f", b"\xff\xff"],
    [b"BITPOS", b"f", b"0"], [b"BITPOS", b"f", b"0", b"0", b"-1"], [b"BITPOS", b"f", b"0", b"1"],
    [b"BITPOS", b"f", b"0", b"2"], [b"BITPOS", b"f", b"0", b"3", b"-1", b"BIT"],
    [b"BITPOS", b"f", b"1", b"3", b"-1", b"BIT"],
    [b"BITOP", b"NOT", b"d", b"f", b"f"], [b"BITOP", b"XOR", b"d", b"f", b"f"], [b"GET", b"d"],
    [b"BITOP", b"AND", b"d", b"none"], [b"EXISTS", b"d"],
    [b"BITOP", b"OR", b"d", b"f", b"l", b"none"],
    [b"HSET", b"h", b"a", b"b"], [b"BITOP", b"OR", b"d", b"f", b"h"],
    [b"BITOP", b"AND", b"h", b"f"],
    [b"TYPE", b"h"], [b"SETBIT", b"sb", b"4294967296", b"1"], [b"SETBIT", b"sb", b"-1", b"1"],
    [b"SETBIT", b"sb", b"1", b"2"], [b"SETBIT", b"sb", b"x", b"x"],
    [b"GETBIT", b"sb", b"4294967295"],
    [b"BITFIELD", b"bf"], [b"BITFIELD", b"bf", b"GET", b"u8"], [b"EXISTS", b"bf"],
    [b"BITFIELD", b"bf", b"OVERFLOW", b"FAIL", b"INCRBY", b"u2", b"100", b"5"], [b"STRLEN", b"bf"],
    [b"BITFIELD", b"bf", b"SET", b"u63", b"0", b"-1", b"GET", b"i64", b"0"],
    [b"BITFIELD", b"bf", b"SET", b"i64", b"0", b"-9223372036854775808", b"INCRBY", b"i64", b"0",
        b"-1"],
    [b"BITFIELD", b"bf", b"OVERFLOW", b"SAT", b"INCRBY", b"i64", b"0", b"9223372036854775807"],
    [b"BITFIELD", b"bf", b"GET", b"u64", b"0"], [b"BITFIELD", b"bf", b"GET", b"i", b"0"],
    [b"BITFIELD", b"bf", b"SET", b"u8", b"#9223372036854775807", b"1"],
    [b"BITFIELD_RO", b"bf", b"SET", b"u8", b"0", b"1"], [b"BITFIELD_RO", b"h", b"GET", b"u8", b"0"],
    [b"INCRBYFLOAT", b"fl", b"3.0e3"], [b"INCRBYFLOAT", b"fl", b"1e4932"],
    [b"INCRBYFLOAT", b"fl", b"-inf"], [b"INCRBYFLOAT", b"fl", b"0x1p3"], [b"INCR", b"fl"],
    [b"SET", b"i", b"9223372036854775807"], [b"INCR", b"i"], [b"INCRBYFLOAT", b"i", b"1"],
    [b"SET", b"i", b" 1"], [b"INCR", b"i"], [b"INCRBYFLOAT", b"i", b"1"],
    [b"DECRBY", b"i2", b"-9223372036854775808"], [b"DECRBY", b"i2", b"9223372036854775807"],
    [b"LCS", b"k", b"h"], [b"SET", b"p", b"ohmytext"], [b"SET", b"q", b"mynewtext"],
    [b"LCS", b"p", b"q"], [b"LCS", b"p", b"q", b"LEN"], [b"LCS", b"p", b"q", b"IDX"],
    [b"LCS", b"p", b"q", b"IDX", b"MINMATCHLEN", b"4", b"WITHMATCHLEN"],
    [b"LCS", b"p", b"q", b"IDX", b"LEN"], [b"LCS", b"p", b"q", b"MINMATCHLEN"],
    [b"RENAME", b"p", b"p"], [b"RENAMENX", b"p", b"p"], [b"RENAME", b"none", b"none"],
    [b"MOVE", b"p", b"0"], [b"MOVE", b"p", b"99"], [b"MOVE", b"p", b"2147483648"],
    [b"COPY", b"p", b"p"], [b"COPY", b"p", b"p", b"DB", b"1"], [b"COPY", b"p", b"p2", b"DB"],
    [b"COPY", b"p", b"p2", b"DB", b"x"], [b"COPY", b"none", b"p"], [b"COPY", b"p", b"h"],
    [b"COPY", b"h", b"p", b"REPLACE", b"REPLACE"], [b"HGETALL", b"p"],
    [b"OBJECT", b"ENCODING", b"none"], [b"OBJECT", b"FREQ", b"h"], [b"OBJECT", b"REFCOUNT", b"h"],
    [b"OBJECT", b"ENCODING", b"q"], [b"OBJECT", b"ENCODING", b"i2"],
    [b"MEMORY", b"USAGE", b"none"], [b"MEMORY", b"USAGE", b"h", b"SAMPLES"],
    [b"MEMORY", b"USAGE", b"h", b"SAMPLES", b"-1"], [b"SWAPDB", b"0", b"0"],
    [b"SWAPDB", b"0", b"99"],
    [b"EXPIRE", b"h", b"100", b"NX", b"GT"], [b"EXPIRE", b"h", b"100", b"GT"],
    [b"EXPIRE", b"h", b"100", b"LT"], [b"EXPIRE", b"h", b"100", b"LT"],
    [b"EXPIRE", b"h", b"x", b"zz"],
    [b"EXPIRE", b"h", b"50", b"XX", b"LT"], [b"EXPIREAT", b"h", b"1"], [b"EXISTS", b"h"],
    [b"SCAN", b"0", b"TYPE", b"what", b"COUNT", b"1000"], [b"SCAN", b"0", b"TYPE"],
    [b"SCAN", b"0", b"MATCH", b"nothing", b"COUNT", b"1000"],
    [b"DBSIZE", b"x"], [b"RANDOMKEY", b"x"], [b"FLUSHDB"], [b"RANDOMKEY"], [b"KEYS", b"*"],
    [b"SCAN", b"0"],
]


def odd(ports, protocol):
    pair = Pair(ports, protocol)
    for command in ODD:
        pair.ask_all([command])
        pair.compare_events(command)
    pair.close()


def scans(ports, protocol):
    """A walk gives each key that is there throughout, whatever comes and goes meanwhile."""
    client = Client(port=ports[0], timeout=60)
    client.call("FLUSHALL")
    if protocol == 3:
        client.hello(3)
    dice = random.Random(SEED)
    steady = {b"key:%d" % i for i in range(5000)}
    for part in range(0, 5000, 500):
        client.pipeline(*([b"SET", b"key:%d" % i, b"v"] for i in range(part, part + 500)))
    found, cursor, calls = [], b"0", 0
    while calls == 0 or cursor != b"0":
        cursor, part = client.call("SCAN", cursor, "COUNT", dice.choice([1, 10, 100, 500]))
        found += part
        calls += 1
        client.call("SET", "more:%d" % dice.randrange(2000), "v")
        client.call("DEL", "more:%d" % dice.randrange(2000))
    if not steady <= set(found):
        raise Failure(f"SCAN missed {sorted(steady - set(found))[:5]}")
    if len([name for name in found if name in steady]) != len(steady):
        raise Failure("SCAN gave a key twice")
    typed, cursor = [], None
    client.call("SADD", "a-set", "x")
    while cursor != b"0":
        cursor, part = client.call("SCAN", cursor or "0", "COUNT", 1000, "TYPE", "set", "MATCH",
            "a*")
        typed += part
    if typed != [b"a-set"]:
        raise Failure(f"SCAN TYPE set gave {typed!r}")
    client.close()


def on_both(*compared):
    given = os.environ.get("TIDEMARK_COMPARE")
    if given:
        ports = [int(port) for port in given.split(",")]
        for each in compared:
            each(ports, 2)
            each(ports, 3)
        return
    redis = StockRedis()
    with redis, Server() as server:
        for each in compared:
            each([server.port, redis.port], 2)
            each([server.port, redis.port], 3)


def every_reply_and_event_of_random_commands_is_that_of_redis():
    on_both(compare)


def odd_words_are_read_as_redis_reads_them():
    on_both(odd)


def a_touched_key_makes_exec_fail_as_in_redis():
    on_both(watches)


def a_walk_over_changing_keys_is_whole():
    on_both(scans)


if __name__ == "__main__":
    require_command("redis-server")
    run(odd_words_are_read_as_redis_reads_them, a_touched_key_makes_exec_fail_as_in_redis,
        a_walk_over_changing_keys_is_whole,
        every_reply_and_event_of_random_commands_is_that_of_redis)
