// Docker's multiplexed output (API, "Attach to a container", stream format).
#pragma once

#include <string>
#include <string_view>

namespace pare::engine {

// Eight bytes in front of each piece: stream number, three zeros, big-endian length. With a
// terminal the daemon sends the output as it is.
class OutputDemux {
 public:
  explicit OutputDemux(bool raw) : raw_(raw) {}
  // The output in these bytes, standard output and error together, in their order.
  std::string feed(std::string_view bytes);

 private:
  bool raw_;
  std::string head_;  // of a piece, as far as it came
  size_t left_ = 0;   // bytes of the piece in hand
};

}  // namespace pare::engine
