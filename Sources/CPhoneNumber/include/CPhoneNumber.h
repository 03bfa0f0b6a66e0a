// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

#ifndef CALL_SCHEDULER_C_PHONE_NUMBER_H
#define CALL_SCHEDULER_C_PHONE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// What libphonenumber makes of a text.
typedef enum {
    CPHONE_VALID = 0,
    /// Of a possible length, in no range that is assigned according to the library's tables.
    CPHONE_UNASSIGNED,
    CPHONE_NOT_A_NUMBER,
    CPHONE_NO_COUNTRY,
    CPHONE_UNKNOWN_COUNTRY_CODE,
    CPHONE_TOO_SHORT,
    CPHONE_TOO_LONG,
    /// Neither too short nor too long, and yet a length that the country does not have.
    CPHONE_WRONG_LENGTH,
    /// Without its area code.
    CPHONE_LOCAL_ONLY,
    CPHONE_HAS_EXTENSION,
    CPHONE_HAS_LETTERS,
    CPHONE_FAILED
} cphone_status;

typedef struct {
    /// With the plus sign, terminated by a zero byte; set for CPHONE_VALID and CPHONE_UNASSIGNED.
    char e164[24];
    /// ISO 3166 alpha-2, or "001" for a number of no country, or empty when it is not known.
    char region[4];
} cphone_number;

/// Reads a number. `region` (ISO 3166 alpha-2, upper case) is where a national number belongs; NULL for nowhere.
/// May be called from any thread.
cphone_status cphone_parse(const char *text, size_t length, const char *region, cphone_number *number);

/// The same without the short way that a plain E.164 number takes; tests compare the two.
cphone_status cphone_parse_thoroughly(const char *text, size_t length, const char *region, cphone_number *number);

/// Copies up to `capacity` of the regions that the library knows, in order; returns how many there are.
size_t cphone_regions(char (*regions)[4], size_t capacity);

/// The country code of this region, 0 if there is none.
int cphone_country_code(const char *region);

/// Whether a number, E.164, is written with a 0 in front in its own country that does not belong to it: 1 or 0.
int cphone_has_trunk_zero(const char *e164);

/// A number of this region that the library holds as an example, in E.164; 0 if it has none.
int cphone_example(const char *region, cphone_number *number);

#ifdef __cplusplus
}
#endif

#endif
