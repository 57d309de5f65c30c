/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated store against the real one: random runs, openings, walks and views; every answer
 * must be the same. What differs on purpose (what is in memory, when a flush ends) is not compared.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/must.h"
#include "real/real.h"
#include "sim/store.h"
#include "test/sim/bench.h"

enum { KEY_BYTES_MAX = 3, ITEMS_MAX = 400, VIEWS_MAX = 4, STEPS = 60 };

struct pair {
    struct bench bench;
    struct stores *real_stores;
    struct store *sim, *real;
    struct store_view *sim_views[VIEWS_MAX], *real_views[VIEWS_MAX];
    struct dice dice;
    char directory[64];
};

/* Keys over a small alphabet, so that they meet: with the least and the greatest byte, and
 * prefixes. */
static struct bytes key_draw(struct dice *dice, uint8_t key[KEY_BYTES_MAX])
{
    static const uint8_t alphabet[] = {0x00, 0x01, 'a', 'b', 0x7f, 0x80, 0xff};
    size_t size = 1 + (size_t)dice_below(dice, KEY_BYTES_MAX);
    for (size_t i = 0; i < size; i++) key[i] = alphabet[dice_below(dice, sizeof(alphabet))];
    return bytes_of(key, size);
}

struct drawn_item {
    enum store_change change;
    uint8_t key[KEY_BYTES_MAX], to[KEY_BYTES_MAX];
    size_t key_size, to_size, value_size;
    uint8_t fill;
};

struct drawn_run {
    struct store_run base;
    struct store_flush flush;
    struct drawn_item items[ITEMS_MAX];
    size_t count, at;
    uint8_t value[5000];
    bool is_done;
};

static struct bytes item_key(const struct drawn_item *item)
{
    return bytes_of(item->key, item->key_size);
}

static int items_compare(const void *a, const void *b)
{
    const struct drawn_item *one = a, *other = b;
    bool is_range = one->change == STORE_DELETE_RANGE;
    if (is_range != (other->change == STORE_DELETE_RANGE)) return is_range ? -1 : 1;
    return bytes_compare(item_key(one), item_key(other));
}

static void run_draw(struct drawn_run *run, struct dice *dice)
{
    size_t ranges = (size_t)dice_below(dice, 4), changes = (size_t)dice_below(dice, ITEMS_MAX - 4);
    run->count = 0;
    for (size_t i = 0; i < ranges + changes; i++) {
        struct drawn_item *item = &run->items[run->count];
        *item = (struct drawn_item){.fill = (uint8_t)dice_roll(dice)};
        item->key_size = key_draw(dice, item->key).size;
        if (i < ranges) {
            item->change = STORE_DELETE_RANGE;
            item->to_size = key_draw(dice, item->to).size;
            if (bytes_compare(item_key(item), bytes_of(item->to, item->to_size)) >= 0) continue;
        } else {
            item->change = dice_chance(dice, 1, 3) ? STORE_DELETE : STORE_PUT;
            bool is_long = dice_chance(dice, 1, 20);
            item->value_size = (size_t)dice_below(dice, is_long ? sizeof(run->value) : 40);
        }
        run->count++;
    }
    qsort(run->items, run->count, sizeof(run->items[0]), items_compare);
    size_t kept = 0;
    for (size_t i = 0; i < run->count; i++) { /* each key once; ranges as they are */
        bool again = kept > 0 && run->items[i].change != STORE_DELETE_RANGE &&
                     items_compare(&run->items[kept - 1], &run->items[i]) == 0;
        if (!again) run->items[kept++] = run->items[i];
    }
    run->count = kept;
}

static bool drawn_run_next(struct store_run *base, struct store_item *item)
{
    struct drawn_run *run = CONTAINER_OF(base, struct drawn_run, base);
    if (run->at == run->count) return false;
    const struct drawn_item *drawn = &run->items[run->at++];
    memset(run->value, drawn->fill, sizeof(run->value));
    item->change = drawn->change;
    item->key = item_key(drawn);
    item->value = drawn->change == STORE_DELETE_RANGE ? bytes_of(drawn->to, drawn->to_size)
                                                      : bytes_of(run->value, drawn->value_size);
    return true;
}

