/* SPDX-License-Identifier: Apache-2.0 */
/* tls_context: certificate, key and authorities out of files, and what both ends of a connection
 * insist on: TLS 1.2 or later, a certificate of these authorities, no compression, no
 * renegotiation, no resumption. */
#ifndef REAL_TLS_CONTEXT_H
#define REAL_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/bytes.h"
#include "real/real.h"

/* Reads the files; blocks. ERR_CONFIG names the directive and the file. Owned by the caller until
 * SSL_CTX_free; traces what was read, and a warning if others will refuse the certificate. */
MUST_USE enum err tls_context_open(SSL_CTX **context, const struct real_tls_options *options,
                                   struct trace *trace, struct why *why);

/* The reason of the oldest of OpenSSL's errors, for people; forgets all of them. */
struct tls_reason {
    int code;       /* of the library ssl; 0: of another one */
    char text[160]; /* "no start line" */
};
void tls_reason_take(struct tls_reason *reason);
/* The name that a certificate gives, made fit for a line of the log. */
void tls_subject(const X509 *certificate, char *out, size_t size);

#endif
