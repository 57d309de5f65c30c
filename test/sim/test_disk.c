/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/memory.h"
#include "test/sim/bench.h"

TEST(sim_disk, what_is_not_synced_may_be_lost)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    assert_string_equal(bench_read(&bench, "a", text), "hello");
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "a", text), "");
    bench_close(&bench);
}

TEST(sim_disk, what_is_synced_is_never_lost)
{
    for (int keep = SIM_KEEP_CACHE; keep < SIM_KEEPS; keep++) {
        for (uint64_t number = 0; number < 50; number++) {
            struct bench bench = bench_open(number);
            char text[8192];
            struct disk_file *file = bench_create(&bench, "a");
            assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
            assert_int_equal(bench_write(&bench, DISK_WRITE_SYNC, file, 0, "hello"), ERR_OK);
            assert_int_equal(bench_write(&bench, DISK_WRITE, file, 5, " world"), ERR_OK);
            bench_cut(&bench, (enum sim_keep)keep, number);
            assert_memory_equal(bench_read(&bench, "a", text), "hello", 5);
            bench_close(&bench);
        }
    }
}

TEST(sim_disk, a_dead_process_leaves_the_page_cache_and_a_later_power_cut_takes_it)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    bench_cut(&bench, SIM_KEEP_CACHE, 0);
    assert_string_equal(bench_read(&bench, "a", text), "hello");
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "a", text), "");
    bench_close(&bench);
}

TEST(sim_disk, a_lost_create_takes_the_synced_data_with_it)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_write(&bench, DISK_WRITE_SYNC, file, 0, "hello"), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "a", text), "-");
    bench_close(&bench);
}

TEST(sim_disk, a_lost_directory_takes_everything_in_it)
{
    struct bench bench = bench_open(1);
    char text[8192];
    assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, "d"), ERR_OK);
    struct disk_file *file = bench_create(&bench, "d/a");
    assert_int_equal(bench_write(&bench, DISK_WRITE_SYNC, file, 0, "hello"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "d"), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "d/a", text), "-");
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "d"), ERR_NOT_FOUND);
    bench_close(&bench);
}

/* A file "a" that is safe, then renamed and removed without a directory sync. */
TEST(sim_disk, a_lost_rename_leaves_the_old_name_and_a_lost_remove_brings_the_file_back)
{
    struct bench bench = bench_open(1);
    char text[8192];
    sim_disk_put(bench.hands, "a", bytes_text("one"));
    sim_disk_put(bench.hands, "b", bytes_text("two"));
    struct disk_request request = {.op = DISK_RENAME, .path = "a", .path_to = "b"};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_string_equal(bench_read(&bench, "a", text), "-");
    assert_string_equal(bench_read(&bench, "b", text), "one");
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "b"), ERR_OK);
    assert_string_equal(bench_read(&bench, "b", text), "-");
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "a", text), "one");
    assert_string_equal(bench_read(&bench, "b", text), "two");
    bench_close(&bench);
}

TEST(sim_disk, a_rename_is_one_step_whatever_is_kept)
{
    unsigned before = 0, after = 0;
    for (uint64_t number = 0; number < 64; number++) {
        struct bench bench = bench_open(1);
        char one[8192], two[8192];
        sim_disk_put(bench.hands, "a", bytes_text("one"));
        sim_disk_put(bench.hands, "b", bytes_text("two"));
        struct disk_request request = {.op = DISK_RENAME, .path = "a", .path_to = "b"};
        assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
        bench_cut(&bench, SIM_KEEP_SECTORS, number);
        if (strcmp(bench_read(&bench, "a", one), "-") == 0) {
            assert_string_equal(bench_read(&bench, "b", two), "one");
            after++;
        } else {
            assert_string_equal(bench_read(&bench, "a", one), "one");
            assert_string_equal(bench_read(&bench, "b", two), "two");
            before++;
        }
        bench_close(&bench);
    }
    assert_true(before > 10 && after > 10);
}