static void drawn_run_done(struct store_flush *flush)
{
    CONTAINER_OF(flush, struct drawn_run, flush)->is_done = true;
}

struct flush_visit {
    struct sim_visit base;
    struct store *store;
    struct drawn_run *run;
};

static void flush_visit_run(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct flush_visit *visit = CONTAINER_OF(base, struct flush_visit, base);
    visit->store->ops->flush(visit->store, &visit->run->flush);
}

static void run_rewind(struct drawn_run *run)
{
    run->base.next = drawn_run_next;
    run->flush = (struct store_flush){.run = &run->base, .done = drawn_run_done};
    run->at = 0;
    run->is_done = false;
}

static void pair_flush(struct pair *pair)
{
    struct drawn_run *run = memory_zeroed(1, sizeof(*run));
    run_draw(run, &pair->dice);
    run_rewind(run);
    pair->real->ops->flush(pair->real, &run->flush);
    real_stores_settle(pair->real_stores);
    assert_true(run->is_done);
    assert_int_equal(run->flush.err, ERR_OK);
    run_rewind(run);
    struct flush_visit visit = {{flush_visit_run}, pair->sim, run};
    assert_true(sim_node_visit(pair->bench.node, &visit.base));
    while (!run->is_done) assert_true(sim_world_step(pair->bench.world));
    assert_int_equal(run->flush.err, ERR_OK);
    memory_free(run);
}

static void pair_open_stores(struct pair *pair)
{
    struct stores *stores = sim_node_world(pair->bench.node)->stores;
    char path[80];
    snprintf(path, sizeof(path), "%s/store", pair->directory);
    struct why why;
    enum err err = pair->real_stores->ops->open(pair->real_stores, path, true, 1 << 20, &pair->real,
                                                &why);
    if (err != ERR_OK) fail_msg("%s", why.text);
    assert_int_equal(stores->ops->open(stores, "store", true, 1 << 20, &pair->sim, &why), ERR_OK);
}

static void pair_view_close(struct pair *pair, size_t at)
{
    if (pair->sim_views[at] == NULL) return;
    pair->sim->ops->view_close(pair->sim, pair->sim_views[at]);
    pair->real->ops->view_close(pair->real, pair->real_views[at]);
    pair->sim_views[at] = pair->real_views[at] = NULL;
}

static void pair_view_open(struct pair *pair, size_t at)
{
    pair_view_close(pair, at);
    pair->sim_views[at] = pair->sim->ops->view_open(pair->sim);
    pair->real_views[at] = pair->real->ops->view_open(pair->real);
}

static void pair_close_stores(struct pair *pair)
{
    for (size_t i = 0; i < VIEWS_MAX; i++) pair_view_close(pair, i);
    pair->sim->ops->close(pair->sim);
    pair->real->ops->close(pair->real);
}

static void cursors_compare(struct store_cursor *sim, enum err sim_err, struct store_cursor *real,
                            enum err real_err)
{
    assert_int_equal(real_err, sim_err);
    if (sim_err != ERR_OK) return;
    assert_true(bytes_equal(real->ops->key(real), sim->ops->key(sim)));
    assert_true(bytes_equal(real->ops->value(real), sim->ops->value(sim)));
}

/* Walks the whole of it one way, then seeks and moves at random. Returns how many items there are.
 */
