#include "target/interpolate.h"

#include <algorithm>
#include <cctype>

#include "base/text.h"

namespace pare::target {

namespace {

constexpr int kMaxNesting = 32;

bool is_name(char c, bool first) {
  auto u = static_cast<unsigned char>(c);
  return c == '_' || std::isalpha(u) != 0 || (!first && std::isdigit(u) != 0);
}

size_t name_end(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size() && is_name(text[end], end == at)) ++end;
  return end;
}

// The '}' that closes the "${" whose content begins at `at`.
size_t closing(std::string_view text, size_t at) {
  int depth = 1;
  for (; at < text.size(); ++at) {
    if (text[at] == '$' && at + 1 < text.size() && text[at + 1] == '{') ++depth;
    if (text[at] == '}' && --depth == 0) return at;
  }
  return std::string_view::npos;
}

class Interpolator {
 public:
  explicit Interpolator(const Environment& environment) : environment_(environment) {}

  std::string run(std::string_view text, int depth) {
    std::string out;
    for (size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '$') {
        out += text[at];
        continue;
      }
      char next = at + 1 < text.size() ? text[at + 1] : '\0';
      if (next == '$') {
        out += '$';
        ++at;
      } else if (next == '{') {
        size_t close = closing(text, at + 2);
        if (close == std::string_view::npos) return wrong("'${' is not closed");
        out += braced(text.substr(at + 2, close - at - 2), depth);
        at = close;
      } else if (is_name(next, true)) {
        size_t end = name_end(text, at + 1);
        out += value(std::string(text.substr(at + 1, end - at - 1)));
        at = end - 1;
      } else {
        return wrong("a lone '$' (write $$ for a dollar)");
      }
    }
    return out;
  }

  std::string error;
  std::vector<std::string> unset;

 private:
  std::string wrong(std::string why) {
    if (error.empty()) error = std::move(why);
    return "";
  }

  std::string value(const std::string& name) {
    auto found = environment_.find(name);
    if (found != environment_.end()) return found->second;
    unset.push_back(name);
    return "";
  }

  std::string braced(std::string_view inside, int depth) {
    size_t end = name_end(inside, 0);
    if (end == 0) return wrong("'${" + std::string(inside.substr(0, 40)) + "}' names no variable");
    if (depth > kMaxNesting) return wrong("'${' nested too deep");
    std::string name(inside.substr(0, end));
    std::string_view form = inside.substr(end);
    if (form.empty()) return value(name);
    bool colon = form[0] == ':';
    char kind = form.size() > (colon ? 1u : 0u) ? form[colon ? 1 : 0] : '\0';
    std::string_view rest = form.substr(std::min(form.size(), colon ? size_t{2} : size_t{1}));
    auto found = environment_.find(name);
    bool has = found != environment_.end() && (!colon || !found->second.empty());
    switch (kind) {
      case '-':
        return has ? found->second : run(rest, depth + 1);
      case '+':
        return has ? run(rest, depth + 1) : "";
      case '?':
        if (has) return found->second;
        return wrong("variable " + name + " has to be set" +
                     (rest.empty() ? "" : ": " + run(rest, depth + 1)));
      default:
        return wrong("'${" + std::string(inside.substr(0, 40)) + "}' is no form of ${NAME}");
    }
  }

  const Environment& environment_;
};

// ---- .env

class Dotenv {
 public:
  Dotenv(const std::string& text, std::string path, const Environment& environment)
      : text_(text), path_(std::move(path)), caller_(environment), known_(environment) {}

  Result<std::vector<EnvVar>> read() {
    if (base::starts_with(text_, "\xEF\xBB\xBF")) at_ = 3;
    while (skip_blank()) {
      PARE_CHECK_OK(read_line());
    }
    return std::move(env_);
  }

