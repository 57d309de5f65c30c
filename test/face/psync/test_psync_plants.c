/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 *
 * The planted bug of full syncs: it is seen to do what must not be, and without it the same does
 * not happen.
 */
#include <stdlib.h>
#include <string.h>

#include "base/plant.h"
#include "test/face/psync/following.h"

/* The offset that a replica is told, of a view behind which the stream has gone on. */
static uint64_t offset_of_full_sync(bool on)
{
    struct bed bed;
    bed_init(&bed);
    bed.feed.keys = 3;
    bed.feed.exports_wait = true;
    struct bed_link *link = bed_connect(&bed, 0);
    (void)bed_say(link, "REPLCONF capa psync2");
    (void)bed_say(link, "PSYNC ? -1");
    add(&bed, "before the view ");
    fake_feed_flushed(&bed.feed, ERR_OK);
    add(&bed, "behind it ");
    plant_set(PLANT_OFFSET_BESIDE_VIEW, on);
    bed_pass(&bed, 1000);
    plant_set(PLANT_OFFSET_BESIDE_VIEW, false);
    const char *line = strstr(bed_got(link), "+FULLRESYNC ");
    assert_non_null(line);
    uint64_t offset = strtoull(strrchr(strtok((char *)(uintptr_t)line, "\r"), ' '), NULL, 10);
    bed_release(&bed);
    return offset;
}

TEST(psync_plants, a_full_sync_goes_on_where_its_view_ends)
{
    assert_int_equal(offset_of_full_sync(false), 16);
    assert_int_equal(offset_of_full_sync(true), 26);
}
