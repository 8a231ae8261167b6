#include "prove/runner.h"

#include <cctype>

#include "base/text.h"

namespace pare::prove {

std::string answer_digest(const std::string& answer) {
  if (answer.empty()) return "";
  std::string folded;
  for (char c : answer) {
    if (std::isdigit(static_cast<unsigned char>(c)) == 0) {
      folded += c;
    } else if (folded.empty() || folded.back() != '0') {
      folded += '0';
    }
  }
  return base::sha256_hex(folded);
}

bool asks_endpoints(const std::string& kind) {
  return kind == "baseline" || kind == "settings" || kind == "confirm";
}

}  // namespace pare::prove
