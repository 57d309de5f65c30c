/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

#include "test/test.h"

TEST(memory, nothing_asked_for_is_still_a_pointer_to_free)
{
    void *a = memory_alloc(0), *b = memory_zeroed(0, 8), *c = memory_resize(NULL, 0);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    memory_free(a);
    memory_free(b);
    memory_free(c);
    memory_free(NULL);
}

TEST(memory, zeroed_is_zero_all_over)
{
    static const uint8_t zeros[1000];
    uint8_t *data = memory_zeroed(10, 100);
    assert_memory_equal(data, zeros, sizeof(zeros));
    memory_free(data);
}

TEST(memory, resize_keeps_the_content)
{
    uint8_t *data = memory_resize(NULL, 4);
    memcpy(data, "abcd", 4);
    data = memory_resize(data, 100000);
    assert_memory_equal(data, "abcd", 4);
    data = memory_resize(data, 2);
    assert_memory_equal(data, "ab", 2);
    memory_free(data);
}

TEST(memory, aligned_storage_is_aligned_whatever_its_size)
{
    static const size_t sizes[] = {0, 1, 511, 512, 513, 4096, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t alignment = 1; alignment <= 4096; alignment *= 2) {
            uint8_t *data = memory_aligned(alignment, sizes[i]);
            assert_int_equal((uintptr_t)data % alignment, 0);
            memset(data, 0xff, sizes[i]);
            memory_free(data);
        }
    }
}
