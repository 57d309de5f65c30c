/* SPDX-License-Identifier: Apache-2.0 */
/* A copy follows a primary of another make, which is made up here: its keys are k=theirs, and then
 * it says SOURCE_ENTRIES times INCR c, ten bytes each. So c always tells where the state is. */
#include "test/node/cohort.h"

enum { SOURCE_OFFSET = 100, SOURCE_BYTES = 10, SOURCE_ENTRIES = 40 };

static const struct cohort_rule local = {.min_in_sync = 1};

struct source {
    struct intake_listener listener;
    struct copy *copy;
    struct intake *intake;
    struct record_sink *sink; /* NULL: it streams */
    unsigned step;            /* of the dump */
    struct record_wait wait;
    struct timer again;
    struct followed place;              /* behind what it has said */
    unsigned entries;                   /* that it says in all */
    bool linked, stopped, fails, loses; /* the link; for good; a dump that ends badly; never ends */
    const char *command;                /* in place of the last one; NULL: as the others */
    unsigned fulls, continues, ends, installs;
    char error[128];
    enum err install_err;
};

static struct source sources[COHORT_COPIES];

static struct source *source_of(struct intake_listener *listener)
{
    return CONTAINER_OF(listener, struct source, listener);
}

static void say_all(struct source *source)
{
    while (source->linked &&
           source->place.offset < SOURCE_OFFSET + (uint64_t)source->entries * SOURCE_BYTES) {
        struct payload_transaction transaction;
        struct buffer payload;
        struct args args;
        struct followed next = source->place;
        next.offset += SOURCE_BYTES;
        bool last = next.offset == SOURCE_OFFSET + (uint64_t)source->entries * SOURCE_BYTES;
        buffer_init(&payload);
        args_init(&args);
        args_push(&args, bytes_text(last && source->command != NULL ? source->command : "INCR"));
        args_push(&args, bytes_text("c"));
        if (last && source->command != NULL) args_push(&args, bytes_text("x"));
        payload_begin_transaction(&transaction, &payload);
        payload_add_command(&transaction, 0, command_find(args.at[0]), &args);
        entry_make_followed(&payload, &next);
        enum err err = source->intake->ops->append(source->intake, buffer_bytes(&payload), &next);
        args_release(&args);
        buffer_release(&payload);
        if (err != ERR_OK) return;
        source->place = next;
    }
}

static enum err dump_step(struct source *source)
{
    struct record_sink *sink = source->sink;
    struct record_key key = {
        .type = RECORD_STRING, .name = bytes_text(source->step < 3 ? "k" : "c"), .count = 1};
    struct record_element element = {.first = bytes_text(source->step < 3 ? "theirs" : "0")};
    switch (source->step % 3) {
    case 0: return sink->ops->key(sink, &key);
    case 1: return sink->ops->element(sink, &element);
    default: return sink->ops->end(sink);
    }
}

static void dump(struct source *source)
{
    enum err err = ERR_OK;
    while (err == ERR_OK && source->step < 6 && source->sink != NULL) {
        err = dump_step(source);
        if (err == ERR_OK) source->step++;
    }
    if (err == ERR_PENDING) {
        if (!source->sink->ops->wait(source->sink, &source->wait))
            clock_timer_start(source->copy->bed.node->world.clock, &source->again, 0);
        return;
    }
    MUST(err == ERR_OK);
    if (source->loses || source->sink == NULL) return;
    if (source->fails) {
        source->sink = NULL;
        source->intake->ops->unstage(source->intake);
        return;
    }
    source->sink = NULL;
    source->intake->ops->install(source->intake, &source->place);
}

static void dump_again(struct timer *timer)
{
    dump(CONTAINER_OF(timer, struct source, again));
}

static void waited(struct record_wait *wait)
{
    struct source *source = CONTAINER_OF(wait, struct source, wait);
    if (source->sink != NULL)
        clock_timer_start(source->copy->bed.node->world.clock, &source->again, 0);
}

