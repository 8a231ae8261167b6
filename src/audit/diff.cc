// diff -u by Myers' O(ND) greedy search (1986), bounded: files that differ almost everywhere get
// one hunk.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "audit/fix.h"

namespace pare::audit {
namespace {

constexpr long kContext = 3;
constexpr long kMaxEdits = 1500;

std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    size_t end = text.find('\n');
    size_t length = end == std::string_view::npos ? text.size() : end + 1;
    lines.push_back(text.substr(0, length));
    text.remove_prefix(length);
  }
  return lines;
}

struct Step {
  char mark;  // ' ', '-', '+'
  long a, b;  // line numbers from 0 before the step
};

using Lines = std::vector<std::string_view>;

// Edit script between a and b, common ends already cut off.
std::vector<Step> script(const Lines& a, const Lines& b) {
  long n = static_cast<long>(a.size()), m = static_cast<long>(b.size());
  long most = std::min(n + m, kMaxEdits);
  std::vector<std::vector<long>> trace;
  std::vector<long> v(static_cast<size_t>(2 * most + 3), 0);
  auto at = [&](std::vector<long>& row, long k) -> long& {
    return row[static_cast<size_t>(k + most + 1)];
  };
  long found = -1;
  for (long d = 0; d <= most && found < 0; ++d) {
    for (long k = -d; k <= d; k += 2) {
      bool down = k == -d || (k != d && at(v, k - 1) < at(v, k + 1));
      long x = down ? at(v, k + 1) : at(v, k - 1) + 1;
      while (x < n && x - k < m && a[static_cast<size_t>(x)] == b[static_cast<size_t>(x - k)]) ++x;
      at(v, k) = x;
      if (x >= n && x - k >= m) {
        found = d;
        break;
      }
    }
    trace.push_back(v);
  }
  std::vector<Step> steps;
  if (found < 0) {
    for (long x = 0; x < n; ++x) steps.push_back({'-', x, 0});
    for (long y = 0; y < m; ++y) steps.push_back({'+', n, y});
    return steps;
  }
  long x = n, y = m;
  for (long d = found; d > 0; --d) {
    std::vector<long>& row = trace[static_cast<size_t>(d - 1)];
    long k = x - y;
    bool down = k == -d || (k != d && at(row, k - 1) < at(row, k + 1));
    long before_k = down ? k + 1 : k - 1;
    long px = at(row, before_k), py = px - before_k;
    while (x > px && y > py && x > (down ? px : px + 1) && y > (down ? py + 1 : py)) {
      steps.push_back({' ', --x, --y});
    }
    if (down) {
      steps.push_back({'+', x, --y});
    } else {
      steps.push_back({'-', --x, y});
    }
  }
  while (x > 0) steps.push_back({' ', --x, --y});
  std::reverse(steps.begin(), steps.end());
  return steps;
}

std::string range(long begin, long count) {
  std::string text = std::to_string(count == 0 ? begin : begin + 1);
  return count == 1 ? text : text + "," + std::to_string(count);
}
}  // namespace

std::string unified_diff(const std::string& name, std::string_view before, std::string_view after) {
  if (before == after) return "";
  Lines a = split_lines(before), b = split_lines(after);
  size_t head = 0, tail = 0;
  while (head < a.size() && head < b.size() && a[head] == b[head]) ++head;
  while (tail < a.size() - head && tail < b.size() - head &&
         a[a.size() - 1 - tail] == b[b.size() - 1 - tail]) {
    ++tail;
  }
  Lines middle_a(a.begin() + static_cast<long>(head), a.end() - static_cast<long>(tail));
  Lines middle_b(b.begin() + static_cast<long>(head), b.end() - static_cast<long>(tail));
  std::vector<Step> steps;
  long offset = static_cast<long>(head);
  for (long i = std::max(0L, offset - kContext); i < offset; ++i) steps.push_back({' ', i, i});
  for (Step step : script(middle_a, middle_b)) {
    steps.push_back({step.mark, step.a + offset, step.b + offset});
  }
  long end_a = static_cast<long>(a.size() - tail), end_b = static_cast<long>(b.size() - tail);
  for (long i = 0; i < std::min(kContext, static_cast<long>(tail)); ++i) {
    steps.push_back({' ', end_a + i, end_b + i});
  }
  std::string out = "--- " + name + "\n+++ " + name + "\n";
  for (size_t i = 0; i < steps.size();) {
    if (steps[i].mark == ' ') {
      ++i;
      continue;
    }
    size_t first = i, last = i, gap = 0;
    for (size_t j = i; j < steps.size() && gap <= 2 * kContext; ++j) {
      gap = steps[j].mark == ' ' ? gap + 1 : 0;
      if (steps[j].mark != ' ') last = j;
    }
    first = first > kContext ? first - kContext : 0;
    size_t stop = std::min(steps.size(), last + 1 + kContext);
    long count_a = 0, count_b = 0;
    std::string body;
    for (size_t j = first; j < stop; ++j) {
      const Step& s = steps[j];
      if (s.mark != '+') ++count_a;
      if (s.mark != '-') ++count_b;
      std::string_view line =
          s.mark == '+' ? b[static_cast<size_t>(s.b)] : a[static_cast<size_t>(s.a)];
      body += s.mark;
      body += line;
      if (line.empty() || line.back() != '\n') body += "\n\\ No newline at end of file\n";
    }
    out += "@@ -" + range(steps[first].a, count_a) + " +" + range(steps[first].b, count_b) +
           " @@\n" + body;
    i = stop;
  }
  return out;
}

}  // namespace pare::audit
