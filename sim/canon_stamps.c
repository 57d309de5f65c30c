/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "sim/canon.h"

/* Whoever compares copies by it relies on it. */
void canon_check_stamp(struct canon *canon, const struct entry *entry)
{
    struct stamped stamped;
    if (entry_take_stamp(entry->payload, &stamped) != ERR_OK) return;
    canon->life_stamps++;
    uint64_t at = stamped.mark.lsn.at;
    bool right = at > 0 && at < entry->lsn.at && at <= canon->count &&
                 digest_equal(canon->facts[at - 1].digest, stamped.digest);
    if (right) return;
    sim_world_fail(canon->world,
                   "history: LSN %" PRIu64 " stamps a digest that LSN %" PRIu64 " did not leave",
                   entry->lsn.at, at);
}
