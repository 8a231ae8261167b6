#include "check/body_match.h"

#include <fmt/format.h>

namespace pare::check {
namespace {
constexpr size_t kPatternLimit = 1000;
constexpr size_t kBodyLimit = 256U << 10;
}  // namespace

Result<BodyMatch> BodyMatch::compile(const std::string& pattern) {
  if (pattern.size() > kPatternLimit) {
    return fail(ErrorKind::kUsage,
                fmt::format("a regular expression has at most {} characters", kPatternLimit));
  }
  try {
    // On its own first, so that unbalanced parentheses cannot pair with those around it.
    // __polynomial is libstdc++'s automaton that never backtracks (bits/regex_constants.h).
    auto flags = std::regex::ECMAScript | std::regex::nosubs | std::regex_constants::__polynomial;
    std::regex alone(pattern, flags);
    // One pass from the start: a search would begin anew at every byte.
    return BodyMatch(std::regex("[^]*?(?:" + pattern + ")", flags));
  } catch (const std::regex_error& e) {
    return fail(ErrorKind::kUsage,
                fmt::format("/{}/ is not a regular expression ({})", pattern, e.what()));
  }
}

bool BodyMatch::matches(std::string_view body) const {
  body = body.substr(0, kBodyLimit);
  try {
    return std::regex_search(body.begin(), body.end(), regex_,
                             std::regex_constants::match_continuous);
  } catch (const std::regex_error&) {
    return false;
  }
}

}  // namespace pare::check
