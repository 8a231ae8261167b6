#include "confine/egress_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"

namespace pare::confine {

namespace {

constexpr size_t kLook = 1 << 20;  // bytes that are read at once; what is beyond is counted alone
constexpr size_t kLongestLine = 400, kKinds = 4096;

}  // namespace

LogMeter::LogMeter(LogSource source, Clock::time_point now)
    : source_(std::move(source)), began_(now) {
  open_file(true);
}

void LogMeter::open_file(bool at_end) {
  if (source_.path.empty()) return;
  file_ = UniqueFd(open(source_.path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat st {};
  if (!file_.valid() || fstat(file_.get(), &st) != 0) return;
  inode_ = st.st_ino;
  offset_ = at_end ? static_cast<uint64_t>(st.st_size) : 0;
  partial_.clear();
}

void LogMeter::look() {
  struct stat st {};
  if (source_.path.empty()) return;
  const bool there = stat(source_.path.c_str(), &st) == 0;
  if (there && (!file_.valid() || st.st_ino != inode_)) open_file(false);  // made, or rotated
  if (!file_.valid() || fstat(file_.get(), &st) != 0) return;
  auto size = static_cast<uint64_t>(st.st_size);
  if (size < offset_) offset_ = 0;  // emptied
  if (size > offset_ + kLook) {
    bytes_ += size - kLook - offset_;
    offset_ = size - kLook;
    partial_.clear();
  }
  std::string buffer(size - offset_, '\0');
  const ssize_t n = pread(file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset_));
  if (n <= 0) return;
  offset_ += static_cast<uint64_t>(n);
  take(std::string_view(buffer).substr(0, static_cast<size_t>(n)));
}

void LogMeter::take(std::string_view bytes) {
  if (!source_.docker) bytes_ += bytes.size();
  while (!bytes.empty()) {
    const size_t end = bytes.find('\n');
    if (partial_.size() < kLook) partial_.append(bytes.substr(0, end));
    if (end == std::string_view::npos) return;
    bytes.remove_prefix(end + 1);
    take_line(partial_);
    partial_.clear();
  }
}

void LogMeter::take_line(std::string_view line) {
  std::string text(line);
  if (source_.docker) {
    auto entry = base::parse_json(text, "a line of Docker's log");
    if (!entry || !entry->is_object() || !entry->contains("log") || !(*entry)["log"].is_string())
      return;
    text = (*entry)["log"].get<std::string>();
    bytes_ += text.size();
  }
  text = std::string(base::trim(text)).substr(0, kLongestLine);
  if (text.empty()) return;
  const std::string shape = base::without_numbers(text);
  auto known = lines_.find(shape);
  if (known == lines_.end()) {
    if (lines_.size() >= kKinds) return;
    known = lines_.emplace(shape, LogPicture::Line{text, 0}).first;
    for (char& c : known->second.sample)
      if (c < ' ' || c >= 127) c = '?';  // it is shown on terminals
  }
  ++known->second.count;
}

LogPicture LogMeter::picture(Clock::time_point now) const {
  LogPicture picture;
  picture.known = file_.valid();
  picture.bytes = bytes_;
  const double seconds = std::chrono::duration<double>(now - began_).count();
  if (seconds > 0) picture.bytes_per_second = static_cast<double>(bytes_) / seconds;
  for (const auto& [shape, line] : lines_) {
    if (line.count <= LogPicture::kRepeats) continue;
    picture.repeated_lines += line.count;
    picture.repeated.push_back(line);
  }
  std::sort(picture.repeated.begin(), picture.repeated.end(),
            [](const auto& a, const auto& b) { return a.count > b.count; });
  if (picture.repeated.size() > LogPicture::kShown) picture.repeated.resize(LogPicture::kShown);
  return picture;
}

}  // namespace pare::confine
