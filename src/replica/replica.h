/* SPDX-License-Identifier: Apache-2.0 */
/* replica: how copies of a shard come to hold the same, and stay so. All of it is pure: facts,
 * events and bytes in; decisions, effects and bytes out.
 *
 *     history.h       which epoch wrote what, and where two logs part
 *     decide.h        what a copy needs: nothing, a tail, a cut, a rebuild; or why it is refused
 *     session.h       the events and effects of both ends of a connection
 *     primary.h       the sending end
 *     follower.h      the receiving end
 *     progress.h      who counts, what is committed, who may lead
 *     vote.h          a promise asked for and given
 *     finder.h        where the peer port of a Redis port is
 *     lag.h           how far a copy stands behind
 *     orchestrator.h  who is to be served, and every decision as an event
 *
 * On the wire: docs/formats/session.md. */
#ifndef REPLICA_REPLICA_H
#define REPLICA_REPLICA_H

#include "replica/decide.h"
#include "replica/finder.h"
#include "replica/follower.h"
#include "replica/history.h"
#include "replica/lag.h"
#include "replica/orchestrator.h"
#include "replica/primary.h"
#include "replica/progress.h"
#include "replica/session.h"
#include "replica/vote.h"

#endif
