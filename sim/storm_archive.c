/* SPDX-License-Identifier: Apache-2.0 */
/* Seeds that archive. The archive's directory is on the node's disk and is named like that of the
 * images, so what goes wrong with those goes wrong with it, too: nothing of it ends the server, and
 * a power cut takes of it what was not synced.
 *
 * At the end, when all is quiet, what is restored from it is compared with what the machine was
 * given: to the end of the archive, and to LSNs that are drawn. */
#include <inttypes.h>

#include "base/checksum.h"
#include "sim/storming.h"

void storm_draw_archive(struct storm *storm, uint64_t seed, struct server_settings *out)
{
    dice_init(&storm->archive_dice, checksum64(bytes_of(&seed, sizeof seed), 10));
    out->archives = storm->images && dice_below(&storm->archive_dice, 2) == 0;
}

/* What was restored is what the history had there. */
static void compare(struct storm *storm, const struct archive_restored *restored)
{
    const struct canon *canon = &storm->program.canon;
    uint64_t lsn = restored->source.lsn.at;
    storm->result->restores++;
    if (lsn == 0 || lsn > canon->count) {
        sim_world_fail(storm->world,
                       "archive: LSN %" PRIu64 " was restored, the history ends at %" PRIu64, lsn,
                       canon->count);
        return;
    }
    const struct fact *fact = &canon->facts[lsn - 1];
    if (restored->mark.lsn.at != lsn || restored->source.lineage.hash != fact->lineage.hash ||
        epoch_compare(restored->source.epoch, fact->epoch) != 0 ||
        restored->stamp.bits != fact->stamp.bits)
        sim_world_fail(storm->world, "archive: another entry is restored at LSN %" PRIu64, lsn);
    if (!digest_equal(restored->digest, fact->digest))
        sim_world_fail(storm->world, "archive: another digest is restored at LSN %" PRIu64, lsn);
}

/* False: nothing could be restored, and that may be. */
static bool restore_to(struct storm *storm, enum archive_target target, uint64_t lsn)
{
    struct server_program *program = &storm->program;
    struct archive_restore_options *options = &program->restorer.options;
    char to[40];
    (void)snprintf(to, sizeof to, "restored-%" PRIu64, ++storm->restored);
    *options = (struct archive_restore_options){
        .from = SERVER_ARCHIVE, .to = to, .target = target, .lsn = {lsn}, .flush_bytes = 20000};
    if (!server_program_restore(program)) {
        if (!storm_failed(storm)) sim_world_fail(storm->world, "archive: no end of a restore");
        return false;
    }
    const struct restorer *restorer = &program->restorer;
    if (restorer->err == ERR_OK) {
        bool wanted = target != ARCHIVE_TO_LSN || restorer->result.source.lsn.at == lsn;
        if (!wanted) sim_world_fail(storm->world, "archive: not LSN %" PRIu64 " is restored", lsn);
        compare(storm, &restorer->result);
        return true;
    }
    /* Where it had to let go of entries there is a hole. */
    bool may_be = restorer->err == ERR_REFUSED && program->archive_gaps > 0;
    if (!may_be)
        sim_world_fail(storm->world, "archive: restore to LSN %" PRIu64 " of %" PRIu64 ": %s", lsn,
                       program->canon.count, restorer->why.text);
    return false;
}

void storm_check_archive(struct storm *storm)
{
    if (!storm->program.settings.archives || storm->program.archived == 0) return;
    if (!restore_to(storm, ARCHIVE_LATEST, 0)) return;
    uint64_t last = storm->program.restorer.result.source.lsn.at;
    if (last < storm->program.archived)
        sim_world_fail(storm->world, "archive: it ends at LSN %" PRIu64 ", told was LSN %" PRIu64,
                       last, storm->program.archived);
    /* The last image may be ahead of the entries: what lies between is no hole, but not there. */
    uint64_t told = storm->program.archived;
    for (unsigned i = 0; i < 2 && !storm_failed(storm); i++)
        (void)restore_to(storm, ARCHIVE_TO_LSN, 1 + dice_below(&storm->archive_dice, told));
}
