/* SPDX-License-Identifier: Apache-2.0 */
/* Surveys: long reads of a view on threads of their own. While the store has to be opened again
 * they give way: everybody else's reads wait for that. */
#include <time.h>

#include "base/memory.h"
#include "real/store.h"

enum { SURVEY_NAP_US = 50 * 1000 };

struct survey_real {
    struct list node; /* in store->surveys */
    struct store_warm *warm;
    struct store_real *store;
    uint64_t began_us; /* 0: it waits for a thread */
    atomic_uint_fast64_t bytes;
    atomic_bool stop;
};

static uint64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void store_real_survey(struct store_real *store, struct store_warm *warm)
{
    struct survey_real *survey = memory_zeroed(1, sizeof *survey);
    survey->warm = warm;
    survey->store = store;
    warm->world = survey;
    list_append(&store->surveys, &survey->node);
    store->warming += 1;
    if (store->reopening) atomic_store(&survey->stop, true);
    if (store->stores->loop != NULL) worker_submit(&store->surveyor, &warm->node);
    else list_append(&store->asked_warms, &warm->node);
}

void store_real_survey_work(struct worker *worker, struct list *item)
{
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    struct survey_real *survey = warm->world;
    (void)worker;
    survey->began_us = now_us();
    warm->why.text[0] = '\0';
    warm->err = ERR_SHUT;
    if (!atomic_load(&survey->stop)) warm->survey(warm);
}

void store_real_survey_done(struct worker *worker, struct list *item)
{
    struct store_warm *warm = CONTAINER_OF(item, struct store_warm, node);
    struct survey_real *survey = warm->world;
    struct store_real *store = survey->store;
    (void)worker;
    list_remove(&survey->node);
    memory_free(survey);
    warm->world = NULL;
    store_real_warmed(store);
    warm->done(warm);
}

static bool must_stop(const struct survey_real *survey)
{
    return atomic_load(&survey->stop) || atomic_load(&survey->store->engine.hurry);
}

bool store_real_goes_on(struct store *base, struct store_warm *warm, uint64_t bytes)
{
    struct survey_real *survey = warm->world;
    (void)base;
    uint64_t all = atomic_fetch_add(&survey->bytes, bytes) + bytes;
    if (warm->bytes_per_s == 0) return !must_stop(survey);
    uint64_t due_us = survey->began_us + (uint64_t)((double)all * 1e6 / (double)warm->bytes_per_s);
    while (!must_stop(survey)) {
        uint64_t at_us = now_us();
        if (at_us >= due_us) return true;
        uint64_t nap_us = due_us - at_us < SURVEY_NAP_US ? due_us - at_us : SURVEY_NAP_US;
        struct timespec nap = {.tv_nsec = (long)nap_us * 1000};
        (void)nanosleep(&nap, NULL);
    }
    return false;
}

uint64_t store_real_went(struct store *base, const struct store_warm *warm)
{
    struct survey_real *survey = warm->world;
    (void)base;
    return survey == NULL ? 0 : atomic_load(&survey->bytes);
}

void store_real_hurry(struct store *base, struct store_warm *warm)
{
    struct survey_real *survey = warm->world;
    (void)base;
    if (survey != NULL) atomic_store(&survey->stop, true);
}

void store_real_surveys_hurry(struct store_real *store)
{
    for (struct list *node = store->surveys.next; node != &store->surveys; node = node->next)
        atomic_store(&CONTAINER_OF(node, struct survey_real, node)->stop, true);
}

void store_real_surveys_drop(struct store_real *store)
{
    struct list *node;
    while ((node = list_first(&store->surveys)) != NULL) {
        list_remove(node);
        memory_free(CONTAINER_OF(node, struct survey_real, node));
    }
}
