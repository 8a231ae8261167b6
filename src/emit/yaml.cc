#include "emit/yaml.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "base/text.h"

namespace pare::emit {

namespace {

// YAML 1.1's booleans and nulls too: Kubernetes' parser and Python's read that version.
constexpr std::array<std::string_view, 11> kReserved = {"true", "false", "yes",  "no",  "on", "off",
                                                        "y",    "n",     "null", "nan", "inf"};

bool plain(std::string_view text) {
  if (text.empty() || text.size() > 200) return false;
  auto first = static_cast<unsigned char>(text[0]);
  if (!std::isalpha(first) && first != '/' && first != '_') return false;
  bool safe = std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("/_.-@+").find(static_cast<char>(c)) != std::string_view::npos;
  });
  std::string lower = base::lower(text);
  return safe && std::find(kReserved.begin(), kReserved.end(), lower) == kReserved.end();
}

// What YAML 1.1 takes for a line break besides \n (NEL, LS, PS), and its escapes.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kBreaks = {{
    {"\xC2\x85", "\\N"},
    {"\xE2\x80\xA8", "\\L"},
    {"\xE2\x80\xA9", "\\P"},
}};

std::string with_breaks_replaced(std::string text, bool by_escape) {
  for (const auto& [bytes, escape] : kBreaks) {
    std::string_view by = by_escape ? escape : std::string_view(" ");
    for (size_t at = text.find(bytes); at != std::string::npos; at = text.find(bytes, at)) {
      text.replace(at, bytes.size(), by);
    }
  }
  return text;
}

std::string escaped(std::string_view text) {
  std::string out = "\"";
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\x";
      out += "0123456789abcdef"[byte >> 4];
      out += "0123456789abcdef"[byte & 15];
    } else {
      out += c;
    }
  }
  return with_breaks_replaced(out, true) + "\"";
}

std::string indented_comment(const std::string& comment, size_t indent) {
  std::string out;
  std::string one_line_each = with_breaks_replaced(std::string(base::trim(comment)), false);
  for (char& c : one_line_each) {
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n') c = ' ';
  }
  for (const std::string& line : base::split(one_line_each, '\n')) {
    out += std::string(indent, ' ') + (line.empty() ? "#" : "# " + line) + "\n";
  }
  return out;
}

}  // namespace

std::string yaml_string(std::string_view text) {
  return plain(text) ? std::string(text) : escaped(text);
}

std::string comment_lines(std::string_view text) {
  return indented_comment(std::string(text), 0);
}

Yaml::Yaml(const std::vector<std::string>& items) : kind_(Kind::kList) {
  for (const std::string& item : items) add(item);
}

Yaml& Yaml::set(std::string key, Yaml value, std::string comment) {
  keys_.push_back(std::move(key));
  values_.push_back(std::move(value));
  comments_.push_back(std::move(comment));
  return *this;
}

Yaml& Yaml::add(Yaml item, std::string comment) {
  return set("", std::move(item), std::move(comment));
}

std::string Yaml::scalar() const {
  if (kind_ == Kind::kString) return yaml_string(text_);
  if (kind_ == Kind::kPlain) return text_;
  return kind_ == Kind::kMap ? "{}" : "[]";
}

// `first_inline`: the first line continues one that the caller began ("- "), and the caller has
// written its comment.
void Yaml::write(std::string& out, size_t indent, bool first_inline) const {
  std::string margin(indent, ' ');
  for (size_t i = 0; i < values_.size(); ++i) {
    const Yaml& value = values_[i];
    bool inline_here = first_inline && i == 0;
    if (!comments_[i].empty() && !inline_here) out += indented_comment(comments_[i], indent);
    bool nested = kind_ == Kind::kList && value.kind_ == Kind::kMap && value.block();
    if (nested && !value.comments_[0].empty()) out += indented_comment(value.comments_[0], indent);
    if (!inline_here) out += margin;
    out += kind_ == Kind::kList ? "-" : yaml_string(keys_[i]) + ":";
    if (!value.block()) {
      out += " " + value.scalar() + "\n";
    } else if (kind_ == Kind::kList) {
      out += " ";
      value.write(out, indent + 2, true);
    } else {
      out += "\n";
      value.write(out, value.kind_ == Kind::kList ? indent : indent + 2, false);
    }
  }
}

std::string Yaml::text() const {
  if (!block()) return scalar() + "\n";
  std::string out;
  write(out, 0, false);
  return out;
}

}  // namespace pare::emit
