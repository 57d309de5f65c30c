/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of those who wait and watch, by themselves: what a step costs, and what it leaves. */
#include "node/waiters.h"

#include <stdio.h>

#include "base/memory.h"
#include "test/test.h"

/* Comparisons of names: none is needed as long as hashes differ. */
static table_compare *really_compare;
static unsigned comparisons;

static int count_compare(const void *object, struct bytes name)
{
    comparisons++;
    return really_compare(object, name);
}

static void count_in(struct table *table)
{
    comparisons = 0;
    really_compare = table->compare;
    table->compare = count_compare;
}

struct word {
    char text[sizeof "key:" + 20];
};

static struct bytes *many_keys(struct word *words, size_t count)
{
    struct bytes *keys = memory_zeroed(count, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        snprintf(words[i].text, sizeof words[i].text, "key:%zu", i);
        keys[i] = bytes_text(words[i].text);
    }
    return keys;
}

static void join(struct waiters *waiters, struct waiter *waiter, const char *key)
{
    struct bytes bytes = bytes_text(key);
    waiters_add(waiters, waiter, 0, &bytes, 1);
}

/* What waiting.c does with all that is due when nobody waits any more. */
static void unready_all(struct waiters *waiters)
{
    struct list *first;
    while ((first = list_first(&waiters->due)) != NULL) {
        list_remove(first);
        waiters_unready(waiters, CONTAINER_OF(first, struct ready, paused));
    }
}

static size_t size_of(const struct list *list)
{
    size_t size = 0;
    for (const struct list *at = list->next; at != list; at = at->next) size++;
    return size;
}

static struct bytes due_key(const struct waiters *waiters)
{
    struct list *first = list_first(&waiters->due);
    assert_non_null(first);
    return CONTAINER_OF(first, struct ready, paused)->line->key;
}

TEST(node_waiters, what_a_key_costs_does_not_grow_with_their_number)
{
    enum { KEYS = 100000 };
    static struct word words[KEYS];
    struct bytes *keys = many_keys(words, KEYS);
    struct waiters waiters;
    struct waiter first = {.group = "list"}, second = {.group = "list"};
    waiters_init(&waiters);
    count_in(&waiters.lines);
    waiters_add(&waiters, &first, 0, keys, KEYS);
    assert_true(comparisons < KEYS / 100);
    waiters_add(&waiters, &second, 0, keys, KEYS);
    assert_true(comparisons < 2 * KEYS); /* each is found at once */
    comparisons = 0;
    waiters_fill_all(&waiters);
    assert_int_equal(comparisons, 0); /* a place knows its line */
    assert_int_equal(size_of(&waiters.due), KEYS);
    waiters_remove(&waiters, &first);
    waiters_remove(&waiters, &second);
    unready_all(&waiters);
    assert_int_equal(comparisons, 0);
    waiters_release(&waiters);
    memory_free(keys);
}

TEST(node_waiters, a_line_goes_when_its_last_waiter_has_gone)
{
    struct waiters waiters;
    struct waiter first = {.group = "list"}, second = {.group = "list"};
    struct bytes keys[] = {bytes_text("a"), bytes_text("b"), bytes_text("a")};
    waiters_init(&waiters);
    waiters_add(&waiters, &first, 0, keys, 3);
    waiters_add(&waiters, &second, 1, keys, 1); /* of another database: another line */
    assert_int_equal(waiters.lines.count, 3);
    waiters_remove(&waiters, &first);
    assert_int_equal(waiters.lines.count, 1);
    waiters_remove(&waiters, &second);
    assert_int_equal(waiters.lines.count, 0);
    waiters_release(&waiters);
}

TEST(node_waiters, a_ready_key_keeps_its_line_until_it_is_not_ready_any_more)
{
    struct waiters waiters;
    struct waiter waiter = {.group = "list"}, later = {.group = "list"};
    struct ready *last = NULL;
    waiters_init(&waiters);
    join(&waiters, &waiter, "k");
    waiters_fill(&waiters, 0, bytes_text("k"), &last);
    assert_non_null(last);
    waiters_remove(&waiters, &waiter);
    assert_int_equal(waiters.lines.count, 1);
    assert_null(waiters_next(last));
    join(&waiters, &later, "k");
    assert_ptr_equal(waiters_next(last), &later); /* who comes in between is in the same line */
    waiters_remove(&waiters, &later);
    unready_all(&waiters);
    assert_int_equal(waiters.lines.count, 0);
    waiters_release(&waiters);
}

TEST(node_waiters, only_keys_that_are_waited_for_become_ready_and_each_once)
{
    struct waiters waiters;
    struct waiter first = {.group = "list"}, second = {.group = "list"};
    struct ready *last = NULL;
    waiters_init(&waiters);
    join(&waiters, &first, "k");
    join(&waiters, &second, "k");
    waiters_fill(&waiters, 0, bytes_text("other"), &last);
    waiters_fill(&waiters, 1, bytes_text("k"), &last);
    assert_int_equal(size_of(&waiters.due), 0);
    waiters_fill(&waiters, 0, bytes_text("k"), &last);
    waiters_fill(&waiters, 0, bytes_text("k"), &last);
    waiters_fill_all(&waiters);
    assert_int_equal(size_of(&waiters.due), 1);
    assert_ptr_equal(waiters_next(last), &first);
    waiters_remove(&waiters, &first);
    assert_ptr_equal(waiters_next(last), &second);
    waiters_remove(&waiters, &second);
    unready_all(&waiters);
    waiters_release(&waiters);
}

