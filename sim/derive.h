/* SPDX-License-Identifier: Apache-2.0 */
/* derive: the stream of effects that commands make, without a server: for a comparison with what
 * another server sends to its replicas (test/integration/test_effects.py).
 *
 * Read are requests in the form of Redis's commands, written are two bulk strings for each: the
 * reply, and the bytes by which the stream has grown. The words of a request:
 *
 *     TIME-MS DATABASE command WORD...   TIME-MS DATABASE serve WORD...   (a further attempt)
 *     TIME-MS DATABASE queue WORD...     TIME-MS DATABASE exec
 *     TIME-MS DATABASE expire KEY        TIME-MS DATABASE off|on|ping|getack
 *     TIME-MS DATABASE publish|spublish CHANNEL MESSAGE */
#ifndef SIM_DERIVE_H
#define SIM_DERIVE_H

#include <stdio.h>

/* To the end of `in`. The exit status. */
int derive_run(FILE *in, FILE *out);

#endif
