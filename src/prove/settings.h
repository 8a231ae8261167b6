// The server's own switches: which close an endpoint or silence telemetry, and what a trial shows.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "prove/answer.h"

namespace pare::prove {

class Settings {
 public:
  // Reads answer.endpoints; run() fills the rest of what `answer` says of settings.
  Settings(Universe& universe, std::vector<verdict::CheckEntry> checks, Answer& answer);

  // Every known switch at once, singly where that fails; the universe adopts those that close
  // something while checks pass. `request`: the whole target. No trial where none is known.
  Step<void> run(Ledger& ledger, const Request& request);

 private:
  struct Host {
    std::string name;
    Switches off;
  };

  std::vector<Switches> singly() const;
  Step<bool> passes(Ledger& ledger, const Request& request, const Switches& switches);
  // What passing trial `id` under `tried` shows: the switches that made a difference.
  Switches learn(int id, const evidence::Evidence& evidence, const Switches& tried);

  Universe& universe_;
  std::vector<verdict::CheckEntry> checks_;
  Answer& answer_;
  std::vector<Host> hosts_;
};

}  // namespace pare::prove