 private:
  tl::unexpected<Error> wrong(const std::string& why) const {
    return fail(ErrorKind::kUsage, path_ + ":" + std::to_string(line_) + ": " + why);
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  // To the next line with content; false at the end.
  bool skip_blank() {
    while (at_ < text_.size()) {
      char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (std::isspace(static_cast<unsigned char>(c)) != 0) {
        line_ += c == '\n' ? 1 : 0;
        ++at_;
      } else {
        return true;
      }
    }
    return false;
  }

  Status read_line() {
    size_t line_end = std::min(text_.find('\n', at_), text_.size());
    if (text_.compare(at_, 7, "export ") == 0) at_ += 7;
    size_t equals = std::min(text_.find_first_of("=:", at_), line_end);
    std::string name(base::trim(std::string_view(text_).substr(at_, equals - at_)));
    if (name.empty() || name.find_first_of(" \t'\"") != std::string::npos) {
      return wrong("no variable's name stands before the '='");
    }
    if (equals == line_end) {
      at_ = line_end;
      auto found = caller_.find(name);
      if (found != caller_.end()) put(name, found->second);
      return {};
    }
    at_ = equals + 1;
    while (peek() == ' ' || peek() == '\t') ++at_;
    std::string value;
    PARE_TRY(value, peek() == '\'' || peek() == '"' ? quoted(peek()) : plain());
    put(name, value);
    return {};
  }

  void put(const std::string& name, const std::string& value) {
    set_env(env_, {name, value, looks_secret(name)});
    if (caller_.count(name) == 0) known_[name] = value;
  }

  Result<std::string> plain() {
    size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string_view value = std::string_view(text_).substr(at_, end - at_);
    size_t comment = value.find(" #");
    if (comment == std::string_view::npos) comment = value.find("\t#");
    value = base::trim(value.substr(0, comment));
    at_ = end;
    return expanded(value);
  }

  Result<std::string> quoted(char quote) {
    std::string value;
    size_t start = ++at_;
    for (; at_ < text_.size() && text_[at_] != quote; ++at_) {
      if (text_[at_] == '\n') ++line_;
      if (quote == '"' && text_[at_] == '\\' && at_ + 1 < text_.size()) {
        value += escape(text_[++at_]);
      } else {
        value += text_[at_];
      }
    }
    if (at_ == text_.size()) return wrong("a quote is not closed");
    size_t end = at_;
    at_ = std::min(text_.find('\n', at_), text_.size());
    if (quote == '\'') return text_.substr(start, end - start);
    return expanded(value);
  }

  static std::string escape(char c) {
    switch (c) {
      case 'n':
        return "\n";
      case 'r':
        return "\r";
      case 't':
        return "\t";
      case '$':
        return "$$";
      case '"':
      case '\\':
        return std::string(1, c);
      default:
        return std::string("\\") + c;
    }
  }

  Result<std::string> expanded(std::string_view value) {
    auto done = interpolate(value, known_);
    if (!done) return wrong(done.error().message);
    return std::move(done->text);
  }

  const std::string& text_;
  std::string path_;
  const Environment& caller_;
  Environment known_;
  std::vector<EnvVar> env_;
  size_t at_ = 0;
  int line_ = 1;
};

}  // namespace

Result<Interpolated> interpolate(std::string_view text, const Environment& environment) {
  Interpolator interpolator(environment);
  std::string out = interpolator.run(text, 0);
  if (!interpolator.error.empty()) return fail(ErrorKind::kUsage, interpolator.error);
  return Interpolated{std::move(out), std::move(interpolator.unset)};
}

void interpolate(Tree& tree, const Environment& environment) {
  for (Tree& item : tree.seq) interpolate(item, environment);
  for (Tree::Entry& entry : tree.map) interpolate(entry.value, environment);
  if (!tree.is_scalar() || tree.text.find('$') == std::string::npos) return;
  auto done = interpolate(tree.text, environment);
  if (!done) {
    tree.broken = true;
    tree.remark = done.error().message;
    return;
  }
  tree.text = std::move(done->text);
  tree.type = yaml::ScalarType::kString;  // compose's readers take text for numbers too
  if (done->unset.empty()) return;
  tree.remark = "variable " + base::join(done->unset, ", ") +
                (done->unset.size() == 1 ? " is" : " are") + " not set, so nothing stands there";
}

Result<std::vector<EnvVar>> parse_dotenv(const std::string& text, const std::string& path,
                                         const Environment& environment) {
  return Dotenv(text, path, environment).read();
}

}  // namespace pare::target
