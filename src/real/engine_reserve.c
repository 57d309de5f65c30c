/* SPDX-License-Identifier: Apache-2.0 */
/* The file is allocated, not written. It needs no sync: what a crash leaves of it is measured at
 * the next start. */
#include "real/engine_reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/memory.h"
#include "base/must.h"
#include "base/path.h"
#include "real/engine_files.h"

enum { RESERVE_BYTES_MIN = 8 << 20, RESERVE_SLACK_BYTES = 4 << 20 };

static uint64_t file_bytes(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISREG(facts.st_mode) ? (uint64_t)facts.st_size : 0;
}

void engine_reserve_init(struct engine_reserve *reserve, const char *directory, uint64_t most)
{
    reserve->directory = directory;
    reserve->path = path_join(directory, ENGINE_RESERVE_NAME);
    MUST(pthread_mutex_init(&reserve->lock, NULL) == 0);
    reserve->most = most;
    reserve->held = most > 0 ? file_bytes(reserve->path) : 0;
    atomic_store(&reserve->given_up, most > 0);
}

void engine_reserve_release(struct engine_reserve *reserve)
{
    MUST(pthread_mutex_destroy(&reserve->lock) == 0);
    memory_free(reserve->path);
    reserve->path = NULL;
}

static void reserve_lock(struct engine_reserve *reserve)
{
    MUST(pthread_mutex_lock(&reserve->lock) == 0);
}

static void reserve_unlock(struct engine_reserve *reserve)
{
    MUST(pthread_mutex_unlock(&reserve->lock) == 0);
}

/* As much as a compaction of all of the store may need, within bounds. */
static uint64_t wanted_of(const struct engine_reserve *reserve, uint64_t store_bytes)
{
    uint64_t wanted = store_bytes > RESERVE_BYTES_MIN ? store_bytes : RESERVE_BYTES_MIN;
    return wanted < reserve->most ? wanted : reserve->most;
}

uint64_t engine_reserve_held(struct engine_reserve *reserve)
{
    reserve_lock(reserve);
    uint64_t held = reserve->held;
    reserve_unlock(reserve);
    return held;
}

/* As much of it as fits. The space beyond keeps a reserve that was just taken from being given up
 * at the next flush. */
static uint64_t what_fits(const struct engine_reserve *reserve, uint64_t wanted)
{
    uint64_t room = engine_files_free_bytes(reserve->directory) + reserve->held;
    uint64_t slack = RESERVE_SLACK_BYTES + wanted / 8;
    room = room > slack ? room - slack : 0;
    return wanted < room ? wanted : room;
}

static bool reserve_grow(struct engine_reserve *reserve, uint64_t wanted)
{
    int descriptor = open(reserve->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return false;
    int result;
    do {
        result = fallocate(descriptor, 0, 0, (off_t)wanted);
    } while (result != 0 && errno == EINTR);
    bool grown = result == 0;
    if (!grown && (errno == EOPNOTSUPP || errno == ENOSYS)) {
        /* A file system that cannot: then the store does without. */
        reserve->most = 0;
        grown = true;
    } else if (!grown) {
        (void)!ftruncate(descriptor, (off_t)reserve->held);
    }
    (void)close(descriptor);
    reserve->held = file_bytes(reserve->path);
    return grown;
}

bool engine_reserve_hold(struct engine_reserve *reserve, uint64_t store_bytes)
{
    reserve_lock(reserve);
    bool given_up = atomic_load(&reserve->given_up);
    uint64_t wanted = wanted_of(reserve, store_bytes);
    /* Not for every few bytes more. */
    uint64_t enough = given_up ? reserve->held : reserve->held + reserve->held / 8;
    uint64_t fitting = what_fits(reserve, wanted);
    bool fits = wanted <= enough;
    if (!fits && (given_up ? fitting >= wanted - wanted / 4 : fitting > enough))
        fits = reserve_grow(reserve, fitting);
    if (reserve->held > 2 * wanted && truncate(reserve->path, (off_t)wanted) == 0)
        reserve->held = wanted;
    if (fits) given_up = false;
    atomic_store(&reserve->given_up, given_up);
    reserve_unlock(reserve);
    return !given_up;
}

uint64_t engine_reserve_give_up(struct engine_reserve *reserve)
{
    reserve_lock(reserve);
    uint64_t freed = 0;
    if (reserve->most > 0) {
        atomic_store(&reserve->given_up, true);
        freed = reserve->held;
        reserve->held = 0;
        /* Some file systems let nobody have the space before the removal is durable. */
        if (unlink(reserve->path) == 0) (void)engine_files_sync_directory(reserve->directory);
    }
    reserve_unlock(reserve);
    return freed;
}
