#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 120
"""The stream of effects against what Debian's redis-server sends to its replicas, byte for byte.

The same commands go to a stock server, whose stream is read by a replica that is made up here, and
through the keys machine (`sim derive`); behind each one both tell a message that marks the place.
Times may differ by a little, and names of commands in their case: a stock server repeats what its
client wrote. Of what is drawn by dice only the number can be compared.
"""
import os
import random
import re
import socket
import subprocess
import time

from lib import Failure, StockRedis, binary, expect, patience, require_command, run
from resp import Client, encode_command

SEED = int(os.environ.get("TIDEMARK_SEED", "1"))
ROUNDS = int(os.environ.get("TIDEMARK_ROUNDS", "3000"))
CLOSE_MS = 3000
READ_BYTES = 1 << 16
WRITES_TABLE = "src/command/commands.def"


def sim_binary():
    folder = os.environ.get("BUILD_VARIANT")
    return os.path.join(folder or os.path.join(os.path.dirname(binary()), "release"), "sim")


class Bytes:
    """Reads lines, bulk strings and commands; `more` gives the next bytes."""

    def __init__(self, more):
        self.more = more
        self.data = b""

    def line(self):
        while b"\r\n" not in self.data:
            self.data += self.more()
        line, self.data = self.data.split(b"\r\n", 1)
        return line

    def take(self, count):
        while len(self.data) < count:
            self.data += self.more()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def bulk(self):
        return self.take(int(self.line()[1:]) + 2)[:-2]

    def command(self):
        return [self.bulk() for _ in range(int(self.line()[1:]))]


