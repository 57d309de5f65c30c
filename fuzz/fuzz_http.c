/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a web client, into the daemon over a socket pair, as far as the face's answer; once
 * in one piece and once in random ones, with an owner that answers at once, a little later or too
 * late. Both times the client gets nothing or one whole answer, and if it is ours, the same. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/memory.h"
#include "face/http/http.h"
#include "real/http_daemon.h"

enum { INPUT_BYTES_MAX = 64 * 1024, OUTPUT_BYTES_MAX = 256 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum pace { AT_ONCE, LATER, TOO_LATE, PACES };

struct fuzz {
    struct clock clock;
    struct service service;
    struct histogram times;
    struct http_host host;
    struct http http;
    struct http_listener *listener;
    struct http_face *face;
    struct http_daemon daemon;
    struct http_daemon_owner owner;
    struct list taken;
    enum pace pace;
    uint64_t now_us;
};

/* The face's time stands still, so that both talks get the same page. */
static uint64_t clock_us(struct clock *clock)
{
    (void)clock;
    return 1000000;
}

static uint64_t clock_ms(struct clock *clock)
{
    (void)clock;
    return 1700000000000;
}

static void service_status(struct service *service, struct service_status *out)
{
    struct fuzz *fuzz = CONTAINER_OF(service, struct fuzz, service);
    *out = (struct service_status){.phase = SERVICE_SERVING,
                                   .mode = "local",
                                   .start_outcome = "fresh",
                                   .start_reason = "",
                                   .commit_us = &fuzz->times,
                                   .sync_us = &fuzz->times};
}

static void service_describe(struct service *service, struct buffer *out)
{
    (void)service;
    buffer_append_text(out, "db0:keys=1,expires=0,avg_ttl=0\r\n");
}

static void host_figures(struct http_host *host, struct http_figures *out)
{
    (void)host;
    *out = (struct http_figures){.durability = "always", .sync_method = "a", .sync_place = "b"};
}

static enum err seam_listen(struct http *http, struct http_listener *listener,
                            const struct http_address *addresses, size_t count, struct why *why)
{
    (void)addresses;
    (void)count;
    (void)why;
    CONTAINER_OF(http, struct fuzz, http)->listener = listener;
    return ERR_OK;
}

/* The face has answered; when the daemon hears of it is the pace's to say. */
static void seam_answer(struct http *http, struct http_request *request)
{
    (void)http;
    MUST(request->answer.type != NULL && request->answer.body.size > 0);
}

static bool owner_asked(struct http_daemon_owner *owner, struct http_exchange *exchange)
{
    struct fuzz *fuzz = CONTAINER_OF(owner, struct fuzz, owner);
    fuzz->listener->asked(fuzz->listener, &exchange->request);
    if (fuzz->pace == AT_ONCE) return false;
    list_append(&fuzz->taken, &exchange->node);
    return true;
}

static struct fuzz *fuzz_open(void)
{
    static const struct clock_ops clock_ops = {.now_us = clock_us, .wall_ms = clock_ms};
    static const struct service_ops service_ops = {.status = service_status,
                                                   .describe = service_describe};
    static const struct http_ops http_ops = {.listen = seam_listen, .answer = seam_answer};
    struct fuzz *fuzz = memory_zeroed(1, sizeof *fuzz);
    fuzz->clock.ops = &clock_ops;
    fuzz->service.ops = &service_ops;
    fuzz->host = (struct http_host){host_figures, "1", "c"};
    fuzz->http.ops = &http_ops;
    fuzz->owner.asked = owner_asked;
    fuzz->now_us = 1000000;
    list_init(&fuzz->taken);
    struct http_options options = {&fuzz->clock, &fuzz->http, &fuzz->host};
    http_open(&fuzz->face, &options);
    struct why why;
    MUST(http_listen(fuzz->face, NULL, 0, &why) == ERR_OK);
    http_serve(fuzz->face, &fuzz->service);
    MUST(http_daemon_open(&fuzz->daemon, &fuzz->owner, &why) == ERR_OK);
    return fuzz;
}

static void fuzz_run(struct fuzz *fuzz)
{
    uint64_t wait = 0;
    for (int i = 0; i < 16 && (i < 4 || wait == 0); i++)
        wait = http_daemon_run(&fuzz->daemon, fuzz->now_us);
}

static void give_back(struct fuzz *fuzz)
{
    for (struct list *node; (node = list_first(&fuzz->taken)) != NULL;) {
        list_remove(node);
        http_daemon_answer(&fuzz->daemon, CONTAINER_OF(node, struct http_exchange, node));
    }
    fuzz_run(fuzz);
}

/* One connection; what the client gets goes to `out`. */
static size_t talk(struct fuzz *fuzz, const uint8_t *data, size_t size, uint64_t dice, char *out)
{
    int ends[2];
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    http_daemon_add(&fuzz->daemon, ends[1], (struct sockaddr *)&peer, sizeof(sa_family_t),
                    fuzz->now_us);
    for (size_t at = 0, piece; at < size; at += piece) {
        piece = size;
        if (dice != 0) {
            dice = dice * 6364136223846793005u + 1442695040888963407u;
            piece = 1 + (dice >> 33) % 96;
        }
        if (piece > size - at) piece = size - at;
        if (send(ends[0], data + at, piece, MSG_NOSIGNAL) < 0) break; /* it has been closed */
        fuzz_run(fuzz);
    }
    if (fuzz->pace == TOO_LATE) {
        fuzz->now_us += HTTP_OWNER_US_MAX;
        fuzz_run(fuzz);
    }
    give_back(fuzz);
    size_t got = 0;
    for (ssize_t more; (more = recv(ends[0], out + got, OUTPUT_BYTES_MAX - got, 0)) > 0;) {
        got += (size_t)more;
        fuzz_run(fuzz);
    }
    MUST(got < OUTPUT_BYTES_MAX);
    (void)close(ends[0]);
    fuzz_run(fuzz);
    fuzz->now_us += HTTP_CONNECTION_US_MAX;
    fuzz_run(fuzz);
    MUST(fuzz->daemon.count == 0 && fuzz->daemon.late == 0);
    out[got] = 0;
    return got;
}

static bool is_ours(const char *text)
{
    return strstr(text, "\r\nCache-Control: no-store\r\n") != NULL;
}

/* The answer without the line that tells the time; checks its form. Returns its size. */
static size_t judge(char *text, size_t size)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const unsigned known[] = {200, 400, 404, 405, 413, 414, 431, 500, 501, 503, 505};
    if (strncmp(text, go_on, sizeof go_on - 1) == 0) {
        size -= sizeof go_on - 1;
        memmove(text, text + sizeof go_on - 1, size + 1);
    }
    if (size == 0) return 0;
    MUST(strncmp(text, "HTTP/1.", 7) == 0 && text[8] == ' ');
    unsigned long status = strtoul(text + 9, NULL, 10);
    bool found = false;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) found |= known[i] == status;
    MUST(found && (status != 200 || is_ours(text)));
    char *date = strstr(text, "\r\nDate: "), *head = strstr(text, "\r\n\r\n");
    MUST(head != NULL);
    size_t twice = (size_t)(head + 4 - text);
    if ((status == 400 || status == 413) && strncmp(text, head + 4, twice) == 0) {
        /* libmicrohttpd 0.9.75 sends the head twice when it finds a length that it cannot read. */
        size -= twice;
        memmove(text, text + twice, size + 1);
    }
    const char *length = strstr(text, "\r\nContent-Length: ");
    MUST(length != NULL && length < head);
    size_t body = size - (size_t)(head + 4 - text);
    MUST(body == 0 || body == strtoul(length + 18, NULL, 10));
    if (date != NULL && date < head) {
        char *end = strstr(date + 2, "\r\n");
        memmove(date, end, size - (size_t)(end - text) + 1);
        size -= (size_t)(end - date);
    }
    return size;
}

