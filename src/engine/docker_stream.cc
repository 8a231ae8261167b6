#include "engine/docker_stream.h"

#include <algorithm>

namespace pare::engine {

std::string OutputDemux::feed(std::string_view bytes) {
  constexpr size_t kHead = 8;
  if (raw_) return std::string(bytes);
  std::string out;
  while (!bytes.empty()) {
    if (left_ == 0) {
      size_t take = std::min(kHead - head_.size(), bytes.size());
      head_ += bytes.substr(0, take);
      bytes.remove_prefix(take);
      if (head_.size() < kHead) break;
      for (size_t i = 4; i < kHead; ++i) left_ = left_ << 8 | static_cast<unsigned char>(head_[i]);
      head_.clear();
      continue;
    }
    size_t take = std::min(left_, bytes.size());
    out += bytes.substr(0, take);
    bytes.remove_prefix(take);
    left_ -= take;
  }
  return out;
}

}  // namespace pare::engine