static void begin(struct intake_listener *listener)
{
    struct source *source = source_of(listener);
    struct intake_order order;
    struct why why;
    source->intake->ops->order(source->intake, &order);
    source->place = source->intake->ops->place(source->intake);
    source->linked = source->place.known && !order.anew;
    source->continues += source->linked;
    if (source->linked) {
        say_all(source);
        return;
    }
    source->fulls++;
    source->step = 0;
    source->place = (struct followed){.known = true, .offset = SOURCE_OFFSET, .database = 3};
    memset(source->place.name, 'n', sizeof source->place.name);
    if (source->intake->ops->stage(source->intake, &source->sink, &why) != ERR_OK) {
        (void)snprintf(source->error, sizeof source->error, "%.120s", why.text);
        return;
    }
    dump(source);
}

static void end(struct intake_listener *listener)
{
    struct source *source = source_of(listener);
    clock_timer_stop(source->copy->bed.node->world.clock, &source->again);
    source->linked = false;
    source->sink = NULL;
    source->ends++;
}

static void moved(struct intake_listener *listener)
{
    say_all(source_of(listener));
}

static void installed(struct intake_listener *listener, enum err err, const struct why *why)
{
    struct source *source = source_of(listener);
    source->install_err = err;
    (void)why;
    if (err != ERR_OK) return;
    source->installs++;
    source->linked = true;
    say_all(source);
}

static void differs(struct intake_listener *listener, const char *error)
{
    struct source *source = source_of(listener);
    (void)snprintf(source->error, sizeof source->error, "%s", error);
    source->linked = false;
    source->stopped = true;
}

static void status(struct intake_listener *listener, struct intake_status *out)
{
    struct source *source = source_of(listener);
    *out = (struct intake_status){.link = source->linked         ? "connected"
                                          : source->sink != NULL ? "sync"
                                                                 : "connect",
                                  .stopped = source->stopped};
}

static void started(struct copy *copy)
{
    struct source *source = &sources[copy - copy->cohort->copies];
    source->copy = copy;
    source->linked = false;
    source->sink = NULL;
    source->wait.done = waited;
    source->again = (struct timer){.fired = dump_again};
    source->listener = (struct intake_listener){begin, end, moved, installed, differs, status};
    source->intake = copy->bed.service->ops->intake(copy->bed.service);
    source->intake->ops->listen(source->intake, &source->listener);
}

/* The second copy has data of its own; at the address of the first one a Redis server answers. */
static struct cohort *beside_redis(void)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *copy = &cohort->copies[1];
    sources[1] = (struct source){.entries = SOURCE_ENTRIES};
    cohort->copies[0].is_redis = true;
    copy->started = started;
    copy->bed.options.copies.follow = "";
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_is_open(copy));
    copy_write(copy, "SET k own");
    cohort_run(cohort, 3 * SIM_SECOND); /* what is committed is recorded */
    return cohort;
}

static void follow_it(struct cohort *cohort)
{
    copy_steer_at(&cohort->copies[1], STEER_FOLLOW, &cohort->copies[0]);
}

static uint64_t place_of(const struct copy *copy)
{
    const struct machine *machine = copy->bed.node->machine;
    if (machine == NULL) return 0;
    struct followed place = machine->ops->followed(machine);
    return place.known ? place.offset : 0;
}

static bool has_all(struct copy *copy)
{
    uint64_t end = SOURCE_OFFSET + (uint64_t)sources[1].entries * SOURCE_BYTES;
    return copy->bed.node != NULL && place_of(copy) == end;
}

