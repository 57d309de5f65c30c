/* SPDX-License-Identifier: Apache-2.0 */
#include "real/engine_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ENGINE_PATH_BYTES = 4096, ENGINE_TABLE_NAME_BYTES = 32 };

static bool has_suffix(const char *name, const char *suffix)
{
    size_t length = strlen(name), end = strlen(suffix);
    return length > end && strcmp(name + length - end, suffix) == 0;
}

/* What RocksDB has written before its first CURRENT, or never depends on. */
static bool is_prelude(const char *name)
{
    static const char *const words[] = {"LOCK", "IDENTITY", ENGINE_SCRATCH_NAME};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(name, words[i]) == 0) return true;
    }
    return strncmp(name, "LOG", 3) == 0 || strncmp(name, "MANIFEST-", 9) == 0 ||
           strncmp(name, "OPTIONS-", 8) == 0 || has_suffix(name, ".dbtmp") ||
           has_suffix(name, ".log");
}

enum err engine_files_look(const char *path, enum engine_state *state, struct why *why)
{
    *state = ENGINE_ABSENT;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        if (errno == ENOENT) return ERR_OK;
        return why_fail(why, ERR_IO, "store: %s: %s", path, strerror(errno));
    }
    char stranger[256] = "";
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        const char *name = entry->d_name;
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0) continue;
        if (strcmp(name, "CURRENT") == 0) *state = ENGINE_PRESENT;
        else if (!is_prelude(name)) (void)snprintf(stranger, sizeof(stranger), "%.255s", name);
    }
    (void)closedir(directory);
    if (*state == ENGINE_PRESENT || stranger[0] == '\0') return ERR_OK;
    return why_fail(why, ERR_CORRUPT,
                    "store: %s holds %s but no CURRENT file: not a store, or a damaged one", path,
                    stranger);
}

enum err engine_files_clear_scratch(const char *scratch, const char *run, struct why *why)
{
    if (mkdir(scratch, 0700) != 0 && errno != EEXIST) {
        return why_fail(why, errno == ENOSPC ? ERR_SPACE : ERR_IO, "store: make %s: %s", scratch,
                        strerror(errno));
    }
    if (unlink(run) != 0 && errno != ENOENT)
        return why_fail(why, ERR_IO, "store: remove %s: %s", run, strerror(errno));
    return ERR_OK;
}

/* The number of a write-ahead log's file name, or 0. */
static unsigned long long log_number(const char *name)
{
    unsigned long long number = 0;
    if (!has_suffix(name, ".log")) return 0;
    for (; *name != '.'; name++) {
        if (*name < '0' || *name > '9' || number > 1ULL << 59) return 0;
        number = number * 10 + (unsigned long long)(*name - '0');
    }
    return number;
}

void engine_files_drop_logs(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) return;
    unsigned long long newest = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        if (log_number(entry->d_name) > newest) newest = log_number(entry->d_name);
    }
    rewinddir(directory);
    while ((entry = readdir(directory)) != NULL) {
        unsigned long long number = log_number(entry->d_name);
        struct stat facts;
        if (number == 0 || number == newest) continue;
        if (fstatat(dirfd(directory), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (facts.st_size == 0) (void)unlinkat(dirfd(directory), entry->d_name, 0);
    }
    (void)closedir(directory);
}

uint64_t engine_files_free_bytes(const char *path)
{
    struct statvfs facts;
    return statvfs(path, &facts) == 0 ? (uint64_t)facts.f_bavail * facts.f_frsize : 0;
}

bool engine_files_have_space(const char *path, uint64_t bytes)
{
    return engine_files_free_bytes(path) >= bytes;
}

uint64_t engine_files_table_bytes(const char *path)
{
    uint64_t bytes = 0;
    DIR *directory = opendir(path);
    if (directory == NULL) return 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        struct stat facts;
        if (has_suffix(entry->d_name, ".sst") &&
            fstatat(dirfd(directory), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) == 0)
            bytes += (uint64_t)facts.st_size;
    }
    (void)closedir(directory);
    return bytes;
}

bool engine_files_sync_directory(const char *path)
{
    int descriptor = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return false;
    bool synced = fsync(descriptor) == 0;
    (void)close(descriptor);
    return synced;
}

enum err engine_files_sync_parent(const char *path, struct why *why)
{
    char parent[ENGINE_PATH_BYTES];
    int length = snprintf(parent, sizeof(parent), "%s/..", path);
    if (length > 0 && (size_t)length < sizeof(parent) && engine_files_sync_directory(parent))
        return ERR_OK;
    return why_fail(why, ERR_IO, "store: sync of the directory above %s: %s", path,
                    strerror(errno));
}

/* "...: No such file or directory: While open a file for random read: /data/store/000012.ldb: ..."
 * -> "000012.sst". RocksDB tries the old suffix .ldb last, and names that. */
static bool missing_table(const char *error, char name[ENGINE_TABLE_NAME_BYTES])
{
    if (strstr(error, strerror(ENOENT)) == NULL) return false;
    const char *end = strstr(error, ".ldb");
    if (end == NULL) end = strstr(error, ".sst");
    if (end == NULL) return false;
    const char *begin = end;
    while (begin > error && begin[-1] >= '0' && begin[-1] <= '9') begin--;
    if (begin == end || end - begin >= ENGINE_TABLE_NAME_BYTES - 4) return false;
    (void)snprintf(name, ENGINE_TABLE_NAME_BYTES, "%.*s.sst", (int)(end - begin), begin);
    return true;
}

bool engine_files_repair(const char *path, const char *run, const char *error)
{
    char name[ENGINE_TABLE_NAME_BYTES], table[ENGINE_PATH_BYTES];
    struct stat facts;
    if (!missing_table(error, name) || stat(run, &facts) != 0) return false;
    int length = snprintf(table, sizeof(table), "%s/%s", path, name);
    if (length < 0 || (size_t)length >= sizeof(table)) return false;
    return link(run, table) == 0 && engine_files_sync_directory(path);
}
