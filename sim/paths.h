/* SPDX-License-Identifier: Apache-2.0 */
/* paths: what lies between simulated nodes: a path for each direction between two of them, and what
 * goes wrong on it.
 *
 * A node is called by its address ("10.0.0.2"), "[fd00::2]" or its name ("n2"), by itself also as
 * "127.0.0.1", "[::1]" or "localhost"; a listener on a loopback address hears itself only. What two
 * connections carry over one path arrives in any order; what one carries arrives in its order,
 * whole, and unchanged but for flips.
 *
 * Cut:     nothing comes through, but TCP goes on trying: after a heal everything arrives. An end
 *          that hears nothing for the time of the profile gives up: its owner is told, its peer
 *          is not, and goes on with half a connection. Where only the way back is cut, one window
 *          still arrives, unconfirmed. Dials are not answered.
 * Clog:    one direction stands still, for as long as one likes, and then flows; nobody gives up.
 * Orphan:  one end of a connection is forgotten without a word, as by a machine that is gone.
 * Ghost:   the listener gets a connection from a dial that knows nothing of it, beside the one that
 *          the dial becomes.
 *
 * An end that was forgotten (given up, orphaned, ghost, a power cut) is found out by its peer when
 * that sends and gets an answer, or after up to silence_us_max of the world's profile.
 *
 * Everything is drawn from SIM_DICE_PEERS, and counted when it has had an effect. */
#ifndef SIM_PATHS_H
#define SIM_PATHS_H

#include <stdbool.h>
#include <stdint.h>

struct sim_node;
struct sim_world;
struct stream;

/* Of everything between nodes; pieces, gaps, windows and silences are those of sim_net_profile. */
struct sim_paths_profile {
    uint64_t delay_us_min, delay_us_max;     /* one way, where a path has none of its own */
    uint64_t give_up_us_min, give_up_us_max; /* an end that hears nothing */
    uint64_t lookup_us_max;                  /* a name */
    uint32_t reset_per_million;              /* each piece: the connection breaks instead */
    uint32_t refuse_per_million;             /* each dial */
    uint32_t ghost_per_million;              /* each dial */
    uint32_t no_name_per_million;            /* each name */
};

enum sim_ways { SIM_THERE = 1, SIM_BACK = 2, SIM_BOTH_WAYS = 3 };

/* What had an effect. A run in which a kind was not hit proves nothing of it. */
enum sim_hit {
    SIM_HIT_PARTITION, /* something had to wait, or a dial was lost: both ways are cut */
    SIM_HIT_ONE_WAY,   /* the same, one way is open */
    SIM_HIT_UNHEARD,   /* a window is full and its confirmation is cut off */
    SIM_HIT_CLOG,
    SIM_HIT_GAVE_UP,
    SIM_HIT_ORPHAN,
    SIM_HIT_HALTED,    /* a power cut at the other end */
    SIM_HIT_FOUND_OUT, /* half a connection ended because it sent */
    SIM_HIT_RESET,
    SIM_HIT_FLIP,
    SIM_HIT_SPLIT,
    SIM_HIT_SINGLE,    /* a piece of one byte, with more behind it */
    SIM_HIT_COALESCED, /* a piece of several sends */
    SIM_HIT_OVERTAKEN, /* by what was sent later, on another connection */
    SIM_HIT_GHOST,     /* what was sent once arrives twice: of a connection, all there can be */
    SIM_HIT_DELAYED,   /* by a path that is slow */
    SIM_HIT_LOST,      /* bytes that were on their way when their connection ended */
    SIM_HIT_REFUSED,   /* dials */
    SIM_HIT_UNANSWERED,
    SIM_HIT_UNREACHABLE,
    SIM_HIT_TIMED_OUT,
    SIM_HIT_NO_NAME,
    SIM_HITS,
};

void sim_paths_profile_init(struct sim_paths_profile *profile);       /* nothing goes wrong */
struct sim_paths_profile *sim_paths_profile(struct sim_world *world); /* to be set by the harness */
uint64_t sim_paths_hits(const struct sim_world *world, enum sim_hit hit);
const char *sim_hit_name(enum sim_hit hit);

/* `ways`: SIM_THERE is from `a` to `b`. */
void sim_paths_cut(struct sim_node *a, struct sim_node *b, enum sim_ways ways);
void sim_paths_clog(struct sim_node *a, struct sim_node *b, enum sim_ways ways);
/* Neither cut nor clogged, both ways. */
void sim_paths_heal(struct sim_node *a, struct sim_node *b);
void sim_paths_heal_all(struct sim_world *world); /* cables too */
void sim_paths_delay(struct sim_node *a, struct sim_node *b, enum sim_ways ways, uint64_t us_min,
                     uint64_t us_max); /* 0, 0: the profile's */
/* The chance that a piece has one bit turned over. */
void sim_paths_flips(struct sim_node *a, struct sim_node *b, enum sim_ways ways,
                     uint32_t per_million);
/* Every connection between the two, or of the node with any other. */
void sim_paths_reset(struct sim_node *a, struct sim_node *b);
void sim_paths_reset_node(struct sim_node *node);
/* `a` loses every connection with `b`, which is not told. */
void sim_paths_orphan(struct sim_node *a, struct sim_node *b);
/* Connections between the two that either still holds. */
uint64_t sim_paths_links(struct sim_node *a, struct sim_node *b);

/* Bits turned over in what this end has received; the oracle of who checks checksums. */
uint64_t sim_stream_flips(const struct stream *stream);

#endif
