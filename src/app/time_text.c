/* SPDX-License-Identifier: Apache-2.0 */
#include "app/time_text.h"

#include <inttypes.h>
#include <stdio.h>

/* RFC 3339, UTC. The days are turned into a date of the Gregorian calendar, its years from March
 * on. */
void time_text_format(uint64_t ms, char out[TIME_TEXT_BYTES])
{
    uint64_t days = ms / 86400000 + 719468, second = ms / 1000 % 86400;
    uint64_t era = days / 146097, of_era = days % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153, day = of_year - (153 * month + 2) / 5 + 1;
    month = month < 10 ? month + 3 : month - 9;
    year += era * 400 + (month <= 2 ? 1 : 0);
    (void)snprintf(out, TIME_TEXT_BYTES, "%04" PRIu64 "-%02u-%02uT%02u:%02u:%02u.%03uZ", year,
                   (unsigned)month, (unsigned)day, (unsigned)(second / 3600),
                   (unsigned)(second / 60 % 60), (unsigned)(second % 60), (unsigned)(ms % 1000));
}

/* `count` digits, and goes behind them. */
static bool take_digits(const char **text, unsigned count, uint64_t *value)
{
    *value = 0;
    for (unsigned i = 0; i < count; i++, (*text)++) {
        if (**text < '0' || **text > '9') return false;
        *value = *value * 10 + (uint64_t)(**text - '0');
    }
    return true;
}

static bool take_char(const char **text, char c)
{
    if (**text != c) return false;
    (*text)++;
    return true;
}

/* The reverse of the above: of days since 1970, months from March on. */
static uint64_t days_of(uint64_t year, uint64_t month, uint64_t day)
{
    if (month <= 2) year--;
    uint64_t of_era = year % 400, shifted = month > 2 ? month - 3 : month + 9;
    uint64_t of_year = (153 * shifted + 2) / 5 + day - 1;
    return year / 400 * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

bool time_text_parse(const char *text, uint64_t *ms)
{
    uint64_t year, month, day, hour, minute, second, fraction = 0;
    bool whole = take_digits(&text, 4, &year) && take_char(&text, '-') &&
                 take_digits(&text, 2, &month) && take_char(&text, '-') &&
                 take_digits(&text, 2, &day) && take_char(&text, 'T') &&
                 take_digits(&text, 2, &hour) && take_char(&text, ':') &&
                 take_digits(&text, 2, &minute) && take_char(&text, ':') &&
                 take_digits(&text, 2, &second);
    if (!whole) return false;
    if (take_char(&text, '.')) {
        unsigned digits = 0;
        for (uint64_t digit; digits < 3 && take_digits(&text, 1, &digit); digits++)
            fraction = fraction * 10 + digit;
        if (digits == 0) return false;
        for (; digits < 3; digits++) fraction *= 10;
    }
    if (!take_char(&text, 'Z') || *text != '\0') return false;
    if (year < 1970 || month == 0 || month > 12 || day == 0 || day > 31 || hour > 23 ||
        minute > 59 || second > 59)
        return false;
    uint64_t read = days_of(year, month, day) * 86400000 + hour * 3600000 + minute * 60000 +
                    second * 1000 + fraction;
    /* 31 February is another day, and so no day. */
    char again[TIME_TEXT_BYTES];
    time_text_format(read, again);
    const char *day_of = again + 8;
    uint64_t same;
    if (!take_digits(&day_of, 2, &same) || same != day) return false;
    *ms = read;
    return true;
}
