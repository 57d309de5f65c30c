/* SPDX-License-Identifier: Apache-2.0 */
/* real: the operating system, libuv and RocksDB behind the seams; the only room that calls them.
 *
 * A world is one loop thread with its clock, disk, network, entropy and stores. Everything that it
 * is asked for and every event that it gives belongs to the thread that runs it; its helper threads
 * only carry work out and completions back. Disk, stores and trace can also be had alone, without a
 * loop, by tools. */
#ifndef REAL_REAL_H
#define REAL_REAL_H

#include "base/err.h"
#include "base/must.h"
#include "base/trace.h"
#include "seam/world.h"

struct real_world; /* fields: real/world.c */

/* How DISK_WRITE_SYNC makes bytes durable. */
enum real_log_sync {
    REAL_LOG_SYNC_AUTO,      /* direct where the file system takes it, else fdatasync */
    REAL_LOG_SYNC_DIRECT,    /* one write past the page cache; opening fails where it is refused */
    REAL_LOG_SYNC_FDATASYNC, /* write, then fdatasync */
};

/* Caller-owned; told on the loop of SIGTERM and SIGINT. */
struct real_signals {
    void (*asked)(struct real_signals *signals, int number);
};

struct real_options {
    enum real_log_sync log_sync;
    unsigned backlog;           /* connections that may wait to be accepted; 0: 511 */
    unsigned keepalive_seconds; /* idle time before TCP asks whether the peer is there; 0: never */
    uint64_t store_reserve_bytes; /* disk space that a store keeps for cleaning, at most; 0: none */
    struct trace *trace;          /* borrowed; NULL drops the lines */
    struct real_signals *signals; /* borrowed; NULL leaves SIGTERM and SIGINT as they are */
};

/* Makes the loop and its seams and fills *out, which is good until real_world_close. SIGPIPE and
 * SIGXFSZ are ignored, the limit of open files is raised as far as it goes, and free() merges small
 * chunks at once, all for the process. On failure *world is NULL. */
MUST_USE enum err real_world_open(struct real_world **world, const struct real_options *options,
                                  struct world *out, struct why *why);
/* Runs turns until real_world_stop, whose turn is finished first. May be called again. */
void real_world_run(struct real_world *world);
void real_world_stop(struct real_world *world); /* on the loop: from an event or a task */
/* Closes streams and listeners that are still open, without an event; then turns the loop until
 * every disk request is done and every stream closed with `flush` has ended (a second at most).
 * Stores are the callers' to close before. NULL is fine. */
void real_world_close(struct real_world *world);

/* For streams that begin from now on. */
void real_world_set_keepalive(struct real_world *world, unsigned seconds);

/* A net whose listeners, dials and streams are those of another one, with TLS over them: each end
 * shows a certificate and insists on one of the other end. */
struct real_tls;
struct real_tls_options {
    const char *cert_file, *key_file; /* PEM; the certificate good for clients and for servers */
    const char *key_pass;             /* "": the key is not encrypted */
    const char *ca_file, *ca_dir;     /* authorities; one of them may be "" */
    const char *protocols;            /* "TLSv1.2 TLSv1.3", or one of them; "": both */
};
/* Reads the files, and blocks for it. `world` (its net, clock and trace) is borrowed until
 * real_tls_close, and *net is good until then. ERR_CONFIG, with the reason; then *tls is NULL. */
MUST_USE enum err real_tls_open(struct real_tls **tls, const struct world *world,
                                const struct real_tls_options *options, struct net **net,
                                struct why *why);
/* Reads the files anew, for connections from now on, and blocks for it. On failure all stays as it
 * was. */
MUST_USE enum err real_tls_reload(struct real_tls *tls, const struct real_tls_options *options,
                                  struct why *why);
/* Closes what is still open, without an event; before real_world_close. NULL is fine. */
void real_tls_close(struct real_tls *tls);

/* How synced writes are made now, for people; constant texts. */
struct real_sync_status {
    const char *method; /* "direct" or "fdatasync": of the last file opened for direct writes */
    const char *place;  /* "inline": on the loop; "thread": on a helper thread */
    uint64_t median_us; /* of the last writes; 0 before the first */
};
void real_sync_status(const struct real_world *world, struct real_sync_status *out);

/* ---- Without a loop ---- */

/* A disk that answers run() only. */
void real_disk_open(struct disk **disk, enum real_log_sync log_sync);
void real_disk_close(struct disk *disk); /* gives up its DISK_LOCKs; NULL is fine */

/* Stores whose flush() and warm() are carried out, and done() called, inside real_stores_settle. */
void real_stores_open(struct stores **stores, struct trace *trace);
void real_stores_settle(struct stores *stores); /* until nothing is asked for any more */
void real_stores_close(struct stores *stores);  /* every store is closed by then; NULL is fine */

/* A sink that writes one line an event: `2026-01-02T03:04:05.678Z notice log segment_rolled
 * first_lsn=17`. `path` names a file to append to, made with mode 0640; NULL is standard error.
 * Safe from any thread. A line that cannot be written is dropped. On failure *trace is NULL. */
MUST_USE enum err real_trace_open(struct trace **trace, const char *path, enum trace_level least,
                                  struct why *why);
void real_trace_close(struct trace *trace); /* NULL is fine */

/* A connection to "HOST:PORT" that waits, each time for `timeout_us` at most. On failure *line is
 * NULL. ERR_CONFIG: it is no address; ERR_IO: all else, with the reason. */
struct real_line;
MUST_USE enum err real_line_open(struct real_line **line, const char *address, uint64_t timeout_us,
                                 struct why *why);
MUST_USE enum err real_line_send(struct real_line *line, struct bytes bytes, struct why *why);
/* Appends what is there, at least one byte. */
MUST_USE enum err real_line_receive(struct real_line *line, struct buffer *into, struct why *why);
void real_line_set_timeout(struct real_line *line, uint64_t timeout_us);
void real_line_close(struct real_line *line); /* NULL is fine */
void real_nap(uint64_t us);

/* ---- This process ---- */

/* How the open files that the system allows this process are shared, so that clients never take
 * what log and store need: a file that they cannot open ends the server. */
struct real_files {
    uint64_t allowed; /* by the system */
    uint64_t tables;  /* that a store keeps open */
    uint64_t streams; /* of the net, at a time; more are closed as soon as they are accepted */
};
void real_process_files(struct real_files *files);

uint64_t real_process_id(void);
bool real_process_has_terminal(void);     /* behind standard error */
uint64_t real_process_memory_bytes(void); /* resident; 0 if the system does not say */
uint64_t real_process_cpu_us(bool user);  /* spent so far, in user or in system mode */

#endif
