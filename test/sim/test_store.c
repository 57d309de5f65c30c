/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "base/must.h"
#include "sim/heap.h"
#include "sim/store.h"
#include "test/sim/bench.h"

/* A run of items written down as text: "+k=v", "-k", "~a..b", separated by spaces. */
struct text_run {
    struct store_run base;
    struct store_flush flush;
    const char *text, *at;
    struct store *store;
    bool is_done;
};

static struct bytes part(const char *from, const char *to)
{
    return bytes_of(from, (size_t)(to - from));
}

static bool text_run_next(struct store_run *base, struct store_item *item)
{
    struct text_run *run = CONTAINER_OF(base, struct text_run, base);
    while (*run->at == ' ') run->at++;
    if (*run->at == '\0') return false;
    const char *end = run->at + strcspn(run->at, " ");
    const char *begin = run->at + 1, *split;
    switch (*run->at) {
    case '+':
        split = begin + strcspn(begin, "=");
        *item = (struct store_item){STORE_PUT, part(begin, split), part(split + 1, end)};
        break;
    case '-': *item = (struct store_item){STORE_DELETE, part(begin, end), {NULL, 0}}; break;
    default:
        split = strstr(begin, "..");
        *item = (struct store_item){STORE_DELETE_RANGE, part(begin, split), part(split + 2, end)};
    }
    run->at = end;
    return true;
}

static void text_run_done(struct store_flush *flush)
{
    CONTAINER_OF(flush, struct text_run, flush)->is_done = true;
}

/* Things to do inside the node; `kind` says which. */
struct deed {
    struct sim_visit base;
    enum { DEED_FLUSH, DEED_WARM, DEED_CLOSE } kind;
    struct text_run *run;
    struct store *store;
    struct store_warm *warm;
};

static void deed_run(struct sim_visit *base, struct world *world)
{
    (void)world;
    struct deed *deed = CONTAINER_OF(base, struct deed, base);
    switch (deed->kind) {
    case DEED_FLUSH: deed->store->ops->flush(deed->store, &deed->run->flush); return;
    case DEED_WARM: deed->store->ops->warm(deed->store, deed->warm); return;
    case DEED_CLOSE: deed->store->ops->close(deed->store); return;
    }
}

static struct store *store_open(struct bench *bench)
{
    struct stores *stores = sim_node_world(bench->node)->stores;
    struct store *store;
    struct why why;
    assert_int_equal(stores->ops->open(stores, "store", true, 1 << 20, &store, &why), ERR_OK);
    return store;
}

static bool flush_begin(struct bench *bench, struct store *store, struct text_run *run,
                        const char *text)
{
    *run = (struct text_run){.base = {text_run_next}, .text = text, .at = text};
    run->flush.run = &run->base;
    run->flush.done = text_run_done;
    struct deed deed = {.base = {deed_run}, .kind = DEED_FLUSH, .run = run, .store = store};
    return sim_node_visit(bench->node, &deed.base);
}

static enum err flush(struct bench *bench, struct store *store, const char *text)
{
    struct text_run run;
    assert_true(flush_begin(bench, store, &run, text));
    assert_false(run.is_done);
    while (!run.is_done) assert_true(sim_world_step(bench->world));
    return run.flush.err;
}

static void store_close(struct bench *bench, struct store *store)
{
    struct deed deed = {.base = {deed_run}, .kind = DEED_CLOSE, .store = store};
    assert_true(sim_node_visit(bench->node, &deed.base));
}

/* Everything in order as "k=v k=v"; `out` is borrowed until the next call. */
static const char *walk(struct store *store, struct store_view *view, bool backward)
{
    static char out[4096];
    size_t size = 0;
    struct store_cursor *cursor = store->ops->cursor(store, view, STORE_WAIT);
    enum err err = backward ? cursor->ops->seek_before(cursor, bytes_text("~"))
                            : cursor->ops->seek(cursor, bytes_text(""));
    while (err == ERR_OK) {
        struct bytes key = cursor->ops->key(cursor), value = cursor->ops->value(cursor);
        size += (size_t)snprintf(out + size, sizeof(out) - size, "%s%.*s=%.*s", size > 0 ? " " : "",
                                 (int)key.size, (const char *)key.data, (int)value.size,
                                 (const char *)value.data);
        err = backward ? cursor->ops->previous(cursor) : cursor->ops->next(cursor);
    }
    assert_int_equal(err, ERR_NOT_FOUND);
    cursor->ops->close(cursor);
    out[size] = '\0';
    return out;
}

