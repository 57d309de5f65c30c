/* SPDX-License-Identifier: Apache-2.0 */
#include "base/list.h"

#include "base/must.h"
#include "test/test.h"

struct item {
    int value;
    struct list node;
};

/* The values of the list as decimal digits, first to last. */
static int digits(const struct list *list)
{
    int result = 0;
    for (const struct list *node = list->next; node != list; node = node->next) {
        assert_ptr_equal(node->next->previous, node);
        result = result * 10 +
                 ((const struct item *)((const char *)node - offsetof(struct item, node)))->value;
    }
    return result;
}

TEST(list, keeps_the_order_of_appending)
{
    struct list list;
    list_init(&list);
    assert_true(list_empty(&list));
    assert_null(list_first(&list));
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    for (int i = 0; i < 3; i++) list_append(&list, &items[i].node);
    assert_false(list_empty(&list));
    assert_int_equal(digits(&list), 123);
    assert_int_equal(CONTAINER_OF(list_first(&list), struct item, node)->value, 1);
}

TEST(list, removing_twice_is_harmless)
{
    struct list list;
    list_init(&list);
    struct item items[3] = {{.value = 1}, {.value = 2}, {.value = 3}};
    for (int i = 0; i < 3; i++) list_append(&list, &items[i].node);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_int_equal(digits(&list), 13);
    list_append(&list, &items[1].node);
    assert_int_equal(digits(&list), 132);
    for (int i = 0; i < 3; i++) list_remove(&items[i].node);
    assert_true(list_empty(&list));
}

TEST(list, everything_moves_to_the_end_and_the_source_is_empty)
{
    struct list to, from;
    list_init(&to);
    list_init(&from);
    struct item items[4] = {{.value = 1}, {.value = 2}, {.value = 3}, {.value = 4}};
    list_move_all(&to, &from);
    assert_true(list_empty(&to));
    list_append(&from, &items[0].node);
    list_append(&from, &items[1].node);
    list_move_all(&to, &from);
    assert_int_equal(digits(&to), 12);
    assert_true(list_empty(&from));
    list_append(&from, &items[2].node);
    list_append(&from, &items[3].node);
    list_move_all(&to, &from);
    assert_int_equal(digits(&to), 1234);
}
