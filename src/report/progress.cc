#include "report/progress.h"

#include <fmt/core.h>

#include <algorithm>

#include "base/text.h"
#include "report/view.h"

namespace pare::report {

namespace {

// Many capabilities are one thing to a reader of progress; the table at the end lists each.
std::string without_text(const std::vector<std::string>& without) {
  std::vector<std::string> shown;
  size_t capabilities = 0;
  size_t calls = 0;
  for (const std::string& name : without) {
    if (base::starts_with(name, "capability/")) {
      ++capabilities;
    } else if (base::starts_with(name, "syscall/")) {
      ++calls;
    }
  }
  for (const std::string& name : without) {
    if (capabilities > 2 && base::starts_with(name, "capability/")) continue;
    if (calls > 2 && base::starts_with(name, "syscall/")) continue;
    shown.push_back(name);
  }
  if (capabilities > 2) shown.insert(shown.begin(), fmt::format("{} capabilities", capabilities));
  if (calls > 2) shown.push_back(fmt::format("{} system calls", calls));
  return shown.empty() ? "" : " without " + base::join(shown, ", ");
}

}  // namespace

std::string trial_begin(int id, const std::string& kind) {
  return fmt::format("trial {} {}", id, kind);
}

std::string trial_line(const verdict::TrialEntry& trial, const Style& style) {
  std::string head = trial_begin(trial.id, trial.kind) + ":" + without_text(trial.without);
  std::string tail = fmt::format(" ({:.1f} s{})", trial.seconds,
                                 trial.starts > 1 ? fmt::format(", {} starts", trial.starts) : "");
  if (!trial.why.empty()) tail += ": " + printable(trial.why);
  std::string outcome = trial.outcome;
  size_t room = static_cast<size_t>(std::max(style.width, 40));
  size_t fixed = outcome.size() + tail.size() + 4;
  if (head.size() + fixed > room && room > fixed + 23)
    head = head.substr(0, room - fixed - 3) + "...";
  if (style.colour) {
    outcome = (trial.outcome == "pass" ? "\x1b[32m" : "\x1b[31m") + outcome + "\x1b[0m";
  }
  return head + " -> " + outcome + tail;
}

std::string plan_text(int starts_expected, int starts_at_most, double seconds_expected,
                      double seconds_at_most, uint64_t memory_bytes) {
  std::string text = fmt::format(
      "A proof would take about {} more container starts ({:.0f} s), at most {} ({:.0f} s).\n",
      starts_expected, seconds_expected, starts_at_most, seconds_at_most);
  if (memory_bytes > 0) {
    text += fmt::format("Each needs about {:.0f} MiB of memory.\n",
                        static_cast<double>(memory_bytes) / 1048576.0);
  }
  return text;
}

}  // namespace pare::report
