// What `pare watch` is told, and how it shows what happens.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "cli/serve_words.h"
#include "confine/egress_policy.h"
#include "confine/egress_subject.h"
#include "confine/egress_window.h"

namespace pare::cli {

struct WatchOptions {
  std::string word;       // CONTAINER or PROOF
  std::string container;  // that runs by the proof; empty: the proof's server is started
  std::vector<std::string> allow, allow_files, resolvers, checks;
  std::string window, refusal = "unreachable", dns = "closed", out, metrics, log, netns;
  ServeWords serve;
  bool keep = false, prove = false, json = false, fixed = false;
};

// What the words say, read and checked.
struct WatchPlan {
  confine::WindowOptions window;  // refusal and names
  std::optional<std::chrono::milliseconds> length;
  std::vector<confine::Exception> given;
  std::vector<confine::Address> resolvers;  // empty: the container's own
  std::vector<check::Spec> checks;
  std::string proof_digest;
  std::string container;  // empty: the proof's server is to be started
};
Result<WatchPlan> read_watch_options(const WatchOptions& options);

// egress.json and what it means elsewhere, into `directory`; the files' names.
Result<std::vector<std::string>> write_learnt(const std::string& directory,
                                              const confine::WindowReport& report);

// Where the window shows itself. One of a terminal's screen, plain lines, JSON lines.
class WatchView {
 public:
  WatchView() = default;
  WatchView(const WatchView&) = delete;
  WatchView& operator=(const WatchView&) = delete;
  virtual ~WatchView() = default;
  virtual void opened(const confine::WindowReport& report) = 0;
  virtual void update(const confine::WindowReport& report) = 0;
  virtual void say(const std::string& line) = 0;
  virtual void closed(const confine::WindowReport& report) = 0;
  // What the user wants since the last call; only a terminal's user can.
  struct Wish {
    enum Kind { kNothing, kQuit, kAllow } kind = kNothing;
    std::string exception;  // kAllow: a rule
  };
  virtual Wish wish() { return {}; }
};

std::unique_ptr<WatchView> line_view();
std::unique_ptr<WatchView> json_view();
std::unique_ptr<WatchView> screen_view();

// The rule that a person would write for a destination: its name (or address) and port.
std::string suggested_rule(const confine::Destination& destination);

// "log: 120 bytes a second; 300 times "cannot resolve ..."": empty where it is not known.
std::string log_text(const confine::LogPicture& log);

// Refuses one exception after the other, runs the checks, and says which were missed.
Status prove_exceptions(confine::Window& window, const confine::WatchSubject& subject,
                        const std::vector<check::Spec>& checks, WatchView& view,
                        std::vector<confine::Learnt>& learnt);

}  // namespace pare::cli
