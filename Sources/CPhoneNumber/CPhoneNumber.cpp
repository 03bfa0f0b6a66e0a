// Call Scheduler
// SPDX-License-Identifier: Apache-2.0

#include "CPhoneNumber.h"

#include <phonenumbers/logger.h>
#include <phonenumbers/phonenumberutil.h>

#include <array>
#include <cstring>
#include <list>
#include <set>
#include <string>

using i18n::phonenumbers::Logger;
using i18n::phonenumbers::PhoneNumber;
using Util = i18n::phonenumbers::PhoneNumberUtil;

namespace {

// The library would write to standard output, which belongs to the answers of commands.
class SilentLogger : public Logger {
public:
    void WriteMessage(const std::string &) override {}
};

struct CallingCode {
    std::string main_region;
    bool is_shared = false;
};

struct Library {
    Util *util;
    std::array<CallingCode, 1000> codes;

    Library() : util(Util::GetInstance()) {
        util->SetLogger(new SilentLogger());
        std::set<int> known;
        util->GetSupportedCallingCodes(&known);
        for (int code : known) {
            std::list<std::string> regions;
            util->GetRegionCodesForCountryCallingCode(code, &regions);
            util->GetRegionCodeForCountryCode(code, &codes.at(code).main_region);
            codes.at(code).is_shared = regions.size() > 1;
        }
    }
};

const Library &library() {
    static const Library instance;
    return instance;
}

// Sets the region: the one in which the number is valid, else the main one of its country code.
bool is_valid(const PhoneNumber &number, std::string *region) {
    const Library &lib = library();
    lib.util->GetRegionCodeForNumber(number, region);
    const CallingCode &code = lib.codes.at(number.country_code());
    if (*region == "ZZ" || region->empty()) {
        *region = code.main_region;
        return false;
    }
    // In North America the library finds the main region by nothing but the number's validity there; elsewhere it may have
    // gone by the first digits alone.
    constexpr int north_america = 1;
    if (number.country_code() == north_america && *region == code.main_region) return true;
    return lib.util->IsValidNumberForRegion(number, *region);
}

bool write(const PhoneNumber &number, const std::string &region, cphone_number *result) {
    std::string text;
    library().util->Format(number, Util::E164, &text);
    if (text.size() >= sizeof(result->e164) || region.size() >= sizeof(result->region)) return false;
    std::memcpy(result->e164, text.c_str(), text.size() + 1);
    std::memcpy(result->region, region.c_str(), region.size() + 1);
    return true;
}

// A number that is valid just as it stands needs no parsing, which takes most of the library's time. Mexico's may still
// carry the 1 that mobile numbers had until 2019.
bool parse_plain(const char *text, size_t length, cphone_number *result) {
    constexpr int mexico = 52;
    if (length < 8 || length > 16 || text[0] != '+') return false;
    for (size_t i = 1; i < length; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
    }
    int code = 0;
    size_t start = 1;
    const Library &lib = library();
    do {
        code = code * 10 + (text[start++] - '0');
    } while (start < 4 && lib.codes.at(code).main_region.empty());
    if (lib.codes.at(code).main_region.empty() || code == mexico || text[start] == '0') return false;
    uint64_t national = 0;
    for (size_t i = start; i < length; i++) national = national * 10 + static_cast<uint64_t>(text[i] - '0');
    PhoneNumber number;
    number.set_country_code(code);
    number.set_national_number(national);
    std::string region;
    return is_valid(number, &region) && write(number, region, result);
}

// Letters are digits on North American keypads; elsewhere they are a remark that somebody wrote beside a number.
bool has_letters(const char *text, size_t length) {
    bool saw_digit = false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] >= '0' && text[i] <= '9') saw_digit = true;
        const char lower = static_cast<char>(text[i] | 0x20);
        if (saw_digit && lower >= 'a' && lower <= 'z') return true;
    }
    return false;
}