class StockStream:
    """What a stock server sends to a replica behind a full resynchronization."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=patience(20))
        self.bytes = Bytes(self.receive)
        self.socket.sendall(encode_command("REPLCONF", "capa", "psync2"))
        expect(self.bytes.line(), b"+OK")
        self.socket.sendall(encode_command("PSYNC", "?", "-1"))
        answer = self.bytes.line().lstrip(b"\n")
        if not answer.startswith(b"+FULLRESYNC "):
            raise Failure(f"PSYNC: {answer!r}")
        size = self.bytes.line().lstrip(b"\n")
        self.bytes.take(int(size[1:]))

    def receive(self):
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise Failure("the stock server has ended its replica's stream")
        return data

    def close(self):
        self.socket.close()


class Derived:
    """The keys machine, and the stream that it derives."""

    def __init__(self):
        self.process = subprocess.Popen([sim_binary(), "derive"], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.bytes = Bytes(self.receive)
        self.ask("on")

    def receive(self):
        data = os.read(self.process.stdout.fileno(), READ_BYTES)
        if not data:
            raise Failure("sim derive has ended")
        return data

    def ask(self, kind, *words, database=0, ms=None):
        """The reply, and the bytes that the stream has grown by."""
        ms = int(time.time() * 1000) if ms is None else ms
        self.process.stdin.write(encode_command(ms, database, kind, *words))
        self.process.stdin.flush()
        return self.bytes.bulk(), self.bytes.bulk()

    def close(self):
        self.process.stdin.close()
        expect(self.process.wait(patience(20)), 0, "the status of sim derive")


def commands_of(data):
    """The commands in these bytes, and nothing else."""
    def no_more():
        raise Failure(f"the stream ends in the middle of a command: {data!r}")
    reader, commands = Bytes(no_more), []
    reader.data = data
    while reader.data:
        commands.append(reader.command())
    return commands


def is_time(word):
    return re.fullmatch(rb"1[0-9]{12}", word) is not None


def same_word(stock, own):
    if stock == own:
        return True
    return is_time(stock) and is_time(own) and abs(int(stock) - int(own)) < patience(CLOSE_MS)


def same(stock, own):
    if len(stock) != len(own):
        return False
    return all(len(a) == len(b) and a[0].upper() == b[0] and all(map(same_word, a[1:], b[1:]))
               for a, b in zip(stock, own))


def shown(commands):
    return " | ".join(" ".join(word.decode("latin-1") for word in words) for words in commands)


class Pair:
    """A stock server and a machine that are given the same commands."""

    def __init__(self):
        require_command("redis-server")
        self.stock = StockRedis(repl_diskless_sync="no", repl_ping_replica_period=3600,
                                enable_debug_command="yes")
        self.given = 0
        self.database = 0
        self.queued = None

    def __enter__(self):
        self.stock.start()
        self.client = Client(self.stock.port, timeout=patience(20))
        self.other = Client(self.stock.port, timeout=patience(20))
        self.client.call("DEBUG", "SET-ACTIVE-EXPIRE", 0)
        self.stream = StockStream(self.stock.port)
        self.own = Derived()
        return self

    def __exit__(self, *_):
        self.client.close()
        self.other.close()
        self.stream.close()
        self.own.close()
        self.stock.stop()

    def stock_since(self):
        """What the stock server has sent since the last mark, as bytes and as commands."""
        self.given += 1
        self.client.call("PUBLISH", "mark", self.given)
        mark = [b"PUBLISH", b"mark", str(self.given).encode()]
        commands = []
        while True:
            commands.append(self.stream.bytes.command())
            if commands[-1] == mark:
                return commands

    def own_mark(self):
        return self.own.ask("publish", "mark", self.given, database=self.database)[1]

    def give(self, *words):
        """One command; returns what both have told of it. Inside MULTI nothing is told yet."""
        words = [str(word) if isinstance(word, int) else word for word in words]
        name = words[0].upper()
        self.client.ask(*words)
        if name == "MULTI":
            self.queued = []
            return [], []
        if name == "SELECT":
            self.database = int(words[1])
            return self.told(b"")
        if name == "EXEC":
            for database, queued in self.queued:
                self.own.ask("queue", *queued, database=database)
            self.queued = None
            return self.told(self.own.ask("exec", database=self.database)[1])
        if self.queued is not None:
            self.queued.append((self.database, words))
            return [], []
        kind = {"PUBLISH": "publish", "SPUBLISH": "spublish"}.get(name)
        if kind:
            return self.told(self.own.ask(kind, *words[1:], database=self.database)[1])
        return self.told(self.own.ask("command", *words, database=self.database)[1])

    def told(self, grown):
        stock = self.stock_since()
        return stock, commands_of(grown + self.own_mark())

    def check(self, *words):
        stock, own = self.give(*words)
        if not same(stock, own):
            raise Failure(f"{shown([[str(w).encode('latin-1') for w in words]])}\n"
                          f"  a stock server tells: {shown(stock)}\n  told here: {shown(own)}")
        return own

    def wait(self, *words, fill):
        """A client waits with these words, then the command `fill` comes."""
        self.other.send(*words)
        deadline = time.monotonic() + patience(10)
        while b"blocked_clients:1" not in self.client.call("INFO", "clients"):
            if time.monotonic() > deadline:
                raise Failure(f"{words} does not wait")
            time.sleep(0.005)
        grown = self.own.ask("command", *words)[1]
        expect(grown, b"", "told of a client that waits")
        self.client.call(*fill)
        grown = self.own.ask("command", *fill)[1] + self.own.ask("serve", *words)[1]
        stock, own = self.told(grown)
        if not same(stock, own):
            raise Failure(f"{words}\n  a stock server tells: {shown(stock)}\n"
                          f"  told here: {shown(own)}")
        self.other.receive()


def commands_in(text):
    return [command.split() for command in text.split(";")]


def lines(text):
    """The commands; '' is the empty word, ~N a time N seconds ahead, ^N the same in ms."""
    for words in commands_in(text):
        for i, word in enumerate(words):
            if word == "''":
                words[i] = ""
            elif word[0] == "~":
                words[i] = str(int(time.time()) + int(word[1:]))
            elif word[0] == "^":
                words[i] = str(int(time.time() * 1000) + int(word[1:]))
        yield words


STRINGS = """
SET a 1 ; SET k v EX 100 ; SET k v PX 100000 ; SET k v EXAT ~100 ; SET k v PXAT ^100000 ;
SET k v PXAT 1 ; EXISTS k ; SET k v NX ; SET k v NX ; set k v XX GET ; SET k v GET EX 100 ;
SET k v XX KEEPTTL GET ; SET k v KEEPTTL ; SET none v XX ; SET none v NX GET ;
SET k v XX EX 100 GET ; SET k v NX XX ; SET k v EX 0 ; SET k v EX 10 PX 10 ; SETEX k 100 v ;
SETEX k 0 v ; PSETEX k 100000 v ; PSETEX k x v ; SETNX k v ; SETNX k2 v ; GETSET k w ;
GETSET none2 w ; GETSET none2 w ; GETEX k ; GETEX k PERSIST ; GETEX k EX 100 ; GETEX k PERSIST ;
GETEX k PXAT ^500000 ; GETEX k EXAT 1 ; GETEX k EX -1 ; SET k 1 ; GETDEL k ; GETDEL k ; INCR n ;
DECR n ; INCRBY n 0 ; INCRBY n 5 ; DECRBY n 2 ; INCRBY n x ; INCRBYFLOAT n 1.5 ; INCRBYFLOAT n 0 ;
INCRBYFLOAT n 3.0e3 ; INCRBYFLOAT n x ; EXPIRE n 100 ; INCRBYFLOAT n 1 ; INCR n ; MSET a 1 b 2 ;
MSET a 1 b ; MSETNX a 1 c 2 ; MSETNX x1 1 x2 2 ; APPEND a 1 ; APPEND a '' ; APPEND zzz '' ;
SETRANGE a 0 '' ; SETRANGE none 5 '' ; SETRANGE a 0 x ; SETRANGE a 0 x ; SETRANGE a -1 x ;
SETBIT bits 3 1 ; SETBIT bits 3 1 ; SETBIT bits 2000 0 ; SETBIT bits 2000 0 ; SETBIT bits2 0 0 ;
SETBIT bits2 0 2 ; BITOP AND d bits bits ; BITOP NOT d bits ; BITOP AND d nope nope ;
BITOP AND d nope nope ; BITFIELD bf SET u8 0 5 ; BITFIELD bf SET u8 0 5 ; BITFIELD bf GET u8 0 ;
BITFIELD bf INCRBY u8 0 1 OVERFLOW FAIL INCRBY u2 0 7 ;
BITFIELD bf SET u8 0 5 GET u8 0 INCRBY i5 100 1 ; GET a ; STRLEN a
"""

KEYS = """
MSET a 1 b 2 ; EXPIRE a 100 ; EXPIRE a 100 NX ; EXPIRE a 200 GT ; EXPIRE a 1 GT ;
PEXPIRE a 100000 XX ; EXPIREAT a ~100 ; PEXPIREAT a ^100000 ; PEXPIREAT a ^90000 LT ;
PEXPIREAT a ^100000 LT ; EXPIRE a x ; EXPIRE a 1 NX GT ; PERSIST a ; PERSIST a ; EXPIRE a -1 ;
EXPIRE a 100 ; EXPIRE none -1 ; SET a 1 ; PEXPIREAT a 1 ; SET a 1 ; EXPIREAT a 1 ; SET a 1 ;
PEXPIRE a 0 ; DEL none ; DEL b none ; MSET a 1 b 2 ; UNLINK a b none ; UNLINK a ; SET a 1 ;
RENAME a b ; RENAME b b ; RENAMENX b b ; RENAMENX b a ; SET b 1 ; RENAMENX a b ; RENAME nokey b ;
COPY a c ; COPY a c ; COPY a c REPLACE ; COPY a c DB 2 REPLACE ; COPY a a ; COPY nokey c ;
MOVE a 2 ; MOVE a 2 ; SET a 1 ; MOVE a 0 ; MOVE a 17 ; MOVE a 1 ; SWAPDB 0 1 ; SWAPDB 0 0 ;
SWAPDB 0 99 ; FLUSHDB ; FLUSHDB ASYNC ; FLUSHDB SYNC ; FLUSHDB NOW ; FLUSHALL ; FLUSHALL SYNC ;
TOUCH a ; KEYS *
"""

HASHES = """
HSET h a 1 ; HSET h a 1 ; HSET h a ; HMSET h a 1 b 2 ; HSETNX h a 1 ; HSETNX h c 1 ; HDEL h zz ;
HDEL h a zz ; HINCRBY h n 0 ; HINCRBY h n 4 ; HINCRBY h n x ; HINCRBYFLOAT h n 1.5 ;
HINCRBYFLOAT h n 0 ; HINCRBYFLOAT h n 3.0e3 ; HINCRBYFLOAT h n nan ; HDEL h a b c n ; HDEL h a
"""

LISTS = """
RPUSH l a b c d e f ; LPUSH l z y ; LPUSHX nolist a ; LPUSHX l a ; RPUSHX nolist a ; RPUSHX l a ;
LPOP l ; RPOP l 2 ; LPOP l 0 ; LPOP nolist ; LPOP l -1 ; LSET l 0 b ; LSET l 0 b ; LSET l 99 b ;
LSET nolist 0 b ; LINSERT l BEFORE b x ; LINSERT l AFTER b x ; LINSERT l BEFORE nope x ;
LINSERT nolist BEFORE a b ; LREM l 0 nope ; LREM l 0 x ; LTRIM l 0 -1 ; LTRIM l -100 100 ;
LTRIM l 0 1 ; LTRIM l 5 1 ; LTRIM l 5 1 ; RPUSH l a b c d e f ; LMOVE l l LEFT RIGHT ;
LMOVE l m left RIGHT ; LMOVE nolist m LEFT RIGHT ; LMOVE l m UP RIGHT ; RPOPLPUSH l m ;
RPOPLPUSH l l ; RPOPLPUSH nolist l ; LMPOP 2 nolist l LEFT COUNT 2 ; LMPOP 1 l RIGHT ;
LMPOP 1 l RIGHT COUNT 100 ; LMPOP 1 l LEFT ; RPUSH l a b c d e f g ; BLPOP nolist l 0 ;
BRPOP nolist l 0 ; BLMPOP 0 2 nolist l LEFT COUNT 2 ; BLMPOP 0 2 nolist l RIGHT ;
BLMOVE l m LEFT right 0 ; BRPOPLPUSH l m 0 ; SET s 1 ; BLPOP s 0 ; LMOVE m s LEFT LEFT ;
BRPOPLPUSH m s 0 ; RPUSH s a
"""

SETS = """
SADD s a b c d e ; SADD s a ; SREM s zz ; SREM s a zz ; SPOP s 0 ; SPOP s 100 ; SPOP s ;
SPOP s 3 ; SPOP s -1 ; SADD s a ; SPOP s ; SADD s a ; SPOP s 1 ; SADD s a b c ; SMOVE s t a ;
SMOVE s t a ; SMOVE s s b ; SADD t b ; SMOVE s t b ; SMOVE nope t b ; SINTERSTORE d s t ;
SINTERSTORE d none t ; SINTERSTORE d none t ; SUNIONSTORE d s t ; SUNIONSTORE d d ;
SDIFFSTORE d s t ; SDIFFSTORE d s s ; SDIFFSTORE d s s ; SREM s c
"""

ZSETS = """
ZADD z 1 a 2 b 3 c 4 d 5 e ; ZADD z 1 a ; ZADD z XX 1 nope ; ZADD z NX 1 a 7 f ; ZADD z GT 0 a ;
ZADD z CH 2 a ; ZADD z INCR 2 a ; ZADD z INCR 0 a ; ZADD z NX INCR 0 a ; ZADD z nan a ; ZADD z 1 ;
ZINCRBY z 1 a ; ZINCRBY z 0 a ; ZINCRBY z x a ; ZREM z nope ; ZREM z a nope ;
ZRANGESTORE zd z 0 1 ; ZRANGESTORE zd z 10 11 ; ZRANGESTORE zd z 10 11 ; ZRANGESTORE z z 0 -1 ;
ZREMRANGEBYSCORE z 100 200 ; ZREMRANGEBYSCORE z 2 2 ; ZREMRANGEBYRANK z 0 0 ;
ZREMRANGEBYRANK z 90 99 ; ZREMRANGEBYLEX z [zz [zzz ; ZREMRANGEBYLEX z - (d ;
ZADD z 1 a 2 b 3 c 4 d 5 e ; ZPOPMIN z ; ZPOPMAX z 2 ; ZPOPMAX z 0 ; ZPOPMIN none ;
ZMPOP 2 none z MIN ; ZMPOP 1 z MAX COUNT 10 ; ZMPOP 1 z MAX ; ZADD z 1 a 2 b 3 c 4 d 5 e ;
BZPOPMIN none z 0 ; BZPOPMAX z 0 ; BZMPOP 0 1 z MIN COUNT 2 ; ZADD z 1 a 2 b ;
ZUNIONSTORE zd 2 z z ; ZUNIONSTORE zd 2 z z WEIGHTS 1 x ; ZINTERSTORE zd 2 z none ;
ZINTERSTORE zd 2 z none ; ZDIFFSTORE zd 1 z ; ZDIFFSTORE zd 2 z z
"""


ALL = (STRINGS, KEYS, HASHES, LISTS, SETS, ZSETS)


def every_write_is_told_as_a_stock_server_tells_it():
    with Pair() as pair:
        for text in ALL:
            for words in lines(text):
                pair.check(*words)
            pair.check("FLUSHALL")


def drawn_members_are_told_one_by_one():
    with Pair() as pair:
        pair.check("SADD", "s", *range(100, 140))
        for words, wanted in ((["SPOP", "s"], 1), (["SPOP", "s", "7"], 7), (["SPOP", "s", "1"], 1)):
            stock, own = pair.give(*words)
            for told in (stock, own):
                removed = [command for command in told if command[0] == b"SREM"]
                expect(len({command[2] for command in removed}), wanted, shown(told))
            expect([c[:2] for c in own], [c[:2] for c in stock])


def a_transaction_is_told_as_one():
    with Pair() as pair:
        for block in (["SET a 1"], ["SET a 1", "SET b 2"], ["GET a"], [], ["INCR x", "LPUSH x 1"],
                      ["SET a 1 EX 100", "INCR n", "GETDEL a", "SETNX n 1"],
                      ["SET a 1", "SET a 1 XX GET", "DEL a", "DEL a"]):
            pair.check("MULTI")
            for line in block:
                pair.check(*line.split())
            pair.check("EXEC")


def the_database_is_selected_before_its_first_command():
    with Pair() as pair:
        pair.check("SET", "a", "1")
        for database in (3, 3, 15, 10, 0):
            pair.check("SELECT", database)
            pair.check("GET", "a")
            pair.check("SET", "a", "1")
            pair.check("INCR", "a")
        pair.check("SELECT", 2)
        pair.check("COPY", "none", "b", "DB", "4")
        pair.check("PUBLISH", "channel", "message")
        pair.check("SELECT", 4)
        pair.check("SPUBLISH", "channel", "message")
        for databases in ((4, 5), (5, 5), (6, 4)):
            pair.client.call("SELECT", databases[0])
            pair.database = databases[0]
            pair.client.call("MULTI")
            for database in databases:
                pair.client.call("SELECT", database)
                pair.client.call("SET", "a", database)
                pair.own.ask("queue", "SET", "a", database, database=database)
            pair.client.call("EXEC")
            pair.database = databases[-1]
            stock, own = pair.told(pair.own.ask("exec")[1])
            expect(own, stock)


def a_client_that_waited_is_told_by_what_it_took():
    with Pair() as pair:
        pair.wait("BLPOP", "q", "0", fill=["RPUSH", "q", "a"])
        pair.wait("BRPOP", "q", "0", fill=["RPUSH", "q", "a", "b", "c"])
        pair.check("DEL", "q")
        pair.wait("BLMOVE", "q", "w", "LEFT", "RIGHT", "0", fill=["RPUSH", "q", "a"])
        pair.wait("BRPOPLPUSH", "q", "w", "0", fill=["RPUSH", "q", "a"])
        pair.wait("BLMPOP", "0", "1", "q", "LEFT", "COUNT", "5", fill=["RPUSH", "q", "a", "b"])
        pair.wait("BZPOPMIN", "z", "0", fill=["ZADD", "z", "1", "a"])
        pair.wait("BZPOPMAX", "z", "0", fill=["ZADD", "z", "1", "a"])
        pair.wait("BZMPOP", "0", "1", "z", "MAX", "COUNT", "3",
                  fill=["ZADD", "z", "1", "a", "2", "b"])


def whoever_meets_an_expired_key_tells_its_removal():
    met = """SET e0 2 ; DEL e1 ; GET e2 ; RENAME e3 x ; PERSIST e4 ; EXPIRE e5 100 ; INCR e6 ;
             GETEX e7 PERSIST ; SETNX e8 1 ; RPUSH l0 b ; SUNIONSTORE d s0 t ; LMPOP 1 l1 LEFT ;
             SET e9 1 XX"""
    with Pair() as pair:
        for i in range(10):
            pair.check("SET", f"e{i}", "1", "PX", "40")
        for i in range(2):
            pair.check("RPUSH", f"l{i}", "a")
            pair.check("PEXPIRE", f"l{i}", "40")
        pair.check("SADD", "s0", "a")
        pair.check("SADD", "t", "a")
        pair.check("PEXPIRE", "s0", "40")
        time.sleep(0.2)
        for words in lines(met):
            pair.check(*words)


def the_result_of_sort_is_told_item_by_item():
    """A stock server tells the command; which of two equal items comes first, and how letters
    compare, is then the replica's own business."""
    with Pair() as pair:
        pair.check("RPUSH", "l", "3", "1", "2")
        for words, wanted in (
                (["SORT", "l", "STORE", "d"], [[b"RPUSH", b"d", b"1", b"2", b"3"]]),
                (["SORT", "l", "DESC", "LIMIT", "0", "2", "STORE", "d"],
                 [[b"MULTI"], [b"DEL", b"d"], [b"RPUSH", b"d", b"3", b"2"], [b"EXEC"]]),
                (["SORT", "none", "STORE", "d"], [[b"DEL", b"d"]]),
                (["SORT", "none", "STORE", "d"], []),
                (["SORT", "l"], [])):
            own = pair.give(*words)[1]
            expect(own[:-1], wanted, " ".join(words))


def random_commands_are_told_alike():
    """All write commands that need no dice, over few keys, with words that fit and words that do
    not. No key ends meanwhile: when a command does nothing, a stock server and we have looked at
    different keys, and so have met different ones that are expired."""
    dice = random.Random(SEED)
    keys = ["a", "b", "c", "n", "l", "l2", "s", "s2", "h", "z", "z2"]
    table = [words for text in ALL for words in commands_in(text)]
    table = [words for words in table if words[0] not in ("SPOP", "FLUSHALL") and
             not (words[0] == "BITFIELD" and "FAIL" in words) and
             words[-2:] != ["PXAT", "1"]]
    names = {word for words in table for word in words[1:2]}
    with Pair() as pair:
        for _ in range(ROUNDS):
            words = list(dice.choice(table))
            if words[0].startswith("B") and words[0] not in ("BITOP", "BITFIELD"):
                continue  # it might wait
            for i, word in enumerate(words[1:], 1):
                if word in names and dice.random() < 0.7:
                    words[i] = dice.choice(keys)
                elif dice.random() < 0.02:
                    words[i] = dice.choice(["x", "0", "-1"])
            line = " ".join(words)
            if words[0] in ("SWAPDB", "FLUSHDB") and dice.random() < 0.9:
                continue
            pair.check(*next(lines(line)))


def every_write_of_the_table_is_here():
    """A write command that is added to the table is added here too."""
    with open(WRITES_TABLE, encoding="utf-8") as file:
        rows = re.findall(r'COMMAND\((\w+), \d+,\s*\w+,\s*"[^"]+",\s*-?\d+,\s*PLACE_STATE,\s*'
                          r"([A-Z_| \n]+),", file.read())
    writes = {name for name, flags in rows if "FLAG_WRITE" in flags}
    told = {words[0].upper() for text in ALL for words in commands_in(text)} | {"SORT"}
    expect(sorted(writes - told), [], "write commands of the table that are not compared")
    expect(len(writes) > 70, True, "the table was read")


def control_entries_are_told_too():
    own = Derived()
    expect(own.ask("ping")[1], encode_command("PING"))
    expect(own.ask("getack")[1], encode_command("REPLCONF", "GETACK", "*"))
    expect(own.ask("off")[1], b"")
    expect(own.ask("ping")[1], b"")
    expect(own.ask("command", "SET", "a", "1")[1], b"")
    expect(own.ask("on")[1], b"")
    expect(own.ask("command", "SET", "a", "1")[1],
           encode_command("SELECT", "0") + encode_command("SET", "a", "1"))
    own.close()


if __name__ == "__main__":
    run(every_write_of_the_table_is_here, every_write_is_told_as_a_stock_server_tells_it,
        drawn_members_are_told_one_by_one, a_transaction_is_told_as_one,
        the_database_is_selected_before_its_first_command,
        a_client_that_waited_is_told_by_what_it_took,
        whoever_meets_an_expired_key_tells_its_removal, the_result_of_sort_is_told_item_by_item,
        random_commands_are_told_alike, control_entries_are_told_too)