/* The place and the keys are of one step, whichever it is. */
static bool is_consistent(struct copy *copy)
{
    uint64_t place = place_of(copy);
    char wanted[32];
    if (place == 0) return strcmp(copy_read(copy, "GET k"), "$own") == 0;
    (void)snprintf(wanted, sizeof wanted, "$%llu",
                   (unsigned long long)(place - SOURCE_OFFSET) / SOURCE_BYTES);
    return strcmp(copy_read(copy, "GET k"), "$theirs") == 0 &&
           strcmp(copy_read(copy, "GET c"), wanted) == 0;
}

TEST(node_intake, what_a_redis_primary_has_becomes_the_state_and_its_commands_entries)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    struct history before = copy->bed.node->site.pointer.history;
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    assert_true(is_consistent(copy));
    assert_int_equal(sources[1].fulls, 1);
    assert_int_equal(sources[1].installs, 1);
    assert_memory_not_equal(&before, &copy->bed.node->site.pointer.history, sizeof before);
    const struct copies_status *copies = copy_status(copy);
    assert_int_equal(copies->role, COPIES_FOLLOWS);
    assert_true(copies->redis && !copies->may_write);
    assert_string_equal(copies->link, "connected");
    assert_string_equal(copies->primary_host, cohort->copies[0].host);
    assert_int_equal(copies->redis_offset, place_of(copy));
    (void)refused_write(copy);
    struct copy_event event;
    unsigned seen = 0;
    for (uint64_t n = 1; copy->bed.service->ops->copy_event(copy->bed.service, n, &event); n++)
        seen += strcmp(event.what, "redis_installed") == 0;
    assert_int_equal(seen, 1);
    cohort_close(cohort);
}

TEST(node_intake, a_dump_that_ends_badly_changes_nothing)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    sources[1].fails = true;
    follow_it(cohort);
    UNTIL(cohort, sources[1].fulls == 1 && sources[1].sink == NULL);
    cohort_run(cohort, SIM_SECOND);
    assert_true(is_consistent(copy));
    assert_null(copy->bed.node->intake.sink);
    cohort_close(cohort);
}

TEST(node_intake, a_restart_within_a_dump_or_a_change_of_mind_leaves_what_was_there)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    sources[1].loses = true;
    follow_it(cohort);
    UNTIL(cohort, sources[1].fulls == 1);
    assert_non_null(copy->bed.node->intake.sink);
    copy_steer(copy, STEER_PROMOTE);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_OK);
    UNTIL(cohort, copy_is_open(copy));
    assert_null(copy->bed.node->intake.sink);
    copy_write(copy, "SET k own");
    follow_it(cohort);
    UNTIL(cohort, sources[1].fulls == 2);
    (void)bed_do(&copy->bed, DEED_STOP, NULL, ERR_OK);
    UNTIL(cohort, copy->bed.stops == 1);
    assert_true(sim_node_stop(copy->bed.sim)); /* nothing leaks */
    sources[1].loses = false;
    cohort_start(cohort, 1);
    UNTIL(cohort, has_all(copy)); /* it still knows whom it follows */
    assert_true(is_consistent(copy));
    cohort_close(cohort);
}