TEST(sim_disk, names_are_kept_or_lost_one_by_one)
{
    unsigned seen = 0; /* a bit for each of the four outcomes */
    for (uint64_t number = 0; number < 64; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        (void)bench_create(&bench, "a");
        (void)bench_create(&bench, "b");
        bench_cut(&bench, SIM_KEEP_SECTORS, number);
        unsigned a = strcmp(bench_read(&bench, "a", text), "-") == 0 ? 0 : 1;
        unsigned b = strcmp(bench_read(&bench, "b", text), "-") == 0 ? 0 : 2;
        seen |= 1u << (a + b);
        bench_close(&bench);
    }
    assert_int_equal(seen, 15);
}

/* Sixteen sectors of old bytes, overwritten by new ones and not synced. */
static void bench_overwrite(struct bench *bench, enum sim_keep keep, uint64_t number,
                            char text[8192])
{
    char old[8192], new[8192];
    memset(old, 'o', sizeof(old));
    memset(new, 'n', sizeof(new));
    old[8191] = new[8191] = '\0';
    sim_disk_put(bench->hands, "a", bytes_text(old));
    struct disk_file *file = bench_open_file(bench, "a");
    assert_int_equal(bench_write(bench, DISK_WRITE, file, 0, new), ERR_OK);
    bench_cut(bench, keep, number);
    assert_ptr_equal(bench_read(bench, "a", text), text);
}

TEST(sim_disk, a_sector_is_old_or_new_and_any_subset_may_be_new)
{
    unsigned new_after_old = 0;
    for (uint64_t number = 0; number < 32; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        bench_overwrite(&bench, SIM_KEEP_SECTORS, number, text);
        for (size_t i = 0; i < 8191; i++) assert_int_equal(text[i], text[i / 512 * 512]);
        for (size_t i = 512; i < 8191; i += 512)
            new_after_old += text[i] == 'n' && text[i - 1] == 'o';
        bench_close(&bench);
    }
    assert_true(new_after_old > 32);
}

TEST(sim_disk, a_torn_sector_is_new_then_old_and_garbage_only_where_new_bytes_were_to_come)
{
    unsigned torn = 0, garbage = 0;
    for (uint64_t number = 0; number < 32; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        bench_overwrite(&bench, SIM_KEEP_TORN, number, text);
        for (size_t i = 1; i < 8191; i++) {
            assert_true(text[i] == 'o' || text[i] == 'n');
            if (i % 512 == 0) continue;
            assert_false(text[i - 1] == 'o' && text[i] == 'n');
            torn += text[i - 1] == 'n' && text[i] == 'o';
        }
        bench_close(&bench);
        bench = bench_open(1);
        bench_overwrite(&bench, SIM_KEEP_GARBAGE, number, text);
        for (size_t i = 0; i < 8191; i++) garbage += text[i] != 'o' && text[i] != 'n';
        bench_close(&bench);
    }
    assert_true(torn > 32);
    assert_true(garbage > 512);
}

TEST(sim_disk, within_one_sector_no_later_write_arrives_without_the_earlier)
{
    for (uint64_t number = 0; number < 200; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        sim_disk_put(bench.hands, "a", bytes_text("......"));
        struct disk_file *file = bench_open_file(&bench, "a");
        assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "11"), ERR_OK);
        assert_int_equal(bench_write(&bench, DISK_WRITE, file, 2, "22"), ERR_OK);
        assert_int_equal(bench_write(&bench, DISK_WRITE, file, 4, "33"), ERR_OK);
        bench_cut(&bench, SIM_KEEP_SECTORS, number);
        const char *got = bench_read(&bench, "a", text);
        assert_true(strcmp(got, "......") == 0 || strcmp(got, "11....") == 0 ||
                    strcmp(got, "1122..") == 0 || strcmp(got, "112233") == 0);
        bench_close(&bench);
    }
}

TEST(sim_disk, a_length_can_survive_without_its_bytes)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    bench_cut(&bench, SIM_KEEP_ZEROS, 0);
    struct buffer kept;
    buffer_init(&kept);
    assert_true(sim_disk_kept(bench.hands, "a", &kept));
    assert_int_equal(kept.size, 5);
    assert_memory_equal(kept.data, "\0\0\0\0\0", 5);
    buffer_release(&kept);
    assert_string_equal(bench_read(&bench, "a", text), "");
    bench_close(&bench);
}

