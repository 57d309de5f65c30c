# SPDX-License-Identifier: Apache-2.0
# Copyright The tidemark authors
"""Random commands on lists and sorted sets, for the test that compares them with Redis."""
import random

LARGE_INT = 9223372036854775807

LISTS = ["l1", "l2", "l3", "l4"]
ZSETS = ["z1", "z2", "z3", "big"]
LEXES = ["x1", "x2"]  # all scores are 0 here, as ranges by member want it
OTHERS = ["set1", "set2", "string", "none", "hash"]
KEYS = LISTS + ZSETS + LEXES + OTHERS

VALUES = ["a", "b", "c", "d", "1", "2", "-7", "", "a\0b", "\xff\xfe", "x" * 70,
          "12345678901234567890"]
MEMBERS = ["a", "b", "c", "d", "e", "f", "g", "1", "2", "10", "", "\0", "\xff", "aa", "ab",
           "m" * 70]
SCORES = ["0", "1", "2", "3", "-1", "1.5", "-2.25", "0.1", "0.2", "0.3", "3.3333333333333335",
          "1e10", "inf", "-inf", "+inf", "1e308", "-1e308", "1e-320", "9007199254740993",
          "123456789.123", "1e17", "4.9e-324", "1e100", "0x10"]
BAD_SCORES = ["nan", "", "abc", "1e400", " 1", "1 ", "--1", "1e-400", "infx"]
BOUNDS = SCORES + ["(1", "(2", "(0.2", "(-inf", "(inf", "(1e308", "(0", " 1", "1e400", "(", "",
                   "(-1e400"]
BAD_BOUNDS = ["nan", "(nan", "abc", "1 ", "((1", "[1", " "]
LEX_BOUNDS = ["-", "+", "[a", "(a", "[c", "(c", "[", "(", "[aa", "(\xff", "[m", "(1"]
BAD_LEX_BOUNDS = ["a", "", "++", "-x", "1"]
INTEGERS = [0, 1, 2, 3, 5, 100, -1, -2, -3, -100, LARGE_INT, -LARGE_INT - 1]
BAD_INTEGERS = ["x", "", "1.0", "01", "9223372036854775808", "+1", " 1"]


