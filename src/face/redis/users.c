/* SPDX-License-Identifier: Apache-2.0 */
/* ACL: there is one user, who may do everything once it has given the password, if one is set. */
#include <string.h>

#include "face/redis/internal.h"

static bool has_password(const struct client *client)
{
    return config_text(client->face->options.config, CONFIG_REQUIREPASS).size > 0;
}

void face_ACL_WHOAMI(struct client *client, const struct args *args)
{
    (void)args;
    client_reply(client)->ops->bulk(client_reply(client), bytes_text("default"));
}

void face_ACL_USERS(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, 1);
    reply->ops->bulk(reply, bytes_text("default"));
}

void face_ACL_LIST(struct client *client, const struct args *args)
{
    (void)args;
    struct reply *reply = client_reply(client);
    reply->ops->array(reply, 1);
    const char *rules = has_password(client) ? "user default on #(redacted) ~* &* +@all"
                                             : "user default on nopass ~* &* +@all";
    reply->ops->bulk(reply, bytes_text(rules));
}

static void put_pair(struct reply *reply, const char *name, const char *value)
{
    reply->ops->bulk(reply, bytes_text(name));
    reply->ops->bulk(reply, bytes_text(value));
}

void face_ACL_GETUSER(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    if (!bytes_equal(args->at[2], bytes_text("default"))) {
        reply->ops->null(reply);
        return;
    }
    bool password = has_password(client);
    reply->ops->map(reply, 6);
    reply->ops->bulk(reply, bytes_text("flags"));
    reply->ops->set(reply, password ? 1 : 2);
    reply->ops->bulk(reply, bytes_text("on"));
    if (!password) reply->ops->bulk(reply, bytes_text("nopass"));
    reply->ops->bulk(reply, bytes_text("passwords"));
    reply->ops->array(reply, password ? 1 : 0);
    if (password) reply->ops->bulk(reply, bytes_text("(redacted)"));
    put_pair(reply, "commands", "+@all");
    put_pair(reply, "keys", "~*");
    put_pair(reply, "channels", "&*");
    reply->ops->bulk(reply, bytes_text("selectors"));
    reply->ops->array(reply, 0);
}

static void list_categories(struct reply *reply)
{
    const char *category;
    size_t opened = reply->ops->array_open(reply), count = 0;
    for (; (category = command_category_at(count)) != NULL; count++) {
        reply->ops->bulk(reply, bytes_text(category + 1)); /* without the @ */
    }
    reply->ops->array_close(reply, opened, count);
}

static const char *find_category(struct bytes name)
{
    const char *category;
    for (size_t i = 0; (category = command_category_at(i)) != NULL; i++) {
        if (bytes_is_word(name, category + 1)) return category;
    }
    return NULL;
}

void face_ACL_CAT(struct client *client, const struct args *args)
{
    struct reply *reply = client_reply(client);
    if (args->count == 2) {
        list_categories(reply);
        return;
    }
    if (args->count > 3) {
        answer_error(client, "ERR wrong number of arguments for 'acl|cat' command");
        return;
    }
    const char *category = find_category(args->at[2]);
    if (category == NULL) {
        size_t size = args->at[2].size;
        reply_errorf(reply, "ERR Unknown category '%.*s'", (int)(size > 64 ? 64 : size),
                     (const char *)args->at[2].data);
        return;
    }
    const struct command *command;
    size_t opened = reply->ops->array_open(reply), count = 0;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if ((command->flags & FLAG_INTERNAL) != 0) continue;
        if (!command_is_in_category(command, category)) continue;
        reply->ops->bulk(reply, bytes_text(command->name));
        count++;
    }
    reply->ops->array_close(reply, opened, count);
}
