#include "base/result.h"

#include <cstring>

namespace pare::base {

tl::unexpected<Error> fail_errno(std::string message, int err) {
  return fail(ErrorKind::kHost, std::move(message) + ": " + strerror(err), err);
}

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return 2;
    case ErrorKind::kHost:
      return 3;
    case ErrorKind::kBaseline:
      return 4;
    case ErrorKind::kUnread:
      return 5;
  }
  return 3;
}

}  // namespace pare::base