bool has_plus(const std::string &text) {
    return text.find('+') != std::string::npos || text.find("\xEF\xBC\x8B") != std::string::npos;
}

cphone_status parse(const char *text, size_t length, const char *region, cphone_number *result) {
    constexpr int north_america = 1;
    const Util *util = library().util;
    const std::string input(text, length);
    PhoneNumber number;
    switch (util->Parse(input, region ? region : "ZZ", &number)) {
        case Util::NO_PARSING_ERROR: break;
        case Util::INVALID_COUNTRY_CODE_ERROR:
            return region || has_plus(input) ? CPHONE_UNKNOWN_COUNTRY_CODE : CPHONE_NO_COUNTRY;
        case Util::TOO_SHORT_AFTER_IDD:
        case Util::TOO_SHORT_NSN: return CPHONE_TOO_SHORT;
        case Util::TOO_LONG_NSN: return CPHONE_TOO_LONG;
        default: return CPHONE_NOT_A_NUMBER;
    }
    if (number.has_extension()) return CPHONE_HAS_EXTENSION;
    if (number.country_code() != north_america && has_letters(text, length)) return CPHONE_HAS_LETTERS;
    std::string found;
    const bool valid = is_valid(number, &found);
    if (!write(number, found, result)) return CPHONE_TOO_LONG;
    if (valid) return CPHONE_VALID;
    switch (util->IsPossibleNumberWithReason(number)) {
        case Util::IS_POSSIBLE: return CPHONE_UNASSIGNED;
        case Util::IS_POSSIBLE_LOCAL_ONLY: return CPHONE_LOCAL_ONLY;
        case Util::INVALID_COUNTRY_CODE: return CPHONE_UNKNOWN_COUNTRY_CODE;
        case Util::TOO_SHORT: return CPHONE_TOO_SHORT;
        case Util::TOO_LONG: return CPHONE_TOO_LONG;
        default: return CPHONE_WRONG_LENGTH;
    }
}

}  // namespace

cphone_status cphone_parse(const char *text, size_t length, const char *region, cphone_number *number) {
    try {
        std::memset(number, 0, sizeof(*number));
        if (parse_plain(text, length, number)) return CPHONE_VALID;
        return parse(text, length, region, number);
    } catch (...) {
        return CPHONE_FAILED;
    }
}

cphone_status cphone_parse_thoroughly(const char *text, size_t length, const char *region, cphone_number *number) {
    try {
        std::memset(number, 0, sizeof(*number));
        return parse(text, length, region, number);
    } catch (...) {
        return CPHONE_FAILED;
    }
}

size_t cphone_regions(char (*regions)[4], size_t capacity) {
    try {
        std::set<std::string> known;
        library().util->GetSupportedRegions(&known);
        size_t count = 0;
        for (const std::string &region : known) {
            if (count < capacity && region.size() < 4) std::memcpy(regions[count], region.c_str(), region.size() + 1);
            count++;
        }
        return count;
    } catch (...) {
        return 0;
    }
}

int cphone_country_code(const char *region) {
    try {
        return library().util->GetCountryCodeForRegion(region);
    } catch (...) {
        return 0;
    }
}

int cphone_has_trunk_zero(const char *e164) {
    try {
        const Util *util = library().util;
        PhoneNumber number;
        std::string national;
        if (util->Parse(e164, "ZZ", &number) != Util::NO_PARSING_ERROR || number.italian_leading_zero()) return 0;
        util->Format(number, Util::NATIONAL, &national);
        const size_t first = national.find_first_of("0123456789");
        return first != std::string::npos && national[first] == '0' ? 1 : 0;
    } catch (...) {
        return 0;
    }
}

int cphone_example(const char *region, cphone_number *number) {
    try {
        PhoneNumber example;
        std::memset(number, 0, sizeof(*number));
        if (!library().util->GetExampleNumber(region, &example)) return 0;
        std::string found;
        is_valid(example, &found);
        return write(example, found, number) ? 1 : 0;
    } catch (...) {
        return 0;
    }
}
