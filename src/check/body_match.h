// A regular expression over a response's body, in time linear in the body: no server can make the
// matching itself hang or overflow the stack, as backtracking would.
#pragma once

#include <regex>
#include <string>
#include <string_view>

#include "base/result.h"

namespace pare::check {

class BodyMatch {
 public:
  // ECMAScript without back references. kUsage with what is wrong.
  static Result<BodyMatch> compile(const std::string& pattern);

  // Anywhere in the first 256 KiB of the body.
  bool matches(std::string_view body) const;

 private:
  explicit BodyMatch(std::regex regex) : regex_(std::move(regex)) {}
  std::regex regex_;
};

}  // namespace pare::check
