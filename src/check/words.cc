#include "check/words.h"

#include <fmt/format.h>

namespace pare::check {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

class Splitter {
 public:
  explicit Splitter(std::string_view text) : text_(text) {}

  Result<Command> split() {
    Command command;
    while (true) {
      at_ = std::min(text_.find_first_not_of(kBlank, at_), text_.size());
      if (continued_line()) continue;
      if (at_ == text_.size()) return command;
      if (text_[at_] == ';') {
        command.rest = text_.substr(at_ + 1);
        return command;
      }
      size_t begin = at_;
      Word word;
      PARE_CHECK_OK(read_word(word.value));
      word.raw = text_.substr(begin, at_ - begin);
      command.words.push_back(std::move(word));
    }
  }

 private:
  bool continued_line() {
    if (text_.substr(at_, 2) != "\\\n" && text_.substr(at_, 3) != "\\\r\n") return false;
    at_ = text_.find('\n', at_) + 1;
    return true;
  }

  Status read_word(std::string& out) {
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (kBlank.find(c) != std::string_view::npos || c == ';') return {};
      if (continued_line()) continue;
      if (std::string_view("|&<>`$()").find(c) != std::string_view::npos) return needs_shell(c);
      ++at_;
      if (c == '\'') {
        size_t end = text_.find('\'', at_);
        if (end == std::string_view::npos) return open_quote(c);
        out += text_.substr(at_, end - at_);
        at_ = end + 1;
      } else if (c == '"') {
        PARE_CHECK_OK(read_double_quoted(out));
      } else if (c == '\\') {
        if (at_ == text_.size()) {
          return fail(ErrorKind::kUsage, "the command ends in a backslash");
        }
        out += text_[at_++];
      } else {
        out += c;
      }
    }
    return {};
  }

  Status read_double_quoted(std::string& out) {
    while (at_ < text_.size()) {
      char c = text_[at_++];
      if (c == '"') return {};
      if (c == '$' || c == '`') return needs_shell(c);
      if (c == '\\' && at_ < text_.size()) {
        char next = text_[at_++];
        if (next == '\n') continue;
        if (std::string_view("\"\\$`").find(next) == std::string_view::npos) out += '\\';
        out += next;
      } else {
        out += c;
      }
    }
    return open_quote('"');
  }

  static Status needs_shell(char c) {
    return fail(ErrorKind::kUsage,
                fmt::format("'{}' needs a shell, and a check runs without one: quote it, or write "
                            "the value out",
                            c));
  }
  static Status open_quote(char c) {
    return fail(ErrorKind::kUsage, fmt::format("a quote ({}) is not closed", c));
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<Command> split_command(std::string_view text) {
  return Splitter(text).split();
}

}  // namespace pare::check
