/* SPDX-License-Identifier: Apache-2.0 */
/* One disk request, carried out.
 *
 * Synced writes have two methods. *direct*: the file is open with O_DIRECT and the write carries
 * RWF_DSYNC, one call that returns when the bytes are on stable storage (with a forced-unit-access
 * write where the device knows it). *fdatasync*: a plain write, then fdatasync. Direct is switched
 * on after the open, by fcntl, because an open with O_CREAT | O_DIRECT that is refused may leave
 * its file behind. Support is asked with statx; a kernel that cannot say is found out by EINVAL at
 * the first use, before anything was written: the file then falls back for good.
 *
 * A failed sync leaves it unknown what is on the platter, and the kernel forgets that it failed. So
 * it is reported as ERR_IO, never tried again, and the descriptor is damaged: every later sync of
 * it fails with ERR_SHUT. Lack of space is ERR_SPACE only where no earlier write can have been
 * hurt: when the kernel refuses a plain write() or an allocation. The same error out of a sync is
 * ERR_IO. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/disk.h"

enum {
    DISK_CHUNK_BYTES_MAX = 1 << 30, /* one system call; Linux moves at most 2 GiB less a page */
    DISK_FILL_BYTES = 1 << 20,
};

/* ---- Errors ---- */

static bool is_lack_of_space(int number)
{
    return number == ENOSPC || number == EDQUOT;
}

static enum err disk_err(int number)
{
    switch (number) {
    case ENOENT:
    case ENOTDIR: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case ENOSPC:
    case EDQUOT: return ERR_SPACE;
    case EMFILE:
    case ENFILE: return ERR_LIMIT;
    case EACCES:
    case EPERM:
    case EROFS:
    case EISDIR:
    case ENOTEMPTY: return ERR_REFUSED;
    default: return ERR_IO;
    }
}

static enum err disk_fail(struct disk_request *request, enum err err, const char *what,
                          const char *name, int number)
{
    return why_fail(&request->why, err, "%s %s: %s", what, name, strerror(number));
}

static enum err disk_fail_path(struct disk_request *request, const char *what)
{
    int number = errno;
    return disk_fail(request, disk_err(number), what, request->path, number);
}

/* ---- Opening ---- */

static bool direct_is_offered(int descriptor)
{
    struct statx facts;
    if (statx(descriptor, "", AT_EMPTY_PATH, STATX_DIOALIGN, &facts) != 0) return true;
    if ((facts.stx_mask & STATX_DIOALIGN) == 0) return true; /* cannot say: the first write shows */
    return facts.stx_dio_offset_align > 0 && facts.stx_dio_offset_align <= DISK_SECTOR_BYTES &&
           facts.stx_dio_mem_align <= DISK_SECTOR_BYTES;
}

