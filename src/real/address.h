/* SPDX-License-Identifier: Apache-2.0 */
/* address: "ADDR:PORT", "[V6]:PORT" and "unix:PATH" as the system's socket addresses, and back. */
#ifndef REAL_ADDRESS_H
#define REAL_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/err.h"
#include "base/must.h"
#include "seam/net.h"

enum { ADDRESS_HOST_BYTES = 256, ADDRESS_PORT_BYTES = 6 };

struct address {
    struct sockaddr_storage socket;
    socklen_t size;
};

/* Who is to be connected to: not looked up yet. */
struct address_name {
    char host[ADDRESS_HOST_BYTES], port[ADDRESS_PORT_BYTES];
    bool is_six; /* it was in brackets: a numeric IPv6 address or nothing */
};

/* ADDR is numeric, a name that resolves (the first answer counts), or "*" for every IPv4
 * address. */
MUST_USE enum err address_parse(struct address *address, const char *text, struct why *why);
/* "HOST:PORT" or "[V6]:PORT" with a port that one can connect to. */
MUST_USE enum err address_name_parse(struct address_name *name, const char *text, struct why *why);
bool address_is_unix(const struct address *address);
const char *address_path(const struct address *address); /* of a unix one */
void address_format(const struct address *address, char out[NET_ADDRESS_TEXT_BYTES]);
/* Binds the socket to the address, which is no unix one; ERR_EXISTS: it is taken. */
MUST_USE enum err address_bind(const struct address *address, int descriptor, struct why *why);
bool address_is_loopback(const struct address *address);

#endif