class Commands:
    """Draws commands."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.makers = [(getattr(self, name), weight) for name, weight in (
            ("push", 14), ("pop", 10), ("list_read", 10), ("list_edit", 12), ("lpos", 5),
            ("move", 7), ("list_wait", 6), ("zadd", 16), ("zset_write", 6), ("zset_read", 10),
            ("zrange", 12), ("zrange_old", 8), ("zcount", 4), ("zremrange", 3), ("zpop", 6),
            ("zset_wait", 5), ("algebra", 12), ("lex", 10), ("zscan", 3), ("zrandmember", 3),
            ("other", 5), ("bulk", 1))]
        self.weights = [weight for _, weight in self.makers]

    def draw(self):
        maker = self.dice.choices(self.makers, self.weights)[0][0]
        command = [str(word) for word in maker()]
        # Not where another score would come in, or a wait without end.
        if self.dice.random() < 0.03 and command[1] not in LEXES and command[0][0] != "B":
            self.spoil(command)
        return [word.encode("latin-1") for word in command]

    def spoil(self, command):
        """One word more, less or another."""
        at = self.dice.randint(1, len(command))
        junk = self.dice.choice(["junk", "limit", "count", "withscores", "0", "-1", "2", "z1",
                                 "nan", "rev"])
        way = self.dice.randrange(3)
        if way == 0 and len(command) > 1:
            del command[min(at, len(command) - 1)]
        elif way == 1:
            command.insert(at, junk)
        elif at < len(command):
            command[at] = junk

    def pick(self, good, bad, chance=0.04):
        return self.dice.choice(bad if self.dice.random() < chance else good)

    def key(self, own):
        return self.pick(own, LISTS + ZSETS + OTHERS, 0.06)

    def list(self):
        return self.key(LISTS)

    def zset(self):
        return self.key(ZSETS)

    def value(self):
        return self.dice.choice(VALUES)

    def member(self):
        if self.dice.random() < 0.1:
            return f"m{self.dice.randrange(400)}"
        return self.dice.choice(MEMBERS)

    def integer(self):
        return self.pick(INTEGERS, BAD_INTEGERS)

    def place(self):
        return self.pick(range(-12, 13), INTEGERS + BAD_INTEGERS, 0.1)

    def score(self):
        return self.pick(SCORES, BAD_SCORES, 0.02)

    def maybe(self, chance, *words):
        return list(words) if self.dice.random() < chance else []

    def some(self, draw, most):
        return [draw() for _ in range(self.dice.randint(1, most))]

    # ---- Lists ----

    def push(self):
        name = self.dice.choice(["LPUSH", "RPUSH", "LPUSH", "RPUSH", "LPUSHX", "RPUSHX"])
        return [name, self.list(), *self.some(self.value, 6)]

    def pop(self):
        name = self.dice.choice(["LPOP", "RPOP"])
        count = self.pick(range(0, 5), INTEGERS + BAD_INTEGERS, 0.1)
        return [name, self.list(), *self.maybe(0.5, count)]

    def list_read(self):
        name = self.dice.choice(["LLEN", "LRANGE", "LRANGE", "LINDEX"])
        if name == "LLEN":
            return [name, self.list()]
        if name == "LINDEX":
            return [name, self.list(), self.place()]
        return [name, self.list(), *self.dice.choice([[0, -1], [self.place(), self.place()]])]

    def list_edit(self):
        name = self.dice.choice(["LSET", "LREM", "LREM", "LINSERT", "LINSERT", "LTRIM"])
        if name == "LSET":
            return [name, self.list(), self.place(), self.value()]
        if name == "LREM":
            count = self.pick([0, 0, 1, 2, -1, -2], INTEGERS + BAD_INTEGERS, 0.1)
            return [name, self.list(), count, self.value()]
        if name == "LTRIM":
            return [name, self.list(), self.place(), self.place()]
        where = self.pick(["BEFORE", "AFTER", "before", "After"], ["aft3r"])
        return [name, self.list(), where, self.value(), self.value()]

    def lpos(self):
        rank = self.pick([1, 2, -1, -2, 3], [0, -LARGE_INT, LARGE_INT, "x"], 0.1)
        return ["LPOS", self.list(), self.value(), *self.maybe(0.5, "RANK", rank),
                *self.maybe(0.4, "COUNT", self.pick([0, 1, 2, 3], [-1, "x"])),
                *self.maybe(0.3, "MAXLEN", self.pick([0, 1, 3, 5], [-1, "x"]))]

    def end(self):
        return self.pick(["LEFT", "RIGHT", "left"], ["UP"], 0.03)

    def move(self):
        name = self.dice.choice(["LMOVE", "LMOVE", "RPOPLPUSH", "BLMOVE", "BRPOPLPUSH"])
        if name == "RPOPLPUSH":
            return [name, self.list(), self.list()]
        if name == "LMOVE":
            return [name, self.list(), self.list(), self.end(), self.end()]
        if name == "BRPOPLPUSH":
            return [name, self.list(), self.list(), self.timeout()]
        return [name, self.list(), self.list(), self.end(), self.end(), self.timeout()]

    def timeout(self):
        return self.pick(["0.001", "0.002"], ["-1", "x", "", "nan", "-0.5"], 0.2)

    def counted_keys(self, key):
        keys = self.some(key, 3)
        return [self.pick([len(keys)], [0, -1, "x", len(keys) + 1, LARGE_INT], 0.03), *keys]

    def list_wait(self):
        name = self.dice.choice(["BLPOP", "BRPOP", "LMPOP", "BLMPOP"])
        if name in ("BLPOP", "BRPOP"):
            return [name, *self.some(self.list, 3), self.timeout()]
        count = self.maybe(0.5, "COUNT", self.pick([1, 2, 3, 100], [0, -1, "x"]))
        timeout = [self.timeout()] if name == "BLMPOP" else []
        return [name, *timeout, *self.counted_keys(self.list), self.end(), *count]

    # ---- Sorted sets ----

    def zadd(self):
        dice = self.dice
        options = [option for option, chance in (
            ("NX", 0.1), ("XX", 0.1), ("GT", 0.12), ("LT", 0.12), ("CH", 0.2), ("INCR", 0.12))
                   if dice.random() < chance]
        dice.shuffle(options)
        pairs = 1 if "INCR" in options and dice.random() < 0.9 else dice.randint(1, 5)
        words = []
        for _ in range(pairs):
            words += [self.score(), self.member()]
        return ["ZADD", self.zset(), *options, *words]

    def zset_write(self):
        if self.dice.random() < 0.5:
            return ["ZINCRBY", self.zset(), self.score(), self.member()]
        return ["ZREM", self.zset(), *self.some(self.member, 4)]

    def zset_read(self):
        name = self.dice.choice(["ZSCORE", "ZMSCORE", "ZCARD", "ZRANK", "ZREVRANK"])
        if name == "ZCARD":
            return [name, self.zset()]
        return [name, self.zset(), *self.some(self.member, 4 if name == "ZMSCORE" else 1)]

    def bounds(self):
        bounds = [self.pick(BOUNDS, BAD_BOUNDS, 0.02) for _ in range(2)]
        return self.dice.choice([bounds, ["-inf", bounds[0]], [bounds[0], "+inf"], ["-inf", "+inf"],
                                 ["+inf", "-inf"]])

    def limit(self):
        return self.maybe(0.3, "LIMIT", self.pick([0, 1, 2, 5], [-1, 100] + BAD_INTEGERS, 0.1),
                          self.pick([0, 1, 2, 5, -1], [-2, LARGE_INT] + BAD_INTEGERS, 0.1))

    def zrange(self):
        store = self.dice.random() < 0.25
        options = [self.maybe(0.4, "REV"), self.limit(),
                   self.maybe(0.1 if store else 0.4, "WITHSCORES")]
        ends = [self.place(), self.place()]
        if self.dice.random() < 0.5:
            options.append(["BYSCORE"])
            ends = self.bounds()
        elif not self.dice.randrange(8):
            options.append(["BYLEX"])
            ends = ["-", self.dice.choice(["-", "nothing"])]
        else:
            options[1] = self.maybe(0.05, "LIMIT", 0, 1)
        self.dice.shuffle(options)
        name = ["ZRANGESTORE", self.zset()] if store else ["ZRANGE"]
        return [*name, self.zset(), *ends, *sum(options, [])]

    def zrange_old(self):
        name = self.dice.choice(["ZREVRANGE", "ZRANGEBYSCORE", "ZREVRANGEBYSCORE"])
        scores = self.maybe(0.4, "WITHSCORES")
        if name == "ZREVRANGE":
            return [name, self.zset(), self.place(), self.place(), *scores]
        options = [scores, self.limit(), self.maybe(0.02, "REV")]
        self.dice.shuffle(options)
        return [name, self.zset(), *self.bounds(), *sum(options, [])]

    def zcount(self):
        return ["ZCOUNT", self.zset(), *self.bounds()]

    def zremrange(self):
        if self.dice.random() < 0.5:
            return ["ZREMRANGEBYRANK", self.zset(), self.place(), self.place()]
        return ["ZREMRANGEBYSCORE", self.zset(), *self.bounds()]

    def zpop(self):
        name = self.dice.choice(["ZPOPMIN", "ZPOPMAX"])
        count = self.pick(range(0, 4), INTEGERS + BAD_INTEGERS, 0.1)
        return [name, self.zset(), *self.maybe(0.5, count)]

    def zset_wait(self):
        name = self.dice.choice(["BZPOPMIN", "BZPOPMAX", "ZMPOP", "BZMPOP"])
        if name in ("BZPOPMIN", "BZPOPMAX"):
            return [name, *self.some(self.zset, 3), self.timeout()]
        count = self.maybe(0.5, "COUNT", self.pick([1, 2, 3, 100], [0, -1, "x"]))
        timeout = [self.timeout()] if name == "BZMPOP" else []
        end = self.pick(["MIN", "MAX", "min"], ["LEFT"], 0.03)
        return [name, *timeout, *self.counted_keys(self.zset), end, *count]

    def algebra(self):
        name = self.dice.choice(["ZUNION", "ZINTER", "ZDIFF", "ZINTERCARD"])
        store = name != "ZINTERCARD" and self.dice.random() < 0.4
        keys = self.counted_keys(lambda: self.pick(ZSETS + ["set1", "set2"] + LEXES, KEYS, 0.06))
        weights = [self.pick(["1", "2", "-1", "0.5", "0", "inf"], BAD_SCORES, 0.03)
                   for _ in keys[1:]]
        options = []
        if name in ("ZUNION", "ZINTER") or not self.dice.randrange(10):
            how = self.pick(["SUM", "MIN", "MAX", "max"], ["AVG"])
            options += [self.maybe(0.4, "WEIGHTS", *weights), self.maybe(0.5, "AGGREGATE", how)]
        options.append(self.maybe(0.05 if store else 0.5, "WITHSCORES"))
        if name == "ZINTERCARD":
            options = [self.maybe(0.4, "LIMIT", self.pick([0, 1, 2, 5], [-1, "x"]))]
        self.dice.shuffle(options)
        target = [name + "STORE", self.zset()] if store else [name]
        return [*target, *keys, *sum(options, [])]

    def lex(self):
        dice, key = self.dice, self.dice.choice(LEXES)
        ends = [self.pick(LEX_BOUNDS, BAD_LEX_BOUNDS, 0.03) for _ in range(2)]
        name = dice.choice(["ZADD", "ZADD", "ZREM", "ZLEXCOUNT", "ZRANGEBYLEX", "ZREVRANGEBYLEX",
                            "ZRANGE", "ZRANGESTORE", "ZREMRANGEBYLEX"])
        if name == "ZADD":
            return [name, key, *sum(([0, self.member()] for _ in range(dice.randint(1, 4))), [])]
        if name == "ZREM":
            return [name, key, *self.some(self.member, 3)]
        if name in ("ZLEXCOUNT", "ZREMRANGEBYLEX"):
            return [name, key, *ends]
        target = [name, dice.choice(LEXES)] if name == "ZRANGESTORE" else [name]
        by = ["BYLEX"] if name in ("ZRANGE", "ZRANGESTORE") else []
        return [*target, key, *ends, *by, *(self.maybe(0.4, "REV") if by else []), *self.limit()]

    def zscan(self):
        cursor = self.pick(["0"], ["x", "", " 1", "99999999999999999999"], 0.1)
        return ["ZSCAN", self.zset(), cursor,
                *self.maybe(0.4, "MATCH", self.pick(["*", "a*", "m?", ""], ["[a-c]"], 0.3)),
                *self.maybe(0.4, "COUNT", self.pick([1, 5, 1000], [0, -1, "x"], 0.2))]

    def zrandmember(self):
        count = self.pick([0, 1, 3, 500, -1, -3, -50], [-LARGE_INT - 1, "x"], 0.1)
        return ["ZRANDMEMBER", self.zset(), *self.maybe(0.8, count, *self.maybe(0.5, "WITHSCORES"))]

    # ---- The rest ----

    def other(self):
        dice = self.dice
        return dice.choice([
            lambda: ["DEL", dice.choice(KEYS)],
            lambda: ["SADD", dice.choice(["set1", "set2"]), *self.some(self.member, 6)],
            lambda: ["SET", "string", "text"],
            lambda: ["HSET", "hash", "a", "1"],
            lambda: ["TYPE", dice.choice(KEYS)],
            lambda: ["EXISTS", *KEYS],
        ])()

    def bulk(self):
        """What takes a collection out of Redis's small encodings."""
        dice = self.dice
        if dice.random() < 0.5:
            values = [f"v{dice.randrange(90)}" for _ in range(300)]
            return [dice.choice(["LPUSH", "RPUSH"]), "l4", *values]
        return ["ZADD", "big", *sum(([dice.randrange(100) / 4, f"m{dice.randrange(400)}"]
                                     for _ in range(300)), [])]


