#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare::base {

std::vector<std::string> split(std::string_view text, char separator);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::string_view trim(std::string_view text);
std::string lower(std::string_view text);
std::string upper(std::string_view text);
bool starts_with(std::string_view text, std::string_view prefix);
bool ends_with(std::string_view text, std::string_view suffix);

// The whole text as a decimal number; nullopt for signs, blanks, overflow, empty.
std::optional<uint64_t> parse_u64(std::string_view text);

// Quoted so that a POSIX shell reads it back as one word; unquoted where that is the same.
std::string shell_quote(std::string_view word);
std::string shell_join(const std::vector<std::string>& words);

// As text or an attribute's value in HTML 5 and XML 1.0: & < > " ' and line ends as references;
// control characters, which XML cannot hold, are left out.
std::string escape_markup(std::string_view text);

// Every run of digits as one '#': lines of a log that differ in numbers alone become the same.
std::string without_numbers(std::string_view text);

// The nearest of `candidates` within an edit distance of 2 (a "did you mean"); empty if none.
std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

// SHA-256 (FIPS 180-4) of the bytes, lower-case hex.
std::string sha256_hex(std::string_view bytes);

}  // namespace pare::base
