#include "target/reader.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "base/text.h"

namespace pare::target {

std::string Reader::where(uint32_t file, uint32_t line) const {
  std::string path = file < files_.size() ? files_[file].path : "?";
  return (path == "-" ? "<stdin>" : path) + ":" + std::to_string(line);
}

void Reader::refuse(const std::string& where, const std::string& why) {
  if (!refused_) refused_ = Error{ErrorKind::kUsage, where + ": " + why, 0};
}

void Reader::note(const std::string& where, const std::string& what) {
  std::string line = where + ": " + what;
  if (std::find(notes_.begin(), notes_.end(), line) == notes_.end()) notes_.push_back(line);
}

std::optional<std::string> Reader::text(const Tree& tree, const std::string& what) {
  if (!tree.is_scalar()) {
    refuse(tree, what + " is not text");
    return std::nullopt;
  }
  if (strict_ && tree.type != yaml::ScalarType::kString) {
    refuse(tree,
           what + " is no text as it stands, and Kubernetes takes nothing else here: quote it");
    return std::nullopt;
  }
  return tree.text;
}

std::optional<bool> Reader::boolean(const Tree& tree, const std::string& what) {
  if (tree.is_scalar()) {
    if (tree.type == yaml::ScalarType::kBool || !strict_) {
      std::string word = base::lower(tree.text);
      if (word == "true" || word == "yes" || word == "on" || word == "y") return true;
      if (word == "false" || word == "no" || word == "off" || word == "n") return false;
    }
  }
  refuse(tree, what + " is neither true nor false");
  return std::nullopt;
}

std::optional<int64_t> Reader::integer(const Tree& tree, const std::string& what) {
  bool number = tree.is_scalar() && (tree.type == yaml::ScalarType::kInt || !strict_);
  bool negative = number && base::starts_with(tree.text, "-");
  auto value = number ? base::parse_u64(tree.text.substr(negative ? 1 : 0)) : std::nullopt;
  if (!value || *value > INT64_MAX) {
    refuse(tree, what + " is not a whole number");
    return std::nullopt;
  }
  return negative ? -static_cast<int64_t>(*value) : static_cast<int64_t>(*value);
}

std::optional<uint32_t> Reader::id(const Tree& tree, const std::string& what) {
  // k8s.io/apimachinery validation.IsValidUserID; (uid_t)-1 is no user (chown(2)).
  const int64_t most = strict_ ? int64_t{INT32_MAX} : int64_t{UINT32_MAX} - 1;
  auto number = integer(tree, what);
  if (!number) return std::nullopt;
  if (*number >= 0 && *number <= most) return static_cast<uint32_t>(*number);
  refuse(tree, what + ": an id is a number from 0 to " + std::to_string(most));
  return std::nullopt;
}

std::optional<unsigned> Reader::mode(const Tree& tree, const std::string& what) {
  std::string_view digits = tree.is_scalar() ? std::string_view(tree.text) : "";
  bool octal = tree.type == yaml::ScalarType::kString || base::starts_with(digits, "0");
  if (base::starts_with(digits, "0o")) digits.remove_prefix(2);
  unsigned mode = 0;
  const char* end = digits.data() + digits.size();
  auto [stop, error] = std::from_chars(digits.data(), end, mode, octal ? 8 : 10);
  if (error == std::errc() && stop == end && mode <= 0777) return mode;
  refuse(tree, what + " is not a mode such as 0444");
  return std::nullopt;
}

std::vector<std::string> Reader::texts(const Tree& tree, const std::string& what) {
  std::vector<std::string> out;
  if (!tree.is_seq()) {
    refuse(tree, what + " is not a list");
    return out;
  }
  for (const Tree& item : tree.seq) {
    if (auto word = text(item, what)) out.push_back(std::move(*word));
  }
  return out;
}

Keys::Keys(Reader& reader, const Tree* tree, std::string what)
    : reader_(reader), tree_(tree), what_(std::move(what)) {
  if (tree_ == nullptr || tree_->is_map()) return;
  if (!tree_->is_null()) reader_.refuse(*tree_, what_ + " is not a mapping");
  tree_ = nullptr;
}

const Tree* Keys::get(std::string_view key) {
  asked_.emplace_back(key);
  return tree_ == nullptr ? nullptr : tree_->get(key);
}

std::optional<std::string> Keys::text(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::nullopt : reader_.text(*value, named(key));
}

std::optional<bool> Keys::boolean(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::nullopt : reader_.boolean(*value, named(key));
}

std::optional<int64_t> Keys::integer(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::nullopt : reader_.integer(*value, named(key));
}

std::optional<uint32_t> Keys::id(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::nullopt : reader_.id(*value, named(key));
}

std::optional<unsigned> Keys::mode(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::nullopt : reader_.mode(*value, named(key));
}

std::vector<std::string> Keys::texts(std::string_view key) {
  const Tree* value = get(key);
  return value == nullptr ? std::vector<std::string>{} : reader_.texts(*value, named(key));
}

std::vector<const Tree*> Keys::maps(std::string_view key) {
  std::vector<const Tree*> out;
  const Tree* value = get(key);
  if (value == nullptr) return out;
  if (!value->is_seq()) reader_.refuse(*value, named(key) + " is not a list");
  for (const Tree& item : value->seq) {
    if (item.is_map()) {
      out.push_back(&item);
    } else {
      reader_.refuse(item, named(key) + " lists something that is no mapping");
    }
  }
  return out;
}

std::string Keys::where(std::string_view key) const {
  if (tree_ == nullptr) return "?";
  const Tree::Entry* entry = tree_->find(key);
  return entry == nullptr ? reader_.where(*tree_) : reader_.where(tree_->file, entry->line);
}

void Keys::finish(std::span<const KeyRule> rules) {
  if (tree_ == nullptr) return;
  std::vector<std::string> known = asked_;
  for (const KeyRule& rule : rules) known.emplace_back(rule.key);
  for (const Tree::Entry& entry : tree_->map) {
    if (std::find(asked_.begin(), asked_.end(), entry.key) != asked_.end()) continue;
    std::string at = reader_.where(tree_->file, entry.line);
    auto rule = std::find_if(rules.begin(), rules.end(),
                             [&](const KeyRule& r) { return r.key == entry.key; });
    if (rule == rules.end()) {
      std::string near = base::nearest(entry.key, known);
      if (!near.empty()) {
        reader_.refuse(
            at, "unknown key '" + entry.key + "' in " + what_ + "; did you mean " + near + "?");
      } else {
        reader_.note(at, "key '" + entry.key + "' in " + what_ +
                             " is not known to pare, so it is not modelled");
      }
    } else if (rule->means == KeyRule::Means::kNoted && !entry.value.is_null()) {
      reader_.note(at, entry.key + " is not modelled: " + std::string(rule->why));
    } else if (rule->means == KeyRule::Means::kRefused && !entry.value.is_null()) {
      reader_.refuse(at, entry.key + " is not supported: " + std::string(rule->why));
    }
  }
}

}  // namespace pare::target
