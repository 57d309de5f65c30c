/* SPDX-License-Identifier: Apache-2.0 */
/* Surveys: what a flush left, counted again and summed up while the machine goes on. */
#include "test/state/bed.h"
#include "test/test.h"

enum { RANGES = 16 };

struct question {
    struct survey_ask ask;
    unsigned told;
    struct digest sums[RANGES];
    struct buffer found;
};

static void answered(struct survey_ask *ask)
{
    CONTAINER_OF(ask, struct question, ask)->told++;
}

static void begin(struct question *question, enum survey_kind kind)
{
    *question = (struct question){
        .ask = {.kind = kind, .done = answered, .salt = 5, .ranges = RANGES, .keys_max = 1000}};
    buffer_init(&question->found);
    question->ask.sums = question->sums;
    question->ask.found = &question->found;
}

static void answer(struct bed *bed, struct survey *survey, struct question *question)
{
    survey->ops->ask(survey, &question->ask);
    assert_int_equal(question->told, 0); /* never from inside */
    while (question->told == 0) MUST(memory_store_step(&bed->store));
}

static void fill(struct bed *bed)
{
    static const char *const writes[] = {"SET s text",     "SET e text PX 100000", "HSET h a 1 b 2",
                                         "ZADD z 1 a 2 b", "RPUSH l 1 2 3",        "SADD x a b"};
    bed_init(bed, 1);
    for (size_t i = 0; i < sizeof writes / sizeof writes[0]; i++) (void)bed_write(bed, writes[i]);
    (void)bed_write_in(bed, 9, "SET s text");
    assert_int_equal(bed_flush(bed), ERR_OK);
}

static struct survey *open_survey(struct bed *bed)
{
    return bed->machine->ops->survey(bed->machine);
}

static void sum_up(struct bed *bed, struct question *question)
{
    struct survey *survey = open_survey(bed);
    begin(question, SURVEY_RANGES);
    answer(bed, survey, question);
    assert_int_equal(question->ask.err, ERR_OK);
    survey->ops->close(survey);
}

TEST(state_survey, a_recount_is_of_the_flush_before_it_was_opened)
{
    struct bed bed;
    fill(&bed);
    struct digest digest = bed_digest(&bed);
    uint64_t flushed = bed_applied(&bed);
    struct survey *survey = open_survey(&bed);
    (void)bed_write(&bed, "SET s other");
    assert_int_equal(bed_flush(&bed), ERR_OK);
    struct question question;
    begin(&question, SURVEY_RECOUNT);
    answer(&bed, survey, &question);
    assert_int_equal(question.ask.err, ERR_OK);
    assert_int_equal(question.ask.mark.lsn.at, flushed);
    assert_true(digest_equal(question.ask.running, digest));
    assert_true(digest_equal(question.ask.recounted, digest));
    assert_int_equal(question.ask.keys, 7);
    survey->ops->close(survey);
    bed_release(&bed);
}

TEST(state_survey, sums_of_equal_states_are_equal_however_they_were_flushed)
{
    struct bed bed, other;
    struct question question, again;
    fill(&bed);
    fill(&other);
    assert_int_equal(bed_flush(&other), ERR_OK);
    sum_up(&bed, &question);
    sum_up(&other, &again);
    assert_memory_equal(question.sums, again.sums, sizeof question.sums);
    assert_int_equal(question.ask.keys, 7);
    assert_int_equal(question.ask.misfits, 0);
    assert_true(digest_equal(question.ask.recounted, bed_digest(&bed)));
    bed_release(&bed);
    bed_release(&other);
}

/* The keys of all ranges whose sums differ. */
static void differing_keys(const struct question *question, const struct question *other,
                           struct bed *bed, struct buffer *names)
{
    uint32_t wanted[RANGES];
    struct question list;
    begin(&list, SURVEY_KEYS);
    list.ask.wanted = wanted;
    for (uint32_t i = 0; i < RANGES; i++) {
        if (!digest_equal(question->sums[i], other->sums[i])) wanted[list.ask.wanted_count++] = i;
    }
    assert_in_range(list.ask.wanted_count, 1, 2);
    struct survey *survey = open_survey(bed);
    answer(bed, survey, &list);
    assert_int_equal(list.ask.err, ERR_OK);
    survey->ops->close(survey);
    uint64_t keys = 0;
    for (size_t at = 0; at < list.found.size; keys++) {
        uint32_t size = load_le32(list.found.data + at + SURVEY_KEY_HEAD_BYTES - 4);
        buffer_append(names, bytes_of(list.found.data + at + SURVEY_KEY_HEAD_BYTES, size));
        buffer_append_byte(names, ' ');
        at += SURVEY_KEY_HEAD_BYTES + size;
    }
    assert_int_equal(keys, list.ask.keys);
    buffer_append_byte(names, '\0');
    buffer_release(&list.found);
}