TEST(node_intake, a_crash_anywhere_leaves_the_old_state_or_the_new_one_and_each_command_once)
{
    struct cohort *cohort = beside_redis();
    uint64_t from = sim_node_io(cohort->copies[1].bed.sim);
    follow_it(cohort);
    UNTIL(cohort, has_all(&cohort->copies[1]));
    uint64_t to = sim_node_io(cohort->copies[1].bed.sim);
    cohort_close(cohort);
    unsigned old = 0, new = 0, variants = 0, continued = 0;
    struct sim_crash crash;
    while (sim_crash_variant(variants, &crash)) variants++;
    assert_true(to > from + 20);
    for (uint64_t io = from; io < to; io++) {
        cohort = beside_redis();
        struct copy *copy = &cohort->copies[1];
        assert_true(sim_crash_variant((unsigned)(io * 7) % variants, &crash));
        crash.io = io;
        sim_node_crash_at(copy->bed.sim, &crash);
        follow_it(cohort);
        for (unsigned i = 0; i < 500 && sim_node_is_up(copy->bed.sim); i++)
            cohort_run(cohort, 10 * SIM_MILLISECOND);
        if (sim_node_is_up(copy->bed.sim)) cohort_kill(cohort, 1);
        sim_node_crash_at(copy->bed.sim, NULL);
        sources[1].entries = 0; /* it is looked at before more comes */
        sources[1].loses = true;
        unsigned continues = sources[1].continues;
        cohort_start(cohort, 1);
        UNTIL(cohort, copy->bed.readies == 1);
        cohort_run(cohort, 2 * SIM_SECOND);
        if (!is_consistent(copy))
            fail_msg("io %llu: offset %llu k %s", (unsigned long long)io,
                     (unsigned long long)place_of(copy), copy_read(copy, "GET k"));
        bool is_old = place_of(copy) == 0;
        old += is_old;
        new += !is_old;
        continued += sources[1].continues - continues;
        assert_int_equal(sources[1].continues - continues, is_old ? 0 : 1);
        cohort_kill(cohort, 1);
        sources[1].entries = SOURCE_ENTRIES;
        sources[1].loses = false;
        cohort_start(cohort, 1);
        if (is_old) { /* unless it had not written down yet whom it follows */
            UNTIL(cohort, copy->bed.readies == 1);
            cohort_run(cohort, SIM_SECOND);
            if (!node_intake_is_on(&copy->bed.node->intake)) follow_it(cohort);
        }
        UNTIL(cohort, copy->bed.readies == 1 && has_all(copy));
        if (!is_consistent(copy))
            fail_msg("io %llu, again: offset %llu k %s c %s", (unsigned long long)io,
                     (unsigned long long)place_of(copy), copy_read(copy, "GET k"),
                     copy_read(copy, "GET c"));
        cohort_close(cohort);
    }
    assert_true(old > 5 && new > 5 && continued > 5);
}

TEST(node_intake, told_to_lead_it_leads_and_goes_on_with_what_nobody_has_changed)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    copy_steer(copy, STEER_PROMOTE);
    UNTIL(cohort, copy->steered);
    assert_int_equal(copy->steer.err, ERR_OK);
    assert_int_equal(copy_status(copy)->role, COPIES_LEADS);
    sources[1].entries += 5;
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    assert_int_equal(sources[1].fulls, 1);
    copy_steer(copy, STEER_PROMOTE);
    UNTIL(cohort, copy->steered);
    copy_write(copy, "SET other 1"); /* now nobody else holds the same */
    assert_int_equal(place_of(copy), 0);
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, copy_is_open(copy)); /* nobody is followed */
    assert_string_equal(copy_read(copy, "GET other"), "$1");
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    assert_int_equal(sources[1].fulls, 2);
    assert_true(is_consistent(copy));
    cohort_close(cohort);
}

TEST(node_intake, the_link_begins_behind_all_that_is_in_the_log)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    copy_steer(copy, STEER_PROMOTE);
    follow_it(cohort); /* written down, and not looked at yet: */
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, copy->bed.readies == 1);
    assert_false(copy_leads(copy)); /* what is committed is not known, so it is not applied */
    assert_true(place_of(copy) < SOURCE_OFFSET + SOURCE_ENTRIES * SOURCE_BYTES);
    UNTIL(cohort, sources[1].continues == 1 && has_all(copy));
    assert_true(is_consistent(copy));
    assert_int_equal(sources[1].fulls, 1);
    cohort_close(cohort);
}

TEST(node_intake, a_command_that_fails_here_takes_the_place_away_and_is_told)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    sources[1].command = "LPUSH";
    follow_it(cohort);
    UNTIL(cohort, sources[1].stopped);
    assert_string_equal(sources[1].error, "lpush: WRONGTYPE Operation against a key holding the "
                                          "wrong kind of value");
    assert_int_equal(place_of(copy), 0);
    assert_string_equal(copy_read(copy, "GET c"), "$39");
    sources[1].command = NULL;
    sources[1].stopped = false;
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, has_all(copy)); /* everything again */
    assert_int_equal(sources[1].fulls, 2);
    cohort_close(cohort);
}

