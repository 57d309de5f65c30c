/* SPDX-License-Identifier: Apache-2.0 */
/* storming: what storm.c (the lives of a seed) and storm_faults.c (what goes wrong in them) share.
 */
#ifndef SIM_STORMING_H
#define SIM_STORMING_H

#include "sim/archivist.h"
#include "sim/probe.h"
#include "sim/server_program.h"
#include "sim/storm.h"
#include "sim/talker.h"

#define STORM_IMAGES "*/images*" /* paths of images, and of what they are in */

/* A store that was made another one while the node was down. */
struct doctored {
    bool done;
    char path[GATE_PATH_BYTES], image_path[GALLERY_PATH_BYTES];
    struct sim_tree *was, *old; /* before that; some lives ago */
    struct buffer image;        /* the one that was forged, as it was */
};

struct storm {
    struct sim_world *world;
    struct server_program program;
    struct workload workload;
    struct ops ops;
    struct talkers talkers;
    struct archivist archivist;
    struct canon_listener listener;
    struct dice dice;      /* what is drawn here */
    struct dice gate_dice; /* what is drawn about stores, likewise */
    struct gate_look look; /* what the start finds */
    struct doctored doctored;
    struct dice archive_dice;
    uint64_t restored;      /* directories that were made of the archive */
    struct dice image_dice; /* what is drawn about images: a seed without them is as it was */
    struct storm_result *result;

    bool on[STORM_FAULTS]; /* drawn for the seed */
    bool images;           /* are asked for */
    bool streams;          /* likewise: the stream of effects is switched on */
    struct dice stream_dice;
    unsigned lives, ticks_max;
    uint64_t finish_us;   /* how long the calm life is */
    bool scripted;        /* a crash that is armed stays so; after it the script decides */
    struct sim_cut armed; /* of the crash that is armed */

    /* A power cut may take what was acknowledged: until a start in mode `always` is ready. */
    bool lossy, ever_lossy;

    /* Of this life. */
    uint64_t rule; /* a failing disk */
    bool may_fail_log, may_fail_store, may_be_corrupt;
    uint64_t start_rule, start_hits;
    uint64_t file_rule, store_rule, image_rule;
    bool low; /* space is, or was a moment ago, short */
    uint64_t stall;
    bool stopping, stopped_clean;
    const char *spoiled; /* what was done to the files, so that no start may go on; NULL: nothing */
    bool may_serve;      /* and yet: if nothing acknowledged is missing; the checks say that */
    struct buffer whole; /* the files before that */
    struct buffer old_log; /* the files some lives ago */
    uint64_t old_end;      /* its last LSN */
};

/* storm.c */
struct storm *storm_open(const struct storm_options *options, struct storm_result *result);
void storm_close(struct storm *storm); /* fills the result */
void storm_finish(struct storm *storm);
void storm_check_gap(struct storm *storm);
/* The clients begin, or finish what they have asked for. */
void storm_go(struct storm *storm, bool going);
uint64_t storm_below(struct storm *storm, uint64_t bound);
bool storm_failed(const struct storm *storm);
bool storm_wait_down(struct storm *storm, uint64_t limit_us);
bool storm_start(struct storm *storm);
void storm_stop(struct storm *storm);
void storm_crashed(struct storm *storm, struct sim_cut cut);

/* storm_faults.c */
void storm_draw(struct storm *storm, const struct storm_options *options);
/* A start may meet a failing disk. Afterwards: whether it did, and so may have been refused. */
void storm_before_start(struct storm *storm);
bool storm_start_failed(struct storm *storm);
void storm_life_begins(struct storm *storm);
void storm_tick(struct storm *storm);
/* Perhaps a word to the stream of effects. */
void storm_stream(struct storm *storm, bool begins);
void storm_calm_before_end(struct storm *storm);
void storm_give_space(struct storm *storm);
void storm_heal(struct storm *storm);
/* storm_images.c */
void storm_draw_images(struct storm *storm, uint64_t seed, struct server_settings *out);
void storm_draw_archivist(struct storm *storm, uint64_t seed);
void storm_image_tick(struct storm *storm);
/* storm_archive.c */
void storm_draw_archive(struct storm *storm, uint64_t seed, struct server_settings *out);
void storm_check_archive(struct storm *storm); /* the node is down and will stay so */
/* storm_stores.c */
void storm_stores_init(struct storm *storm, uint64_t seed);
void storm_stores_release(struct storm *storm);
void storm_take_store(struct storm *storm); /* the node is down: it has no store any more */
void storm_doctor(struct storm *storm);     /* likewise: something is done to it, perhaps */
void storm_gate_before(struct storm *storm);
/* The start serves or is down again; `failing`: a disk was in its way. True: it was refused as it
 * should be, and may be tried again. */
bool storm_gate_after(struct storm *storm, bool failing);
/* storm_down.c */
void storm_while_down(struct storm *storm);
/* An operator removes the newest segment of the log, if there is one. */
void storm_lose_newest(struct storm *storm);
/* The start was refused because of what had been done, and that is undone. */
bool storm_spoiling_found(struct storm *storm);

/* storm_faults.c */
/* Whether the server may have ended with this status now. */
bool storm_may_exit(const struct storm *storm, int status);

#endif