TEST(sim_disk, a_prefix_keeps_the_first_operations_over_all_files)
{
    for (uint64_t number = 0; number < 6; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        struct disk_file *a = bench_create(&bench, "a");
        struct disk_file *b = bench_create(&bench, "b");
        assert_int_equal(bench_write(&bench, DISK_WRITE, a, 0, "one"), ERR_OK);
        assert_int_equal(bench_write(&bench, DISK_WRITE, b, 0, "two"), ERR_OK);
        assert_int_equal(bench_path(&bench, DISK_REMOVE, "a"), ERR_OK);
        bench_cut(&bench, SIM_KEEP_PREFIX, number);
        const char *expected_a[] = {"-", "", "", "one", "one", "-"};
        const char *expected_b[] = {"-", "-", "", "", "two", "two"};
        assert_string_equal(bench_read(&bench, "a", text), expected_a[number]);
        assert_string_equal(bench_read(&bench, "b", text), expected_b[number]);
        bench_close(&bench);
    }
}

TEST(sim_disk, all_but_one_sector_loses_exactly_one)
{
    for (uint64_t number = 0; number < 16; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        bench_overwrite(&bench, SIM_KEEP_ALL_BUT_ONE, number, text);
        for (size_t i = 0; i < 8191; i++) assert_int_equal(text[i], i / 512 == number ? 'o' : 'n');
        bench_close(&bench);
    }
}

TEST(sim_disk, a_truncated_file_may_come_back_and_then_has_its_old_bytes)
{
    unsigned outcomes = 0;
    for (uint64_t number = 0; number < 64; number++) {
        struct bench bench = bench_open(1);
        char text[8192];
        sim_disk_put(bench.hands, "a", bytes_text("before"));
        struct disk_file *file = bench_open_file(&bench, "a");
        struct disk_request request = {.op = DISK_TRUNCATE, .file = file, .offset = 2};
        assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
        assert_string_equal(bench_read(&bench, "a", text), "be");
        bench_cut(&bench, SIM_KEEP_SECTORS, number);
        const char *got = bench_read(&bench, "a", text);
        assert_true(strcmp(got, "before") == 0 || strcmp(got, "be") == 0);
        outcomes |= strcmp(got, "be") == 0 ? 1u : 2u;
        bench_close(&bench);
    }
    assert_int_equal(outcomes, 3);
}

TEST(sim_disk, after_a_failed_sync_reads_see_what_no_later_sync_brings_back)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_SYNC, .hits = 1};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_IO);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_OK);
    assert_string_equal(bench_read(&bench, "a", text), "hello");
    bench_cut(&bench, SIM_KEEP_CACHE, 0);
    assert_string_equal(bench_read(&bench, "a", text), "hello");
    bench_cut(&bench, SIM_KEEP_ALL, 0);
    assert_string_equal(bench_read(&bench, "a", text), "");
    bench_close(&bench);
}

TEST(sim_disk, a_lying_sync_and_a_late_one_lose_what_they_were_for)
{
    struct bench bench = bench_open(1);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_SYNC, .hits = 1, .kind = SIM_FAULT_LATE};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_OK);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_IO);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_OK);
    fault.kind = SIM_FAULT_LIE;
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 5, " world"), ERR_OK);
    assert_int_equal(bench_file(&bench, DISK_SYNC, file), ERR_OK);
    assert_string_equal(bench_read(&bench, "a", text), "hello world");
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    assert_string_equal(bench_read(&bench, "a", text), "");
    assert_int_equal(sim_disk_fault_hits(bench.hands), 2);
    bench_close(&bench);
}