TEST(node_waiters, all_keys_become_ready_in_the_order_of_those_who_wait)
{
    struct waiters waiters;
    struct waiter first = {.group = "list"}, second = {.group = "list"};
    struct bytes keys[] = {bytes_text("z"), bytes_text("a")};
    const char *expected[] = {"m", "z", "a"};
    waiters_init(&waiters);
    join(&waiters, &first, "m");
    waiters_add(&waiters, &second, 0, keys, 2);
    waiters_fill_all(&waiters);
    for (size_t i = 0; i < 3; i++) {
        struct list *due = list_first(&waiters.due);
        assert_true(bytes_equal(due_key(&waiters), bytes_text(expected[i])));
        list_remove(due);
        waiters_unready(&waiters, CONTAINER_OF(due, struct ready, paused));
    }
    waiters_remove(&waiters, &first);
    waiters_remove(&waiters, &second);
    waiters_release(&waiters);
}

/* All that is due pauses for the waiter. */
static void hold_all(struct waiters *waiters, struct waiter *waiter)
{
    struct list *first;
    while ((first = list_first(&waiters->due)) != NULL) {
        list_remove(first);
        waiters_hold(waiter, CONTAINER_OF(first, struct ready, paused));
    }
}

TEST(node_waiters, of_the_keys_that_a_waiter_holds_one_is_looked_at_after_an_attempt_all_at_its_end)
{
    struct waiters waiters;
    struct waiter waiter = {.group = "list"};
    struct bytes keys[] = {bytes_text("a"), bytes_text("b"), bytes_text("c")};
    waiters_init(&waiters);
    waiters_add(&waiters, &waiter, 0, keys, 3);
    waiters_fill_all(&waiters);
    hold_all(&waiters, &waiter);
    waiters_resume(&waiters, &waiter);
    assert_int_equal(size_of(&waiters.due), 1);
    assert_true(bytes_equal(due_key(&waiters), bytes_text("a")));
    waiters_remove(&waiters, &waiter);
    assert_int_equal(size_of(&waiters.due), 3);
    unready_all(&waiters);
    waiters_release(&waiters);
}

TEST(node_waiters, a_key_filled_again_is_looked_at_again_if_its_next_in_line_may_be_another)
{
    struct waiters waiters;
    struct waiter list = {.group = "list"}, zset = {.group = "sorted set"};
    struct ready *ready = NULL;
    waiters_init(&waiters);
    join(&waiters, &list, "k");
    join(&waiters, &zset, "k");
    waiters_fill(&waiters, 0, bytes_text("k"), &ready);
    hold_all(&waiters, &list);
    waiters_fill_all(&waiters);
    assert_int_equal(size_of(&waiters.due), 0); /* it is the oldest's turn still */
    list_remove(&ready->paused);
    ready->missed = list.group;
    assert_ptr_equal(waiters_next(ready), &zset);
    waiters_hold(&zset, ready);
    waiters_fill_all(&waiters);
    assert_int_equal(size_of(&waiters.due), 1);
    assert_ptr_equal(waiters_next(ready), &list);
    waiters_remove(&waiters, &list);
    waiters_remove(&waiters, &zset);
    unready_all(&waiters);
    waiters_release(&waiters);
}

/* --- Watches --- */

TEST(node_waiters, what_a_watch_costs_does_not_grow_with_their_number)
{
    enum { KEYS = 100000 };
    static struct word words[KEYS];
    static struct watch all[KEYS];
    struct bytes *keys = many_keys(words, KEYS);
    struct watches watches;
    watches_init(&watches);
    count_in(&watches.lines);
    for (size_t i = 0; i < KEYS; i++) {
        all[i] = (struct watch){.key = keys[i]};
        watches_add(&watches, &all[i]);
    }
    for (size_t i = 0; i < KEYS; i++) watches_touch(&watches, 0, keys[i]);
    for (size_t i = 0; i < KEYS; i++) assert_true(all[i].touched);
    for (size_t i = 0; i < KEYS; i++) watches_remove(&watches, &all[i]);
    assert_true(comparisons < KEYS + KEYS / 100);
    watches_release(&watches);
    memory_free(keys);
}

TEST(node_waiters, all_who_watch_a_key_are_touched_and_nobody_else)
{
    struct watches watches;
    struct watch one = {.key = bytes_text("k")}, two = one, elsewhere = one;
    struct watch other = {.key = bytes_text("other")};
    elsewhere.database = 1;
    watches_init(&watches);
    watches_add(&watches, &one);
    watches_add(&watches, &two);
    watches_add(&watches, &elsewhere);
    watches_add(&watches, &other);
    assert_int_equal(watches.lines.count, 3);
    watches_touch(&watches, 0, bytes_text("k"));
    assert_true(one.touched && two.touched);
    assert_false(elsewhere.touched || other.touched);
    watches_remove(&watches, &one);
    two.touched = false;
    watches_touch(&watches, 0, bytes_text("k"));
    assert_true(two.touched);
    watches_remove(&watches, &two);
    watches_remove(&watches, &two);
    watches_remove(&watches, &elsewhere);
    watches_remove(&watches, &other);
    assert_int_equal(watches.lines.count, 0);
    watches_release(&watches);
}