static enum err get(struct store *store, const char *key, enum store_patience patience,
                    const char *expected)
{
    struct buffer value;
    buffer_init(&value);
    enum err err = store->ops->get(store, bytes_text(key), patience, &value);
    if (err == ERR_OK) assert_true(bytes_equal(buffer_bytes(&value), bytes_text(expected)));
    if (err != ERR_OK) assert_int_equal(value.size, 0);
    buffer_release(&value);
    return err;
}

TEST(sim_store, a_flush_puts_deletes_and_deletes_ranges)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    assert_string_equal(walk(store, NULL, false), "");
    assert_int_equal(flush(&bench, store, "+a=1 +b=2 +c=3 +d=4 +e="), ERR_OK);
    assert_string_equal(walk(store, NULL, false), "a=1 b=2 c=3 d=4 e=");
    assert_string_equal(walk(store, NULL, true), "e= d=4 c=3 b=2 a=1");
    assert_int_equal(flush(&bench, store, "~b..d ~x..z -a +c=5 -nothing"), ERR_OK);
    assert_string_equal(walk(store, NULL, false), "c=5 d=4 e=");
    assert_int_equal(get(store, "c", STORE_WAIT, "5"), ERR_OK);
    assert_int_equal(get(store, "b", STORE_WAIT, ""), ERR_NOT_FOUND);
    assert_int_equal(store->ops->approximate_bytes(store), 5);
    store_close(&bench, store);
    store = store_open(&bench);
    assert_string_equal(walk(store, NULL, false), "c=5 d=4 e=");
    bench_close(&bench);
}

TEST(sim_store, cursors_seek_both_ways_and_say_when_they_are_at_the_end)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+b=1 +d=2"), ERR_OK);
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
    const struct store_cursor_ops *ops = cursor->ops;
    assert_int_equal(ops->seek(cursor, bytes_text("b")), ERR_OK);
    assert_true(bytes_equal(ops->key(cursor), bytes_text("b")));
    assert_int_equal(ops->seek(cursor, bytes_text("c")), ERR_OK);
    assert_true(bytes_equal(ops->key(cursor), bytes_text("d")));
    assert_int_equal(ops->previous(cursor), ERR_OK);
    assert_true(bytes_equal(ops->key(cursor), bytes_text("b")));
    assert_int_equal(ops->previous(cursor), ERR_NOT_FOUND);
    assert_int_equal(ops->seek(cursor, bytes_text("e")), ERR_NOT_FOUND);
    assert_int_equal(ops->seek_before(cursor, bytes_text("b")), ERR_NOT_FOUND);
    assert_int_equal(ops->seek_before(cursor, bytes_text("d")), ERR_OK);
    assert_true(bytes_equal(ops->key(cursor), bytes_text("b")));
    ops->close(cursor);
    bench_close(&bench);
}

TEST(sim_store, a_crash_leaves_exactly_the_last_completed_flush)
{
    unsigned kept = 0, lost = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct bench bench = bench_open(seed);
        struct store *store = store_open(&bench);
        assert_int_equal(flush(&bench, store, "+a=1 +b=1"), ERR_OK);
        struct text_run run;
        assert_true(flush_begin(&bench, store, &run, "+a=2 +b=2 +c=2"));
        uint64_t steps = seed % 6;
        for (uint64_t i = 0; i < steps && !run.is_done; i++) {
            assert_true(sim_world_step(bench.world));
        }
        bool was_done = run.is_done;
        bench_cut(&bench, SIM_KEEP_SECTORS, seed);
        store = store_open(&bench);
        const char *found = walk(store, NULL, false);
        bool is_new = strcmp(found, "a=2 b=2 c=2") == 0;
        assert_true(is_new || strcmp(found, "a=1 b=1") == 0);
        assert_true(is_new || !was_done);
        assert_false(is_new && steps == 0);
        if (!was_done && is_new) kept++;
        if (!was_done && !is_new) lost++;
        bench_close(&bench);
    }
    assert_true(kept > 3);
    assert_true(lost > 3);
}

