/* SPDX-License-Identifier: Apache-2.0 */
/* engine_files: what is in a store's directory, seen from outside RocksDB. */
#ifndef REAL_ENGINE_FILES_H
#define REAL_ENGINE_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/must.h"

#define ENGINE_SCRATCH_NAME "scratch"
#define ENGINE_RUN_NAME "run.sst"

enum engine_state {
    ENGINE_ABSENT,  /* no directory, an empty one, or one whose making was cut short */
    ENGINE_PRESENT, /* there is a database */
};

/* ERR_CORRUPT: files that are not a store's, or a store that has lost its CURRENT file. */
MUST_USE enum err engine_files_look(const char *path, enum engine_state *state, struct why *why);
/* Makes the scratch directory, or removes the file that a cut-short flush has left in it. */
MUST_USE enum err engine_files_clear_scratch(const char *scratch, const char *run, struct why *why);
/* Removes the empty write-ahead logs of earlier opens from an open database: RocksDB makes one at
 * each open and, as it never has anything to flush, never lets go of any. */
void engine_files_drop_logs(const char *path);
/* What the file system of `path` has left for us; 0 if it does not say. */
uint64_t engine_files_free_bytes(const char *path);
bool engine_files_have_space(const char *path, uint64_t bytes);
uint64_t engine_files_table_bytes(const char *path); /* the tables in the directory */
bool engine_files_sync_directory(const char *path);
/* Makes the entry of `path` in its parent durable. */
MUST_USE enum err engine_files_sync_parent(const char *path, struct why *why);
/* Given the error of a failed open: if it is a table that the manifest names and that is missing,
 * and the scratch file is still there, gives the file that name. True: an open may succeed now. See
 * engine_run.c for how it comes to this. */
bool engine_files_repair(const char *path, const char *run, const char *error);

#endif
