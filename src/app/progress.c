/* SPDX-License-Identifier: Apache-2.0 */
#include "app/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "real/real.h"

enum { SHOWN_EVERY_US = 200 * 1000, SECOND_US = 1000 * 1000 };

void progress_begin(struct progress *progress, struct clock *clock, const char *what,
                    enum progress_unit unit)
{
    *progress = (struct progress){.clock = clock, .what = what, .unit = unit};
    progress->seen = real_process_has_terminal();
    progress->began_us = progress->shown_us = clock_now_us(clock);
}

void progress_show(struct progress *progress, uint64_t done, uint64_t all)
{
    uint64_t now_us = progress->seen ? clock_now_us(progress->clock) : 0;
    if (!progress->seen || now_us - progress->shown_us < SHOWN_EVERY_US) return;
    progress->shown_us = now_us;
    double seconds = (double)(now_us - progress->began_us) / SECOND_US;
    double rate = (double)done / seconds;
    fprintf(stderr, "\r%s:", progress->what);
    if (all > 0) {
        uint64_t percent = done < all ? (uint64_t)((double)done / (double)all * 100) : 99;
        fprintf(stderr, " %" PRIu64 "%%", percent);
    }
    if (progress->unit == PROGRESS_BYTES) fprintf(stderr, ", %.1f MiB/s", rate / (1 << 20));
    else if (progress->unit == PROGRESS_RECORDS) fprintf(stderr, ", %.0f records/s", rate);
    else fprintf(stderr, ", %.1f files/s", rate);
    if (all > done && rate > 0) fprintf(stderr, ", %.0f s left", (double)(all - done) / rate);
    fputs("\033[K", stderr);
    fflush(stderr);
}

void progress_end(struct progress *progress)
{
    if (progress->seen) fputs("\r\033[K", stderr);
}
