/* SPDX-License-Identifier: Apache-2.0 */
/* steps: what tests do with a keeper's log, and how they check what a directory holds. */
#ifndef TEST_LOG_STEPS_H
#define TEST_LOG_STEPS_H

#include "test/log/keeper.h"

static inline void payload_make(uint8_t *out, uint64_t size, uint32_t life, uint64_t lsn)
{
    MUST(size >= KEEPER_PAYLOAD_LEAST);
    out[0] = ENTRY_COMMAND;
    store_le32(out + 1, life);
    store_le64(out + 5, lsn);
    for (uint64_t i = KEEPER_PAYLOAD_LEAST; i < size; i++) out[i] = (uint8_t)(lsn + 7 * i);
}

/* argument: count, size. */
static inline void step_append(struct keeper *keeper)
{
    uint64_t size = keeper->argument[1];
    uint8_t *payload = memory_alloc(size);
    keeper->result = ERR_OK;
    for (uint64_t i = 0; i < keeper->argument[0] && keeper->result == ERR_OK; i++) {
        uint64_t lsn = log_appended(keeper->log).at + 1;
        MUST(lsn < KEEPER_ENTRIES_MAX);
        payload_make(payload, size, keeper->life, lsn);
        struct lsn at;
        struct stamp stamp = {lsn << 16};
        keeper->result = log_append(keeper->log, stamp, bytes_of(payload, size), &at);
        if (keeper->result != ERR_OK) break;
        MUST(at.at == lsn);
        keeper->life_of[lsn] = keeper->life;
        keeper->size_of[lsn] = (uint32_t)size;
    }
    memory_free(payload);
    log_push(keeper->log);
}

static inline bool keeper_is_quiet(struct sim_condition *condition)
{
    struct keeper *keeper = CONTAINER_OF(condition, struct keeper, condition);
    if (keeper->log == NULL || keeper->failed) return true;
    bool always = keeper->options.durability == LOG_ALWAYS;
    struct lsn done = always ? log_durable(keeper->log) : log_written(keeper->log);
    return done.at == log_appended(keeper->log).at;
}

/* Runs the world until everything appended has been written (always: is durable), or the node has
 * ended. */
static inline void keeper_wait(struct keeper *keeper)
{
    keeper->condition.met = keeper_is_quiet;
    (void)sim_world_run_until(keeper->world, &keeper->condition, 20 * SIM_SECOND);
}

static inline enum err keeper_append(struct keeper *keeper, uint64_t count, uint64_t size)
{
    if (keeper->log == NULL) return ERR_SHUT;
    keeper->argument[0] = count;
    keeper->argument[1] = size;
    if (!keeper_do(keeper, step_append)) return ERR_SHUT;
    enum err err = keeper->result;
    keeper_wait(keeper);
    return err;
}

static inline void step_stop(struct keeper *keeper)
{
    log_stop(keeper->log);
}

static inline bool keeper_can_close(struct sim_condition *condition)
{
    struct keeper *keeper = CONTAINER_OF(condition, struct keeper, condition);
    return keeper->log == NULL || log_is_quiet(keeper->log);
}

/* A clean end. */
static inline enum err keeper_end(struct keeper *keeper)
{
    if (keeper->log == NULL || !keeper_do(keeper, step_stop)) return ERR_SHUT;
    keeper->condition.met = keeper_can_close;
    (void)sim_world_run_until(keeper->world, &keeper->condition, 20 * SIM_SECOND);
    if (keeper->log == NULL || !sim_node_stop(keeper->node)) return ERR_SHUT;
    return keeper->result;
}

/* argument[0]: the first LSN. Reads to the end, checking each entry against what was appended
 * there. */
static inline void step_read(struct keeper *keeper)
{
    struct log_reader *reader;
    uint64_t next = keeper->argument[0];
    struct lsn from = {next};
    keeper->count = 0;
    keeper->result = log_reader_open(&reader, keeper->seams->disk, KEEPER_DIRECTORY, from,
                                     &keeper->why);
    if (keeper->result != ERR_OK) return;
    struct entry entry;
    for (;;) {
        keeper->result = log_reader_next(reader, &entry, &keeper->why);
        if (keeper->result != ERR_OK) break;
        MUST(entry.lsn.at == next && next < KEEPER_ENTRIES_MAX);
        MUST(entry.payload.size == keeper->size_of[next]);
        uint8_t *payload = memory_alloc(entry.payload.size);
        payload_make(payload, entry.payload.size, keeper->life_of[next], next);
        MUST(memcmp(payload, entry.payload.data, entry.payload.size) == 0);
        memory_free(payload);
        next++;
        keeper->count++;
    }
    log_reader_close(reader);
}

/* Every entry from the floor on is what was appended last at its LSN, up to the last one that was
 * acked at least. The node is up. */
static inline void keeper_check(struct keeper *keeper)
{
    uint64_t last = keeper->found.last.lsn.at;
    keeper->argument[0] = keeper->found.first.at;
    if (last < keeper->acked)
        sim_world_fail(keeper->world, "the log ends at %llu, acked was %llu",
                       (unsigned long long)last, (unsigned long long)keeper->acked);
    if (!keeper_do(keeper, step_read)) return;
    if (keeper->result != ERR_NOT_FOUND)
        sim_world_fail(keeper->world, "reading: %s", keeper->why.text);
    if (keeper->count != last + 1 - keeper->found.first.at)
        sim_world_fail(keeper->world, "%llu entries read, the log ends at %llu",
                       (unsigned long long)keeper->count, (unsigned long long)last);
}

#define ASSERT_SOUND(keeper) \
    do { \
        const char *broken_ = sim_world_failure((keeper)->world); \
        if (broken_ != NULL) fail_msg("%s", broken_); \
    } while (0)

#endif
