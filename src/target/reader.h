// What the readers of all file kinds share: where something stands, the first refusal, what is to
// be told, and the rule that no key is passed over.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "target/files.h"
#include "target/tree.h"

namespace pare::target {

class Reader {
 public:
  // strict: text has to be text and numbers numbers, as the Kubernetes API wants it.
  Reader(const std::vector<SourceFile>& files, const FileOptions& options, bool strict)
      : files_(files), options_(options), strict_(strict) {}

  const FileOptions& options() const { return options_; }
  std::string where(const Tree& tree) const { return where(tree.file, tree.line); }
  std::string where(uint32_t file, uint32_t line) const;

  // The first refusal counts; reading goes on harmlessly.
  void refuse(const std::string& where, const std::string& why);
  void refuse(const Tree& tree, const std::string& why) { refuse(where(tree), why); }
  void note(const std::string& where, const std::string& what);
  void note(const Tree& tree, const std::string& what) { note(where(tree), what); }

  // The value of a result, or a refusal at `tree` and nothing.
  template <typename T>
  std::optional<T> take(const Tree& tree, Result<T> result, const std::string& what) {
    if (result) return std::move(*result);
    refuse(tree, what + ": " + result.error().message);
    return std::nullopt;
  }

  const std::optional<Error>& refused() const { return refused_; }
  const std::vector<std::string>& notes() const { return notes_; }

  // Scalars of the asked type; a refusal and nothing otherwise. `what` names the key.
  std::optional<std::string> text(const Tree& tree, const std::string& what);
  std::optional<bool> boolean(const Tree& tree, const std::string& what);
  std::optional<int64_t> integer(const Tree& tree, const std::string& what);
  // A user's or group's number; as far as the kubelet takes it where the reader is strict.
  std::optional<uint32_t> id(const Tree& tree, const std::string& what);
  // A file's mode, at most 0777: octal with a leading 0 (YAML 1.1) or 0o, and where it is quoted;
  // else the decimal number that JSON has.
  std::optional<unsigned> mode(const Tree& tree, const std::string& what);
  // A list of texts.
  std::vector<std::string> texts(const Tree& tree, const std::string& what);

 private:
  const std::vector<SourceFile>& files_;
  const FileOptions& options_;
  bool strict_;
  std::optional<Error> refused_;
  std::vector<std::string> notes_;
};

// What a key that no code asks for means.
struct KeyRule {
  enum class Means { kNothing, kNoted, kRefused };
  std::string_view key;
  Means means = Means::kNothing;
  std::string_view why = {};
};

// The keys of one mapping. Each has to be asked for, or stand in finish()'s table.
class Keys {
 public:
  // what: "the container", "securityContext"; a refusal when tree is no mapping.
  Keys(Reader& reader, const Tree* tree, std::string what);

  const Tree* get(std::string_view key);  // nullptr when absent or null
  bool has(std::string_view key) { return get(key) != nullptr; }
  std::optional<std::string> text(std::string_view key);
  std::optional<bool> boolean(std::string_view key);
  std::optional<int64_t> integer(std::string_view key);
  std::optional<uint32_t> id(std::string_view key);
  std::optional<unsigned> mode(std::string_view key);
  std::vector<std::string> texts(std::string_view key);
  // A list of mappings.
  std::vector<const Tree*> maps(std::string_view key);
  std::string where(std::string_view key) const;  // the mapping's own where it is absent

  void finish(std::span<const KeyRule> rules = {});

 private:
  std::string named(std::string_view key) const { return what_ + "." + std::string(key); }

  Reader& reader_;
  const Tree* tree_;
  std::string what_;
  std::vector<std::string> asked_;
};

}  // namespace pare::target
