/* SPDX-License-Identifier: Apache-2.0 */
/* loss: a machine that was lost behind its flush, and entries that are applied again. */
#ifndef TEST_STATE_LOSS_H
#define TEST_STATE_LOSS_H

#include "test/test.h"

#include "test/state/bed.h"

static inline void apply(struct bed *bed, uint64_t from, uint64_t to)
{
    for (uint64_t i = from; i < to; i++)
        assert_int_equal(apply_all(bed, &bed->entries[i].entry), ERR_OK);
}

/* Drops the machine and opens it over what was flushed; returns its mark. */
static inline uint64_t lose(struct bed *bed)
{
    memory_store_crash(&bed->store);
    bed->machine->ops->close(bed->machine);
    bed->machine = open_machine(bed);
    bed->store.gets = bed->store.fetched = 0;
    buffer_clear(&bed->store.asked);
    return bed_applied(bed);
}

static inline void prepare(struct bed *bed)
{
    static const char *const writes[] = {"SET s text", "SET n 10",       "SET e 1 EX 1000",
                                         "HSET h a 1", "RPUSH l 1 2 3",  "ZADD z 1 a 2 b",
                                         "SADD x a",   "SET other keeps"};
    bed_init(bed, 1);
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) (void)bed_write(bed, writes[i]);
    (void)bed_write_in(bed, 1, "SET s elsewhere");
    assert_int_equal(bed_flush(bed), ERR_OK);
}

static const char *const lines[] = {
    "SET s new",  "APPEND s more", "INCR n",    "SET fresh 1",  "MSET s 1 n 2 fresh 3",
    "DEL e none", "SADD x b",      "SET s end", "RENAME s far", "DEL n ; SET n 7 ; INCR other"};
enum { LINES = sizeof lines / sizeof *lines };

#endif