TEST(sim_store, a_crash_at_the_commit_is_before_undecided_or_after)
{
    for (unsigned moment = SIM_BEFORE; moment <= SIM_AFTER; moment++) {
        unsigned new = 0;
        for (uint64_t number = 0; number < 20; number++) {
            struct bench bench = bench_open(1);
            struct store *store = store_open(&bench);
            uint64_t io = sim_node_io(bench.node);
            struct sim_crash crash = {io + 1, (enum sim_moment)moment, {SIM_KEEP_SECTORS, number}};
            sim_node_crash_at(bench.node, &crash);
            struct text_run run;
            assert_true(flush_begin(&bench, store, &run, "+a=1"));
            while (sim_node_is_up(bench.node)) assert_true(sim_world_step(bench.world));
            assert_false(run.is_done);
            assert_true(sim_node_start(bench.node));
            new += walk(store_open(&bench), NULL, false)[0] != '\0';
            bench_close(&bench);
        }
        if (moment == SIM_BEFORE) assert_int_equal(new, 0);
        if (moment == SIM_DURING) assert_true(new > 2 && new < 18);
        if (moment == SIM_AFTER) assert_int_equal(new, 20);
    }
}

TEST(sim_store, a_view_and_a_cursor_are_unaffected_by_later_flushes)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1 +b=1 +c=1"), ERR_OK);
    struct store_view *view = store->ops->view_open(store);
    struct store_cursor *cursor = store->ops->cursor(store, view, STORE_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("a")), ERR_OK);
    assert_int_equal(flush(&bench, store, "~b..z +a=2 +d=2"), ERR_OK);
    assert_string_equal(walk(store, view, false), "a=1 b=1 c=1");
    assert_string_equal(walk(store, NULL, false), "a=2 d=2");
    assert_int_equal(cursor->ops->next(cursor), ERR_OK);
    assert_true(bytes_equal(cursor->ops->key(cursor), bytes_text("b")));
    cursor->ops->close(cursor);
    store->ops->view_close(store, view);
    store_close(&bench, store);
    bench_close(&bench);
}

static void warm_done(struct store_warm *warm)
{
    warm->world = warm;
}

static void warm(struct bench *bench, struct store *store, const char *from, const char *to)
{
    struct store_range range = {.from = bytes_text(from), .to = bytes_text(to)};
    range.bytes_max = UINT64_MAX;
    struct store_warm warm = {.ranges = &range, .count = 1, .done = warm_done};
    struct deed deed = {.base = {deed_run}, .kind = DEED_WARM, .store = store, .warm = &warm};
    assert_true(sim_node_visit(bench->node, &deed.base));
    while (warm.world != &warm) assert_true(sim_world_step(bench->world));
    assert_int_equal(warm.err, ERR_OK);
}

struct taking {
    struct store_warm base;
    struct buffer text;
};

static void take(struct store_warm *warm, struct bytes key, struct bytes value)
{
    struct taking *taking = CONTAINER_OF(warm, struct taking, base);
    buffer_append(&taking->text, key);
    buffer_append_byte(&taking->text, '=');
    buffer_append(&taking->text, value);
    buffer_append_byte(&taking->text, ' ');
}

/* From "b" to `to`; "": the one key. */
static void expect_taken(struct bench *bench, struct store *store, struct store_view *view,
                         const char *to, const char *wanted)
{
    struct store_range range = {
        .from = bytes_text("b"), .to = bytes_text(to), .bytes_max = UINT64_MAX};
    struct taking taking = {
        .base = {.ranges = &range, .count = 1, .view = view, .found = take, .done = warm_done}};
    struct deed deed = {
        .base = {deed_run}, .kind = DEED_WARM, .store = store, .warm = &taking.base};
    buffer_init(&taking.text);
    (void)buffer_reserve(&taking.text, 64); /* ours, whoever appends */
    assert_true(sim_node_visit(bench->node, &deed.base));
    while (taking.base.world != &taking.base) assert_true(sim_world_step(bench->world));
    buffer_append_byte(&taking.text, '\0');
    assert_string_equal(taking.text.data, wanted);
    buffer_release(&taking.text);
}

