// --refusal: how egress fails where it is closed, by the words that people write.
#pragma once

#include <string>
#include <utility>

#include "base/result.h"
#include "privilege/policy.h"

namespace pare::cli {

inline constexpr std::pair<const char*, privilege::Refusal> kRefusals[] = {
    {"unreachable", privilege::Refusal::kUnreachable},
    {"refused", privilege::Refusal::kRefused},
    {"silent", privilege::Refusal::kDropped}};

inline Result<privilege::Refusal> parse_refusal(const std::string& text) {
  for (const auto& [name, refusal] : kRefusals)
    if (text == name) return refusal;
  return fail(ErrorKind::kUsage,
              "--refusal is 'unreachable', 'refused' or 'silent', not '" + text + "'");
}

}  // namespace pare::cli
