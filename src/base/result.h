// What can fail returns Result<T>; nothing in pare's own code throws, and libraries never log.
#pragma once

#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace pare::base {

// The kind decides the process's exit code (see exit_code).
enum class ErrorKind {
  kUsage,     // bad input on the command line or in a file that the user named: 2
  kHost,      // the host lacks something, or an operation on it failed: 3
  kBaseline,  // the unchanged target fails its own checks: 4
  kUnread,    // something could not be read to the end: 5
};

struct Error {
  ErrorKind kind = ErrorKind::kHost;
  std::string message;  // one sentence: what, where (file:line), remedy
  int sys_errno = 0;    // errno(3), 0 when no system call failed
};

template <typename T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

inline tl::unexpected<Error> fail(ErrorKind kind, std::string message, int sys_errno = 0) {
  return tl::unexpected<Error>(Error{kind, std::move(message), sys_errno});
}

// "message: strerror(err)", kind kHost.
tl::unexpected<Error> fail_errno(std::string message, int err);

// 2, 3, 4 or 5 as listed at ErrorKind.
int exit_code(ErrorKind kind);

}  // namespace pare::base

namespace pare {
using base::Error;
using base::ErrorKind;
using base::fail;
using base::fail_errno;
using base::Result;
using base::Status;
}  // namespace pare

// PARE_TRY(var, expr): var = value of expr, or return its error from the enclosing function.
#define PARE_CONCAT_(a, b) a##b
#define PARE_CONCAT(a, b) PARE_CONCAT_(a, b)
#define PARE_TRY(var, expr) PARE_TRY_(PARE_CONCAT(pare_try_, __LINE__), var, expr)
#define PARE_TRY_(tmp, var, expr)                          \
  auto tmp = (expr);                                       \
  if (!tmp) return tl::unexpected(std::move(tmp).error()); \
  var = std::move(*tmp)
// PARE_CHECK_OK(expr): the same for Status.
#define PARE_CHECK_OK(expr)                                  \
  do {                                                       \
    if (auto pare_status = (expr); !pare_status)             \
      return tl::unexpected(std::move(pare_status).error()); \
  } while (false)
