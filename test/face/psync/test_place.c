/* SPDX-License-Identifier: Apache-2.0
 * Copyright The tidemark authors
 */
#include "test/test.h"

#include <string.h>

#include "face/psync/place.h"

static const struct epoch_start epochs[] = {
    {{1, 9}, {1}, 0}, {{2, 9}, {10}, 500}, {{4, 8}, {20}, 700}};

static struct place_facts facts_of(uint64_t first, uint64_t end)
{
    return (struct place_facts){.history = {{1, 2, 3}},
                                .epochs = epochs,
                                .count = 3,
                                .place = {.on = true, .first = first, .end = end}};
}

static enum place_rule decide(const struct place_facts *facts, size_t epoch, int64_t offset)
{
    char name[PSYNC_REPLID_BYTES];
    place_replid(&facts->history, epochs[epoch].epoch, name);
    return place_decide(facts, bytes_text(name), offset);
}

TEST(psync_place, each_epoch_of_each_history_has_a_name_of_its_own)
{
    struct history one = {{1, 2, 3}}, other = {{1, 2, 4}};
    char name[4][PSYNC_REPLID_BYTES];
    place_replid(&one, (struct epoch){1, 9}, name[0]);
    place_replid(&one, (struct epoch){2, 9}, name[1]);
    place_replid(&one, (struct epoch){1, 8}, name[2]);
    place_replid(&other, (struct epoch){1, 9}, name[3]);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(strlen(name[i]), 40);
        assert_int_equal(strspn(name[i], "0123456789abcdef"), 40);
        for (unsigned j = 0; j < i; j++) assert_string_not_equal(name[i], name[j]);
    }
    assert_string_equal(name[0], "59e4bb32bb5655e6dcdea0f3c399734d00000001"); /* docs/psync.md */
}

TEST(psync_place, who_has_what_is_kept_goes_on)
{
    struct place_facts facts = facts_of(100, 1000);
    assert_int_equal(decide(&facts, 2, 1000), PLACE_CONTINUE); /* it lacks nothing */
    assert_int_equal(decide(&facts, 2, 100), PLACE_CONTINUE);  /* all that is kept */
    assert_int_equal(decide(&facts, 2, 701), PLACE_CONTINUE);
    assert_int_equal(decide(&facts, 2, 99), PLACE_GONE);
    assert_int_equal(decide(&facts, 2, 0), PLACE_GONE);
    assert_int_equal(decide(&facts, 2, 1001), PLACE_BEYOND);
    assert_int_equal(decide(&facts, 2, INT64_MAX), PLACE_BEYOND);
}

/* What it has beyond is of a past that this history does not have. */
TEST(psync_place, an_earlier_name_is_good_up_to_where_its_epoch_ended)
{
    struct place_facts facts = facts_of(100, 1000);
    assert_int_equal(decide(&facts, 1, 700), PLACE_CONTINUE);
    assert_int_equal(decide(&facts, 1, 701), PLACE_BEYOND);
    assert_int_equal(decide(&facts, 1, 1000), PLACE_BEYOND);
    assert_int_equal(decide(&facts, 0, 500), PLACE_CONTINUE);
    assert_int_equal(decide(&facts, 0, 501), PLACE_BEYOND);
    assert_int_equal(decide(&facts, 0, 99), PLACE_GONE);
    facts = facts_of(600, 1000);
    assert_int_equal(decide(&facts, 0, 500), PLACE_GONE);
}

TEST(psync_place, who_has_nothing_of_this_history_begins_anew)
{
    struct place_facts facts = facts_of(100, 1000);
    assert_int_equal(place_decide(&facts, bytes_text("?"), -1), PLACE_FIRST);
    assert_int_equal(decide(&facts, 2, -1), PLACE_FIRST);
    assert_int_equal(place_decide(&facts, bytes_text(""), 100), PLACE_FOREIGN);
    assert_int_equal(
        place_decide(&facts, bytes_text("0123456789012345678901234567890123456789"), 100),
        PLACE_FOREIGN);
    char name[PSYNC_REPLID_BYTES];
    place_replid(&facts.history, epochs[2].epoch, name);
    assert_int_equal(place_decide(&facts, bytes_of(name, 39), 100), PLACE_FOREIGN);
    name[0] = name[0] == '0' ? '1' : '0';
    assert_int_equal(place_decide(&facts, bytes_text(name), 100), PLACE_FOREIGN);
    facts.place.on = false;
    assert_int_equal(decide(&facts, 2, 1000), PLACE_OFF);
}
