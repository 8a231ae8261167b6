// A pasted `curl ...` line: what people have at hand that shows their server works (curl(1)).
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "check/spec_parts.h"
#include "check/words.h"

namespace pare::check {
namespace {

struct Line {
  Spec spec;
  std::string url;
  std::string default_type;  // Content-Type that curl gives to the data
  bool data = false;
};

void add_data(Line& line, std::string_view bytes, std::string_view separator,
              std::string_view type) {
  if (line.data) line.spec.body += separator;
  line.spec.body += bytes;
  line.data = true;
  line.default_type = type;
}

Result<std::string> data_or_file(const std::string& value, const FileReader& read) {
  if (!base::starts_with(value, "@")) return value;
  if (value == "@-") return fail(ErrorKind::kUsage, "there is no standard input to read data from");
  return read(value.substr(1));
}

constexpr std::string_view kForm = "application/x-www-form-urlencoded";

Status set_request(Line& line, const std::string& value, const FileReader&) {
  line.spec.method = base::upper(value);
  bool word = !value.empty() && std::all_of(value.begin(), value.end(),
                                            [](unsigned char c) { return isalpha(c) != 0; });
  if (word) return {};
  return fail(ErrorKind::kUsage, fmt::format("'{}' is not an HTTP method", value));
}

Status add_header(Line& line, const std::string& value, const FileReader&) {
  PARE_TRY(std::string header, parse_header(value));
  line.spec.headers.push_back(std::move(header));
  return {};
}

Status add_form_data(Line& line, const std::string& value, const FileReader& read) {
  PARE_TRY(std::string bytes, data_or_file(value, read));
  if (base::starts_with(value, "@")) {  // curl(1): carriage returns, newlines and nulls go
    bytes.erase(std::remove_if(bytes.begin(), bytes.end(),
                               [](char c) { return c == '\r' || c == '\n' || c == '\0'; }),
                bytes.end());
  }
  add_data(line, bytes, "&", kForm);
  return {};
}

Status add_raw_data(Line& line, const std::string& value, const FileReader&) {
  add_data(line, value, "&", kForm);
  return {};
}

Status add_binary_data(Line& line, const std::string& value, const FileReader& read) {
  PARE_TRY(std::string bytes, data_or_file(value, read));
  add_data(line, bytes, "&", kForm);
  return {};
}

Status add_json(Line& line, const std::string& value, const FileReader& read) {
  PARE_TRY(std::string bytes, data_or_file(value, read));
  add_data(line, bytes, "", "application/json");
  line.spec.headers.emplace_back("Accept: application/json");
  return {};
}

Status set_limit(Line& line, const std::string& value, const FileReader&) {
  auto limit = base::parse_duration(value);
  if (!limit || limit->count() <= 0 || *limit > std::chrono::hours(24)) {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not a number of seconds", value));
  }
  line.spec.within = *limit;
  return {};
}

Status set_url(Line& line, const std::string& value, const FileReader&) {
  if (!line.url.empty()) return fail(ErrorKind::kUsage, "it has more than one URL");
  line.url = value;
  return {};
}

struct Option {
  char letter;  // 0: only the long form
  std::string_view name;
  Status (*apply)(Line&, const std::string& value, const FileReader&);  // nullptr: ignored
};

constexpr Option kOptions[] = {
    {'X', "request", set_request},
    {'H', "header", add_header},
    {'d', "data", add_form_data},
    {0, "data-ascii", add_form_data},
    {0, "data-raw", add_raw_data},
    {0, "data-binary", add_binary_data},
    {0, "json", add_json},
    {'m', "max-time", set_limit},
    {0, "url", set_url},
    {'s', "silent", nullptr},
    {'S', "show-error", nullptr},
    {'f', "fail", nullptr},
    {0, "fail-with-body", nullptr},
    {'k', "insecure", nullptr},
    {'N', "no-buffer", nullptr},
    {'i', "include", nullptr},
    {'v', "verbose", nullptr},
};

template <typename Match>
const Option* find_option(Match&& match) {
  const auto* found = std::find_if(std::begin(kOptions), std::end(kOptions), match);
  return found == std::end(kOptions) ? nullptr : found;
}

tl::unexpected<Error> not_understood(std::string_view option) {
  return fail(ErrorKind::kUsage,
              fmt::format("the curl option {} is not understood: leave it away, or write the "
                          "check as http://:PORT/PATH;...",
                          option));
}

// What the words of a line do, in order.
class Reader {
 public:
  Reader(const std::vector<Word>& words, const FileReader& read) : words_(words), read_(read) {}