static bool direct_set(int descriptor, bool on)
{
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return false;
    return fcntl(descriptor, F_SETFL, on ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

/* Sets up `direct` on a descriptor just opened. */
static enum err disk_choose_direct(struct disk_real *disk, struct disk_request *request,
                                   struct disk_file *file)
{
    bool direct = disk->log_sync != REAL_LOG_SYNC_FDATASYNC &&
                  direct_is_offered(file->descriptor) && direct_set(file->descriptor, true);
    if (!direct && disk->log_sync == REAL_LOG_SYNC_DIRECT && !file->read_only) {
        return why_fail(&request->why, ERR_REFUSED,
                        "%s: the file system refuses direct writes; use log-sync auto or fdatasync",
                        request->path);
    }
    atomic_store(&file->direct, direct);
    if (!file->read_only) atomic_store(&disk->opened_direct, direct);
    return ERR_OK;
}

static void file_free(struct disk_file *file)
{
    memory_free(file->name);
    memory_free(file);
}

static enum err disk_open(struct disk_real *disk, struct disk_request *request)
{
    bool create = request->op == DISK_CREATE;
    int flags = (request->read_only && !create ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY |
                O_NONBLOCK | (create ? O_CREAT | O_EXCL : 0);
    request->file = NULL;
    request->size = 0;
    int descriptor = open(request->path, flags, 0600);
    if (descriptor < 0) return disk_fail_path(request, create ? "create" : "open");
    struct stat facts;
    enum err err = ERR_OK;
    if (fstat(descriptor, &facts) != 0) err = disk_fail_path(request, "open");
    else if (!S_ISREG(facts.st_mode))
        err = why_fail(&request->why, ERR_REFUSED, "open %s: not a file", request->path);
    struct disk_file *file = memory_zeroed(1, sizeof(*file));
    size_t length = strlen(request->path) + 1;
    file->name = memcpy(memory_alloc(length), request->path, length);
    file->descriptor = descriptor;
    file->read_only = request->read_only && !create;
    if (err == ERR_OK && request->direct) err = disk_choose_direct(disk, request, file);
    if (err != ERR_OK) {
        (void)close(descriptor);
        if (create) (void)unlink(request->path);
        file_free(file);
        return err;
    }
    request->file = file;
    request->size = (uint64_t)facts.st_size;
    return ERR_OK;
}

static enum err disk_close(struct disk_request *request)
{
    struct disk_file *file = request->file;
    request->file = NULL;
    enum err err = ERR_OK;
    /* Not repeated after EINTR either: Linux has let go of the descriptor by then. */
    if (close(file->descriptor) != 0 && errno != EINTR)
        err = disk_fail(request, ERR_IO, "close", file->name, errno);
    file_free(file);
    return err;
}

/* ---- Data ---- */

static bool is_aligned(const struct disk_request *request)
{
    uint64_t all = request->offset | request->size | (uint64_t)(uintptr_t)request->data;
    return all % DISK_SECTOR_BYTES == 0;
}

bool disk_real_fall_back(struct disk_real *disk, struct disk_file *file)
{
    bool promised = disk->log_sync == REAL_LOG_SYNC_DIRECT && !file->read_only;
    if (!atomic_load(&file->direct) || promised) return false;
    if (!direct_set(file->descriptor, false)) return false;
    atomic_store(&file->direct, false);
    if (!file->read_only) atomic_store(&disk->opened_direct, false);
    return true;
}

static enum err disk_read(struct disk_real *disk, struct disk_request *request)
{
    struct disk_file *file = request->file;
    request->moved = 0;
    MUST(!atomic_load(&file->direct) || is_aligned(request));
    while (request->moved < request->size) {
        uint64_t left = request->size - request->moved;
        size_t chunk = left > DISK_CHUNK_BYTES_MAX ? DISK_CHUNK_BYTES_MAX : (size_t)left;
        ssize_t got = pread(file->descriptor, (char *)request->data + request->moved, chunk,
                            (off_t)(request->offset + request->moved));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EINVAL && request->moved == 0 && disk_real_fall_back(disk, file))
            continue;
        if (got < 0) return disk_fail(request, ERR_IO, "read", file->name, errno);
        request->moved += (uint64_t)got;
        if (got == 0) break;
        /* A direct read may not go on from the middle of a sector; it is short only at the end. */
        if (atomic_load(&file->direct) && (size_t)got < chunk) break;
    }
    return ERR_OK;
}

/* DISK_WRITE may go on after a short write; in a synced write it is a failure. */
enum write_mode { WRITE_PLAIN, WRITE_WHOLE, WRITE_WHOLE_SYNCED };

/* Writes the range. False: *number is the errno of the failure, or 0 when the write came short. */
static bool disk_write_all(struct disk_request *request, enum write_mode mode, int *number)
{
    request->moved = 0;
    *number = 0;
    while (request->moved < request->size) {
        uint64_t left = request->size - request->moved;
        size_t chunk = left > DISK_CHUNK_BYTES_MAX ? DISK_CHUNK_BYTES_MAX : (size_t)left;
        struct iovec part = {(char *)request->data + request->moved, chunk};
        ssize_t put = pwritev2(request->file->descriptor, &part, 1,
                               (off_t)(request->offset + request->moved),
                               mode == WRITE_WHOLE_SYNCED ? RWF_DSYNC : 0);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) {
            *number = errno;
            return false;
        }
        request->moved += (uint64_t)put;
        if (put == 0 || (mode != WRITE_PLAIN && (size_t)put < chunk)) return false;
    }
    return true;
}

static enum err disk_write_failed(struct disk_request *request, int number)
{
    if (number == 0) {
        return why_fail(&request->why, ERR_IO, "write %s: short, %llu of %llu bytes",
                        request->file->name, (unsigned long long)request->moved,
                        (unsigned long long)request->size);
    }
    return disk_fail(request, is_lack_of_space(number) ? ERR_SPACE : ERR_IO, "write",
                     request->file->name, number);
}

static enum err disk_write(struct disk_real *disk, struct disk_request *request)
{
    int number;
    MUST(!atomic_load(&request->file->direct) || is_aligned(request));
    if (disk_write_all(request, WRITE_PLAIN, &number)) return ERR_OK;
    if (number == EINVAL && request->moved == 0 && disk_real_fall_back(disk, request->file) &&
        disk_write_all(request, WRITE_PLAIN, &number))
        return ERR_OK;
    return disk_write_failed(request, number);
}

static enum err disk_shut(struct disk_request *request)
{
    return why_fail(&request->why, ERR_SHUT, "sync %s: an earlier sync has failed",
                    request->file->name);
}

static enum err disk_sync(struct disk_request *request)
{
    struct disk_file *file = request->file;
    if (atomic_load(&file->damaged)) return disk_shut(request);
    if (fdatasync(file->descriptor) == 0) return ERR_OK;
    atomic_store(&file->damaged, true);
    return disk_fail(request, ERR_IO, "sync", file->name, errno);
}

static enum err disk_write_sync(struct disk_real *disk, struct disk_request *request)
{
    struct disk_file *file = request->file;
    int number;
    if (atomic_load(&file->damaged)) return disk_shut(request);
    if (atomic_load(&file->direct)) {
        MUST(is_aligned(request));
        if (disk_write_all(request, WRITE_WHOLE_SYNCED, &number)) return ERR_OK;
        bool refused = number == EINVAL || number == EOPNOTSUPP || number == ENOSYS;
        if (!refused || request->moved != 0 || !disk_real_fall_back(disk, file)) {
            atomic_store(&file->damaged, true);
            (void)disk_write_failed(request, number);
            return ERR_IO; /* also for lack of space: write and sync were one */
        }
    }
    if (!disk_write_all(request, WRITE_WHOLE, &number)) {
        bool nothing_done = is_lack_of_space(number) && request->moved == 0;
        if (!nothing_done) atomic_store(&file->damaged, true);
        enum err err = disk_write_failed(request, number);
        return nothing_done ? err : ERR_IO;
    }
    return disk_sync(request);
}

static enum err disk_fill(struct disk_real *disk, struct disk_request *request)
{
    struct disk_file *file = request->file;
    if (request->size == 0) return ERR_OK;
    /* Allocating first finds lack of space at once, and gives the file one piece of disk. */
    if (fallocate(file->descriptor, 0, (off_t)request->offset, (off_t)request->size) != 0 &&
        is_lack_of_space(errno))
        return disk_fail(request, ERR_SPACE, "fill", file->name, errno);
    struct disk_request part = {.op = DISK_WRITE, .file = file};
    part.data = memory_aligned(DISK_SECTOR_BYTES, DISK_FILL_BYTES);
    memset(part.data, 0, DISK_FILL_BYTES);
    enum err err = ERR_OK;
    uint64_t end = request->offset + request->size;
    for (part.offset = request->offset; err == ERR_OK && part.offset < end;
         part.offset += part.size) {
        uint64_t left = end - part.offset;
        part.size = left > DISK_FILL_BYTES ? DISK_FILL_BYTES : left;
        err = disk_write(disk, &part);
        /* Let the disk begin, so that the sync at the end is no burst before the log's own
         * writes. */
        if (err == ERR_OK && !atomic_load(&file->direct)) {
            (void)sync_file_range(file->descriptor, (off_t)part.offset, (off_t)part.size,
                                  SYNC_FILE_RANGE_WRITE);
        }
    }
    memory_free(part.data);
    if (err != ERR_OK) {
        request->why = part.why;
        return err;
    }
    return disk_sync(request);
}

static enum err disk_truncate(struct disk_request *request)
{
    int result;
    do {
        result = ftruncate(request->file->descriptor, (off_t)request->offset);
    } while (result != 0 && errno == EINTR);
    if (result == 0) return ERR_OK;
    return disk_fail(request, disk_err(errno), "truncate", request->file->name, errno);
}

/* ---- Names ---- */

static enum err disk_rename(struct disk_request *request)
{
    return rename(request->path, request->path_to) == 0 ? ERR_OK
                                                        : disk_fail_path(request, "rename");
}

static enum err disk_remove(struct disk_request *request)
{
    if (unlink(request->path) == 0) return ERR_OK;
    if (errno == EISDIR && rmdir(request->path) == 0) return ERR_OK;
    return disk_fail_path(request, "remove");
}

static enum err disk_make_dir(struct disk_request *request)
{
    return mkdir(request->path, 0700) == 0 ? ERR_OK : disk_fail_path(request, "make directory");
}

static enum err disk_sync_dir(struct disk_request *request)
{
    int descriptor = open(request->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return disk_fail_path(request, "sync directory");
    enum err err = ERR_OK;
    if (fsync(descriptor) != 0)
        err = disk_fail(request, ERR_IO, "sync directory", request->path, errno);
    (void)close(descriptor);
    return err;
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static enum err disk_list(struct disk_request *request)
{
    DIR *directory = opendir(request->path);
    if (directory == NULL) return disk_fail_path(request, "list");
    char **names = NULL;
    size_t count = 0;
    struct dirent *entry;
    while (errno = 0, (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        size_t size = strlen(entry->d_name) + 1;
        if ((count & (count - 1)) == 0)
            names = memory_resize(names, (count > 0 ? 2 * count : 1) * sizeof(*names));
        names[count++] = memcpy(memory_alloc(size), entry->d_name, size);
    }
    enum err err = errno == 0 ? ERR_OK : disk_fail(request, ERR_IO, "list", request->path, errno);
    (void)closedir(directory);
    if (count > 1) qsort(names, count, sizeof(*names), name_order);
    for (size_t i = 0; i < count; i++) {
        if (err == ERR_OK) buffer_append(request->names, bytes_of(names[i], strlen(names[i]) + 1));
        memory_free(names[i]);
    }
    memory_free(names);
    return err;
}

static enum err disk_free_space(struct disk_request *request)
{
    struct statvfs facts;
    int result;
    do {
        result = statvfs(request->path, &facts);
    } while (result != 0 && errno == EINTR);
    if (result != 0) return disk_fail_path(request, "free space of");
    request->size = (uint64_t)facts.f_bavail * facts.f_frsize;
    return ERR_OK;
}

/* An open-file-description lock: it conflicts with every other open of the file, also one of our
 * own, and ends with the descriptor, so with the process. The process id in the file is for
 * people. */
enum { LOCK_TRIES_MAX = 100, LOCK_PAUSE_NS = 10 * 1000 * 1000 };

static enum err disk_lock(struct disk_real *disk, struct disk_request *request)
{
    int descriptor = open(request->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0600);
    if (descriptor < 0) {
        int number = errno;
        return disk_fail(request, is_lack_of_space(number) ? ERR_SPACE : ERR_IO, "lock",
                         request->path, number);
    }
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = fcntl(descriptor, F_OFD_SETLK, &whole);
    /* A holder that was killed a moment ago may still be giving its memory back. */
    for (int tries = 0; result != 0 && errno == EAGAIN && tries < LOCK_TRIES_MAX; tries++) {
        struct timespec pause = {.tv_nsec = LOCK_PAUSE_NS};
        (void)nanosleep(&pause, NULL);
        result = fcntl(descriptor, F_OFD_SETLK, &whole);
    }
    if (result != 0) {
        int number = errno;
        char holder[16] = "";
        ssize_t got = pread(descriptor, holder, sizeof(holder) - 1, 0);
        holder[got > 0 ? strspn(holder, "0123456789") : 0] = '\0';
        (void)close(descriptor);
        if (number != EAGAIN && number != EACCES)
            return disk_fail(request, ERR_IO, "lock", request->path, number);
        return why_fail(&request->why, ERR_REFUSED, "lock %s: held by process %s", request->path,
                        holder[0] != '\0' ? holder : "(unknown)");
    }
    char text[16];
    int length = snprintf(text, sizeof(text), "%d\n", (int)getpid());
    if (ftruncate(descriptor, 0) == 0 && length > 0) {
        ssize_t ignored = pwrite(descriptor, text, (size_t)length, 0);
        (void)ignored;
    }
    MUST(pthread_mutex_lock(&disk->lock) == 0);
    disk->held = memory_resize(disk->held, (disk->held_count + 1) * sizeof(*disk->held));
    disk->held[disk->held_count++] = descriptor;
    MUST(pthread_mutex_unlock(&disk->lock) == 0);
    return ERR_OK;
}

static enum err disk_dispatch(struct disk_real *disk, struct disk_request *request)
{
    switch (request->op) {
    case DISK_OPEN:
    case DISK_CREATE: return disk_open(disk, request);
    case DISK_CLOSE: return disk_close(request);
    case DISK_READ: return disk_read(disk, request);
    case DISK_WRITE: return disk_write(disk, request);
    case DISK_SYNC: return disk_sync(request);
    case DISK_WRITE_SYNC: return disk_write_sync(disk, request);
    case DISK_FILL: return disk_fill(disk, request);
    case DISK_TRUNCATE: return disk_truncate(request);
    case DISK_RENAME: return disk_rename(request);
    case DISK_REMOVE: return disk_remove(request);
    case DISK_MAKE_DIR: return disk_make_dir(request);
    case DISK_SYNC_DIR: return disk_sync_dir(request);
    case DISK_LIST: return disk_list(request);
    case DISK_FREE_SPACE: return disk_free_space(request);
    case DISK_LOCK: return disk_lock(disk, request);
    }
    MUST(false);
}

void disk_real_perform(struct disk_real *disk, struct disk_request *request)
{
    request->why.text[0] = '\0';
    request->err = disk_dispatch(disk, request);
}
