/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The run of a flush is read by a thread of the store while the loop goes on with entries. What the
 * two may share, the thread sanitizer says (`make unit SAN=tsan`); without it this proves less.
 */
#include "test/test.h"

#include <pthread.h>
#include <stdio.h>

#include "test/state/bed.h"

enum { KEYS = 300, SPAN = 32 };

struct reading {
    struct store_run *run;
    size_t items, bytes;
};

/* Asks for no memory: the lock of the tests' heap would put the two threads in an order. */
static void *read_run(void *argument)
{
    struct reading *reading = argument;
    struct store_item item;
    while (reading->run->next(reading->run, &item)) {
        reading->items++;
        reading->bytes += item.key.size + item.value.size;
    }
    return NULL;
}

static void write_keys(struct bed *bed, const char *name)
{
    for (int i = 0; i < KEYS; i++) {
        char line[SPAN];
        snprintf(line, sizeof line, "SET %s%d x", name, i);
        assert_string_equal(bed_write(bed, line), "OK");
    }
}

TEST(state_flush, what_its_thread_reads_is_not_written_by_an_evaluation_that_is_taken_back)
{
    struct bed bed;
    bed_init(&bed, 1);
    write_keys(&bed, "old");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    bed_reopen(&bed); /* with no key in memory */
    write_keys(&bed, "key");

    bed.store.flush_fails = ERR_SPACE; /* the same run is tried again, when the thread has ended */
    bed_flush_begin(&bed);
    struct reading reading = {.run = bed.store.flush->run};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_run, &reading), 0);
    struct buffer payload;
    buffer_init(&payload);
    bed_payload(&payload, 0, "SET key1 new ; APPEND old1 new");
    /* The second key is not in memory; by then the first one was changed. */
    bed.store.pending_at = bed.store.reads + 1;
    assert_int_equal(bed_try(&bed, buffer_bytes(&payload)), ERR_PENDING);
    buffer_release(&payload);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(reading.items > KEYS && reading.bytes > KEYS);

    bed_settle(&bed);
    assert_int_equal(bed.flush.err, ERR_SPACE);
    assert_int_equal(bed_flush(&bed), ERR_OK);
    assert_true(bed_recounts(&bed));
    bed_release(&bed);
}
