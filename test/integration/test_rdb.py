#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
# timeout: 600
"""Moving in from Redis by a dump, and out again: `image import-rdb` and `image export-rdb`.

Debian's redis-server writes a dump with every type and encoding; imported, every key is the same.
What tidemark holds is saved as an image and exported; redis-server loads it, and every key is the
same. Dumps that are damaged or hold what tidemark has not leave nothing behind.
"""
import os
import pty
import random
import re
import shutil
import signal
import subprocess
import time

from lib import (Failure, Server, StockRedis, binary, expect, expect_true, patience,
                 require_command, run, temp_folder, tidemark, wait_until)

FAR = 4102444800123  # a time of expiry in the year 2100
DATABASES = (0, 1, 9, 15)


# ---- Data ----------------------------------------------------------------------------------------

def commands(dice):
    """Every type in every encoding that a dump of redis-server 7.0 has."""
    def text(size):
        return bytes(dice.randrange(256) for _ in range(size))

    yield "SET", "int8", 100
    yield "SET", "int16", -30000
    yield "SET", "int32", 2000000000
    yield "SET", "int64", -9223372036854775808
    yield "SET", "almost-int", "007"
    yield "SET", "empty", ""
    yield "SET", "", "the empty name"
    yield "SET", "short", "text"
    yield "SET", "raw", text(300)
    yield "SET", "compressible", "abcabc" * 2000
    yield "SET", "large", text(70000) * 20
    yield "SET", b"bin\x00ary\xff\r\n", b"\x00\x01\xfe"
    yield "SET", "ends", "text", "PXAT", FAR
    yield "SETBIT", "bits", 4000, 1
    for count in (1, 5, 100, 4000):
        yield "RPUSH", f"list{count}", *range(count)
        yield "RPUSH", f"texts{count}", *(text(dice.randrange(40)) for _ in range(count))
        yield "SADD", f"set{count}", *(text(8) for _ in range(count))
        yield "HSET", f"hash{count}", *(w for i in range(count) for w in (f"f{i}", text(i % 90)))
        yield "ZADD", f"zset{count}", *(w for i in range(count)
                                        for w in (dice.uniform(-9, 9) * 10 ** (i % 20), f"m{i}"))
        for bits in (10, 20, 40):
            yield "SADD", f"intset{bits}-{count}", *(dice.randrange(-1 << bits, 1 << bits)
                                                      for _ in range(count))
    yield "LPUSH", "front", *range(600)
    yield "RPUSH", "plain-node", "a", "x" * 20000, "b"
    yield "RPUSH", "dup", "same", "same", "same"
    yield "HSET", "hash-long", "f", "v" * 100, "g" * 100, ""
    yield "HSET", "hash-ints", "1", "2", "-3", "400000", "5000000000", "-6000000000000"
    yield ("ZADD", "zset-odd", "inf", "top", "-inf", "bottom", 0, "zero", "-0", "minus",
           1e-300, "tiny")
    yield "ZADD", "zset-ties", *(w for i in range(300) for w in (7, f"tie{i:03d}"))
    yield "ZADD", "zset-long", 1, "m" * 200
    yield "PEXPIREAT", "list100", FAR + 1
    yield "PEXPIREAT", "zset4000", FAR + 2
    yield "PEXPIREAT", "hash5", FAR + 3
    yield "PEXPIREAT", "intset10-5", FAR + 4


def fill(server, seed):
    dice = random.Random(seed)
    with server.client(timeout=60) as client:
        for database in DATABASES:
            client.call("SELECT", database)
            for command in commands(dice):
                client.call(*command)


def value(client, kind, key):
    if kind == "string":
        return client.call("GET", key)
    if kind == "list":
        return client.call("LRANGE", key, 0, -1)
    if kind == "set":
        return sorted(client.call("SMEMBERS", key))
    if kind == "zset":
        words = client.call("ZRANGE", key, 0, -1, "WITHSCORES")
        return [b"0" if word == b"-0" else word for word in words]  # here there is one zero
    if kind == "hash":
        words = client.call("HGETALL", key)
        return sorted(zip(words[::2], words[1::2]))
    raise Failure(f"a key of type {kind}")


def everything(server):
    """{(database, key): (type, time of expiry, value)}"""
    found = {}
    with server.client(timeout=60) as client:
        for database in range(16):
            client.call("SELECT", database)
            for key in client.call("KEYS", "*"):
                kind = client.call("TYPE", key)
                kind = kind if isinstance(kind, str) else kind.decode()
                found[database, key] = (kind, client.call("PEXPIRETIME", key),
                                        value(client, kind, key))
    return found


def expect_same(actual, wanted):
    expect(sorted(actual), sorted(wanted), "the names")
    for name, what in wanted.items():
        if actual[name] != what:
            raise Failure(f"{name}: {str(what)[:300]} became {str(actual[name])[:300]}")
    expect_true(len(wanted) > 100, "many keys")


