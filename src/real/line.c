/* SPDX-License-Identifier: Apache-2.0 */
/* A line to a server, for tools: one thread that waits. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"
#include "real/address.h"
#include "real/real.h"

struct real_line {
    int descriptor;
    int timeout_ms;
};

void real_nap(uint64_t us)
{
    struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                             .tv_nsec = (long)(us % 1000000) * 1000};
    (void)nanosleep(&pause, NULL);
}

/* Whether it came to that in time. */
static bool wait_for(int descriptor, short events, int timeout_ms)
{
    struct pollfd poll_for = {.fd = descriptor, .events = events};
    int ready;
    do ready = poll(&poll_for, 1, timeout_ms);
    while (ready < 0 && errno == EINTR);
    return ready > 0;
}

/* The errno of a connect; 0: connected. */
static int connect_to(int descriptor, const struct addrinfo *to, int timeout_ms)
{
    if (connect(descriptor, to->ai_addr, to->ai_addrlen) == 0) return 0;
    if (errno != EINPROGRESS) return errno;
    if (!wait_for(descriptor, POLLOUT, timeout_ms)) return ETIMEDOUT;
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) == 0 ? error : errno;
}

enum err real_line_open(struct real_line **out, const char *address, uint64_t timeout_us,
                        struct why *why)
{
    *out = NULL;
    struct address_name name;
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *all = NULL;
    enum err err = address_name_parse(&name, address, why);
    if (err != ERR_OK) return err;
    int found = getaddrinfo(name.host, name.port, &hints, &all);
    if (found != 0) return why_fail(why, ERR_IO, "%s: %s", address, gai_strerror(found));
    int timeout_ms = (int)(timeout_us / 1000), error = ENOENT, descriptor = -1;
    for (const struct addrinfo *at = all; at != NULL && error != 0; at = at->ai_next) {
        descriptor = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        error = descriptor < 0 ? errno : connect_to(descriptor, at, timeout_ms);
        if (error != 0 && descriptor >= 0) (void)close(descriptor);
    }
    freeaddrinfo(all);
    if (error != 0) return why_fail(why, ERR_IO, "%s: %s", address, strerror(error));
    *out = memory_zeroed(1, sizeof **out);
    (*out)->descriptor = descriptor;
    (*out)->timeout_ms = timeout_ms;
    return ERR_OK;
}

enum err real_line_send(struct real_line *line, struct bytes bytes, struct why *why)
{
    while (bytes.size > 0) {
        ssize_t sent = send(line->descriptor, bytes.data, bytes.size, MSG_NOSIGNAL);
        if (sent > 0) {
            bytes = bytes_of(bytes.data + sent, bytes.size - (size_t)sent);
        } else if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (!wait_for(line->descriptor, POLLOUT, line->timeout_ms))
                return why_fail(why, ERR_IO, "nothing was taken in time");
        } else if (errno != EINTR) {
            return why_fail(why, ERR_IO, "%s", strerror(errno));
        }
    }
    return ERR_OK;
}

enum err real_line_receive(struct real_line *line, struct buffer *into, struct why *why)
{
    enum { PIECE_BYTES = 64 << 10 };
    for (;;) {
        uint8_t *at = buffer_reserve(into, PIECE_BYTES);
        ssize_t got = recv(line->descriptor, at, PIECE_BYTES, 0);
        if (got > 0) {
            into->size += (size_t)got;
            return ERR_OK;
        }
        if (got == 0) return why_fail(why, ERR_IO, "the connection was closed");
        if (errno == EINTR) continue;
        if (errno != EAGAIN && errno != EWOULDBLOCK)
            return why_fail(why, ERR_IO, "%s", strerror(errno));
        if (!wait_for(line->descriptor, POLLIN, line->timeout_ms))
            return why_fail(why, ERR_IO, "nothing was heard in time");
    }
}

void real_line_set_timeout(struct real_line *line, uint64_t timeout_us)
{
    line->timeout_ms = (int)(timeout_us / 1000);
}

void real_line_close(struct real_line *line)
{
    if (line == NULL) return;
    (void)close(line->descriptor);
    memory_free(line);
}
