#include "trial/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "trial/outcome_json.h"

namespace pare::trial {

using base::Json;

namespace {

constexpr const char* kSchema = "pare.journal/v1";

bool exists(const std::string& path) {
  return access(path.c_str(), F_OK) == 0;
}

// The lines that were written whole; a torn last line (the writer was killed) is left out.
std::vector<Json> read_lines(const std::string& text) {
  std::vector<Json> lines;
  size_t begin = 0;
  for (size_t end; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    Json line = Json::parse(text.substr(begin, end - begin), nullptr, false);
    if (line.is_discarded() || !line.is_object()) break;
    lines.push_back(std::move(line));
  }
  return lines;
}

Status append_line(int fd, const Json& json) {
  std::string line = base::write_json(json) + "\n";
  ssize_t n = write(fd, line.data(), line.size());
  if (n != static_cast<ssize_t>(line.size())) return fail_errno("cannot write the journal", errno);
  if (fdatasync(fd) != 0) return fail_errno("cannot write the journal", errno);
  return {};
}

Result<std::map<int, std::string>> read_keys(const std::string& path, const std::string& question) {
  PARE_TRY(std::string text, base::read_file(path));
  std::vector<Json> lines = read_lines(text);
  if (lines.empty()) return std::map<int, std::string>{};
  if (base::text_member(lines[0], "schema") != kSchema ||
      base::text_member(lines[0], "question") != question) {
    return fail(ErrorKind::kUsage, path +
                                       " belongs to another question (the target, platform, checks "
                                       "or options differ): choose another -o, or leave out "
                                       "--resume after moving it away");
  }
  std::map<int, std::string> keys;
  for (const Json& line : lines) {
    if (line.contains("finished") && line["finished"].is_number_integer())
      keys[line["finished"].get<int>()] = base::text_member(line, "request");
  }
  return keys;
}

// Whether it holds more than its head: nothing is lost of a proof that ended before its first
// trial.
bool has_trials(const std::string& path) {
  std::vector<Json> lines = read_lines(base::read_file(path).value_or(""));
  return lines.size() != 1 || base::text_member(lines[0], "schema") != kSchema;
}

}  // namespace

Result<Journal> Journal::open(const std::string& directory, const std::string& question,
                              bool resume) {
  PARE_CHECK_OK(base::make_directories(directory));
  std::string path = directory + "/journal.jsonl";
  std::map<int, std::string> keys;
  if (resume && exists(path)) {
    PARE_TRY(keys, read_keys(path, question));
  } else if (exists(path) && !exists(directory + "/proof.json") && has_trials(path)) {
    return fail(ErrorKind::kUsage,
                directory +
                    " holds an unfinished proof: add --resume to continue it, or choose "
                    "another directory with -o");
  }
  // Rewritten whole, which also drops a torn line.
  std::string head = base::write_json(Json({{"schema", kSchema}, {"question", question}})) + "\n";
  for (const auto& [id, key] : keys) {
    head += base::write_json(Json({{"finished", id}, {"request", key}})) + "\n";
  }
  PARE_CHECK_OK(base::write_file_atomic(path, head));
  if (unlink((directory + "/proof.json").c_str()) != 0 && errno != ENOENT) {
    return fail_errno("cannot replace " + directory + "/proof.json", errno);
  }
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd.valid()) return fail_errno("cannot open " + path, errno);
  Journal journal(directory, std::move(fd));
  journal.keys_ = std::move(keys);
  return journal;
}

Result<std::optional<prove::Outcome>> Journal::find(const prove::Request& request) const {
  auto it = keys_.find(request.id);
  if (it == keys_.end() || it->second != request_key(request)) return std::nullopt;
  std::string path = directory_ + "/trials/" + std::to_string(request.id) + "/outcome.json";
  if (!exists(path)) return std::nullopt;
  PARE_TRY(std::string text, base::read_file(path));
  PARE_TRY(Json json, base::parse_json(text, path));
  PARE_TRY(prove::Outcome outcome, outcome_from_json(json, path));
  return outcome;
}

Status Journal::record(const prove::Request& request, const prove::Outcome& outcome) {
  PARE_TRY(std::string directory, trial_directory(request.id));
  PARE_CHECK_OK(
      base::write_file_atomic(directory + "/outcome.json", base::write_json(to_json(outcome), 1)));
  keys_[request.id] = request_key(request);
  return append_line(fd_.get(), {{"finished", request.id},
                                 {"request", keys_[request.id]},
                                 {"kind", request.kind},
                                 {"pass", outcome.pass},
                                 {"starts", outcome.starts},
                                 {"seconds", outcome.seconds}});
}

Result<std::string> Journal::trial_directory(int id) const {
  std::string directory = directory_ + "/trials/" + std::to_string(id);
  PARE_CHECK_OK(base::make_directories(directory));
  return directory;
}

}  // namespace pare::trial