TEST(node_intake, who_is_told_again_to_follow_where_the_link_stopped_takes_all_anew)
{
    struct cohort *cohort = beside_redis();
    struct copy *copy = &cohort->copies[1];
    follow_it(cohort);
    UNTIL(cohort, has_all(copy));
    follow_it(cohort);
    UNTIL(cohort, sources[1].continues == 1);
    sources[1].stopped = true; /* it has said what is not known here */
    follow_it(cohort);
    UNTIL(cohort, sources[1].fulls == 2 && has_all(copy));
    sources[1].stopped = false;
    follow_it(cohort);
    UNTIL(cohort, sources[1].continues == 2); /* once */
    assert_int_equal(sources[1].fulls, 2);
    cohort_close(cohort);
}

TEST(node_intake, what_the_configuration_names_does_not_replace_what_is_here)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *copy = &cohort->copies[1];
    sources[1] = (struct source){.entries = SOURCE_ENTRIES};
    copy->started = started;
    cohort_visit(cohort, 1); /* it follows a copy, and so has never led */
    copy_write(&cohort->copies[0], "SET k own");
    UNTIL(cohort, strcmp(copy_read(copy, "GET k"), "$own") == 0);
    cohort_run(cohort, 3 * SIM_SECOND); /* what is committed is recorded */
    cohort_kill(cohort, 1);
    cohort->copies[0].is_redis = true;
    cohort_start(cohort, 1);
    UNTIL(cohort, strstr(copy_status(copy)->why.text, "REPLICAOF says so") != NULL);
    assert_string_equal(copy_read(copy, "GET k"), "$own");
    assert_int_equal(sources[1].fulls, 0);
    follow_it(cohort);
    UNTIL(cohort, has_all(copy)); /* without having led before */
    assert_true(is_consistent(copy));
    cohort_close(cohort);
}

TEST(node_intake, a_fresh_copy_takes_what_the_configuration_names)
{
    struct cohort *cohort = cohort_open(2, local);
    struct copy *copy = &cohort->copies[1];
    sources[1] = (struct source){.entries = SOURCE_ENTRIES};
    cohort->copies[0].is_redis = true;
    copy->started = started;
    cohort_start(cohort, 1);
    UNTIL(cohort, has_all(copy));
    assert_true(is_consistent(copy));
    cohort_kill(cohort, 1);
    cohort_start(cohort, 1);
    UNTIL(cohort, has_all(copy) && sources[1].continues == 1);
    assert_int_equal(sources[1].fulls, 1);
    cohort_close(cohort);
}

TEST(node_intake, copies_of_the_copy_apply_the_same_entries)
{
    struct cohort *cohort = cohort_open(3, local);
    struct copy *copy = &cohort->copies[1], *second = &cohort->copies[2];
    sources[1] = (struct source){.entries = SOURCE_ENTRIES};
    cohort->copies[0].is_redis = true;
    copy->started = started;
    cohort_start(cohort, 1);
    UNTIL(cohort, has_all(copy));
    second->bed.options.copies.follow = "";
    cohort_start(cohort, 2);
    UNTIL(cohort, copy_is_open(second));
    copy_steer_at(second, STEER_FOLLOW, copy);
    UNTIL(cohort, place_of(second) == place_of(copy));
    assert_string_equal(copy_read(second, "GET c"), "$40");
    assert_true(digest_equal(second->bed.node->machine->ops->digest(second->bed.node->machine),
                             copy->bed.node->machine->ops->digest(copy->bed.node->machine)));
    (void)refused_write(second);
    cohort_close(cohort);
}
