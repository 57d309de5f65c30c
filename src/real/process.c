/* SPDX-License-Identifier: Apache-2.0 */
/* Figures of the process: getrusage(2), /proc/self/statm (proc(5)). */
#include "real/real.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "real/http.h"

enum {
    /* Log, store beside its tables, loop, listeners, HTTP, and what was open before. */
    PROCESS_FILES_KEPT = 128 + HTTP_FILES_MAX,
    PROCESS_TABLES_MAX = 4096,
    PROCESS_TABLES_SHARE = 4, /* one in so many, when files are few */
};

void real_process_files(struct real_files *files)
{
    struct rlimit limit;
    *files = (struct real_files){.allowed = PROCESS_FILES_KEPT};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) files->allowed = limit.rlim_cur;
    files->tables = files->allowed / PROCESS_TABLES_SHARE;
    if (files->tables > PROCESS_TABLES_MAX) files->tables = PROCESS_TABLES_MAX;
    uint64_t others = PROCESS_FILES_KEPT + files->tables;
    files->streams = files->allowed > others ? files->allowed - others : 0;
}

uint64_t real_process_id(void)
{
    return (uint64_t)getpid();
}

bool real_process_has_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

uint64_t real_process_memory_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1) pages = 0;
    fclose(file);
    long page = sysconf(_SC_PAGESIZE);
    return page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
}

uint64_t real_process_cpu_us(bool user)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    const struct timeval *spent = user ? &usage.ru_utime : &usage.ru_stime;
    return (uint64_t)spent->tv_sec * 1000000 + (uint64_t)spent->tv_usec;
}