def dump_of(redis):
    with redis.client(timeout=60) as client:
        client.call("SAVE")
    return os.path.join(redis.folder, "dump.rdb")


def import_rdb(*arguments, status=(0,)):
    """Returns standard output, and standard error if it was to fail."""
    done = subprocess.run([binary(), "image", "import-rdb", *map(str, arguments)],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          timeout=patience(120), check=False)
    error = done.stderr.decode("utf-8", "replace")
    if done.returncode not in status:
        raise Failure(f"import-rdb: status {done.returncode}, expected {status}: {error}")
    if done.returncode == 0:
        expect(error, "", "standard error of a good import")
    return error or done.stdout.decode()


def newest_image(server):
    images = os.path.join(server.data, "keys", "images")
    return os.path.join(images, max(os.listdir(images)))


# ---- There ---------------------------------------------------------------------------------------

def a_dump_of_redis_arrives_key_by_key_in_any_form():
    """With small encodings, and with none of them; compressed, and not."""
    forms = ({}, {"list_max_listpack_size": 1, "hash_max_listpack_entries": 0,
                  "zset_max_listpack_entries": 0, "set_max_intset_entries": 0,
                  "rdbcompression": "no", "rdbchecksum": "no"})
    for seed, form in enumerate(forms):
        server = Server()
        with StockRedis(**form) as redis:
            fill(redis, seed)
            wanted = everything(redis)
            said = import_rdb(dump_of(redis), server.data)
        found = re.fullmatch(r"mark=([0-9a-f]{32}:1\.\d+:1:[0-9a-f]{16}) digest=([0-9a-f]{32}) "
                             r"keys=(\d+) empty_keys=0 version=10 checksum=(good|none)\n", said)
        expect_true(found is not None, f"a line about the import, not {said!r}")
        expect(int(found[3]), len(wanted), "keys")
        expect(found[4], "none" if form else "good", "checksum")
        line = tidemark("store", "digest", server.data)
        expect(line, f"mark={found[1]} digest={found[2]} recount={found[2]}\n")
        with server:
            expect_same(everything(server), wanted)
            with server.client() as client:
                expect(client.call("DIGEST")[1].decode(), found[2], "digest")
                client.call("SET", "short", "new")
                client.call("RPUSH", "list4000", "more")
            server.kill()
            server.start()
            with server.client() as client:
                expect(client.call("GET", "short"), b"new")
                expect(client.call("LLEN", "list4000"), 4001)
                expect(client.call("LINDEX", "list4000", 0), b"0")


def expired_keys_of_a_dump_are_not_seen():
    server = Server()
    with StockRedis() as redis, redis.client() as client:
        client.call("SET", "stays", "text")
        client.call("SET", "goes", "text", "PX", 300)
        path = dump_of(redis)
    time.sleep(0.5)
    import_rdb(path, server.data)
    with server, server.client() as client:
        expect(client.call("GET", "goes"), None)
        expect(client.call("KEYS", "*"), [b"stays"])


# ---- And back ------------------------------------------------------------------------------------