TEST(sim_store, what_is_read_for_its_caller_is_what_the_view_has_and_stays_out_of_memory)
{
    struct bench bench = bench_open(1);
    struct sim_stores *stores = sim_node_stores(bench.node);
    sim_stores_profile(stores)->cached_per_million = 0;
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1 +b=2 +c=3 +d=4"), ERR_OK);
    struct store_view *view = store->ops->view_open(store);
    assert_int_equal(flush(&bench, store, "+b=5 -c"), ERR_OK);
    expect_taken(&bench, store, view, "d", "b=2 c=3 ");
    expect_taken(&bench, store, NULL, "d", "b=5 ");
    expect_taken(&bench, store, view, "", "b=2 ");
    expect_taken(&bench, store, NULL, "", "b=5 ");
    assert_int_equal(flush(&bench, store, "-b"), ERR_OK);
    expect_taken(&bench, store, NULL, "", ""); /* not that of d */
    assert_int_equal(get(store, "b", STORE_NO_WAIT, ""), ERR_PENDING);
    store->ops->view_close(store, view);
    store_close(&bench, store);
    bench_close(&bench);
}

TEST(sim_store, what_is_not_in_memory_is_pending_until_it_is_warmed)
{
    struct bench bench = bench_open(1);
    struct sim_stores *stores = sim_node_stores(bench.node);
    sim_stores_profile(stores)->cached_per_million = 0;
    sim_stores_profile(stores)->evicted_per_million = 0;
    struct store *store = store_open(&bench);
    assert_int_equal(get(store, "a", STORE_NO_WAIT, ""), ERR_NOT_FOUND); /* nothing to read */
    assert_int_equal(flush(&bench, store, "+a=1 +b=2 +c=3 +d=4"), ERR_OK);
    assert_int_equal(get(store, "a", STORE_NO_WAIT, ""), ERR_PENDING);
    assert_int_equal(get(store, "a", STORE_NO_WAIT, ""), ERR_PENDING);
    warm(&bench, store, "a", "");
    assert_int_equal(get(store, "a", STORE_NO_WAIT, "1"), ERR_OK);
    assert_int_equal(get(store, "aa", STORE_NO_WAIT, ""), ERR_PENDING); /* depends on b */
    warm(&bench, store, "aa", "");
    assert_int_equal(get(store, "aa", STORE_NO_WAIT, ""), ERR_NOT_FOUND);
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_NO_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("b")), ERR_OK);
    assert_int_equal(cursor->ops->next(cursor), ERR_PENDING);
    warm(&bench, store, "c", "d");
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("c")), ERR_OK);
    assert_int_equal(cursor->ops->next(cursor),
                     ERR_OK); /* the first beyond the range was read too */
    assert_int_equal(cursor->ops->next(cursor), ERR_NOT_FOUND);
    cursor->ops->close(cursor);
    assert_int_equal(get(store, "d", STORE_WAIT, "4"), ERR_OK);
    assert_true(sim_stores_pendings(stores) >= 4);
    store_close(&bench, store);
    store = store_open(&bench); /* an opening begins with nothing in memory */
    assert_int_equal(get(store, "a", STORE_NO_WAIT, ""), ERR_PENDING);
    assert_int_equal(get(store, "a", STORE_WAIT, "1"), ERR_OK);
    assert_int_equal(get(store, "a", STORE_NO_WAIT, "1"), ERR_OK);
    bench_close(&bench);
}

TEST(sim_store, what_was_in_memory_may_be_thrown_out)
{
    struct bench bench = bench_open(1);
    struct sim_stores *stores = sim_node_stores(bench.node);
    sim_stores_profile(stores)->cached_per_million = 1000000;
    sim_stores_profile(stores)->evicted_per_million = 100000;
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1"), ERR_OK);
    unsigned pending = 0;
    for (int i = 0; i < 300; i++) {
        if (get(store, "a", STORE_NO_WAIT, "1") == ERR_OK) continue;
        pending++;
        assert_int_equal(get(store, "a", STORE_NO_WAIT, "1"), ERR_PENDING);
        warm(&bench, store, "a", "");
    }
    assert_true(pending > 10 && pending < 100);
    bench_close(&bench);
}

