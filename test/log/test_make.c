/* SPDX-License-Identifier: Apache-2.0 */
/* Making a log, and what is refused before anything is touched. */
#include "test/log/damage.h"

static struct log_site site_of(const struct keeper *keeper, const char *directory)
{
    return (struct log_site){
        .directory = directory, .disk = keeper->seams->disk, .entropy = keeper->seams->entropy};
}

static void step_create(struct keeper *keeper)
{
    struct history history = {{1}};
    struct log_site site = site_of(keeper, KEEPER_DIRECTORY);
    keeper->result = log_create(&site, &keeper->options, history, &keeper->why);
}

static enum err create_again(struct keeper *keeper)
{
    assert_true(keeper_do(keeper, step_create));
    return keeper->result;
}

TEST(log_make, a_log_is_made_once)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    uint64_t before = disk_checksum(keeper);
    assert_int_equal(create_again(keeper), ERR_EXISTS);
    assert_non_null(strstr(keeper->why.text, "log: there is a log"));
    assert_true(disk_checksum(keeper) == before);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_make, a_damaged_log_is_not_made_anew)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    assert_int_equal(keeper_append(keeper, 3, 100), ERR_OK);
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(0)));
    assert_true(sim_disk_unlink(keeper_disk(keeper), slot_path(1)));
    assert_int_equal(create_again(keeper), ERR_EXISTS);
    assert_non_null(
        strstr(keeper->why.text, "there is a damaged log: both superblocks are missing"));
    keeper_free(keeper);
}

static void step_bad_options(struct keeper *keeper)
{
    struct log_options options = keeper->options;
    struct log_site site = site_of(keeper, "other");
    struct history history = {{1}};
    static const uint64_t sizes[] = {0, 4096, 12288, 16385, 20000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        options.segment_bytes = sizes[i];
        MUST(log_create(&site, &options, history, &keeper->why) == ERR_CONFIG);
    }
    char path[2000];
    memset(path, 'p', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    site.directory = path;
    MUST(log_create(&site, &keeper->options, history, &keeper->why) == ERR_LIMIT);
    site.directory = "";
    MUST(log_create(&site, &keeper->options, history, &keeper->why) == ERR_LIMIT);
    site.directory = "no/such/place";
    MUST(log_create(&site, &keeper->options, history, &keeper->why) == ERR_NOT_FOUND);
}

TEST(log_make, what_cannot_be_a_log_is_refused)
{
    struct keeper *keeper = keeper_new(1, LOG_ALWAYS);
    assert_true(sim_node_start(keeper->node));
    uint64_t before = disk_checksum(keeper);
    assert_true(keeper_do(keeper, step_bad_options));
    assert_true(disk_checksum(keeper) == before);
    ASSERT_SOUND(keeper);
    keeper_free(keeper);
}

TEST(log_make, files_of_two_shards_in_one_directory_are_refused)
{
    struct keeper *keeper = damage_new(2, true);
    sim_disk_put(keeper_disk(keeper), "log/00000006-0000000000000001.log", bytes_text("stray"));
    must_refuse(keeper, "files of more than one shard");
    keeper_free(keeper);
}

TEST(log_make, a_superblock_of_another_shard_under_our_name_is_refused)
{
    struct keeper *keeper = damage_new(2, true);
    for (unsigned slot = 0; slot < LOG_SUPERBLOCK_SLOTS; slot++) {
        struct buffer content = file_take(keeper, slot_path(slot));
        store_le32(content.data + 12, 9);
        store_le64(content.data + 504, checksum64(bytes_of(content.data, 504), 0));
        file_put(keeper, slot_path(slot), &content);
    }
    must_refuse(keeper, "the superblock is of shard 00000009, the files of 00000005");
    keeper_free(keeper);
}

TEST(log_make, an_unreadable_file_is_an_error_not_damage)
{
    static const char *const paths[] = {"*-a.superblock", "*-b.superblock", "*.log"};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned op = 0; op < 2; op++) {
            for (uint64_t skip = 0; skip < (i == 2 ? 2 : 1); skip++) {
                struct keeper *keeper = damage_new(2, false);
                struct sim_fault fault = {.ops = op == 0 ? 1 << DISK_OPEN : 1 << DISK_READ,
                                          .paths = paths[i],
                                          .skip = skip,
                                          .hits = 1};
                (void)sim_disk_fault(keeper_disk(keeper), &fault);
                uint64_t before = disk_checksum(keeper);
                assert_false(sim_node_start(keeper->node));
                assert_int_equal(keeper->opened, ERR_IO);
                assert_true(disk_checksum(keeper) == before);
                ASSERT_SOUND(keeper);
                assert_true(sim_node_start(keeper->node));
                keeper_check(keeper);
                ASSERT_SOUND(keeper);
                keeper_free(keeper);
            }
        }
    }
}
