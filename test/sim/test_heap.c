/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "sim/heap.h"
#include "sim/must.h"
#include "test/test.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

/* Whether `run` breaks a MUST; its text is then in *must. */
static bool breaks_must(void (*run)(void *), void *argument, struct sim_must *must)
{
    jmp_buf escape;
    must->to = &escape;
    must->value = 1;
    must->text[0] = '\0';
    struct sim_must *before = sim_must_catch(must);
    if (setjmp(escape) == 0) run(argument);
    (void)sim_must_catch(before);
    return must->text[0] != '\0';
}

TEST(sim_heap, a_block_belongs_to_the_heap_that_was_entered)
{
    size_t harness = sim_heap_bytes(NULL);
    struct sim_heap *heap = sim_heap_open("n1");
    size_t outside = sim_heap_bytes(NULL);
    (void)sim_heap_enter(heap);
    (void)memory_alloc(100);
    void *block = memory_zeroed(10, 20);
    assert_ptr_equal(sim_heap_enter(NULL), heap);
    assert_int_equal(sim_heap_bytes(heap), 300);
    assert_int_equal(sim_heap_blocks(heap), 2);
    assert_int_equal(sim_heap_bytes(NULL), outside);
    memory_free(block);
    assert_int_equal(sim_heap_bytes(heap), 100);
    assert_int_equal(sim_heap_peak(heap), 300);
    assert_int_equal(sim_heap_drop(heap), 1);
    assert_int_equal(sim_heap_bytes(heap), 0);
    sim_heap_close(heap);
    assert_int_equal(sim_heap_bytes(NULL), harness);
}

TEST(sim_heap, a_block_that_is_resized_stays_in_its_heap)
{
    struct sim_heap *heap = sim_heap_open("n1");
    (void)sim_heap_enter(heap);
    char *block = memory_alloc(4);
    memcpy(block, "abc", 4);
    (void)sim_heap_enter(NULL);
    block = memory_resize(block, 1000);
    assert_string_equal(block, "abc");
    assert_int_equal(sim_heap_bytes(heap), 1000);
    block = memory_resize(block, 2);
    assert_int_equal(sim_heap_bytes(heap), 2);
    sim_heap_close(heap);
}

TEST(sim_heap, alignment_is_kept)
{
    for (size_t alignment = 1; alignment <= 65536; alignment *= 2) {
        void *block = memory_aligned(alignment, 100);
        assert_int_equal((uintptr_t)block % alignment, 0);
        memset(block, 1, 100);
        memory_free(block);
    }
}

TEST(sim_heap, fresh_bytes_are_the_same_in_each_run)
{
    uint8_t *block = memory_alloc(3);
    assert_memory_equal(block, "\xcd\xcd\xcd", 3);
    block = memory_resize(block, 5);
    assert_memory_equal(block + 3, "\xcd\xcd", 2);
    memory_free(block);
}

TEST(sim_heap, a_bound_that_was_passed_is_remembered)
{
    struct sim_heap *heap = sim_heap_open("n1");
    sim_heap_bound(heap, 1000);
    (void)sim_heap_enter(heap);
    void *block = memory_alloc(1000);
    assert_false(sim_heap_is_over(heap));
    memory_free(memory_alloc(1));
    memory_free(block);
    (void)sim_heap_enter(NULL);
    assert_true(sim_heap_is_over(heap));
    sim_heap_close(heap);
}

static void free_it(void *block)
{
    memory_free(block);
}

TEST(sim_heap, a_node_may_not_free_what_is_not_its_own)
{
    struct sim_must must;
    struct sim_heap *heap = sim_heap_open("n1");
    void *block = memory_alloc(10);
    (void)sim_heap_enter(heap);
    assert_true(breaks_must(free_it, block, &must));
    (void)sim_heap_enter(NULL);
    assert_false(breaks_must(free_it, block, &must));
    sim_heap_close(heap);
}

/* The address sanitizer finds these itself, and more sharply. */
#ifndef __SANITIZE_ADDRESS__
#if !defined(__has_feature)
#define HAS_GUARDS
#elif !__has_feature(address_sanitizer)
#define HAS_GUARDS
#endif
#endif

#ifdef HAS_GUARDS
TEST(sim_heap, a_write_behind_the_end_is_found_at_the_free)
{
    struct sim_must must;
    uint8_t *volatile hidden = memory_alloc(10); /* from the compiler, which knows the size */
    volatile uint8_t *block = hidden;
    block[10] ^= 1;
    assert_true(breaks_must(free_it, (void *)(uintptr_t)block, &must));
    assert_non_null(strstr(must.text, "tail"));
    block[10] ^= 1;
    assert_false(breaks_must(free_it, (void *)(uintptr_t)block, &must));
}
#endif

TEST(sim_heap, a_write_before_the_begin_is_found_at_the_free)
{
    struct sim_must must;
    uint8_t *volatile hidden = memory_alloc(10);
    volatile uint8_t *block = hidden, *before = block - 1;
    *before ^= 1;
    assert_true(breaks_must(free_it, (void *)(uintptr_t)block, &must));
    assert_non_null(strstr(must.text, "canary"));
    *before ^= 1;
    assert_false(breaks_must(free_it, (void *)(uintptr_t)block, &must));
}

TEST(sim_heap, what_is_left_is_described)
{
    struct sim_heap *heap = sim_heap_open("n1");
    (void)sim_heap_enter(heap);
    volatile char *block = memory_alloc(3);
    for (int i = 0; i < 3; i++) block[i] = "abc"[i];
    (void)sim_heap_enter(NULL);
    struct buffer text;
    buffer_init(&text);
    sim_heap_describe(heap, 5, &text);
    buffer_append_byte(&text, 0);
    assert_non_null(strstr((char *)text.data, "n1: block 1, 3 bytes"));
    assert_non_null(strstr((char *)text.data, "61 62 63"));
    buffer_release(&text);
    sim_heap_check(heap);
    sim_heap_close(heap);
}

#ifdef __SANITIZE_ADDRESS__
TEST(sim_heap, with_the_address_sanitizer_a_block_ends_where_its_bytes_end)
{
    for (size_t size = 1; size < 100; size++) {
        uint8_t *block = memory_alloc(size);
        assert_false(__asan_address_is_poisoned(block + size - 1));
        assert_true(__asan_address_is_poisoned(block + size));
        block = memory_resize(block, size + 7);
        assert_true(__asan_address_is_poisoned(block + size + 7));
        memory_free(block);
    }
}
#endif
