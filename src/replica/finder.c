/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/finder.h"

#include "base/number.h"

/* --- The question --- */

static void put_word(struct buffer *send, struct bytes word)
{
    buffer_append_format(send, "$%zu\r\n", word.size);
    buffer_append(send, word);
    buffer_append_text(send, "\r\n");
}

void finder_init(struct finder *finder, struct bytes user, struct bytes password,
                 struct buffer *send)
{
    *finder = (struct finder){.outcome = FINDER_MORE, .authenticates = password.size > 0};
    buffer_init(&finder->held);
    if (finder->authenticates) {
        buffer_append_format(send, "*%d\r\n", user.size > 0 ? 3 : 2);
        put_word(send, bytes_text("AUTH"));
        if (user.size > 0) put_word(send, user);
        put_word(send, password);
    }
    buffer_append_text(send, "*2\r\n");
    put_word(send, bytes_text("INFO"));
    put_word(send, bytes_text("replication"));
}

void finder_release(struct finder *finder)
{
    buffer_release(&finder->held);
    buffer_init(&finder->held);
}

/* --- The answer --- */

static enum finder_outcome foreign(struct finder *finder, const char *text)
{
    (void)why_fail(&finder->why, ERR_PROTOCOL, "what answers is no Redis port: %s", text);
    return FINDER_FOREIGN;
}

/* The words of a stranger, in one line of text. */
static enum finder_outcome take_error(struct finder *finder, struct bytes line)
{
    char text[256];
    size_t size = line.size < sizeof text - 1 ? line.size : sizeof text - 1;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = line.data[i];
        text[i] = byte < ' ' || byte > '~' || byte == '"' ? '?' : (char)byte;
    }
    text[size] = 0;
    (void)why_fail(&finder->why, ERR_REFUSED, "it answers: %s", text);
    bool loading = bytes_starts_with(line, bytes_text("LOADING "));
    return loading ? FINDER_LOADING : FINDER_REFUSED;
}

/* The next line of INFO, without its end. False: that was the last. */
static bool take_line(struct bytes *rest, struct bytes *line)
{
    if (rest->size == 0) return false;
    const uint8_t *end = memchr(rest->data, '\n', rest->size);
    size_t size = end == NULL ? rest->size : (size_t)(end - rest->data);
    *line = bytes_of(rest->data, size);
    size_t taken = end == NULL ? size : size + 1;
    *rest = bytes_of(rest->data + taken, rest->size - taken);
    if (line->size > 0 && line->data[line->size - 1] == '\r') line->size--;
    return true;
}

/* What stands behind "name:". */
static bool take_field(struct bytes line, const char *name, struct bytes *value)
{
    size_t size = strlen(name);
    if (!bytes_starts_with(line, bytes_of(name, size))) return false;
    *value = bytes_of(line.data + size, line.size - size);
    return true;
}

static enum finder_outcome take_info(struct finder *finder, struct bytes info)
{
    struct bytes line, value;
    uint64_t port = 0;
    bool has_role = false, has_port = false;
    while (take_line(&info, &line)) {
        if (take_field(line, "role:", &value)) has_role = true;
        if (take_field(line, "tidemark_peer_port:", &value)) {
            has_port = true;
            if (!number_parse_uint64(value, &port) || port > UINT16_MAX)
                return foreign(finder, "its peer port is no number of a port");
        }
        if (take_field(line, "tidemark_copy:", &value) &&
            !number_parse_uint64(value, &finder->copy))
            return foreign(finder, "its copy id is no number");
    }
    if (!has_role) return foreign(finder, "INFO replication names no role");
    /* Of a copy: a bit of the other line was changed on the way. */
    if (!has_port && finder->copy != 0) return foreign(finder, "it names a copy, and no peer port");
    if (!has_port) {
        (void)why_fail(&finder->why, ERR_REFUSED, "it is a Redis server");
        return FINDER_REDIS;
    }
    if (port == 0) {
        (void)why_fail(&finder->why, ERR_REFUSED,
                       "it accepts no other copies: its peer-port is not set");
        return FINDER_CLOSED;
    }
    finder->port = (unsigned)port;
    return FINDER_FOUND;
}

/* The bulk whose first line was `$size`, and takes `head` bytes. */
static enum finder_outcome take_bulk(struct finder *finder, struct bytes count, size_t head)
{
    uint64_t size;
    if (!number_parse_uint64(count, &size)) return foreign(finder, "a length is no number");
    if (size > FINDER_BULK_BYTES_MAX) return foreign(finder, "an answer is too long");
    const uint8_t *bulk = finder->held.data + head;
    if (finder->held.size - head < size + 2) return FINDER_MORE;
    if (bulk[size] != '\r' || bulk[size + 1] != '\n')
        return foreign(finder, "an answer does not end where it should");
    return take_info(finder, bytes_of(bulk, (size_t)size));
}

/* One answer off the front. */
static enum finder_outcome take_answer(struct finder *finder, bool *more)
{
    struct buffer *held = &finder->held;
    size_t looked = held->size < FINDER_LINE_BYTES_MAX ? held->size : FINDER_LINE_BYTES_MAX;
    const uint8_t *end = looked == 0 ? NULL : memchr(held->data, '\n', looked);
    *more = false;
    if (end == NULL && held->size >= FINDER_LINE_BYTES_MAX)
        return foreign(finder, "a line is too long");
    if (end == NULL) return FINDER_MORE;
    size_t head = (size_t)(end - held->data) + 1;
    if (head < 3 || end[-1] != '\r') return foreign(finder, "a line is malformed");
    struct bytes line = bytes_of(held->data + 1, head - 3);
    uint8_t sign = held->data[0];
    if (sign == '-') return take_error(finder, line);
    if (!finder->authenticates && sign == '$') return take_bulk(finder, line, head);
    if (!finder->authenticates || sign != '+') return foreign(finder, "an answer of another kind");
    finder->authenticates = false;
    buffer_consume(held, head);
    *more = true;
    return FINDER_MORE;
}

enum finder_outcome finder_take(struct finder *finder, struct bytes bytes)
{
    /* Held is what the bounds allow and one piece; with the outcome it is let go of. */
    if (finder->outcome != FINDER_MORE) return finder->outcome;
    buffer_append(&finder->held, bytes);
    for (bool more = true; more;) finder->outcome = take_answer(finder, &more);
    if (finder->outcome != FINDER_MORE) finder_release(finder);
    return finder->outcome;
}
