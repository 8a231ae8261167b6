// The egress window without a terminal: a line for what is new, or JSON lines.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "base/text.h"
#include "cli/watch_options.h"

namespace pare::cli {

namespace {

using confine::Destination;
using confine::WindowReport;

// What of a destination is news: a verdict, a beacon, a tunnel, ten times as many attempts.
std::string state_of(const Destination& destination) {
  auto beacon = destination.beacon();
  const bool rhythmic = beacon && beacon->rhythm != confine::Rhythm::kIrregular;
  uint64_t tens = 0;
  for (uint64_t n = destination.attempts() + destination.questions; n >= 100; n /= 10) ++tens;
  return fmt::format("{}{}{}{}{}", destination.allowed > 0, destination.refused(), rhythmic,
                     destination.tunnel, tens);
}

class Lines : public WatchView {
 public:
  void opened(const WindowReport& report) override {
    fmt::print("egress of {} is closed: {} exceptions, refusal {}{}\n", report.subject,
               report.learnt.size(), report.refusal,
               report.sealed ? "" : "; NOT SEALED: " + report.not_sealed_because);
    std::fflush(stdout);
  }
  void update(const WindowReport& report) override {
    for (const Destination& destination : report.destinations) {
      std::string state = state_of(destination);
      std::string& shown = shown_[destination.name];
      if (shown == state) continue;
      shown = state;
      news(report, destination);
    }
    std::fflush(stdout);
  }
  void say(const std::string& line) override {
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }
  void closed(const WindowReport& report) override {
    fmt::print("after {:.0f} s: {} allowed, {} denied attempts; {} packets did not leave\n",
               report.seconds, report.totals.attempts[PARE_EGRESS_ALLOWED],
               report.totals.denied_attempts(), report.totals.dropped_packets);
    for (const confine::Learnt& learnt : report.learnt)
      fmt::print("exception {}: {}, {} attempts{}{}\n", to_string(learnt.exception),
                 to_string(learnt.need), learnt.attempts, learnt.because.empty() ? "" : ", ",
                 learnt.because);
    if (const std::string log = log_text(report.log); !log.empty()) fmt::print("{}\n", log);
    if (!report.sealed) fmt::print("NOT SEALED: {}\n", report.not_sealed_because);
  }

 protected:
  virtual void news(const WindowReport& report, const Destination& destination) {
    const double seconds = static_cast<double>(destination.first_ns -
                                               std::min(destination.first_ns, report.origin_ns)) /
                           1e9;
    const char* verdict = destination.allowed == 0 ? "denied"
                          : destination.refused()  ? "mixed"
                                                   : "allowed";
    const std::string remark = destination.remark();
    fmt::print("{:7.1f}s {:7} {} {} by {} ({} times){}{}\n", seconds, verdict, destination.name,
               destination.service(),
               destination.processes.empty()
                   ? "?"
                   : base::join({destination.processes.begin(), destination.processes.end()}, ", "),
               destination.tries(), remark.empty() ? "" : ": ", remark);
  }

 private:
  std::map<std::string, std::string> shown_;
};

class JsonLines final : public Lines {
 public:
  void opened(const WindowReport& report) override {
    put({{"event", "opened"},
         {"subject", report.subject},
         {"sealed", report.sealed},
         {"notSealedBecause", report.not_sealed_because}});
  }
  void say(const std::string& line) override { put({{"event", "note"}, {"text", line}}); }
  void closed(const WindowReport& report) override {
    put({{"event", "closed"}, {"report", to_json(report)}});
  }

 protected:
  void news(const WindowReport& report, const Destination& destination) override {
    put({{"event", "destination"}, {"destination", to_json(destination, report.origin_ns)}});
  }

 private:
  static void put(const nlohmann::json& json) {
    // What a container calls its processes need not be UTF-8.
    fmt::print("{}\n", base::write_json(json));
    std::fflush(stdout);
  }
};

}  // namespace

std::unique_ptr<WatchView> line_view() {
  return std::make_unique<Lines>();
}

std::unique_ptr<WatchView> json_view() {
  return std::make_unique<JsonLines>();
}

std::string log_text(const confine::LogPicture& log) {
  if (!log.known) return "";
  std::string text = fmt::format("log: {:.0f} bytes a second", log.bytes_per_second);
  if (!log.repeated.empty())
    text += fmt::format("; {} times \"{}\"", log.repeated[0].count, log.repeated[0].sample);
  return text;
}

std::string suggested_rule(const Destination& destination) {
  // A destination that was only asked for has no port yet: inference servers speak HTTPS.
  const uint16_t port = destination.ports.size() == 1 ? *destination.ports.begin()
                        : destination.ports.empty()   ? 443
                                                      : 0;
  const bool v6 = !destination.named && destination.name.find(':') != std::string::npos;
  std::string text = v6 ? "[" + destination.name + "]" : destination.name;
  return port == 0 ? text : fmt::format("{}:{}", text, port);
}

}  // namespace pare::cli
