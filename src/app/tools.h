/* SPDX-License-Identifier: Apache-2.0 */
/* tools: the commands that work on a data directory whose server is stopped. */
#ifndef APP_TOOLS_H
#define APP_TOOLS_H

#include "app/exit_status.h"
#include "base/bytes.h"

/* `tidemark log dump DIR`: every entry, a line each. */
enum exit_status tool_log_dump(const char *directory);
/* `tidemark log verify DIR`: every byte of the log by the rules of recovery; changes nothing. */
enum exit_status tool_log_verify(const char *directory);
/* `tidemark store digest DIR`: `mark=... digest=... recount=...`. */
enum exit_status tool_store_digest(const char *directory);

/* Onto standard output, as between quotes in a program; cut. */
void tool_print_word(struct bytes word);

#endif