TEST(sim_store, a_warm_up_also_serves_the_views_and_stops_at_its_bound)
{
    struct bench bench = bench_open(1);
    struct sim_stores *stores = sim_node_stores(bench.node);
    sim_stores_profile(stores)->cached_per_million = 0;
    sim_stores_profile(stores)->evicted_per_million = 0;
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1 +b=1 +c=1 +d=1"), ERR_OK);
    struct store_view *view = store->ops->view_open(store);
    assert_int_equal(flush(&bench, store, "+a=2"), ERR_OK);
    warm(&bench, store, "a", "");
    struct store_cursor *cursor = store->ops->cursor(store, view, STORE_NO_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("a")), ERR_OK);
    assert_true(bytes_equal(cursor->ops->value(cursor), bytes_text("1")));
    cursor->ops->close(cursor);
    store->ops->view_close(store, view);

    struct store_range range = {bytes_text("b"), bytes_text("e"), true, 3};
    struct store_warm warm_up = {.ranges = &range, .count = 1, .done = warm_done};
    struct deed deed = {.base = {deed_run}, .kind = DEED_WARM, .store = store, .warm = &warm_up};
    assert_true(sim_node_visit(bench.node, &deed.base));
    while (warm_up.world != &warm_up) assert_true(sim_world_step(bench.world));
    assert_int_equal(get(store, "d", STORE_NO_WAIT, "1"), ERR_OK);
    assert_int_equal(get(store, "c", STORE_NO_WAIT, "1"), ERR_OK);
    assert_int_equal(get(store, "b", STORE_NO_WAIT, "1"), ERR_PENDING);
    bench_close(&bench);
}

TEST(sim_store, a_full_disk_fails_the_flush_and_leaves_the_store_as_it_was)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1"), ERR_OK);
    sim_disk_set_capacity(bench.hands, 10);
    assert_int_equal(flush(&bench, store, "+b=0123456789"), ERR_SPACE);
    assert_string_equal(walk(store, NULL, false), "a=1");
    assert_int_equal(flush(&bench, store, "+a=2"), ERR_OK);
    sim_disk_set_capacity(bench.hands, 1000);
    assert_int_equal(flush(&bench, store, "+b=0123456789"), ERR_OK);
    assert_string_equal(walk(store, NULL, false), "a=2 b=0123456789");
    bench_close(&bench);
}

TEST(sim_store, a_flush_that_fails_otherwise_shuts_the_store)
{
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct bench bench = bench_open(seed);
        struct store *store = store_open(&bench);
        assert_int_equal(flush(&bench, store, "+a=1"), ERR_OK);
        struct sim_fault fault = {.ops = 1u << SIM_STORE_FLUSH, .hits = 1};
        (void)sim_stores_fault(sim_node_stores(bench.node), &fault);
        assert_int_equal(flush(&bench, store, "+a=2"), ERR_IO);
        assert_int_equal(flush(&bench, store, "+a=3"), ERR_SHUT);
        assert_string_equal(walk(store, NULL, false), "a=1");
        assert_int_equal(sim_stores_fault_hits(sim_node_stores(bench.node)), 1);
        bench_cut(&bench, SIM_KEEP_CACHE, 0);
        store = store_open(&bench);
        assert_string_equal(walk(store, NULL, false), "a=1");
        assert_int_equal(flush(&bench, store, "+a=4"), ERR_OK);
        bench_close(&bench);
    }
}

TEST(sim_store, reads_and_warm_ups_fail_as_injected)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    assert_int_equal(flush(&bench, store, "+a=1"), ERR_OK);
    struct sim_fault fault = {.ops = 1u << SIM_STORE_GET, .hits = 1, .err = ERR_CORRUPT};
    (void)sim_stores_fault(sim_node_stores(bench.node), &fault);
    assert_int_equal(get(store, "a", STORE_WAIT, "1"), ERR_CORRUPT);
    assert_int_equal(get(store, "a", STORE_WAIT, "1"), ERR_OK);
    fault = (struct sim_fault){.ops = 1u << SIM_STORE_WALK, .hits = 1};
    (void)sim_stores_fault(sim_node_stores(bench.node), &fault);
    struct store_cursor *cursor = store->ops->cursor(store, NULL, STORE_WAIT);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("a")), ERR_IO);
    assert_int_equal(cursor->ops->seek(cursor, bytes_text("a")), ERR_OK);
    cursor->ops->close(cursor);
    bench_close(&bench);
}