TEST(state_survey, a_changed_byte_of_any_record_of_a_key_changes_its_range)
{
    struct question whole;
    struct bed bed;
    fill(&bed);
    sum_up(&bed, &whole);
    size_t count = bed.store.count;
    bed_release(&bed);
    unsigned tried = 0;
    for (size_t i = 0; i < count; i++) {
        fill(&bed);
        struct memory_item *item = &bed.store.items[i];
        uint8_t letter = item->key.data[0];
        bool belongs = letter == 'K' || letter == 'E' || letter == 'I' || letter == 'R';
        if (belongs) {
            struct buffer *at = item->value.size > 0 ? &item->value : &item->key;
            at->data[at->size - 1] ^= 1;
            struct question question;
            struct buffer names;
            buffer_init(&names);
            sum_up(&bed, &question);
            differing_keys(&whole, &question, &bed, &names);
            assert_true(names.size > 1);
            buffer_release(&names);
            tried++;
        }
        bed_release(&bed);
    }
    assert_true(tried > 12);
}

TEST(state_survey, a_key_that_is_missing_is_named_by_the_range_of_the_other)
{
    struct bed bed, other;
    struct question question, less;
    struct buffer names;
    buffer_init(&names);
    fill(&bed);
    fill(&other);
    (void)bed_write(&other, "DEL h");
    assert_int_equal(bed_flush(&other), ERR_OK);
    sum_up(&bed, &question);
    sum_up(&other, &less);
    differing_keys(&question, &less, &bed, &names);
    assert_non_null(strstr((const char *)names.data, "h "));
    buffer_release(&names);
    bed_release(&bed);
    bed_release(&other);
}

TEST(state_survey, more_keys_than_asked_for_are_counted_only)
{
    struct bed bed;
    fill(&bed);
    uint32_t wanted[RANGES];
    struct question list;
    begin(&list, SURVEY_KEYS);
    for (uint32_t i = 0; i < RANGES; i++) wanted[i] = i;
    list.ask.wanted = wanted;
    list.ask.wanted_count = RANGES;
    list.ask.keys_max = 2;
    struct survey *survey = open_survey(&bed);
    answer(&bed, survey, &list);
    survey->ops->close(survey);
    assert_int_equal(list.ask.keys, 7);
    size_t first = SURVEY_KEY_HEAD_BYTES + load_le32(list.found.data + SURVEY_KEY_HEAD_BYTES - 4);
    size_t second = SURVEY_KEY_HEAD_BYTES +
                    load_le32(list.found.data + first + SURVEY_KEY_HEAD_BYTES - 4);
    assert_int_equal(list.found.size, first + second);
    buffer_release(&list.found);
    bed_release(&bed);
}

TEST(state_survey, one_that_has_to_end_says_so)
{
    for (enum survey_kind kind = SURVEY_RECOUNT; kind <= SURVEY_RANGES; kind++) {
        struct bed bed;
        fill(&bed);
        char line[512] = "SET big ";
        memset(line + 8, 'x', 400);
        for (unsigned i = 0; i < 300; i++) {
            line[4] = (char)('a' + i % 26);
            line[5] = (char)('a' + i / 26);
            (void)bed_write(&bed, line);
        }
        assert_int_equal(bed_flush(&bed), ERR_OK);
        bed.store.survey_bytes_max = 1;
        struct question question;
        begin(&question, kind);
        struct survey *survey = open_survey(&bed);
        answer(&bed, survey, &question);
        assert_int_equal(question.ask.err, ERR_SHUT);
        survey->ops->close(survey);
        bed_release(&bed);
    }
}

TEST(state_survey, closed_in_the_middle_it_is_silent_and_lets_its_view_go)
{
    struct bed bed;
    fill(&bed);
    struct question question;
    begin(&question, SURVEY_RANGES);
    struct survey *survey = open_survey(&bed);
    survey->ops->ask(survey, &question.ask);
    survey->ops->close(survey);
    while (memory_store_step(&bed.store)) continue;
    assert_int_equal(question.told, 0);
    assert_null(bed.store.views);
    /* also when the machine is closed before it is carried out */
    survey = open_survey(&bed);
    survey->ops->ask(survey, &question.ask);
    survey->ops->close(survey);
    memory_store_crash(&bed.store);
    bed_release(&bed);
}
