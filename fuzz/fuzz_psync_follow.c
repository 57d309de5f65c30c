/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_psync_follow: what a primary can say, in any pieces, and what happens meanwhile. The input
 * is a script of steps: a byte that says which, and for bytes of the primary how many, then those.
 * Whatever the script: nothing breaks or is left behind; places of entries never go back, and each
 * reads back as it was written (the fake intake sees to that); a state that is made is installed
 * or let go of; nothing is acked that was not applied. */
#include <stddef.h>
#include <stdint.h>

#include "face/psync/follow.h"
#include "test/face/psync/fake_intake.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { STEPS_MAX = 400, SECOND_US = 1000 * 1000 };

struct run {
    struct fake_intake intake;
    struct follow follow;
    uint64_t now_us;
};

static void publish(struct follow *follow, bool sharded, const struct published *published)
{
    (void)follow;
    (void)sharded;
    MUST(published->database < PAYLOAD_DATABASES_MAX);
}

static void woken(struct follow *follow)
{
    MUST(!follow->sleeps);
}

static void open_link(struct run *run)
{
    struct follow_options options = {.intake = &run->intake.base,
                                     .timeout_us = 60 * SECOND_US,
                                     .publish = publish,
                                     .woken = woken};
    follow_open(&run->follow, &options, run->now_us);
}

/* What was sent is whole commands, and an ACK names nothing that was not applied. */
static void check_out(struct run *run)
{
    struct buffer *out = &run->follow.out;
    static const char ack[] = "*3\r\n$8\r\nREPLCONF\r\n$3\r\nACK\r\n$";
    if (bytes_starts_with(buffer_bytes(out), bytes_text(ack))) MUST(run->intake.applied.known);
    buffer_clear(out);
}

/* The intake's side of a whole dump. */
static void finish(struct run *run, bool well)
{
    struct why why;
    if (!run->intake.installs) return;
    bool links = run->follow.phase == FOLLOW_INSTALL;
    if (well) {
        fake_intake_finish(&run->intake);
        if (links) follow_installed(&run->follow, ERR_OK, NULL, run->now_us);
        return;
    }
    run->intake.staged = run->intake.installs = false;
    enum err err = why_fail(&why, ERR_IO, "it was not to be");
    if (links) follow_installed(&run->follow, err, &why, run->now_us);
}

static void step(struct run *run, uint8_t what)
{
    switch (what % 12) {
    case 0: follow_tick(&run->follow, run->now_us += SECOND_US); break;
    case 1: run->intake.full = !run->intake.full; break;
    case 2: fake_intake_apply(&run->intake); break;
    case 3:
        (void)fake_intake_wake(&run->intake);
        follow_go_on(&run->follow, run->now_us);
        break;
    case 4: finish(run, true); break;
    case 5: finish(run, false); break;
    case 6:
        follow_close(&run->follow);
        finish(run, what % 2 == 0);
        open_link(run);
        break;
    case 7: run->intake.sink_waits = !run->intake.sink_waits; break;
    case 8: run->intake.follows_at_once = !run->intake.follows_at_once; break;
    case 9: run->intake.order.password = what % 2 == 0 ? "" : "pw"; break;
    case 10: follow_tick(&run->follow, run->now_us += 100 * (uint64_t)SECOND_US); break;
    default: follow_differs(&run->follow, "told so"); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct run run = {.now_us = SECOND_US};
    fake_intake_open(&run.intake);
    if (size > 0 && data[0] % 2 == 1) {
        run.intake.appended = (struct followed){.known = true, .offset = 100};
        memset(run.intake.appended.name, 'a', FOLLOWED_NAME_BYTES);
        run.intake.applied = run.intake.appended;
    }
    open_link(&run);
    unsigned steps = 0;
    for (size_t at = 1; at < size && steps < STEPS_MAX; steps++) {
        uint8_t what = data[at++];
        if (what < 200) { /* so many bytes of the primary */
            size_t piece = size - at < what ? size - at : what;
            if (follow_reads(&run.follow))
                follow_take(&run.follow, bytes_of(data + at, piece), run.now_us);
            at += piece;
        } else {
            step(&run, what);
        }
        check_out(&run);
    }
    follow_close(&run.follow);
    finish(&run, true);
    fake_intake_close(&run.intake);
    return 0;
}
