/* SPDX-License-Identifier: Apache-2.0 */
#include "real/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

static enum err address_parse_unix(struct address *address, const char *path, struct why *why)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof(local.sun_path)) {
        return why_fail(why, ERR_CONFIG, "unix socket path must have 1 to %zu bytes: %s",
                        sizeof(local.sun_path) - 1, path);
    }
    memcpy(local.sun_path, path, length);
    memcpy(&address->socket, &local, sizeof(local));
    address->size = (socklen_t)sizeof(local);
    return ERR_OK;
}

/* Cuts `text` into host and port; false when it has not the shape. */
static bool address_split(const char *text, char host[ADDRESS_HOST_BYTES], const char **port,
                          bool *bracketed)
{
    const char *colon = strrchr(text, ':');
    *bracketed = text[0] == '[';
    if (colon == NULL || colon[1] == '\0') return false;
    const char *begin = *bracketed ? text + 1 : text;
    const char *end = *bracketed ? colon - 1 : colon;
    if (end <= begin || (*bracketed && *end != ']')) return false;
    size_t size = (size_t)(end - begin);
    if (size >= ADDRESS_HOST_BYTES) return false;
    memcpy(host, begin, size);
    host[size] = '\0';
    *port = colon + 1;
    return *bracketed || strchr(host, ':') == NULL;
}

enum err address_parse(struct address *address, const char *text, struct why *why)
{
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) return address_parse_unix(address, text + 5, why);
    char host[ADDRESS_HOST_BYTES];
    const char *port;
    bool bracketed;
    if (!address_split(text, host, &port, &bracketed))
        return why_fail(why, ERR_CONFIG, "not ADDR:PORT, [V6]:PORT or unix:PATH: %s", text);
    struct addrinfo want = {.ai_family = bracketed ? AF_INET6 : AF_UNSPEC,
                            .ai_socktype = SOCK_STREAM,
                            .ai_flags = AI_NUMERICSERV | AI_PASSIVE};
    if (strcmp(host, "*") == 0) want.ai_family = AF_INET;
    struct addrinfo *found = NULL;
    int result = getaddrinfo(strcmp(host, "*") == 0 ? NULL : host, port, &want, &found);
    if (result != 0 || found == NULL)
        return why_fail(why, ERR_CONFIG, "address %s: %s", text, gai_strerror(result));
    memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
    address->size = found->ai_addrlen;
    freeaddrinfo(found);
    return ERR_OK;
}

enum err address_name_parse(struct address_name *name, const char *text, struct why *why)
{
    const char *port = "";
    uint64_t number = 0;
    if (!address_split(text, name->host, &port, &name->is_six) || strcmp(name->host, "*") == 0 ||
        strlen(port) >= sizeof(name->port) || !number_parse_uint64(bytes_text(port), &number) ||
        number == 0 || number > UINT16_MAX)
        return why_fail(why, ERR_CONFIG, "not HOST:PORT or [V6]:PORT: %s", text);
    memcpy(name->port, port, strlen(port) + 1);
    return ERR_OK;
}

bool address_is_unix(const struct address *address)
{
    return address->socket.ss_family == AF_UNIX;
}

const char *address_path(const struct address *address)
{
    MUST(address_is_unix(address));
    return ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
}

void address_format(const struct address *address, char out[NET_ADDRESS_TEXT_BYTES])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (address_is_unix(address)) {
        (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "unix:%s", address_path(address));
    } else if (address->socket.ss_family == AF_INET6) {
        struct sockaddr_in6 six;
        memcpy(&six, &address->socket, sizeof(six));
        (void)inet_ntop(AF_INET6, &six.sin6_addr, host, sizeof(host));
        (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "[%s]:%u", host, ntohs(six.sin6_port));
    } else if (address->socket.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &address->socket, sizeof(four));
        (void)inet_ntop(AF_INET, &four.sin_addr, host, sizeof(host));
        (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "%s:%u", host, ntohs(four.sin_port));
    } else {
        (void)snprintf(out, NET_ADDRESS_TEXT_BYTES, "?");
    }
}

enum err address_bind(const struct address *address, int descriptor, struct why *why)
{
    int on = 1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (address->socket.ss_family == AF_INET6)
        (void)setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    if (bind(descriptor, (const struct sockaddr *)&address->socket, address->size) == 0)
        return ERR_OK;
    int number = errno;
    char text[NET_ADDRESS_TEXT_BYTES];
    address_format(address, text);
    return why_fail(why, number == EADDRINUSE ? ERR_EXISTS : ERR_IO, "bind %s: %s", text,
                    strerror(number));
}

bool address_is_loopback(const struct address *address)
{
    if (address_is_unix(address)) return true;
    if (address->socket.ss_family == AF_INET) {
        struct sockaddr_in four;
        memcpy(&four, &address->socket, sizeof(four));
        return ntohl(four.sin_addr.s_addr) >> 24 == 127;
    }
    if (address->socket.ss_family != AF_INET6) return false;
    struct sockaddr_in6 six;
    memcpy(&six, &address->socket, sizeof(six));
    if (IN6_IS_ADDR_LOOPBACK(&six.sin6_addr)) return true;
    return IN6_IS_ADDR_V4MAPPED(&six.sin6_addr) && six.sin6_addr.s6_addr[12] == 127;
}
