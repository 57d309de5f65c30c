/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include <stdbool.h>
#include <string.h>

#include "base/memory.h"

char *path_join(const char *directory, const char *name)
{
    size_t before = strlen(directory), after = strlen(name);
    bool slash = before > 0 && after > 0 && directory[before - 1] != '/';
    char *path = memory_alloc(before + slash + after + 1);
    memcpy(path, directory, before);
    if (slash) path[before++] = '/';
    memcpy(path + before, name, after + 1);
    return path;
}

char *path_parent(const char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/') size--;
    while (size > 0 && path[size - 1] != '/') size--;
    while (size > 1 && path[size - 1] == '/') size--;
    if (size == 0) {
        path = ".";
        size = 1;
    }
    char *parent = memory_alloc(size + 1);
    memcpy(parent, path, size);
    parent[size] = '\0';
    return parent;
}
