/* SPDX-License-Identifier: Apache-2.0 */
#include "config/table.h"

#define DIRECTIVE(id, name, kind, fallback, least, most, standing, words, text) \
    [CONFIG_##id] = {name, KIND_##kind, STANDING_##standing, fallback, least, most, text},
#define ALIAS(name, id, words)
static const struct directive directives[CONFIG_IDS] = {
#include "config/directives.def"
};
#undef DIRECTIVE
#undef ALIAS

#define DIRECTIVE(id, name, kind, fallback, least, most, standing, words, text) \
    {name, CONFIG_##id, words, false},
#define ALIAS(name, id, words) {name, CONFIG_##id, words, true},
static const struct config_name names[] = {
#include "config/directives.def"
};
#undef DIRECTIVE
#undef ALIAS

const struct directive *directive_of(enum config_id id)
{
    MUST(id < CONFIG_IDS);
    return &directives[id];
}

bool directive_is_fixed(const struct directive *directive)
{
    return directive->standing == STANDING_FIXED || directive->standing == STANDING_KEPT_FIXED;
}

bool directive_has_effect(const struct directive *directive)
{
    return directive->standing == STANDING_FIXED || directive->standing == STANDING_LIVE;
}

bool directive_is_list(const struct directive *directive)
{
    return directive->kind >= KIND_PRIMARY && directive->kind != KIND_EVENTS;
}

size_t config_names(void)
{
    return sizeof(names) / sizeof(names[0]);
}

const struct config_name *config_name_at(size_t i)
{
    MUST(i < config_names());
    return &names[i];
}

const struct config_name *config_name_find(struct bytes name)
{
    for (size_t i = 0; i < config_names(); i++) {
        if (bytes_is_word(name, names[i].name)) return &names[i];
    }
    return NULL;
}

const struct config_name *config_name_of(enum config_id id)
{
    for (size_t i = 0; i < config_names(); i++) {
        if (names[i].id == id && !names[i].alias) return &names[i];
    }
    MUST(false); /* every id has a row of its own */
    return NULL;
}
