/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/swap.h"

#include "base/must.h"
#include "sim/disk.h"

static const char swap_all[] = "data/";
static const char swap_log[] = "data/keys/log-1/";
enum { SWAP_PATH_BYTES = 100 };

/* The next path below the directory; false: there is none. */
static bool next_path(const struct buffer *paths, const char *directory, size_t *at,
                      char out[SWAP_PATH_BYTES])
{
    while (*at < paths->size) {
        size_t size = 0;
        while (paths->data[*at + size] != '\n') size++;
        MUST(size < SWAP_PATH_BYTES);
        memcpy(out, paths->data + *at, size);
        out[size] = '\0';
        *at += size + 1;
        size_t prefix = strlen(directory);
        bool is_file = size > 0 && out[size - 1] != '/';
        if (is_file && size > prefix && memcmp(out, directory, prefix) == 0) return true;
    }
    return false;
}

void swap_save(struct sim_disk *disk, struct buffer *out)
{
    struct buffer paths, content;
    buffer_init(&paths);
    buffer_init(&content);
    sim_disk_paths(disk, &paths);
    char path[SWAP_PATH_BYTES];
    for (size_t at = 0; next_path(&paths, swap_all, &at, path);) {
        buffer_clear(&content);
        if (!sim_disk_seen(disk, path, &content)) continue;
        buffer_append_le32(out, (uint32_t)strlen(path));
        buffer_append_le32(out, (uint32_t)content.size);
        buffer_append_text(out, path);
        buffer_append(out, buffer_bytes(&content));
    }
    buffer_release(&content);
    buffer_release(&paths);
}

bool swap_agrees(struct sim_disk *disk, const struct buffer *saved, const char *path)
{
    struct buffer seen;
    buffer_init(&seen);
    bool agrees = false;
    (void)sim_disk_seen(disk, path, &seen);
    for (size_t at = 0; at < saved->size;) {
        const uint8_t *head = saved->data + at;
        size_t name = load_le32(head), size = load_le32(head + 4);
        bool is_it = bytes_equal(bytes_of(head + 8, name), bytes_text(path));
        if (is_it) agrees = bytes_equal(bytes_of(head + 8 + name, size), buffer_bytes(&seen));
        at += 8 + name + size;
    }
    buffer_release(&seen);
    return agrees;
}

static void put(struct sim_disk *disk, const char *directory, const struct buffer *saved)
{
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(disk, &paths);
    char path[SWAP_PATH_BYTES];
    for (size_t at = 0; next_path(&paths, directory, &at, path);) (void)sim_disk_unlink(disk, path);
    buffer_release(&paths);
    for (size_t at = 0; at < saved->size;) {
        const uint8_t *head = saved->data + at;
        size_t name = load_le32(head), size = load_le32(head + 4);
        MUST(name < sizeof path);
        memcpy(path, head + 8, name);
        path[name] = '\0';
        sim_disk_put(disk, path, bytes_of(head + 8 + name, size));
        at += 8 + name + size;
    }
}

void swap_put(struct sim_disk *disk, const struct buffer *saved)
{
    put(disk, swap_all, saved);
}

void swap_put_log(struct sim_disk *disk, const struct buffer *saved)
{
    put(disk, swap_log, saved);
}
