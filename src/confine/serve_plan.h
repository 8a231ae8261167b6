// What a proof says about serving, as a container that has nothing else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "check/check.h"
#include "engine/engine.h"
#include "evidence/evidence.h"
#include "verdict/verdict.h"

namespace pare::confine {

struct ServePlan {
  target::Target target;  // not yet resolved
  privilege::Policy policy;
  privilege::Platform platform;
  std::vector<check::Spec> checks;
  std::vector<engine::VolumeMount> volumes;  // of an image: a named one's source is its name
  std::optional<uint64_t> memory_bytes;      // twice the proved peak and 64 MiB; nullopt: unknown
  std::vector<std::string> dropped;          // variables whose values the proof does not hold
};

struct ServeWishes {
  std::string rootfs;                    // instead of the proof's
  std::vector<target::EnvVar> env;       // over the proof's; gives a secret its value
  std::vector<target::Volume> volumes;   // other sources, by path
  std::optional<uint64_t> memory_bytes;  // instead of the peaks; 0: no limit
  std::optional<uint64_t> pids;
  bool unconfirmed = false;
};

// kUsage says what stands against it: an unconfirmed proof, a proved need of egress or of the
// host's network, a volume without a source where no Docker daemon runs the server.
Result<ServePlan> plan_serve(const verdict::Proof& proof,
                             const std::optional<evidence::Evidence>& evidence,
                             const ServeWishes& wishes);

// What differs where the engine that serves is not what proved: `runtime` is its version, the
// proof's is in it. What a runtime with a kernel of its own (Engine::own_kernel) cannot be held to,
// or is held to otherwise, is changed in the plan. Sentences for whoever runs it.
std::vector<std::string> adapt_plan(const verdict::Proof& proof, const std::string& runtime,
                                    bool own_kernel, const ServeWishes& wishes, ServePlan& plan);

// Takes what looks like a key out of what the image of a resolved target sets itself (ENV): as keys
// of the pull phase they stay out, unless a wish gave one. Their names.
std::vector<std::string> withhold_keys(target::Target& target);

// The proof's port with the role of inference; the first where several have it. kUsage: none has.
Result<uint16_t> inference_port(const privilege::Policy& policy);

}  // namespace pare::confine
