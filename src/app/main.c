/* SPDX-License-Identifier: Apache-2.0 */
/* The program: reads its command line and runs one of its commands. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/archives.h"
#include "app/images.h"
#include "app/run.h"
#include "app/tools.h"
#include "app/verify.h"

#ifndef TIDEMARK_VERSION
#define TIDEMARK_VERSION "0.1.0"
#endif
#ifndef TIDEMARK_COMMIT
#define TIDEMARK_COMMIT "unknown"
#endif

static const char usage[] =
    "Usage: tidemark COMMAND ...\n"
    "\n"
    "  server [CONFIG] [--option value ...]   serve the data in `dir` (default ./data)\n"
    "  log dump DIR                           print every entry of a stopped server's log\n"
    "  log verify DIR                         check every byte of it; changes nothing\n"
    "  store digest DIR                       mark, digest and recount of a stopped server's data\n"
    "  image inspect IMAGE                    what an image says of itself\n"
    "  image verify IMAGE                     check every byte of it, recount its digest\n"
    "  image export-rdb IMAGE FILE            write it as a dump that Redis 7.0 loads\n"
    "  image import-rdb FILE DIR              make a new data directory of a dump of Redis\n"
    "  archive list DIR                       histories, images, entries and holes of an archive\n"
    "  archive verify DIR                     check every byte of it\n"
    "  restore --from ARCHIVE --dir DIR --to-lsn N | --to-time T | --latest [--history ID]\n"
    "                                         make a new data directory as it was then;\n"
    "                                         T is in UTC: 2026-01-31T23:59:59.999Z\n"
    "  verify HOST:PORT HOST:PORT ...         whether running copies hold the same; see --help\n"
    "  --help                                 this text; options: `tidemark server --help`\n"
    "  --version                              version and commit\n"
    "\n"
    "DIR is the data directory, as in the option `dir`; IMAGE is a file that SAVE or BGSAVE made.\n"
    "\n"
    "Exit status: 0 clean; 1 usage or configuration; 2 the start was refused; 3 corruption;\n"
    "4 a sync of the log failed; 5 digests differ; 6 the store failed.\n";

static int usage_error(const char *what, const char *word)
{
    fprintf(stderr, "tidemark: %s%s%s\nTry `tidemark --help`.\n", what, word == NULL ? "" : " ",
            word == NULL ? "" : word);
    return EXIT_STATUS_USAGE;
}

static int run_tool(const char *group, int count, char **words)
{
    static const struct {
        const char *group, *verb;
        enum exit_status (*one)(const char *word);
        enum exit_status (*two)(const char *first, const char *second);
        const char *wants;
    } tools[] = {
        {"log", "dump", tool_log_dump, NULL, "exactly one DIR is wanted after"},
        {"log", "verify", tool_log_verify, NULL, "exactly one DIR is wanted after"},
        {"store", "digest", tool_store_digest, NULL, "exactly one DIR is wanted after"},
        {"archive", "list", tool_archive_list, NULL, "exactly one DIR is wanted after"},
        {"archive", "verify", tool_archive_verify, NULL, "exactly one DIR is wanted after"},
        {"image", "inspect", tool_image_inspect, NULL, "exactly one IMAGE is wanted after"},
        {"image", "verify", tool_image_verify, NULL, "exactly one IMAGE is wanted after"},
        {"image", "export-rdb", NULL, tool_image_export, "IMAGE and FILE are wanted after"},
        {"image", "import-rdb", NULL, tool_image_import, "FILE and DIR are wanted after"},
    };
    if (count < 1) return usage_error("a verb is missing after", group);
    for (size_t i = 0; i < sizeof tools / sizeof tools[0]; i++) {
        if (strcmp(tools[i].group, group) != 0 || strcmp(tools[i].verb, words[0]) != 0) continue;
        if (count == 2 && tools[i].one != NULL) return (int)tools[i].one(words[1]);
        if (count == 3 && tools[i].two != NULL) return (int)tools[i].two(words[1], words[2]);
        return usage_error(tools[i].wants, words[0]);
    }
    return usage_error("there is no such command:", words[0]);
}

int main(int count, char **words)
{
    if (count < 2) {
        fputs(usage, stderr);
        return EXIT_STATUS_USAGE;
    }
    const char *command = words[1];
    if (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0 ||
        strcmp(command, "help") == 0) {
        fputs(usage, stdout);
        return EXIT_STATUS_CLEAN;
    }
    if (strcmp(command, "--version") == 0) {
        printf("tidemark %s (%s)\n", TIDEMARK_VERSION, TIDEMARK_COMMIT);
        return EXIT_STATUS_CLEAN;
    }
    if (strcmp(command, "server") == 0) {
        return (int)run_server(TIDEMARK_VERSION, TIDEMARK_COMMIT, (size_t)(count - 2),
                               (const char *const *)(words + 2));
    }
    if (strcmp(command, "restore") == 0) {
        const char *what = NULL;
        enum exit_status status = tool_restore((size_t)(count - 2),
                                               (const char *const *)(words + 2), &what);
        return what == NULL ? (int)status : usage_error("restore:", what);
    }
    if (strcmp(command, "verify") == 0) {
        const char *what = NULL;
        enum exit_status status = tool_verify((size_t)(count - 2), (const char *const *)(words + 2),
                                              &what);
        return what == NULL ? (int)status : usage_error("verify:", what);
    }
    if (strcmp(command, "log") == 0 || strcmp(command, "store") == 0 ||
        strcmp(command, "image") == 0 || strcmp(command, "archive") == 0) {
        return run_tool(command, count - 2, words + 2);
    }
    return usage_error("there is no such command:", command);
}
