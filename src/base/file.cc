#include "base/file.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "base/unique_fd.h"

namespace pare::base {

// What is read whole is text that people or pare wrote; a device has no end.
static constexpr size_t kMostOfFile = size_t{256} << 20;

Result<std::string> read_file(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    int err = errno;
    auto error = fail_errno("cannot read " + path, err);
    if (err == ENOENT || err == ENOTDIR) {
      error.value().kind = ErrorKind::kUsage;
    }
    return error;
  }
  auto content = read_all(fd.get(), path, kMostOfFile);
  if (content && content->size() > kMostOfFile) {
    return fail(ErrorKind::kUsage, path + " does not end within 256 MiB: name a text file");
  }
  return content;
}

Result<std::string> read_all(int fd, const std::string& path, size_t most) {
  std::string content;
  char buffer[65536];
  while (content.size() <= most) {
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("cannot read " + path, errno);
    if (n == 0) break;
    content.append(buffer, static_cast<size_t>(n));
  }
  return content;
}

Status write_all(int fd, std::string_view content, const std::string& path) {
  while (!content.empty()) {
    ssize_t n = write(fd, content.data(), content.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("cannot write " + path, errno);
    content.remove_prefix(static_cast<size_t>(n));
  }
  return {};
}

Status write_file_atomic(const std::string& path, std::string_view content, unsigned mode) {
  std::string temporary = path + ".XXXXXX";
  UniqueFd fd(mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd.valid()) return fail_errno("cannot write " + path, errno);
  Status written = write_all(fd.get(), content, path);
  if (written && fchmod(fd.get(), mode) != 0) written = fail_errno("cannot write " + path, errno);
  if (written && fsync(fd.get()) != 0) written = fail_errno("cannot write " + path, errno);
  if (written && rename(temporary.c_str(), path.c_str()) != 0) {
    written = fail_errno("cannot write " + path, errno);
  }
  if (!written) unlink(temporary.c_str());
  return written;
}

Status make_directories(const std::string& path, unsigned mode) {
  for (size_t at = 1; at <= path.size(); ++at) {
    if (at != path.size() && path[at] != '/') continue;
    std::string prefix = path.substr(0, at);
    if (mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST) {
      return fail_errno("cannot create directory " + prefix, errno);
    }
  }
  struct stat st {};
  if (stat(path.c_str(), &st) != 0) return fail_errno("cannot create directory " + path, errno);
  if (!S_ISDIR(st.st_mode)) return fail(ErrorKind::kUsage, path + " is not a directory");
  return {};
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace pare::base
