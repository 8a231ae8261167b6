// One container start: engine + record + check.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "engine/engine.h"
#include "evidence/evidence.h"
#include "privilege/platforms.h"
#include "prove/runner.h"
#include "record/areas.h"
#include "target/target.h"

namespace pare::trial {

struct Start {
  engine::Engine* engine = nullptr;
  const target::Target* target = nullptr;
  const privilege::Platform* platform = nullptr;
  privilege::Policy policy;
  engine::CreateOptions options;
  std::vector<check::Spec> checks;
  bool detect = false;  // choose the checks by talking to the server (`checks` is empty)
  bool record = true;
  bool ask_endpoints = false;  // which known paths the ports answer; it makes some 30 requests each
  bool until_exit = false;     // observe a program that ends by itself: no readiness, no stop
  bool stop_at_limit = false;  // until_exit: it is told to stop, else killed
  std::chrono::milliseconds idle{0};             // left alone between readiness and the checks
  check::Patience patience;                      // until readiness; observe: `limit` until the exit
  std::chrono::milliseconds stop_limit{10'000};  // SIGTERM to exit; 0: kill at once
  std::function<std::string(const std::string&)> volume_path;  // container path -> host path
  std::vector<record::Area> layers;  // where what is written to the volumes lies
};

struct StartResult {
  bool ready = false;
  std::vector<prove::CheckOutcome> checks;  // the specs', then the implied ones
  std::optional<evidence::Evidence> evidence;
  // What was tried in each stage: "start-up", "idle", "inference", "shutdown", as far as it came;
  // egress and DNS facts alone.
  std::vector<std::pair<std::string, evidence::Evidence>> stages;
  std::vector<check::Spec> detected;
  check::Ready readiness;
  engine::ExitState exit;  // of a container that ended by itself
  std::string why;         // of the first failure
};

// A container that fails is a result; an Error is ours.
Result<StartResult> run_once(const Start& start);

}  // namespace pare::trial
