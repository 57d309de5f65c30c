# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""A data set as a file of RESP commands: reading it, and a small model of what it must lead to.

The model knows the commands that make-dataset writes, and no more. Every key of a data set is
written by one connection, so its commands take effect in the order of the file.
"""
import mmap

LISTS = (b"RPUSH",)  # not idempotent: who repeats one must look first


def read_commands(path):
    """Yields (arguments, first byte, byte after the last) of each command of the file."""
    with open(path, "rb") as file:
        if file.seek(0, 2) == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            at, size = 0, len(data)
            while at < size:
                first = at
                end = data.find(b"\r\n", at)
                if data[at:at + 1] != b"*" or end < 0:
                    raise ValueError(f"{path}: no command begins at byte {at}")
                count = int(data[at + 1:end])
                at = end + 2
                arguments = []
                for _ in range(count):
                    end = data.find(b"\r\n", at)
                    length = int(data[at + 1:end])
                    arguments.append(data[end + 2:end + 2 + length])
                    at = end + 4 + length
                yield arguments, first, at


class Value:
    """One key: its type as TYPE names it, its content, and when it expires (ms) or None."""

    __slots__ = ("kind", "content", "expires")

    def __init__(self, kind, content):
        self.kind = kind
        self.content = content
        self.expires = None

    def copy(self):
        content = self.content
        other = Value(self.kind, content if isinstance(content, bytes) else content.copy())
        other.expires = self.expires
        return other


def _set(value, arguments):
    value = Value("string", arguments[2])
    if len(arguments) == 5 and arguments[3].upper() == b"EXAT":
        value.expires = int(arguments[4]) * 1000
    elif len(arguments) != 3:
        raise ValueError(f"the model does not know this SET: {arguments[3:]!r}")
    return value


def _hset(value, arguments):
    value = value or Value("hash", {})
    value.content.update(zip(arguments[2::2], arguments[3::2]))
    return value


def _sadd(value, arguments):
    value = value or Value("set", set())
    value.content.update(arguments[2:])
    return value


def _zadd(value, arguments):
    value = value or Value("zset", {})
    value.content.update(zip(arguments[3::2], map(float, arguments[2::2])))
    return value


def _rpush(value, arguments):
    value = value or Value("list", [])
    value.content.extend(arguments[2:])
    return value


def _expireat(value, arguments):
    if value is not None:
        value.expires = int(arguments[2]) * 1000
    return value


APPLY = {b"SET": _set, b"HSET": _hset, b"SADD": _sadd, b"ZADD": _zadd, b"RPUSH": _rpush,
         b"EXPIREAT": _expireat}


class Model:
    """Every key with all the values that it may have: more than one only for uncertain commands."""

    def __init__(self):
        self.keys = {}

    def apply(self, arguments):
        """A command that took effect."""
        key = arguments[1]
        values = self.keys.get(key, (None,))
        if len(values) > 1:
            raise ValueError(f"{key!r}: a certain command behind an uncertain one")
        self.keys[key] = (APPLY[arguments[0]](values[0], arguments),)

    def apply_uncertain(self, arguments):
        """A command that took effect once or not at all; those of one connection form a prefix."""
        key = arguments[1]
        values = self.keys.get(key, (None,))
        last = values[-1].copy() if values[-1] is not None else None
        self.keys[key] = values + (APPLY[arguments[0]](last, arguments),)

    def certain_keys(self):
        return sum(1 for values in self.keys.values() if None not in values)


def in_zset_order(content):
    """[(member, score)] as ZRANGE gives them."""
    return sorted(content.items(), key=lambda item: (item[1], item[0]))
