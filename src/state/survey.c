/* SPDX-License-Identifier: Apache-2.0 */
/* The survey: a view of the store that the newest flush left, and questions about it, one at a
 * time, each answered on a thread of the store's. */
#include "seam/survey.h"
#include "base/memory.h"
#include "base/plant.h"
#include "state/core.h"
#include "state/ranges.h"

struct state_survey {
    struct survey base;
    struct list node; /* in state->surveys */
    struct state *state;
    struct store_view *view;
    struct store_warm warm;
    struct survey_ask *asked; /* under way */
    uint64_t bytes;           /* of the store, about, when it was asked */
    bool closed;              /* while it was under way */
};

static struct state_survey *survey_of(struct survey *base)
{
    return CONTAINER_OF(base, struct state_survey, base);
}

static void survey_free(struct state_survey *survey)
{
    list_remove(&survey->node);
    memory_free(survey);
}

/* --- On the store's thread --- */

static void recount(struct store *store, struct state_survey *survey)
{
    struct survey_ask *ask = survey->asked;
    struct state_recount found;
    ask->err = recount_survey(store, survey->view, &survey->warm, &found, &ask->why);
    ask->mark = found.mark;
    ask->running = found.running;
    ask->recounted = found.recounted;
    ask->keys = found.keys;
}

static void carry_out(struct store_warm *warm)
{
    struct state_survey *survey = CONTAINER_OF(warm, struct state_survey, warm);
    struct store *store = survey->state->store;
    if (survey->asked->kind == SURVEY_RECOUNT) recount(store, survey);
    else ranges_survey(store, survey->view, warm, survey->asked);
    warm->err = ERR_OK;
}

/* --- On the loop --- */

static void carried_out(struct store_warm *warm)
{
    struct state_survey *survey = CONTAINER_OF(warm, struct state_survey, warm);
    struct survey_ask *ask = survey->asked;
    struct store *store = survey->state->store;
    survey->asked = NULL;
    if (survey->closed) {
        store->ops->view_close(store, survey->view);
        survey_free(survey);
        return;
    }
    if (warm->err != ERR_OK) {
        ask->err = warm->err;
        (void)why_fail(&ask->why, warm->err, "the survey could not begin");
    }
    ask->done(ask);
}

static void survey_ask(struct survey *base, struct survey_ask *ask)
{
    struct state_survey *survey = survey_of(base);
    struct store *store = survey->state->store;
    MUST(survey->asked == NULL && ask->done != NULL);
    survey->asked = ask;
    survey->bytes = store->ops->approximate_bytes(store);
    survey->warm = (struct store_warm){.view = survey->view,
                                       .survey = carry_out,
                                       .bytes_per_s = ask->bytes_per_s,
                                       .done = carried_out};
    store->ops->warm(store, &survey->warm);
}

static void survey_progress(const struct survey *base, uint64_t *bytes, uint64_t *of)
{
    const struct state_survey *survey = survey_of((struct survey *)(uintptr_t)base);
    struct store *store = survey->state->store;
    *of = survey->bytes;
    *bytes = survey->asked == NULL ? survey->bytes : store->ops->went(store, &survey->warm);
}

static void survey_close(struct survey *base)
{
    struct state_survey *survey = survey_of(base);
    struct store *store = survey->state->store;
    if (survey->asked != NULL) {
        survey->closed = true; /* carried_out(), or the close of all */
        store->ops->hurry(store, &survey->warm);
        return;
    }
    store->ops->view_close(store, survey->view);
    survey_free(survey);
}

struct survey *state_survey(struct machine *machine)
{
    static const struct survey_ops ops = {
        .ask = survey_ask, .progress = survey_progress, .close = survey_close};
    struct state *state = state_of(machine);
    struct store *store = state->store;
    struct state_survey *survey = memory_zeroed(1, sizeof *survey);
    survey->base.ops = &ops;
    survey->state = state;
    survey->view = store->ops->view_open(store);
    list_append(&state->surveys, &survey->node);
    return &survey->base;
}

void state_survey_forget(struct state *state)
{
    struct list *first;
    while ((first = list_first(&state->surveys)) != NULL) {
        struct state_survey *survey = CONTAINER_OF(first, struct state_survey, node);
        MUST(survey->closed);
        survey_free(survey);
    }
}
