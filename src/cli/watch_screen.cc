// The egress window on a terminal: one row a destination, and a question for each that is new.
#include <fmt/core.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <set>

#include "base/text.h"
#include "cli/progress.h"
#include "cli/watch_options.h"

namespace pare::cli {

namespace {

using confine::Destination;
using confine::WindowReport;

constexpr const char* kRed = "\033[31m";
constexpr const char* kGreen = "\033[32m";
constexpr const char* kBold = "\033[1m";
constexpr const char* kPlain = "\033[0m";
constexpr size_t kSaid = 4;   // notes that stay visible
constexpr size_t kRows = 18;  // destinations, the latest

// Keys one by one, without an echo; undone by the destructor.
class RawTerminal {
 public:
  RawTerminal() {
    ok_ = tcgetattr(STDIN_FILENO, &before_) == 0;
    if (!ok_) return;
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  }
  RawTerminal(const RawTerminal&) = delete;
  RawTerminal& operator=(const RawTerminal&) = delete;
  ~RawTerminal() {
    if (ok_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
  }
  // '\0': none was pressed.
  char key() const {
    pollfd wait = {STDIN_FILENO, POLLIN, 0};
    char pressed = '\0';
    if (!ok_ || poll(&wait, 1, 0) <= 0 || read(STDIN_FILENO, &pressed, 1) != 1) return '\0';
    return pressed;
  }

 private:
  termios before_ = {};
  bool ok_ = false;
};

std::string cut(const std::string& text, size_t width) {
  return text.size() <= width ? text : text.substr(0, width - 1) + "~";
}

class Screen final : public WatchView {
 public:
  void opened(const WindowReport& report) override {
    fmt::print("\033[?1049h");
    update(report);
  }

  void update(const WindowReport& report) override {
    const auto width = static_cast<size_t>(std::max(terminal_width(STDOUT_FILENO), 60));
    std::string text = "\033[H";
    auto line = [&](const std::string& words, const char* colour = "") {
      text += coloured_ ? fmt::format("{}{}{}\033[K\n", colour, cut(words, width), kPlain)
                        : cut(words, width) + "\033[K\n";
    };
    line(fmt::format("egress of {}: closed, {} exceptions, {:.0f} s, {} denied, {} allowed",
                     report.subject, report.in_force(), report.seconds, denied(report),
                     report.totals.attempts[PARE_EGRESS_ALLOWED]),
         kBold);
    if (!report.sealed) line("NOT SEALED: " + report.not_sealed_because, kRed);
    line("");
    line(fmt::format("{:>7} {:36} {:22} {:>7} {:>7}  {}", "first", "destination", "service",
                     "tries", "denied", "by"));
    const size_t skip = report.destinations.size() > kRows ? report.destinations.size() - kRows : 0;
    for (size_t i = skip; i < report.destinations.size(); ++i)
      put(report, report.destinations[i], line);
    if (skip > 0) line(fmt::format("... and {} earlier ones", skip));
    line("");
    for (const auto& learnt : report.learnt)
      line(fmt::format("exception {} ({} attempts{})", to_string(learnt.exception), learnt.attempts,
                       learnt.in_force ? "" : ", its time is over"));
    if (const std::string log = log_text(report.log); !log.empty()) line(log);
    for (const std::string& note : said_) line(note);
    asked_ = next_question(report);
    line(asked_.empty() ? "q ends the window"
                        : fmt::format("allow {}? y: yes  t: for 30 minutes  n: no  q: end", asked_),
         kBold);
    fmt::print("{}\033[J", text);
    std::fflush(stdout);
  }

  void say(const std::string& note) override {
    said_.push_back(note);
    if (said_.size() > kSaid) said_.pop_front();
  }

  void closed(const WindowReport& report) override {
    fmt::print("\033[?1049l");
    auto lines = line_view();
    for (const Destination& destination : report.destinations)
      fmt::print("{} {}: {} tries, {}\n", destination.name, destination.service(),
                 destination.tries(), destination.refused() ? "denied" : "allowed");
    lines->closed(report);
  }

  Wish wish() override {
    const char key = terminal_.key();
    if (key == 'q') return {Wish::kQuit, ""};
    if (asked_.empty() || (key != 'y' && key != 't' && key != 'n')) return {};
    const std::string rule = asked_;
    answered_.insert(rule);
    if (key == 'n') return {};
    return {Wish::kAllow, key == 't' ? rule + ",for=30m" : rule};
  }

 private:
  static uint64_t denied(const WindowReport& report) {
    return report.totals.denied_attempts() + report.totals.questions[PARE_EGRESS_DENIED];
  }

  template <typename F>
  void put(const WindowReport& report, const Destination& destination, F&& line) const {
    const uint64_t first = destination.first_ns - std::min(destination.first_ns, report.origin_ns);
    const uint64_t refused = destination.refusals();
    std::string by = base::join({destination.processes.begin(), destination.processes.end()}, ",");
    const std::string remark = destination.remark();
    line(fmt::format("{:>6.1f}s {:36} {:22} {:>7} {:>7}  {}{}{}", static_cast<double>(first) / 1e9,
                     cut(destination.name, 36), cut(destination.service(), 22), destination.tries(),
                     refused, by, remark.empty() ? "" : ": ", remark),
         refused == 0              ? kGreen
         : destination.allowed > 0 ? ""
                                   : kRed);
  }

  // The first refused destination that nobody has answered for.
  std::string next_question(const WindowReport& report) const {
    for (const Destination& destination : report.destinations) {
      if (!destination.refused() || destination.allowed > 0 || destination.tunnel) continue;
      const std::string rule = suggested_rule(destination);
      const bool stands =
          std::any_of(report.learnt.begin(), report.learnt.end(), [&](const auto& learnt) {
            return learnt.in_force && confine::covers(learnt.exception, destination);
          });
      if (!stands && answered_.count(rule) == 0) return rule;
    }
    return "";
  }

  RawTerminal terminal_;
  const bool coloured_ = colour_on_stdout();
  std::deque<std::string> said_;
  std::set<std::string> answered_;
  std::string asked_;
};

}  // namespace

std::unique_ptr<WatchView> screen_view() {
  return std::make_unique<Screen>();
}

}  // namespace pare::cli
