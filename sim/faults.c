/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/faults.h"

#include <string.h>

#include "base/bytes.h"
#include "base/glob.h"
#include "base/memory.h"

void sim_faults_init(struct sim_faults *faults, struct dice *dice)
{
    *faults = (struct sim_faults){.dice = dice};
}

static void faults_drop(struct sim_faults *faults, size_t at)
{
    memory_free((void *)(uintptr_t)faults->list[at].paths);
    memory_free((void *)(uintptr_t)faults->list[at].except);
    faults->count--;
    memmove(faults->list + at, faults->list + at + 1,
            (faults->count - at) * sizeof(faults->list[0]));
    memmove(faults->ids + at, faults->ids + at + 1, (faults->count - at) * sizeof(faults->ids[0]));
}

void sim_faults_clear(struct sim_faults *faults)
{
    while (faults->count > 0) faults_drop(faults, faults->count - 1);
}

void sim_faults_release(struct sim_faults *faults)
{
    sim_faults_clear(faults);
    memory_free(faults->list);
    memory_free(faults->ids);
    sim_faults_init(faults, NULL);
}

static const char *text_copy(const char *text)
{
    if (text == NULL) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = memory_alloc(size);
    memcpy(copy, text, size);
    return copy;
}

uint64_t sim_faults_add(struct sim_faults *faults, const struct sim_fault *fault)
{
    if (faults->count == faults->capacity) {
        faults->capacity = faults->capacity > 0 ? faults->capacity * 2 : 8;
        faults->list = memory_resize(faults->list, faults->capacity * sizeof(faults->list[0]));
        faults->ids = memory_resize(faults->ids, faults->capacity * sizeof(faults->ids[0]));
    }
    struct sim_fault *added = &faults->list[faults->count];
    *added = *fault;
    if (added->err == ERR_OK) added->err = ERR_IO;
    added->paths = text_copy(fault->paths);
    added->except = text_copy(fault->except);
    faults->ids[faults->count++] = ++faults->newest_id;
    return faults->newest_id;
}

void sim_faults_remove(struct sim_faults *faults, uint64_t id)
{
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->ids[i] != id) continue;
        faults_drop(faults, i);
        return;
    }
}

bool sim_faults_waits(const struct sim_faults *faults, uint64_t id)
{
    for (size_t i = 0; i < faults->count; i++) {
        if (faults->ids[i] == id) return true;
    }
    return false;
}

static bool is_of(const char *glob, const char *path)
{
    return glob_match(bytes_text(glob), bytes_text(path), false);
}

static bool fault_matches(const struct sim_fault *fault, unsigned op, const char *path, bool stalls)
{
    if ((fault->ops >> op & 1) == 0) return false;
    if ((fault->kind == SIM_FAULT_STALL) != stalls) return false;
    if (fault->except != NULL && is_of(fault->except, path)) return false;
    return fault->paths == NULL || is_of(fault->paths, path);
}

static bool faults_roll(struct sim_faults *faults, unsigned op, const char *path, bool stalls,
                        struct sim_fault *hit)
{
    bool found = false;
    for (size_t i = 0; i < faults->count; i++) {
        struct sim_fault *fault = &faults->list[i];
        if (!fault_matches(fault, op, path, stalls)) continue;
        if (fault->skip > 0) {
            fault->skip--;
            continue;
        }
        if (found) continue;
        if (fault->per_million > 0 && !dice_chance(faults->dice, fault->per_million, 1000000))
            continue;
        *hit = *fault;
        found = true;
        faults->hits++;
        if (fault->hits > 0 && --fault->hits == 0) faults_drop(faults, i--);
    }
    return found;
}

bool sim_faults_roll(struct sim_faults *faults, unsigned op, const char *path,
                     struct sim_fault *hit)
{
    return faults_roll(faults, op, path, false, hit);
}

uint64_t sim_faults_stall_us(struct sim_faults *faults, unsigned op, const char *path)
{
    struct sim_fault fault;
    return faults_roll(faults, op, path, true, &fault) ? fault.amount : 0;
}
