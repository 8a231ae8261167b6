#include "report/summary.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "report/view.h"

namespace pare::report {

using verdict::Kind;
using verdict::Proof;
using verdict::Verdict;

namespace {

constexpr const char* kColours[] = {"\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[35m"};  // by Kind
constexpr size_t kNarrowest = 72;

// Columns of UTF-8 text, one for each code point.
size_t columns(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string padded(const std::string& text, size_t width) {
  size_t used = columns(text);
  return text + std::string(width > used ? width - used : 0, ' ');
}

// Words of `text` in lines of at most `width` columns; a longer word has a line to itself.
std::vector<std::string> wrapped(const std::string& text, size_t width) {
  std::vector<std::string> lines{""};
  for (const std::string& word : base::split(text, ' ')) {
    std::string& line = lines.back();
    if (!line.empty() && columns(line) + 1 + columns(word) > width) {
      lines.push_back(word);
    } else {
      line += (line.empty() ? "" : " ") + word;
    }
  }
  return lines;
}

size_t width_of(const SummaryOptions& options) {
  return std::max(static_cast<size_t>(std::max(options.width, 0)), kNarrowest);
}

std::string line_of(const Row& row, size_t name_width, bool colour) {
  const Verdict& v = *row.verdicts[0];
  std::string kind = padded(std::string(verdict::to_string(v.kind)), 10);
  if (colour) kind = kColours[static_cast<size_t>(v.kind)] + kind + "\x1b[0m";
  // A name that is wider than its column has a line to itself.
  std::string name = columns(row.privilege) <= name_width
                         ? padded(row.privilege, name_width)
                         : row.privilege + "\n" + std::string(name_width, ' ');
  return name + "  " + padded(v.asked ? "yes" : "no", 7) + padded(v.used ? "yes" : "no", 6) + kind;
}

std::string table(const Proof& proof, const SummaryOptions& options) {
  std::vector<Row> rows = table_rows(proof);
  size_t name_width = 9;
  for (const Row& row : rows) name_width = std::max(name_width, columns(row.privilege));
  name_width = std::min<size_t>(name_width, 36);
  size_t left = name_width + 2 + 7 + 6 + 10;
  size_t room = std::max(width_of(options), left + 20) - left;
  std::string out = padded("privilege", name_width) + "  " + padded("asked", 7) +
                    padded("used", 6) + padded("verdict", 10) + "because\n";
  for (const Row& row : rows) {
    std::vector<std::string> because = wrapped(row.because, room);
    out += line_of(row, name_width, options.colour) + because[0] + "\n";
    for (size_t i = 1; i < because.size(); ++i) {
      out += std::string(left, ' ') + because[i] + "\n";
    }
  }
  return out;
}

std::string list(const std::string& title, const std::vector<std::string>& items, size_t width) {
  if (items.empty()) return "";
  std::string out = "\n" + title + "\n";
  for (const std::string& item : items) {
    std::vector<std::string> lines = wrapped(printable(item), width - 4);
    out += "  - " + lines[0] + "\n";
    for (size_t i = 1; i < lines.size(); ++i) out += "    " + lines[i] + "\n";
  }
  return out;
}

}  // namespace

std::string summary(const Proof& proof, const SummaryOptions& options) {
  size_t width = width_of(options);
  std::string out = "\n" + table(proof, options) +
                    list("What an attacker just lost", loss_lines(proof), width) +
                    list("Findings", finding_lines(proof), width) +
                    list("What was not shown", not_shown(proof), width) + "\n" +
                    printable(headline(proof)) + ", " + cost(proof) + "\n";
  if (options.directory.empty()) return out;
  std::string directory = base::shell_quote(options.directory);
  out += "Written to " + options.directory + ": " + base::join(options.files, ", ") + "\n";
  if (!proof.confirmed) return out + "Next: the same command with --resume, to finish it\n";
  out += "Next: pare emit " + directory + " --to " + proof.platform.name + " -o " +
         base::shell_quote(options.directory + "/" + proof.platform.name) + "\n";
  return out;
}

}  // namespace pare::report
