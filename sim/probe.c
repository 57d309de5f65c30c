/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/probe.h"

#include <stdio.h>
#include <string.h>

#include "base/buffer.h"
#include "sim/disk.h"

/* Where no other copy is followed an install leaves the log as it is: it is always the first. */
#define PROBE_FIRST "data/keys/log-1/"
#define PROBE_SLOT_A "00000000-a.superblock"
#define PROBE_SLOT_B "00000000-b.superblock"

const char *probe_slot_path(unsigned slot)
{
    return slot == 0 ? PROBE_FIRST PROBE_SLOT_A : PROBE_FIRST PROBE_SLOT_B;
}

bool probe_started(struct sim_disk *disk)
{
    struct buffer text;
    buffer_init(&text);
    bool there = sim_disk_kept(disk, "data/identity", &text);
    buffer_append_byte(&text, 0);
    there = there && strstr((const char *)text.data, "\nstarted yes\n") != NULL;
    buffer_release(&text);
    return there;
}

bool probe_store_path(struct sim_disk *disk, char out[PROBE_PATH_BYTES])
{
    struct buffer text;
    buffer_init(&text);
    unsigned log = 0, store = 0;
    bool there = sim_disk_seen(disk, "data/keys/current", &text);
    buffer_append_byte(&text, 0);
    there = there && sscanf((const char *)text.data, "tidemark-keys %*u\nlog %u\nstore %u\n", &log,
                            &store) == 2;
    buffer_release(&text);
    (void)snprintf(out, PROBE_PATH_BYTES, "data/keys/store-%u", store);
    return there;
}

static bool look(struct sim_disk *disk, const struct probe *probe, const char *path,
                 struct buffer *out)
{
    return probe->kept ? sim_disk_kept(disk, path, out) : sim_disk_seen(disk, path, out);
}

/* Of the log that the pointer names. */
static void find_directory(struct sim_disk *disk, struct probe *probe)
{
    struct buffer text;
    buffer_init(&text);
    unsigned log = 1;
    (void)look(disk, probe, "data/keys/current", &text);
    buffer_append_byte(&text, 0);
    const char *line = strstr((const char *)text.data, "\nlog ");
    if (line == NULL || sscanf(line, "\nlog %u", &log) != 1) log = 1;
    (void)snprintf(probe->directory, sizeof probe->directory, "data/keys/log-%u/", log);
    buffer_release(&text);
}

static void probe_slots(struct sim_disk *disk, struct probe *probe)
{
    for (unsigned i = 0; i < LOG_SUPERBLOCK_SLOTS; i++) {
        struct buffer content;
        buffer_init(&content);
        const char *what = NULL;
        char path[2 * PROBE_PATH_BYTES];
        (void)snprintf(path, sizeof path, "%s%s", probe->directory,
                       i == 0 ? PROBE_SLOT_A : PROBE_SLOT_B);
        bool there = look(disk, probe, path, &content);
        probe->slot_good[i] = there && content.size >= LOG_SUPERBLOCK_BYTES &&
                              log_superblock_decode(content.data, i, &probe->slot[i], &what);
        if (probe->slot_good[i] && probe->slot[i].durable.at > probe->durable) {
            probe->durable = probe->slot[i].durable.at;
        }
        buffer_release(&content);
    }
}

static bool read_header(struct sim_disk *disk, const struct probe *probe, const char *path,
                        struct buffer *content, struct log_segment_header *header)
{
    const char *what = NULL;
    buffer_clear(content);
    return look(disk, probe, path, content) && content->size >= LOG_SEGMENT_HEADER_BYTES &&
           log_segment_decode(content->data, header, &what);
}

/* Looks at every file of the log; the segment made last is the newest. */
static bool find_newest(struct sim_disk *disk, struct probe *probe, struct buffer *content,
                        struct log_segment_header *newest)
{
    struct buffer paths;
    buffer_init(&paths);
    sim_disk_paths(disk, &paths);
    for (size_t at = 0; at < paths.size;) {
        char path[PROBE_PATH_BYTES];
        size_t size = 0;
        while (paths.data[at + size] != '\n') size++;
        (void)snprintf(path, sizeof path, "%.*s", (int)size, (const char *)paths.data + at);
        at += size + 1;
        size_t prefix = strlen(probe->directory);
        struct log_segment_header header;
        if (size <= prefix || strncmp(path, probe->directory, prefix) != 0) continue;
        if (log_name_parse(path + prefix).kind != LOG_NAME_SEGMENT) continue;
        if (!read_header(disk, probe, path, content, &header)) continue;
        if (probe->segment[0] != '\0' && header.sequence < newest->sequence) continue;
        *newest = header;
        (void)snprintf(probe->segment, sizeof probe->segment, "%s", path);
    }
    buffer_release(&paths);
    return probe->segment[0] != '\0' && read_header(disk, probe, probe->segment, content, newest);
}

void probe_log(struct sim_disk *disk, bool kept, struct probe *probe)
{
    *probe = (struct probe){.kept = kept};
    find_directory(disk, probe);
    probe_slots(disk, probe);
    struct buffer content;
    buffer_init(&content);
    struct log_segment_header segment = {.salt = 0};
    uint64_t offset = LOG_SEGMENT_HEADER_BYTES;
    bool found = find_newest(disk, probe, &content, &segment);
    probe->size = content.size;
    probe->sequence = segment.sequence;
    if (found) probe->last = segment.start.next.at - 1;
    while (found && offset + LOG_BATCH_HEADER_BYTES <= content.size) {
        struct log_batch_header header;
        const uint8_t *at = content.data + offset;
        if (!log_batch_decode(at, segment.salt, offset, &header)) break;
        uint64_t size = log_padded(LOG_BATCH_HEADER_BYTES + header.length);
        if (offset + size > content.size) break;
        if (!log_batch_body_is_good(at, &header, segment.salt, offset)) break;
        if (probe->batch_count < PROBE_BATCHES_MAX) {
            probe->batches[probe->batch_count++] = (struct probe_batch){
                offset, size, header.first.at, header.first.at + header.count - 1};
        }
        probe->last = header.first.at + header.count - 1;
        if (header.durable.at > probe->durable) probe->durable = header.durable.at;
        offset += size;
    }
    probe->end = offset;
    buffer_release(&content);
}