  Status run(Line& line) {
    for (at_ = 1; at_ < words_.size(); ++at_) {
      const std::string& word = words_[at_].value;
      if (word.size() > 2 && word[0] == '-' && word[1] == '-') {
        const Option* option =
            find_option([&](const Option& o) { return o.name == word.substr(2); });
        if (option == nullptr) return not_understood(word.substr(0, word.find('=')));
        PARE_CHECK_OK(apply(line, *option, "", word));
      } else if (word.size() > 1 && word[0] == '-') {
        PARE_CHECK_OK(read_letters(line, word));
      } else {
        PARE_CHECK_OK(set_url(line, word, read_));
        note(line, base::shell_quote(mask_url(word)));
      }
    }
    return {};
  }

 private:
  // "-sSf", "-XPOST", "-X POST".
  Status read_letters(Line& line, const std::string& word) {
    for (size_t i = 1; i < word.size(); ++i) {
      char letter = word[i];
      const Option* option = find_option([&](const Option& o) { return o.letter == letter; });
      if (letter == 0 || option == nullptr) return not_understood(fmt::format("-{}", letter));
      std::string attached = option->apply != nullptr ? word.substr(i + 1) : "";
      PARE_CHECK_OK(apply(line, *option, attached, fmt::format("-{}", letter)));
      if (option->apply != nullptr) return {};
    }
    return {};
  }

  Status apply(Line& line, const Option& option, std::string value, const std::string& spelled) {
    note(line, spelled);
    if (option.apply == nullptr) return {};
    if (value.empty()) {
      if (++at_ == words_.size()) {
        return fail(ErrorKind::kUsage, fmt::format("the curl option {} needs a value", spelled));
      }
      value = words_[at_].value;
    }
    Status status = option.apply(line, value, read_);
    if (!status) status.error().message = fmt::format("{}: {}", spelled, status.error().message);
    if (option.apply == add_header) value = mask_header(value);
    if (option.apply == set_url) value = mask_url(value);
    note(line, base::shell_quote(value));
    return status;
  }

  static void note(Line& line, const std::string& word) { line.spec.text += " " + word; }

  const std::vector<Word>& words_;
  const FileReader& read_;
  size_t at_ = 0;
};

}  // namespace

Result<Spec> parse_curl(std::string_view text, const FileReader& read) {
  PARE_TRY(Command command, split_command(text));
  Line line;
  Spec& spec = line.spec;
  spec.kind = "http";
  spec.text = "curl";
  PARE_CHECK_OK(Reader(command.words, read).run(line));
  if (line.url.empty()) return fail(ErrorKind::kUsage, "the curl line has no URL");
  PARE_TRY(Url url, parse_url(line.url, "http"));
  if (url.scheme != "http" && url.scheme != "https") {
    return fail(ErrorKind::kUsage, fmt::format("'{}' is not http or https", url.scheme));
  }
  spec.scheme = url.scheme;
  spec.path = url.path;
  PARE_CHECK_OK(adopt_port(spec, url));
  if (spec.method.empty() && line.data) spec.method = "POST";
  PARE_CHECK_OK(apply_modifiers(spec, command.rest, read));
  PARE_CHECK_OK(complete_http(spec, line.default_type));
  return spec;
}

}  // namespace pare::check
