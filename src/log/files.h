/* SPDX-License-Identifier: Apache-2.0 */
/* files: paths, and the blocking requests of start-up, shutdown and tools. */
#ifndef LOG_FILES_H
#define LOG_FILES_H

#include "log/format.h"

enum { LOG_PATH_BYTES = 1024 };

struct log_path {
    char text[LOG_PATH_BYTES];
};

/* Where a log lives. Both borrowed by whoever holds one. */
struct log_home {
    struct disk *disk;
    const char *directory;
};

/* Whether every path below the directory fits into a log_path. */
MUST_USE enum err log_home_check(struct log_home home, struct why *why);
/* `directory/name`; the directory has been checked. */
void log_path_make(struct log_path *path, const char *directory, const char *name);

/* Runs the request, and copies its line to `why` when it failed. */
MUST_USE enum err log_run(struct disk *disk, struct disk_request *request, struct why *why);

enum log_file_mode { LOG_FILE_READ, LOG_FILE_WRITE, LOG_FILE_DIRECT };

/* Opens, or creates, the file `name`; the caller closes *file with log_file_close. */
MUST_USE enum err log_file_open(struct log_home home, const char *name, enum log_file_mode mode,
                                struct disk_request *opened, struct why *why);
MUST_USE enum err log_file_create(struct log_home home, const char *name, enum log_file_mode mode,
                                  struct disk_file **file, struct why *why);
/* NULL is fine. Its result says nothing about data: what matters was synced before. */
void log_file_close(struct log_home home, struct disk_file *file);
MUST_USE enum err log_file_rename(struct log_home home, const char *from, const char *to,
                                  struct why *why);
/* A file that is not there is fine. */
MUST_USE enum err log_file_remove(struct log_home home, const char *name, struct why *why);
MUST_USE enum err log_home_sync(struct log_home home, struct why *why);

#endif
