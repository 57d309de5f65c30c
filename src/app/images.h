/* SPDX-License-Identifier: Apache-2.0 */
/* images: the commands on an image, which is a file; and a data directory out of a dump. */
#ifndef APP_IMAGES_H
#define APP_IMAGES_H

#include "app/exit_status.h"

/* `tidemark image inspect IMAGE`: what header and footer say, a line each. */
enum exit_status tool_image_inspect(const char *path);
/* `tidemark image verify IMAGE`: every byte, and the digest counted again from the records. */
enum exit_status tool_image_verify(const char *path);
/* `tidemark image export-rdb IMAGE FILE`: a dump that Redis loads; FILE is replaced when it is
 * durable, and stays as it is if anything fails. */
enum exit_status tool_image_export(const char *path, const char *dump_path);
/* `tidemark image import-rdb FILE DIR`: a new data directory in DIR, which is absent or empty, and
 * is so again if anything fails. */
enum exit_status tool_image_import(const char *dump_path, const char *directory);

#endif
