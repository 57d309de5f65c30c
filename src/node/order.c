/* SPDX-License-Identifier: Apache-2.0 */
#include "node/order.h"

#include "base/memory.h"
#include "node/internal.h"

void node_call_end(struct call *call, enum call_end end)
{
    buffer_release(&call->kept);
    call->state = CALL_NOWHERE;
    call->done(call, end);
}

void node_ghost_done(struct call *call, enum call_end end)
{
    (void)end;
    struct ghost *ghost = CONTAINER_OF(call, struct ghost, call);
    memory_free(ghost);
}

struct ghost *node_ghost(void)
{
    struct ghost *ghost = memory_zeroed(1, sizeof *ghost);
    ghost->call.kind = CALL_WRITE;
    ghost->call.reply = reply_nobody();
    ghost->call.done = node_ghost_done;
    return ghost;
}

void node_order_add(struct node *node, struct call *call)
{
    list_append(&node->order, &call->node);
    node->order_count++;
    call->state = CALL_IN_ORDER;
}

void node_order_take(struct node *node, struct call *call)
{
    MUST(node->order_count > 0);
    list_remove(&call->node);
    node->order_count--;
    call->state = CALL_NOWHERE;
}

void node_order_entry(struct node *node, struct lsn lsn)
{
    struct ghost *ghost = node_ghost();
    node_read_clock(node);
    ghost->call.lsn = lsn;
    ghost->call.began_us = node->boot_us;
    node_order_add(node, &ghost->call);
    node->upkeep.last_append_us = node->boot_us;
}

void node_order_cut(struct node *node, struct lsn last)
{
    struct list *at = node->order.next;
    while (at != &node->order) {
        struct call *call = CONTAINER_OF(at, struct call, node);
        at = at->next;
        if (!lsn_before(last, call->lsn)) continue; /* a read has none, and stays */
        node_order_take(node, call);
        node_call_end(call, CALL_UNKNOWN);
        at = node->order.next; /* its client may have taken others along */
    }
}

void node_order_replace(struct call *call)
{
    struct ghost *ghost = node_ghost();
    ghost->call.lsn = call->lsn;
    ghost->call.began_us = call->began_us;
    ghost->call.attempt = call->attempt;
    ghost->call.state = CALL_IN_ORDER;
    list_append(&call->node,
                &ghost->call.node); /* as a list head, `call` has its place before itself */
    list_remove(&call->node);
}