class Scenes(Commands):
    """Draws what waits and what serves it, over few keys."""

    def wait(self):
        dice = self.dice
        keys = [dice.choice(["l1", "l2", "l3"]) for _ in range(dice.randint(1, 3))]
        zsets = [dice.choice(["z1", "z2"]) for _ in range(dice.randint(1, 2))]
        return dice.choice([
            lambda: [dice.choice(["BLPOP", "BRPOP"]), *keys, 0],
            lambda: ["BRPOPLPUSH", keys[0], keys[-1], 0],
            lambda: ["BLMOVE", keys[0], dice.choice(["l1", "l2", "l3"]), self.end(), self.end(), 0],
            lambda: ["BLMPOP", 0, len(keys), *keys, self.end(), "COUNT", dice.randint(1, 3)],
            lambda: [dice.choice(["BZPOPMIN", "BZPOPMAX"]), *zsets, 0],
            lambda: ["BZMPOP", 0, len(zsets), *zsets, dice.choice(["MIN", "MAX"]), "COUNT", 2],
        ])()

    def serve(self):
        dice, key = self.dice, self.dice.choice(["l1", "l2", "l3"])
        pushes = [["RPUSH", dice.choice(["l1", "l2", "l3"]), *self.some(self.value, 2)]
                  for _ in range(4)]
        return dice.choice([
            lambda: [["RPUSH", key, *self.some(self.value, 4)]],
            lambda: [["LPUSH", key, self.value()]],
            lambda: [["ZADD", dice.choice(["z1", "z2", "l1"]), 1, "a", 2, "b", 3, "c"]],
            lambda: [["MULTI"], ["LPUSH", key, "a", "b"], ["DEL", key], ["SET", key, "x"],
                     ["EXEC"]],
            lambda: [["MULTI"], ["LPUSH", key, "a"], ["RPUSH", key, "b"], ["LPOP", key], ["EXEC"]],
            lambda: [["MULTI"], *pushes, ["EXEC"]],
            lambda: [["MULTI"], ["LPOP", "l3"], *pushes, ["RPOPLPUSH", "l1", "l2"], ["EXEC"]],
            lambda: [["MULTI"], ["ZADD", "z2", 1, "a", 2, "b"], ["ZADD", "z1", 1, "c"], ["EXEC"]],
            lambda: [["DEL", "l1", "l2", "l3", "z1", "z2"]],
            lambda: [["RPUSH", "l4", *self.some(self.value, 3)], ["RENAME", "l4", key]],
            lambda: [["SET", "l3", "not a list"]],
        ])()