static size_t pair_walk(struct pair *pair, size_t view, bool backward)
{
    bool has_view = view < VIEWS_MAX;
    struct store_cursor *sim = pair->sim->ops->cursor(
        pair->sim, has_view ? pair->sim_views[view] : NULL, STORE_WAIT);
    struct store_cursor *real = pair->real->ops->cursor(
        pair->real, has_view ? pair->real_views[view] : NULL, STORE_WAIT);
    struct bytes end = backward ? bytes_of("\xff\xff\xff\xff", 4) : bytes_of("", 0);
    enum err err = backward ? sim->ops->seek_before(sim, end) : sim->ops->seek(sim, end);
    cursors_compare(sim, err, real,
                    backward ? real->ops->seek_before(real, end) : real->ops->seek(real, end));
    size_t count = 0;
    while (err == ERR_OK) {
        count++;
        err = backward ? sim->ops->previous(sim) : sim->ops->next(sim);
        cursors_compare(sim, err, real,
                        backward ? real->ops->previous(real) : real->ops->next(real));
    }
    for (int i = 0; i < 40; i++) {
        uint8_t space[KEY_BYTES_MAX];
        struct bytes key = key_draw(&pair->dice, space);
        uint64_t what = dice_below(&pair->dice, 4);
        if (err != ERR_OK || what == 0) {
            err = sim->ops->seek(sim, key);
            cursors_compare(sim, err, real, real->ops->seek(real, key));
        } else if (what == 1) {
            err = sim->ops->seek_before(sim, key);
            cursors_compare(sim, err, real, real->ops->seek_before(real, key));
        } else if (what == 2) {
            err = sim->ops->next(sim);
            cursors_compare(sim, err, real, real->ops->next(real));
        } else {
            err = sim->ops->previous(sim);
            cursors_compare(sim, err, real, real->ops->previous(real));
        }
    }
    sim->ops->close(sim);
    real->ops->close(real);
    return count;
}

static void pair_get(struct pair *pair)
{
    for (int i = 0; i < 30; i++) {
        uint8_t space[KEY_BYTES_MAX];
        struct bytes key = key_draw(&pair->dice, space);
        struct buffer one, other;
        buffer_init(&one);
        buffer_init(&other);
        enum err err = pair->sim->ops->get(pair->sim, key, STORE_WAIT, &one);
        assert_int_equal(pair->real->ops->get(pair->real, key, STORE_WAIT, &other), err);
        assert_true(bytes_equal(buffer_bytes(&one), buffer_bytes(&other)));
        buffer_release(&one);
        buffer_release(&other);
    }
}

static size_t pair_run(uint64_t seed)
{
    struct pair pair = {.bench = bench_open(seed), .directory = "/tmp/tidemark-store-XXXXXX"};
    dice_init(&pair.dice, seed);
    assert_non_null(mkdtemp(pair.directory));
    real_stores_open(&pair.real_stores, NULL);
    pair_open_stores(&pair);
    size_t most = 0;
    for (int step = 0; step < STEPS; step++) {
        uint64_t what = dice_below(&pair.dice, 20);
        size_t view = (size_t)dice_below(&pair.dice, VIEWS_MAX);
        if (what < 9) {
            pair_flush(&pair);
        } else if (what < 11) {
            pair_close_stores(&pair);
            pair_open_stores(&pair);
        } else if (what < 14) {
            pair_view_open(&pair, view);
        } else if (what < 17) {
            size_t count = pair_walk(&pair, pair.sim_views[view] != NULL ? view : VIEWS_MAX,
                                     what < 16);
            if (count > most) most = count;
        } else {
            pair_get(&pair);
        }
    }
    for (size_t i = 0; i <= VIEWS_MAX; i++) {
        if (i < VIEWS_MAX && pair.sim_views[i] == NULL) continue;
        size_t count = pair_walk(&pair, i, i % 2 == 0);
        if (count > most) most = count;
    }
    pair_close_stores(&pair);
    real_stores_close(pair.real_stores);
    char command[80];
    snprintf(command, sizeof(command), "rm -rf '%s'", pair.directory);
    assert_int_equal(system(command), 0);
    bench_close(&pair.bench);
    return most;
}

TEST(sim_store_differential, the_model_answers_as_the_real_store_does)
{
    size_t most = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        size_t count = pair_run(seed);
        if (count > most) most = count;
    }
    assert_true(most > 100); /* else little was compared */
}
