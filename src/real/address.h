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

struct address {
    struct sockaddr_storage socket;
    socklen_t size;
};

/* ADDR is numeric, a name that resolves (the first answer counts), or "*" for every IPv4
 * address. */
MUST_USE enum err address_parse(struct address *address, const char *text, struct why *why);
bool address_is_unix(const struct address *address);
const char *address_path(const struct address *address); /* of a unix one */
void address_format(const struct address *address, char out[NET_ADDRESS_TEXT_BYTES]);
/* Binds the socket to the address, which is no unix one; ERR_EXISTS: it is taken. */
MUST_USE enum err address_bind(const struct address *address, int descriptor, struct why *why);
bool address_is_loopback(const struct address *address);

#endif