TEST(sim_store, a_store_is_opened_once_at_a_time_and_made_only_when_asked)
{
    struct bench bench = bench_open(1);
    struct stores *stores = sim_node_world(bench.node)->stores;
    struct store *store, *second;
    assert_int_equal(stores->ops->open(stores, "s", false, 1, &store, NULL), ERR_NOT_FOUND);
    assert_null(store);
    assert_int_equal(stores->ops->open(stores, "d/s", true, 1, &store, NULL), ERR_NOT_FOUND);
    assert_int_equal(stores->ops->open(stores, "s", true, 1, &store, NULL), ERR_OK);
    assert_int_equal(stores->ops->open(stores, "s", true, 1, &second, NULL), ERR_REFUSED);
    assert_null(second);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "s"), ERR_REFUSED);
    store_close(&bench, store);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0); /* its directory is durable */
    assert_int_equal(stores->ops->open(stores, "s", false, 1, &store, NULL), ERR_OK);
    store_close(&bench, store);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "s"), ERR_OK); /* with all that is in it */
    assert_int_equal(stores->ops->open(stores, "s", false, 1, &store, NULL), ERR_NOT_FOUND);
    bench_close(&bench);
}

TEST(sim_store, closing_carries_a_flush_under_way_through_without_telling)
{
    for (uint64_t steps = 0; steps < 4; steps++) {
        struct bench bench = bench_open(1);
        struct store *store = store_open(&bench);
        struct text_run run;
        assert_true(flush_begin(&bench, store, &run, "+a=1 +b=2"));
        for (uint64_t i = 0; i < steps && !run.is_done; i++) {
            assert_true(sim_world_step(bench.world));
        }
        bool was_done = run.is_done;
        store_close(&bench, store);
        assert_true(sim_world_run_for(bench.world, SIM_SECOND));
        assert_int_equal(run.is_done, was_done);
        store = store_open(&bench);
        assert_string_equal(walk(store, NULL, false), "a=1 b=2");
        bench_close(&bench);
    }
}

/* Whether flushing the run breaks a MUST in the end. */
static bool flush_breaks_must(const char *text)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    struct text_run run;
    bool up = flush_begin(&bench, store, &run, text);
    while (up && !run.is_done && sim_world_step(bench.world)) up = sim_node_is_up(bench.node);
    bool broken = sim_world_failure(bench.world) != NULL;
    assert_int_equal(broken, !run.is_done);
    sim_world_close(bench.world);
    return broken;
}

TEST(sim_store, a_run_out_of_order_and_a_late_delete_range_are_programmer_errors)
{
    assert_false(flush_breaks_must("~x..z ~a..c +a=1 -b +c=1"));
    assert_true(flush_breaks_must("+b=1 +a=1"));
    assert_true(flush_breaks_must("+a=1 -a"));
    assert_true(flush_breaks_must("+a=1 ~b..c"));
    assert_true(flush_breaks_must("~c..b"));
}

TEST(sim_store, the_run_is_read_in_pieces_while_the_loop_goes_on)
{
    struct bench bench = bench_open(1);
    struct store *store = store_open(&bench);
    char text[30000];
    size_t size = 0;
    for (int i = 0; i < 2000; i++) {
        size += (size_t)snprintf(text + size, sizeof(text) - size, "+k%05d=v ", i);
    }
    struct text_run run;
    assert_true(flush_begin(&bench, store, &run, text));
    unsigned pieces = 0;
    const char *at = run.at;
    while (!run.is_done) {
        assert_true(sim_world_step(bench.world));
        if (run.at != at) pieces++;
        at = run.at;
    }
    assert_true(pieces > 3);
    struct buffer dump;
    buffer_init(&dump);
    assert_true(sim_stores_dump(sim_node_stores(bench.node), "store", &dump));
    assert_int_equal(dump.size, 2000 * (8 + 6 + 1));
    buffer_release(&dump);
    assert_false(sim_stores_dump(sim_node_stores(bench.node), "other", &dump));
    bench_close(&bench);
}