static bool has_word(const uint8_t *data, size_t size, const char *word)
{
    for (size_t at = 0; at + strlen(word) <= size; at++)
        if (bytes_is_word(bytes_of(data + at, strlen(word)), word)) return true;
    return false;
}

/* Two answers of ours are the same. What is malformed libmicrohttpd answers with a complaint or
 * with nothing, by where the pieces end; and so it may also leave a body in chunks, or one that was
 * announced and does not come. */
static bool may_differ(const uint8_t *data, size_t size, const char *whole, const char *pieces)
{
    if (!is_ours(whole) && !is_ours(pieces)) return true;
    if (is_ours(whole) && is_ours(pieces)) return false;
    return has_word(data, size, "chunked") || has_word(data, size, "100-continue");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct fuzz *fuzz;
    static char whole[OUTPUT_BYTES_MAX + 1], pieces[OUTPUT_BYTES_MAX + 1];
    if (fuzz == NULL) fuzz = fuzz_open();
    if (size < 2 || size > INPUT_BYTES_MAX) return 0;
    fuzz->pace = data[0] % PACES;
    uint64_t dice = data[1] + 1u;
    data += 2;
    size -= 2;
    size_t of_whole = talk(fuzz, data, size, 0, whole);
    size_t of_pieces = talk(fuzz, data, size, dice, pieces);
    of_whole = judge(whole, of_whole);
    of_pieces = judge(pieces, of_pieces);
    bool equal = of_whole == of_pieces && memcmp(whole, pieces, of_whole) == 0;
    MUST(equal || may_differ(data, size, whole, pieces));
    return 0;
}
