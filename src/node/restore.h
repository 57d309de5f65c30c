/* SPDX-License-Identifier: Apache-2.0 */
/* restore: a new store in the place of one that will not do. */
#ifndef NODE_RESTORE_H
#define NODE_RESTORE_H

#include "base/err.h"
#include "base/mark.h"
#include "base/must.h"

struct node;

/* Makes a new store out of the image of this mark, or an empty one (NULL), and lets it count; the
 * machine is open on it then. Blocks. ERR_CORRUPT with an image: it does not read, nothing has
 * changed and another may be tried; other errors end the start. */
MUST_USE enum err node_restore(struct node *node, const struct mark *image, struct why *why);

#endif
