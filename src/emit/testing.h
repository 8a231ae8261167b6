// Proofs to emit, for tests alone.
#pragma once

#include <gtest/gtest.h>
#include <libfyaml.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/text.h"
#include "emit/emit.h"
#include "privilege/platforms.h"

namespace pare::emit {

inline privilege::Platform platform(const std::string& name) {
  return *privilege::find_platform(name);
}

// A root file system that needs nothing but its port and /tmp.
inline verdict::Proof llama_proof() {
  verdict::Proof p;
  p.pare_version = "0.1.0";
  p.confirmed = p.minimal = true;
  p.platform = platform("kubernetes");
  p.assumptions = p.platform.assumptions;
  p.kernel = "6.18", p.arch = "x86_64", p.runtime = "runc 1.1.5", p.engine = "oci";
  p.date = "2026-01-02T03:04:05Z";
  p.target.kind = target::Kind::kRootfs;
  p.target.rootfs = "/srv/llroot";
  p.target.name = "llama-server";
  p.target.argv = {"/usr/bin/llama-server", "--host", "0.0.0.0", "--port", "8000", "--model",
                   "/models/tiny.gguf"};
  p.target.command = p.target.argv;
  p.target.volumes = {{"/srv/models", "/models", false, false}};
  p.asked = target::asked_policy(p.target, p.platform);
  p.asked.ports = {{8000, "tcp", "unknown"}};
  p.checks = {{"completion", "openai://:8000"}, {"health", "http://:8000/health;expect=200"}};
  p.policy.user = {65532, 65532, {}};
  p.policy.no_new_privileges = true;
  p.policy.rootfs_writable = false;
  p.policy.writable = {{"/tmp", "tmpfs", 4096, false, false}};
  p.policy.volumes = {{"/models", false}};
  p.policy.ports = {{8000, "tcp", "inference"}};
  p.policy.pids_max = 64;
  p.policy.seccomp = privilege::SeccompProfile{"x86_64",
                                               "EPERM",
                                               {"clone3", "openat2"},
                                               {"accept4", "close", "execve", "read", "write"},
                                               {"accept4", "read", "write"}};
  p.verdicts = {{{privilege::Axis::kUser, "root"},
                 evidence::Phase::kServe,
                 verdict::Kind::kUnneeded,
                 true,
                 false,
                 false,
                 "every check passes as uid 65532",
                 {3},
                 {},
                 std::nullopt}};
  p.trials = {{1, "baseline", "pass", {}, {}, "", 1.5, 1},
              {2, "baseline", "pass", {}, {}, "", 3, 1}};
  return p;
}

// An image with everything that an emitter has a word for.
inline verdict::Proof image_proof(const std::string& for_platform) {
  verdict::Proof p = llama_proof();
  p.platform = platform(for_platform);
  p.assumptions = p.platform.assumptions;
  p.engine = "docker";
  target::Target& t = p.target;
  t = {};
  t.kind = target::Kind::kImage;
  t.image = "registry.example:5000/team/embed:1.2";
  t.facts.digest = "sha256:" + std::string(64, 'a');
  t.facts.pinned = "registry.example:5000/team/embed@" + t.facts.digest;
  t.facts.entrypoint = {"/opt/start"};
  t.argv = {"/opt/start", "serve", "--all"};
  t.command = {"serve", "--all"};
  t.env = {{"NGC_API_KEY", "", true}, {"MODE", "yes", false}, {"ODD", "a$(HOME) 'b'\nc", false}};
  t.volumes = {{"/data/cache", "/opt/cache", false, false},
               {"models", "/models", true, true},
               {"/etc/embed/config.yaml", "/etc/config.yaml", false, true}};
  t.ports = {{"", 9000, 8000, "tcp"}, {"", 8002, 8002, "tcp"}};
  t.gpus = "all";
  t.init = true;
  t.kept = {{"--detach", "true"}, {"--memory", "8g"}, {"--log-driver", "local"}};
  t.written = {"docker", "run", "--gpus", "all", "-p", "9000:8000", t.image, "serve", "--all"};
  p.policy.user = {1000, 1001, {44, 107}};
  p.policy.capabilities = privilege::CapabilitySet{"SYS_NICE"};
  p.policy.writable = {{"/tmp", "tmpfs", uint64_t{40} << 20, false, false},
                       {"/root/.triton", "tmpfs", 3000ULL << 20, true, false},
                       {"/var/log/embed", "tmpfs", 0, false, false},
                       {"/opt/app/state", "tmpfs", 1024, false, true}};
  p.policy.volumes = {{"/opt/cache", true}, {"/models", false}, {"/etc/config.yaml", false}};
  p.policy.ports = {{8000, "tcp", "inference"}, {8002, "tcp", "metrics"}};
  p.policy.shm_bytes = 1ULL << 30;
  p.policy.pids_max = 512;
  p.policy.environment = {{"HOME", "/tmp"}};
  p.policy.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"}};
  p.policy.refusal = privilege::Refusal::kDropped;
  p.checks = {{"embed", "http://:8000/v1/embed;method=POST;body={}"},
              {"ready", "http://:8000/v1/health/ready"}};
  p.trials[1].seconds = 400;
  p.verdicts.push_back({{privilege::Axis::kCapability, "SYS_NICE"},
                        evidence::Phase::kServe,
                        verdict::Kind::kNeeded,
                        true,
                        true,
                        false,
                        "check embed failed: HTTP 500",
                        {4, 5},
                        {"e12"},
                        std::nullopt});
  return p;
}

// An image that downloads into its volume once, and then needs neither network nor write.
inline verdict::Proof pulling_proof(const std::string& for_platform) {
  verdict::Proof p = image_proof(for_platform);
  p.policy.volumes = {{"/opt/cache", false}, {"/models", false}, {"/etc/config.yaml", false}};
  for (const auto& [axis, value] : {std::pair{privilege::Axis::kEgress, "hub.example:443"},
                                    std::pair{privilege::Axis::kVolumeWrite, "/opt/cache"}}) {
    verdict::Verdict v;
    v.privilege = {axis, value};
    v.phase = evidence::Phase::kPull;
    v.kind = verdict::Kind::kNeeded;
    p.verdicts.push_back(v);
  }
  return p;
}

inline std::vector<File> emitted(const verdict::Proof& proof, const std::string& to,
                                 const Options& options = {}) {
  auto files = emit(proof, to, options);
  if (!files) {
    ADD_FAILURE() << to << ": " << files.error().message;
    return {};
  }
  return *files;
}

inline std::string content_of(const std::vector<File>& files, const std::string& name) {
  for (const File& file : files) {
    if (file.name == name) return file.content;
  }
  ADD_FAILURE() << "no file " << name;
  return "";
}

// Every document of a YAML text, as libfyaml understands it.
inline std::vector<base::Json> yaml_documents(const std::string& text) {
  std::vector<base::Json> documents;
  fy_parse_cfg config{};
  std::unique_ptr<fy_parser, void (*)(fy_parser*)> parser(fy_parser_create(&config),
                                                          fy_parser_destroy);
  fy_parser_set_string(parser.get(), text.data(), text.size());
  while (fy_document* document = fy_parse_load_document(parser.get())) {
    std::unique_ptr<char, void (*)(void*)> json(
        fy_emit_document_to_string(document, FYECF_MODE_JSON), free);
    documents.push_back(base::Json::parse(json.get(), nullptr, false));
    fy_parse_document_destroy(parser.get(), document);
  }
  EXPECT_FALSE(fy_parser_get_stream_error(parser.get())) << text;
  return documents;
}

}  // namespace pare::emit
