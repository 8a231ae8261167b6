#include "prepare/manifest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <memory>
#include <mutex>
#include <vector>

#include "base/text.h"
#include "prepare/spec.h"

namespace pare::prepare {

namespace {

constexpr std::string_view kLink = "# link ";

// sha256sum(1) writes '\' and newline in names as "\\" and "\n", and puts a '\' before the digest.
std::string escaped(const std::string& path) {
  std::string out;
  for (char c : path) {
    if (c == '\\' || c == '\n') {
      out += '\\';
      c = c == '\n' ? 'n' : '\\';
    }
    out += c;
  }
  return out;
}

std::string unescaped(std::string_view path) {
  std::string out;
  for (size_t i = 0; i < path.size(); ++i) {
    bool escape = path[i] == '\\' && i + 1 < path.size();
    if (escape) ++i;
    out += escape && path[i] == 'n' ? '\n' : path[i];
  }
  return out;
}

std::string line(const std::string& digest, const std::string& path) {
  std::string name = escaped(path);
  return (name == path ? "" : "\\") + digest + "  " + name + "\n";
}

std::string hex(const unsigned char* digest, unsigned size) {
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += "0123456789abcdef"[digest[i] >> 4];
    out += "0123456789abcdef"[digest[i] & 15];
  }
  return out;
}

class Hasher {
 public:
  Result<std::string> file(int fd, uint64_t& bytes) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
    while (true) {
      ssize_t n = read(fd, buffer_.data(), buffer_.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return fail_errno("cannot read", errno);
      if (n == 0) break;
      bytes += static_cast<uint64_t>(n);
      EVP_DigestUpdate(context_.get(), buffer_.data(), static_cast<size_t>(n));
    }
    EVP_DigestFinal_ex(context_.get(), digest, &size);
    return hex(digest, size);
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free};
  std::vector<unsigned char> buffer_ = std::vector<unsigned char>(256 << 10);
};

class Digester {
 public:
  Digester(const Volume& volume, const std::string& except) : volume_(volume), except_(except) {}

  Status entry(const Node& node, const std::string& name, unsigned char type) {
    std::string path = node.path_of(name);
    if (path == except_) return {};
    if (type == DT_LNK) return link(node, name, path);
    // O_NONBLOCK: a FIFO put there meanwhile must not make the walk wait.
    PARE_TRY(UniqueFd fd, volume_.open_at(node.fd.get(), name, O_RDONLY | O_NONBLOCK | O_NOCTTY));
    PARE_TRY(struct statx st, look(fd.get(), ""));
    if (!S_ISREG(st.stx_mode)) {
      return fail(ErrorKind::kHost, path + " is no regular file, directory or link");
    }
    thread_local Hasher hasher;
    uint64_t bytes = 0;
    PARE_TRY(std::string digest, hasher.file(fd.get(), bytes));
    std::lock_guard guard(mutex_);
    digested.manifest.files[path] = digest;
    digested.bytes += bytes;
    return {};
  }

  Digested digested;

 private:
  Status link(const Node& node, const std::string& name, const std::string& path) {
    std::string to(PATH_MAX, '\0');
    ssize_t n = readlinkat(node.fd.get(), name.c_str(), to.data(), to.size());
    if (n < 0) return refusal(path, errno);
    to.resize(static_cast<size_t>(n));
    std::lock_guard guard(mutex_);
    digested.manifest.links[path] = base::sha256_hex(to);
    return {};
  }

  const Volume& volume_;
  std::string except_;
  std::mutex mutex_;
};

void compare(const std::map<std::string, std::string>& expected,
             const std::map<std::string, std::string>& found, bool extra,
             std::vector<std::string>& out) {
  for (const auto& [path, digest] : expected) {
    auto it = found.find(path);
    if (it == found.end()) {
      out.push_back(path + " is missing");
    } else if (it->second != digest) {
      std::string& text = out.emplace_back(path);
      text.append(" is not what the manifest says: SHA-256 ").append(it->second);
      text.append(", not ").append(digest);
    }
  }
  if (extra) return;
  for (const auto& [path, digest] : found) {
    if (expected.count(path) == 0) out.push_back(path + " is not in the manifest");
  }
}

}  // namespace

Result<Manifest> parse_manifest(const std::string& text, const std::string& what) {
  Manifest manifest;
  int number = 0;
  for (const std::string& whole : base::split(text, '\n')) {
    ++number;
    std::string_view rest = whole;
    bool link = base::starts_with(rest, kLink);
    if (link) rest.remove_prefix(kLink.size());
    if (rest.empty() || (!link && rest[0] == '#')) continue;
    bool escape = rest[0] == '\\';
    if (escape) rest.remove_prefix(1);
    bool good = rest.size() > 66 && rest[64] == ' ' && (rest[65] == ' ' || rest[65] == '*');
    std::string digest = good ? base::lower(rest.substr(0, 64)) : "";
    if (digest.find_first_not_of("0123456789abcdef") != std::string::npos) good = false;
    std::string where = what + ":" + std::to_string(number);
    if (!good) {
      return fail(ErrorKind::kUsage, where +
                                         ": not a line of sha256sum: 64 hex digits, two "
                                         "blanks, a path");
    }
    std::string path = escape ? unescaped(rest.substr(66)) : std::string(rest.substr(66));
    if (base::starts_with(path, "./")) path.erase(0, 2);
    PARE_CHECK_OK(check_inside(path, where));
    (link ? manifest.links : manifest.files)[path] = digest;
  }
  return manifest;
}

std::string to_text(const Manifest& manifest) {
  std::string out;
  for (const auto& [path, digest] : manifest.files) out += line(digest, path);
  for (const auto& [path, digest] : manifest.links) out += std::string(kLink) + line(digest, path);
  return out;
}

Result<Digested> digest(const Volume& volume, const std::string& except, unsigned threads,
                        std::atomic<uint64_t>& progress) {
  Digester digester(volume, except);
  Visitor visitor;
  visitor.entry = [&](const Node& node, const std::string& name, unsigned char type) {
    return digester.entry(node, name, type);
  };
  // One file at a time: they may be large.
  PARE_TRY(WalkResult walked, walk(volume, threads, 1, visitor, progress));
  digester.digested.walk = std::move(walked);
  return std::move(digester.digested);
}

std::vector<std::string> differences(const Manifest& expected, const Manifest& found, bool extra) {
  std::vector<std::string> out;
  compare(expected.files, found.files, extra, out);
  compare(expected.links, found.links, extra, out);
  return out;
}

}  // namespace pare::prepare