def what_tidemark_holds_is_loaded_by_redis_key_by_key():
    require_command("redis-check-rdb")
    with Server() as server:
        fill(server, 5)
        wanted = everything(server)
        with server.client(timeout=60) as client:
            saved = client.call("LASTSAVE")
            client.call("BGSAVE")
            wait_until(lambda: client.call("LASTSAVE") > saved, what="the image")
            digest = client.call("DIGEST")
        image = newest_image(server)
        facts = dict(line.split("=", 1) for line in
                     tidemark("image", "inspect", image).splitlines() if " " not in line)
        expect(facts["mark"], digest[0].decode(), "the mark of the image")
        expect(facts["digest"], digest[1].decode(), "the digest of the image")
        expect(int(facts["keys"]), len(wanted), "keys")
        expect(int(facts["bytes"]), os.path.getsize(image), "size")
        expect_true(abs(time.time() - time.mktime(time.strptime(
            facts["taken"][:19] + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) + time.timezone) < 600,
            f"an image taken just now, not {facts['taken']}")
        said = tidemark("image", "verify", image)
        expect_true(said.startswith(f"mark={facts['mark']} digest={facts['digest']} "
                                    f"recount={facts['digest']} keys={len(wanted)} "), said)
        redis = StockRedis(dbfilename="out.rdb", enable_debug_command="yes")
        dump = os.path.join(redis.folder, "out.rdb")
        with open(dump, "w", encoding="ascii") as file:
            file.write("what is there is replaced")
        said = tidemark("image", "export-rdb", image, dump)
        expect(said, f"keys={len(wanted)} bytes={os.path.getsize(dump)}\n")
        expect(os.listdir(redis.folder), ["out.rdb"], "nothing beside the dump")
    checked = subprocess.run(["redis-check-rdb", dump], stdout=subprocess.PIPE, check=True)
    text = checked.stdout.decode()
    for line in (f"tidemark-mark = '{facts['mark']}'", f"tidemark-digest = '{facts['digest']}'",
                 "Checksum OK", f"{len(wanted)} keys read"):
        expect_true(line in text, f"{line} in {text}")
    with redis:
        expect_same(everything(redis), wanted)
        with redis.client(timeout=60) as client:
            client.call("DEBUG", "RELOAD")
        expect_same(everything(redis), wanted)
    again = Server()
    import_rdb(dump, again.data)
    with again:
        expect_same(everything(again), wanted)


def an_image_that_is_damaged_is_told_and_not_exported():
    with Server() as server, server.client() as client:
        for i in range(50):
            client.call("SET", f"key{i}", f"value {i}")
        client.call("SAVE")
        path = newest_image(server)
        with open(path, "rb") as file:
            good = file.read()
    folder = temp_folder("damaged")
    image, dump = os.path.join(folder, "image"), os.path.join(folder, "dump")
    for at in range(0, len(good), 97):
        with open(image, "wb") as file:
            file.write(good[:at] + bytes([good[at] ^ 0x40]) + good[at + 1:])
        tidemark("image", "verify", image, status=3 if not 8 <= at < 12 else None)
        tidemark("image", "export-rdb", image, dump, status=3 if not 8 <= at < 12 else None)
        expect(os.listdir(folder), ["image"])
    with open(image, "wb") as file:
        file.write(good[:-1])
    tidemark("image", "inspect", image, status=3)
    tidemark("image", "verify", image, status=3)
    tidemark("image", "verify", image + "-absent", status=1)
    with open(image, "wb") as file:
        file.write(good)
    tidemark("image", "export-rdb", image, os.path.join(folder, "absent", "dump"), status=2)
    os.mkdir(dump)
    tidemark("image", "export-rdb", image, dump, status=2)
    expect(sorted(os.listdir(folder)), ["dump", "image"])


# ---- What is refused -----------------------------------------------------------------------------

def small_dump():
    with StockRedis() as redis, redis.client() as client:
        client.call("SET", "text", "x" * 30, "PXAT", FAR)
        client.call("RPUSH", "list", "a", "b", 3)
        client.call("SADD", "set", 1, 2, 3)
        client.call("HSET", "hash", "f", "v")
        client.call("ZADD", "zset", 1.5, "m")
        with open(dump_of(redis), "rb") as file:
            return file.read()


REFUSED, CORRUPT = (2,), (3,)


def expect_nothing(dump, folder, status, words=""):
    """The import fails so, into an absent directory and into an empty one."""
    path = os.path.join(folder, "dump")
    with open(path, "wb") as file:
        file.write(dump)
    empty = os.path.join(folder, "empty")
    os.makedirs(empty, exist_ok=True)
    for directory in ("absent", "empty"):
        error = import_rdb(path, os.path.join(folder, directory), status=status)
        expect_true(words in error, f"{words!r} in {error!r}")
        expect(sorted(os.listdir(folder)), ["dump", "empty"], "beside the dump")
        expect(os.listdir(empty), [], "in the empty directory")


def a_damaged_dump_leaves_nothing_behind():
    good = small_dump()
    folder = temp_folder("small")
    for at in [0, 4, *range(9, len(good), 13), len(good) - 9, len(good) - 1]:
        bad = good[:at] + bytes([good[at] ^ 0x01]) + good[at + 1:]
        expect_nothing(bad, folder, REFUSED + CORRUPT)  # it may say what we have not
    for size in [0, 5, *range(9, len(good), 41), len(good) - 1]:
        expect_nothing(good[:size], folder, CORRUPT, "cut short")


def what_tidemark_has_not_is_refused_by_name():
    folder = temp_folder("refused")
    good = small_dump()
    expect_nothing(good[:5] + b"0012" + good[9:], folder, REFUSED, "version 12")
    expect_nothing(good + b"*1\r\n", folder, REFUSED, "4 bytes follow the end of the dump")
    with StockRedis() as redis, redis.client() as client:
        client.call("SELECT", 3)
        client.call("SET", "a", 1)
        client.call("XADD", "x", "*", "f", "v")
        with open(dump_of(redis), "rb") as file:
            expect_nothing(file.read(), folder, REFUSED,
                           "key 'x' of database 3: streams (RDB type 19) are not supported")
        client.call("FLUSHALL")
        client.call("FUNCTION", "LOAD",
                    "#!lua name=f\nredis.register_function('g', function() return 1 end)")
        with open(dump_of(redis), "rb") as file:
            expect_nothing(file.read(), folder, REFUSED, "libraries of functions")
    with StockRedis(databases=20) as redis, redis.client() as client:
        client.call("SELECT", 16)
        client.call("SET", "a", 1)
        with open(dump_of(redis), "rb") as file:
            expect_nothing(file.read(), folder, REFUSED, "there are 16 databases only")


def directories_that_hold_something_are_left_alone():
    folder = temp_folder("taken")
    dump = os.path.join(folder, "dump")
    with open(dump, "wb") as file:
        file.write(small_dump())
    foreign = os.path.join(folder, "foreign")
    os.mkdir(foreign)
    with open(os.path.join(foreign, "mine"), "wb"):
        pass
    import_rdb(dump, foreign, status=REFUSED)
    expect(os.listdir(foreign), ["mine"])
    import_rdb(os.path.join(folder, "none"), os.path.join(folder, "new"), status=(1,))
    expect_true(not os.path.exists(os.path.join(folder, "new")), "no directory for no dump")
    with Server() as server:
        with server.client() as client:
            client.call("SET", "mine", "text")
        expect_true("in use" in import_rdb(dump, server.data, status=REFUSED), "a directory in use")
        server.stop()
        before = tidemark("store", "digest", server.data)
        expect_true("holds data already" in import_rdb(dump, server.data, status=REFUSED),
                    "a directory with data")
        expect(tidemark("store", "digest", server.data), before)


# ---- Large ones ----------------------------------------------------------------------------------

KEYS = 400000


def large_dump(folder):
    path = os.path.join(folder, "large.rdb")
    with StockRedis(enable_debug_command="yes") as redis, redis.client(timeout=120) as client:
        client.call("DEBUG", "POPULATE", KEYS, "key", 100)
        # Members come in a dump from the highest score down.
        for first in range(0, 200000, 10000):
            client.call("ZADD", "board", *(w for i in range(first, first + 10000)
                                           for w in (i % 977, f"member{i}")))
        shutil.move(dump_of(redis), path)
    return path


def interrupted(dump, data, number, after):
    with subprocess.Popen([binary(), "image", "import-rdb", dump, data], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(after)
        process.send_signal(number)
        _, error = process.communicate(timeout=patience(60))
    return process.returncode, error.decode()


def an_import_that_is_ended_leaves_nothing_that_counts():
    folder = temp_folder("ended")
    dump, data = large_dump(folder), os.path.join(folder, "data")
    for number in (signal.SIGTERM, signal.SIGINT):
        status, error = interrupted(dump, data, number, patience(0.4))
        expect(status, 2)
        expect_true("nothing was imported" in error, error)
        expect(os.listdir(folder), ["large.rdb"])
    for after in (0.05, 0.3, 0.6):
        status, _ = interrupted(dump, data, signal.SIGKILL, after)
        expect(status, -signal.SIGKILL)
    # What a crash has left is a directory that never began: the import may begin anew.
    import_rdb(dump, data)
    server = Server(folder=folder)
    expect(server.data, data)
    with server, server.client(timeout=60) as client:
        expect(client.call("DBSIZE"), KEYS + 1)
        expect(client.call("ZCARD", "board"), 200000)
        expect(client.call("ZRANGE", "board", 0, 2), [b"member0", b"member100631", b"member101608"])
    words = tidemark("store", "digest", data, timeout=120).split()
    expect(words[1].split("=")[1], words[2].split("=")[1], "digest and recount")


def progress_is_shown_on_a_terminal():
    folder = temp_folder("terminal")
    dump, data = large_dump(folder), os.path.join(folder, "data")
    seen, terminal = pty.openpty()
    with subprocess.Popen([binary(), "image", "import-rdb", dump, data], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=terminal) as process:
        os.close(terminal)
        text = b""
        while True:
            try:
                piece = os.read(seen, 4096)
            except OSError:
                break
            if not piece:
                break
            text += piece
        process.communicate(timeout=patience(60))
    os.close(seen)
    expect(process.returncode, 0)
    shown = re.findall(rb"importing: (\d+)%, [0-9.]+ MiB/s, \d+ s left", text)
    expect_true(len(shown) > 0 and int(shown[-1]) > 0, f"percent, rate and time left in {text!r}")


if __name__ == "__main__":
    require_command("redis-server")
    run(a_dump_of_redis_arrives_key_by_key_in_any_form,
        expired_keys_of_a_dump_are_not_seen,
        what_tidemark_holds_is_loaded_by_redis_key_by_key,
        an_image_that_is_damaged_is_told_and_not_exported,
        a_damaged_dump_leaves_nothing_behind,
        what_tidemark_has_not_is_refused_by_name,
        directories_that_hold_something_are_left_alone,
        an_import_that_is_ended_leaves_nothing_that_counts,
        progress_is_shown_on_a_terminal)
