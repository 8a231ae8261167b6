// One planted server proved with fakes, and what its proof says.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "prove/fake_runner.h"

namespace pare::prove {

struct Case {
  Question question = default_question();
  std::vector<uint16_t> ports = {8000};
  verdict::Proof proof;
  int starts = 0;
  int jobs = 1;

  void run(const Server& server) {
    FakeRunner runner(question, server, ports);
    runner.set_jobs(jobs);
    auto result = prove(question, runner);
    ASSERT_TRUE(result) << result.error().message;
    proof = *result;
    starts = runner.starts();
  }

  const verdict::Verdict* find(const std::string& name, evidence::Phase phase) const {
    for (const verdict::Verdict& v : proof.verdicts) {
      if (to_string(v.privilege) == name && v.phase == phase) return &v;
    }
    return nullptr;
  }

  std::string kind(const std::string& name, evidence::Phase phase = evidence::Phase::kServe) const {
    const verdict::Verdict* v = find(name, phase);
    return v == nullptr ? "absent" : std::string(to_string(v->kind));
  }

  std::string because(const std::string& name) const {
    const verdict::Verdict* v = find(name, evidence::Phase::kServe);
    return v == nullptr ? "absent" : v->because;
  }

  // Names that are neither unneeded nor the checked port.
  std::vector<std::string> not_unneeded() const {
    std::vector<std::string> names;
    for (const verdict::Verdict& v : proof.verdicts) {
      if (v.kind == verdict::Kind::kUnneeded || v.privilege.axis == privilege::Axis::kPort)
        continue;
      names.push_back(to_string(v.privilege) + " " + std::string(to_string(v.kind)));
    }
    return names;
  }
};

inline std::string serves(World& world) {
  world.ready();
  return world.bind(8000) ? "" : "cannot bind";
}

inline std::string infers_with_raw_socket(World& world) {
  world.ready();
  return world.use("NET_RAW", "socket", "AF_PACKET") ? "" : "HTTP 500";
}

}  // namespace pare::prove
