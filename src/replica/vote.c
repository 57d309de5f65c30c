/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/vote.h"

static void close_link(struct link *link)
{
    link->over = true;
    (void)link_effect(link, EFFECT_CLOSE);
}

/* Both ends do the same with all but the frame that is theirs. False: nothing of it is for them. */
static bool take_event(struct link *link, const struct session_event *event, struct frame *frame)
{
    if (event->kind == EVENT_RECEIVED) return link_take(link, event, frame);
    if (event->kind == EVENT_TICK) (void)link_tick(link, false);
    return false;
}

void candidate_init(struct candidate *candidate, const struct session_options *options,
                    const struct promise_request *request)
{
    *candidate = (struct candidate){.request = *request};
    link_init(&candidate->link, options, ROLE_CANDIDATE, ROLE_VOTER);
}

void candidate_release(struct candidate *candidate)
{
    link_release(&candidate->link);
}

static void take_answer(struct candidate *candidate, const struct frame *frame)
{
    struct link *link = &candidate->link;
    struct promise_answer *answer = &candidate->answer;
    if (frame->head.type != FRAME_PROMISE_ANSWER || frame->head.cluster != link->options->cluster ||
        promise_answer_take(frame->payload, answer) != ERR_OK || answer->copy != link->peer.copy) {
        link_bye(link, BYE_PROTOCOL, "an answer was expected");
        return;
    }
    candidate->answered = true;
    link_bye(link, BYE_STOP, "");
}

void candidate_step(struct candidate *candidate, const struct session_event *event,
                    struct session_effects *out)
{
    struct link *link = &candidate->link;
    struct frame frame;
    bool was_over = link->over;
    link_step(link, event, out);
    if (!link->over && take_event(link, event, &frame)) take_answer(candidate, &frame);
    if (!link->over && link->phase == LINK_PROVEN && !candidate->asked) {
        candidate->asked = true;
        size_t begin = link_begin(link);
        promise_request_put(&out->send, &candidate->request);
        link_send(link, begin, FRAME_PROMISE_REQUEST);
    }
    if (link->over && !was_over) close_link(link);
}

void voter_init(struct voter *voter, const struct session_options *options)
{
    *voter = (struct voter){0};
    link_init(&voter->link, options, ROLE_VOTER, ROLE_CANDIDATE);
}

void voter_release(struct voter *voter)
{
    link_release(&voter->link);
}

static void take_request(struct voter *voter, const struct frame *frame)
{
    struct link *link = &voter->link;
    if (voter->asked || frame->head.type != FRAME_PROMISE_REQUEST ||
        frame->head.cluster != link->options->cluster ||
        promise_request_take(frame->payload, &voter->request) != ERR_OK ||
        voter->request.candidate != link->peer.copy) {
        link_bye(link, BYE_PROTOCOL, "a request was expected");
        return;
    }
    voter->asked = true;
    (void)link_effect(link, EFFECT_VOTE);
}

void voter_step(struct voter *voter, const struct session_event *event, struct session_effects *out)
{
    struct link *link = &voter->link;
    struct frame frame;
    bool was_over = link->over;
    link_step(link, event, out);
    if (!link->over && take_event(link, event, &frame)) take_request(voter, &frame);
    if (link->over && !was_over) close_link(link);
}

void voter_answer(struct voter *voter, const struct promise_answer *answer,
                  struct session_effects *out)
{
    struct link *link = &voter->link;
    link_step(link, &(struct session_event){.kind = EVENT_VOTED, .now_us = link->now_us}, out);
    if (link->over) return;
    size_t begin = link_begin(link);
    promise_answer_put(&out->send, answer);
    link_send(link, begin, FRAME_PROMISE_ANSWER);
}
