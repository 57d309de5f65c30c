/* SPDX-License-Identifier: Apache-2.0 */
#include "state/window.h"

#include "base/memory.h"

struct window *window_new(void)
{
    struct window *window = memory_zeroed(1, sizeof *window);
    generation_init(&window->generation, 1);
    for (unsigned i = 0; i < DATABASES; i++) table_init(&window->names[i], record_compare);
    return window;
}

uint64_t window_bytes(const struct window *window)
{
    uint64_t bytes = generation_bytes(&window->generation);
    for (unsigned i = 0; i < DATABASES; i++) {
        bytes += window->changes[i].bytes + window->changes[i].count * sizeof(struct change);
    }
    return bytes;
}

bool window_lacks(const struct window *window, uint8_t database, uint64_t hash, struct bytes name)
{
    return table_find(&window->names[database], hash, name) == NULL;
}

void window_add(struct window *window, uint8_t database, struct record *record)
{
    table_insert(&window->names[database], record->hash, record_name(record), record);
    changes_add(&window->changes[database], record);
}

void window_run(struct window *window, const struct meta_database databases[DATABASES],
                struct run *run)
{
    run_init(run, &window->generation);
    for (unsigned i = 0; i < DATABASES; i++) {
        if (window->changes[i].count == 0) continue;
        run_add(run, databases[i].namespace, &window->changes[i]);
    }
}

bool window_free(struct window *window, size_t limit)
{
    for (unsigned i = 0; i < DATABASES; i++) {
        struct changes *changes = &window->changes[i];
        for (; changes->count > 0 && limit > 0; limit--) {
            memory_free(changes->at[--changes->count].record);
        }
        if (changes->count > 0) return false;
    }
    if (generation_drain(&window->generation, limit) == 0) return false;
    for (unsigned i = 0; i < DATABASES; i++) {
        table_release(&window->names[i]); /* without a look at its records */
        changes_release(&window->changes[i]);
    }
    generation_release(&window->generation);
    memory_free(window);
    return true;
}
