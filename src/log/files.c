/* SPDX-License-Identifier: Apache-2.0 */
#include "log/files.h"

#include "base/plant.h"

enum err log_home_check(struct log_home home, struct why *why)
{
    size_t length = strlen(home.directory);
    if (length == 0 || length + 1 + LOG_NAME_BYTES > LOG_PATH_BYTES)
        return why_fail(why, ERR_LIMIT, "%s: the path of a log takes 1 to %d bytes", home.directory,
                        LOG_PATH_BYTES - LOG_NAME_BYTES - 1);
    return ERR_OK;
}

void log_path_make(struct log_path *path, const char *directory, const char *name)
{
    size_t before = strlen(directory);
    size_t after = strlen(name);
    MUST(before + 1 + after < LOG_PATH_BYTES);
    memcpy(path->text, directory, before);
    path->text[before] = '/';
    memcpy(path->text + before + 1, name, after + 1);
}

enum err log_run(struct disk *disk, struct disk_request *request, struct why *why)
{
    request->why.text[0] = '\0';
    enum err err = disk_run(disk, request);
    if (err == ERR_OK) return ERR_OK;
    const char *text = request->why.text[0] != '\0' ? request->why.text : err_name(err);
    return why_fail(why, err, "%s", text);
}

enum err log_file_open(struct log_home home, const char *name, enum log_file_mode mode,
                       struct disk_request *opened, struct why *why)
{
    struct log_path path;
    log_path_make(&path, home.directory, name);
    *opened = (struct disk_request){.op = DISK_OPEN,
                                    .path = path.text,
                                    .direct = mode == LOG_FILE_DIRECT,
                                    .read_only = mode == LOG_FILE_READ};
    enum err err = log_run(home.disk, opened, why);
    opened->path = NULL;
    return err;
}

enum err log_file_create(struct log_home home, const char *name, enum log_file_mode mode,
                         struct disk_file **file, struct why *why)
{
    struct log_path path;
    log_path_make(&path, home.directory, name);
    struct disk_request request = {
        .op = DISK_CREATE, .path = path.text, .direct = mode == LOG_FILE_DIRECT};
    enum err err = log_run(home.disk, &request, why);
    *file = err == ERR_OK ? request.file : NULL;
    return err;
}

void log_file_close(struct log_home home, struct disk_file *file)
{
    if (file == NULL) return;
    struct disk_request request = {.op = DISK_CLOSE, .file = file};
    (void)disk_run(home.disk, &request);
}

enum err log_file_rename(struct log_home home, const char *from, const char *to, struct why *why)
{
    struct log_path path, path_to;
    log_path_make(&path, home.directory, from);
    log_path_make(&path_to, home.directory, to);
    struct disk_request request = {.op = DISK_RENAME, .path = path.text, .path_to = path_to.text};
    return log_run(home.disk, &request, why);
}

enum err log_file_remove(struct log_home home, const char *name, struct why *why)
{
    struct log_path path;
    log_path_make(&path, home.directory, name);
    struct disk_request request = {.op = DISK_REMOVE, .path = path.text};
    enum err err = log_run(home.disk, &request, why);
    return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err log_home_sync(struct log_home home, struct why *why)
{
    if (PLANTED(SKIP_DIRECTORY_SYNC)) return ERR_OK;
    struct disk_request request = {.op = DISK_SYNC_DIR, .path = home.directory};
    return log_run(home.disk, &request, why);
}