TEST(sim_disk, a_fault_hits_the_path_and_the_occurrence_it_is_for)
{
    struct bench bench = bench_open(1);
    struct disk_file *a = bench_create(&bench, "a.log");
    struct disk_file *b = bench_create(&bench, "b.tmp");
    struct sim_fault fault = {
        .ops = 1u << DISK_WRITE, .paths = "*.log", .skip = 2, .hits = 1, .err = ERR_SPACE};
    uint64_t id = sim_disk_fault(bench.hands, &fault);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(bench_write(&bench, DISK_WRITE, b, 0, "x"), ERR_OK);
        assert_int_equal(bench_write(&bench, DISK_WRITE, a, 0, "x"), i == 2 ? ERR_SPACE : ERR_OK);
    }
    sim_disk_unfault(bench.hands, id); /* gone already */
    fault = (struct sim_fault){.ops = 1u << DISK_WRITE};
    id = sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, b, 0, "x"), ERR_IO);
    assert_int_equal(bench_write(&bench, DISK_WRITE, b, 0, "x"), ERR_IO);
    sim_disk_unfault(bench.hands, id);
    assert_int_equal(bench_write(&bench, DISK_WRITE, b, 0, "x"), ERR_OK);
    bench_close(&bench);
}

TEST(sim_disk, a_short_write_leaves_a_part_and_a_lost_or_misplaced_one_says_nothing)
{
    struct bench bench = bench_open(3);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    struct sim_fault fault = {.ops = 1u << DISK_WRITE, .hits = 1, .kind = SIM_FAULT_SHORT};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello world"), ERR_IO);
    const char *got = bench_read(&bench, "a", text);
    assert_true(strlen(got) < 11);
    assert_memory_equal(got, "hello world", strlen(got));
    fault.kind = SIM_FAULT_LOSE;
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "XXXXXXXXXXXXXX"), ERR_OK);
    assert_null(strchr(bench_read(&bench, "a", text), 'X'));

    char blocks[8192];
    memset(blocks, '.', 8191);
    blocks[8191] = '\0';
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, blocks), ERR_OK);
    fault.kind = SIM_FAULT_MISPLACE;
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 20000, "YYYY"), ERR_OK);
    const char *at = strstr(bench_read(&bench, "a", text), "YYYY");
    assert_non_null(at);
    assert_int_equal((at - text) % DISK_SECTOR_BYTES, 20000 % DISK_SECTOR_BYTES);
    bench_close(&bench);
}

static unsigned bits_differing(const char *a, const char *b, size_t size)
{
    unsigned bits = 0;
    for (size_t i = 0; i < size; i++)
        bits += (unsigned)__builtin_popcount((unsigned)(a[i] ^ b[i]) & 255);
    return bits;
}

TEST(sim_disk, a_flip_changes_one_bit_of_what_is_read_or_written_or_lies_there)
{
    struct bench bench = bench_open(5);
    char text[8192];
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello world"), ERR_OK);
    struct sim_fault fault = {.ops = 1u << DISK_READ, .hits = 1, .kind = SIM_FAULT_FLIP};
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bits_differing(bench_read(&bench, "a", text), "hello world", 11), 1);
    assert_string_equal(bench_read(&bench, "a", text), "hello world");
    fault.ops = 1u << DISK_WRITE;
    (void)sim_disk_fault(bench.hands, &fault);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello again"), ERR_OK);
    assert_int_equal(bits_differing(bench_read(&bench, "a", text), "hello again", 11), 1);
    assert_int_equal(bench_write(&bench, DISK_WRITE_SYNC, file, 0, "hello again"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    assert_true(sim_disk_damage(bench.hands, "a", 6, 5, SIM_DAMAGE_FLIP));
    bench_cut(&bench, SIM_KEEP_ALL, 0);
    assert_memory_equal(bench_read(&bench, "a", text), "hello ", 6);
    assert_int_equal(bits_differing(text + 6, "again", 5), 1);
    assert_true(sim_disk_damage(bench.hands, "a", 0, 5, SIM_DAMAGE_ZERO));
    assert_string_equal(bench_read(&bench, "a", text), "");
    assert_false(sim_disk_damage(bench.hands, "b", 0, 5, SIM_DAMAGE_ZERO));
    bench_close(&bench);
}

TEST(sim_disk, space_is_counted_in_blocks_and_comes_back_when_a_file_goes)
{
    struct bench bench = bench_open(1);
    sim_disk_set_capacity(bench.hands, 4 * 4096);
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "x"), ERR_OK);
    assert_int_equal(sim_disk_used(bench.hands), 4096);
    struct disk_request request = {.op = DISK_FREE_SPACE, .path = "."};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(request.size, 3 * 4096);
    struct disk_file *big = bench_create(&bench, "b");
    request = (struct disk_request){.op = DISK_FILL, .file = big, .size = 8 * 4096};
    assert_int_equal(disk_run(bench.disk, &request), ERR_SPACE);
    assert_true(sim_disk_used(bench.hands) <= 4 * 4096);
    request = (struct disk_request){.op = DISK_FILL, .file = big, .size = 3 * 4096};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(bench_write(&bench, DISK_WRITE, big, 3 * 4096, "x"), ERR_SPACE);
    assert_int_equal(bench_write(&bench, DISK_WRITE, big, 0, "in place"), ERR_OK);
    request = (struct disk_request){.op = DISK_CREATE, .path = "c"};
    assert_int_equal(disk_run(bench.disk, &request), ERR_SPACE);
    assert_int_equal(bench_file(&bench, DISK_CLOSE, big), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "b"), ERR_OK);
    assert_int_equal(sim_disk_used(bench.hands), 4096);
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 4096, "x"), ERR_OK);
    sim_disk_set_capacity(bench.hands, 0);
    request = (struct disk_request){.op = DISK_FREE_SPACE, .path = "."};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(request.size, 0);
    bench_close(&bench);
}

