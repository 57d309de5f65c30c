/* SPDX-License-Identifier: Apache-2.0 */
/* vote: the two ends of a connection by which a copy asks another one for its promise. Like the
 * sessions of session.h: events in, effects out. */
#ifndef REPLICA_VOTE_H
#define REPLICA_VOTE_H

#include "replica/link.h"

/* The end that asks. One question, one answer, over. */
struct candidate {
    struct link link;
    struct promise_request request;
    bool asked, answered; /* `answer` is there */
    struct promise_answer answer;
};

void candidate_init(struct candidate *candidate, const struct session_options *options,
                    const struct promise_request *request);
void candidate_release(struct candidate *candidate);
/* EFFECT_CLOSE alone: then it has answered, or nothing comes any more. */
void candidate_step(struct candidate *candidate, const struct session_event *event,
                    struct session_effects *out);

/* The end that is asked. */
struct voter {
    struct link link;
    bool asked; /* EFFECT_VOTE is out */
    struct promise_request request;
};

void voter_init(struct voter *voter, const struct session_options *options);
void voter_release(struct voter *voter);
/* EFFECT_VOTE: voter->request, of the same cluster, is to be answered by voter_answer(), once what
 * it promises is durable. */
void voter_step(struct voter *voter, const struct session_event *event,
                struct session_effects *out);
/* In a step of EVENT_VOTED. */
void voter_answer(struct voter *voter, const struct promise_answer *answer,
                  struct session_effects *out);

#endif