TEST(sim_disk, a_lock_is_held_until_the_process_ends)
{
    struct bench bench = bench_open(1);
    assert_int_equal(bench_path(&bench, DISK_LOCK, "lock"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_LOCK, "lock"), ERR_REFUSED);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    bench_cut(&bench, SIM_KEEP_CACHE, 0);
    assert_int_equal(bench_path(&bench, DISK_LOCK, "lock"), ERR_OK);
    bench_cut(&bench, SIM_KEEP_NOTHING, 0);
    sim_disk_hold(bench.hands, "lock", true);
    assert_int_equal(bench_path(&bench, DISK_LOCK, "lock"), ERR_REFUSED);
    bench_close(&bench);
}

TEST(sim_disk, names_are_listed_sorted_and_errors_say_what_is_missing)
{
    struct bench bench = bench_open(1);
    assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, "d"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_MAKE_DIR, "d"), ERR_EXISTS);
    (void)bench_create(&bench, "d/b");
    (void)bench_create(&bench, "./d//a");
    struct buffer names;
    buffer_init(&names);
    struct disk_request request = {.op = DISK_LIST, .path = "d", .names = &names};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(names.size, 4);
    assert_memory_equal(names.data, "a\0b\0", 4);
    buffer_release(&names);
    request = (struct disk_request){.op = DISK_CREATE, .path = "d/a"};
    assert_int_equal(disk_run(bench.disk, &request), ERR_EXISTS);
    request = (struct disk_request){.op = DISK_OPEN, .path = "e/a"};
    assert_int_equal(disk_run(bench.disk, &request), ERR_NOT_FOUND);
    assert_string_equal(request.why.text, "cannot open e/a: no such file");
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "d"), ERR_REFUSED);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "d/a"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "d/a"), ERR_NOT_FOUND);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "d/b"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "d"), ERR_OK);
    bench_close(&bench);
}

TEST(sim_disk, a_removed_file_lives_on_in_its_handle)
{
    struct bench bench = bench_open(1);
    struct disk_file *file = bench_create(&bench, "a");
    assert_int_equal(bench_write(&bench, DISK_WRITE, file, 0, "hello"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_REMOVE, "a"), ERR_OK);
    assert_int_equal(bench_path(&bench, DISK_SYNC_DIR, "."), ERR_OK);
    char text[8];
    struct disk_request request = {
        .op = DISK_READ, .file = file, .data = text, .size = 8, .offset = 1};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(request.moved, 4);
    assert_memory_equal(text, "ello", 4);
    request = (struct disk_request){
        .op = DISK_READ, .file = file, .data = text, .size = 8, .offset = 5};
    assert_int_equal(disk_run(bench.disk, &request), ERR_OK);
    assert_int_equal(request.moved, 0);
    assert_int_equal(bench_file(&bench, DISK_CLOSE, file), ERR_OK);
    bench_close(&bench);
}
