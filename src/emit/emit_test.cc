#include "emit/emit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "emit/testing.h"
#include "emit/yaml.h"

namespace pare::emit {

using ::testing::HasSubstr;
using ::testing::Not;

namespace {

struct Case {
  const char* name;
  verdict::Proof proof;
  const char* to;
  Options options;
};

std::vector<Case> golden_cases() {
  Options digest;
  digest.proof_digest = std::string(64, '0');
  Options all = digest;
  all.localhost_seccomp = true;
  all.runtime_class = "gvisor";
  all.host_users = false;
  return {
      {"llama", llama_proof(), "kubernetes", digest},
      {"llama", llama_proof(), "docker", digest},
      {"llama", llama_proof(), "oci", digest},
      {"llama", llama_proof(), "seccomp", digest},
      {"image", image_proof("kubernetes"), "kubernetes", all},
      {"image", image_proof("docker"), "docker", digest},
      {"llama", llama_proof(), "compose", digest},
      {"image", image_proof("docker"), "compose", digest},
      {"llama", llama_proof(), "dockerfile", digest},
      {"llama", llama_proof(), "helm", digest},
      {"image", image_proof("kubernetes"), "kustomize", all},
      {"image", image_proof("docker"), "dockerfile", digest},
      {"pulling", pulling_proof("docker"), "compose", digest},
      {"pulling", pulling_proof("kubernetes"), "kubernetes", digest},
      {"pulling", pulling_proof("docker"), "docker", digest},
      {"pulling", pulling_proof("kubernetes"), "cilium", digest},
  };
}

}  // namespace

// What was emitted once is what is emitted; PARE_UPDATE_GOLDEN=1 rewrites the files.
TEST(Emit, Golden) {
  for (const Case& c : golden_cases()) {
    for (const File& file : emitted(c.proof, c.to, c.options)) {
      std::string path = std::string(PARE_SOURCE_DIR) + "/tests/golden/emit/" + c.name + "/" +
                         c.to + "/" + file.name;
      if (std::getenv("PARE_UPDATE_GOLDEN") != nullptr) {
        ASSERT_TRUE(base::make_directories(path.substr(0, path.find_last_of('/'))));
        ASSERT_TRUE(base::write_file_atomic(path, file.content));
      }
      auto golden = base::read_file(path);
      ASSERT_TRUE(golden) << golden.error().message;
      EXPECT_EQ(file.content, *golden) << path;
    }
  }
}

// The proofs behind the golden files, for tests that run other people's programs on them.
TEST(Emit, GoldenProofs) {
  for (const auto& [name, proof] :
       {std::pair{"llama", llama_proof()}, std::pair{"image", image_proof("kubernetes")}}) {
    std::string path = std::string(PARE_SOURCE_DIR) + "/tests/golden/emit/" + name + "/proof.json";
    std::string text = verdict::to_json(proof).dump(1) + "\n";
    if (std::getenv("PARE_UPDATE_GOLDEN") != nullptr) {
      ASSERT_TRUE(base::write_file_atomic(path, text));
    }
    EXPECT_EQ(text, base::read_file(path).value_or("")) << path;
  }
}

TEST(Emit, EveryFileSaysWhereItComesFrom) {
  for (const Case& c : golden_cases()) {
    for (const File& file : emitted(c.proof, c.to, c.options)) {
      if (file.name == "hosts" || file.name == "hostname" || file.name == "resolv.conf") continue;
      EXPECT_THAT(file.content, HasSubstr("sha256:" + c.options.proof_digest)) << file.name;
    }
  }
}

TEST(Emit, UnconfirmedProofsAreRefusedAndMarked) {
  verdict::Proof proof = image_proof("docker");
  proof.confirmed = proof.minimal = false;
  proof.not_minimal_because = "the budget ended";
  for (const Emitter& emitter : emitter_table()) {
    verdict::Proof asked = proof;
    if (!emitter.platform.empty()) asked.platform = platform(emitter.platform);
    if (emitter.name == "oci") asked = llama_proof(), asked.confirmed = asked.minimal = false;
    auto refused = emit(asked, emitter.name, {});
    ASSERT_FALSE(refused) << emitter.name;
    EXPECT_EQ(refused.error().kind, ErrorKind::kUsage);
    EXPECT_THAT(refused.error().message, HasSubstr("--unconfirmed"));
    Options options;
    options.unconfirmed = true;
    for (const File& file : emitted(asked, emitter.name, options)) {
      if (file.name == "hosts" || file.name == "hostname" || file.name == "resolv.conf") continue;
      bool config = file.name == "config.json";
      EXPECT_THAT(file.content, HasSubstr(config ? "\"pare.confirmed\": \"false\"" : "UNCONFIRMED"))
          << emitter.name << " " << file.name;
    }
  }
}

TEST(Emit, NamesTheNearestEmitter) {
  auto files = emit(llama_proof(), "kubernets", {});
  ASSERT_FALSE(files);
  EXPECT_THAT(files.error().message, HasSubstr("did you mean kubernetes?"));
  EXPECT_THAT(files.error().message, HasSubstr("seccomp"));
}

TEST(Emit, RefusesAPlatformThatGivesLessThanTheProofLeanedOn) {
  verdict::Proof proof = image_proof("docker");
  proof.policy.sysctls.clear();
  auto owned = emit(proof, "kubernetes", {});
  ASSERT_FALSE(owned);
  EXPECT_THAT(owned.error().message, HasSubstr("scratch directories belong"));
  proof.policy.writable.clear();
  EXPECT_TRUE(emit(proof, "kubernetes", {}));
  proof.policy.ports = {{80, "tcp", "inference"}};
  auto low_port = emit(proof, "kubernetes", {});
  ASSERT_FALSE(low_port);
  EXPECT_THAT(low_port.error().message, HasSubstr("ip_unprivileged_port_start"));
  EXPECT_THAT(low_port.error().message,
              HasSubstr("pare prove --for kubernetes -- docker run --gpus all"));
  EXPECT_TRUE(emit(proof, "docker", {}));
  proof.policy.ports[0].port = 8000;
  proof.policy.memlock_bytes = 1 << 20;
  auto memlock = emit(proof, "kubernetes", {});
  ASSERT_FALSE(memlock);
  EXPECT_THAT(memlock.error().message, HasSubstr("memlock"));
  proof.policy.memlock_bytes.reset();
  proof.policy.seccomp.reset();
  proof.policy.seccomp_default = true;
  EXPECT_FALSE(emit(proof, "kubernetes", {}));
}

// What each of two platforms gives by itself, for every emitter: where the other one gives less, a
// proof that leans on it is refused with the command that would ask.
TEST(Emit, EveryPairOfPlatforms) {
  struct Lean {
    const char* on;
    void (*change)(verdict::Proof&);
    const char* refused_from_docker;      // for kubernetes; nullptr: never
    const char* refused_from_kubernetes;  // for docker
  };
  const Lean kLeans[] = {
      {"nothing", [](verdict::Proof&) {}, nullptr, nullptr},
      {"a low port",
       [](verdict::Proof& p) {
         p.policy.ports = {{80, "tcp", "inference"}};
       },
       "ip_unprivileged_port_start", nullptr},
      {"a low port with its sysctl",
       [](verdict::Proof& p) {
         p.policy.ports = {{80, "tcp", "inference"}};
         p.policy.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"}};
       },
       nullptr, nullptr},
      {"ping without NET_RAW",
       [](verdict::Proof& p) {
         p.verdicts.push_back({{privilege::Axis::kCapability, "NET_RAW"}});
         p.verdicts.back().used = true;
       },
       "capability/NET_RAW", nullptr},
      {"owned scratch space",
       [](verdict::Proof& p) {
         p.policy.writable = {{"/tmp", "tmpfs", 4096, false, false}};
       },
       "scratch directories belong", nullptr},
      {"scratch space of root",
       [](verdict::Proof& p) {
         p.policy.writable = {{"/tmp", "tmpfs", 4096, false, false}};
         p.policy.user = {};
       },
       nullptr, nullptr},
      {"memlock", [](verdict::Proof& p) { p.policy.memlock_bytes = 1 << 20; }, "memlock", nullptr},
      {"the default profile",
       [](verdict::Proof& p) {
         p.policy.seccomp.reset();
         p.policy.seccomp_default = true;
       },
       "syscall", "syscall"},
  };
  for (const Lean& lean : kLeans) {
    for (const char* from : {"docker", "kubernetes"}) {
      verdict::Proof proof = image_proof(from);
      proof.policy.sysctls.clear();
      proof.policy.writable.clear();
      proof.target.volumes.clear();
      proof.policy.volumes.clear();
      lean.change(proof);
      for (const Emitter& emitter : emitter_table()) {
        bool other = !emitter.platform.empty() && emitter.platform != from;
        const char* refused = !other                          ? nullptr
                              : std::string(from) == "docker" ? lean.refused_from_docker
                                                              : lean.refused_from_kubernetes;
        if (emitter.name == "seccomp" && !proof.policy.seccomp) continue;  // it has none to write
        auto files = emit(proof, emitter.name, {});
        std::string what = std::string(lean.on) + ": " + from + " for " + emitter.name;
        if (refused == nullptr) {
          EXPECT_TRUE(files) << what << (files ? "" : ": " + files.error().message);
          continue;
        }
        ASSERT_FALSE(files) << what;
        EXPECT_EQ(files.error().kind, ErrorKind::kUsage) << what;
        EXPECT_THAT(files.error().message, HasSubstr(refused)) << what;
        EXPECT_THAT(files.error().message,
                    HasSubstr("ask with: pare prove --for " + emitter.platform + " -- docker run"))
            << what;
      }
    }
  }
}

TEST(Emit, AProofWithoutCallsHasNoSeccompFile) {
  verdict::Proof proof = llama_proof();
  proof.policy.seccomp.reset();
  auto files = emit(proof, "seccomp", {});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind, ErrorKind::kUsage);
  for (const File& file : emitted(proof, "kubernetes"))
    EXPECT_THAT(file.name, Not(HasSubstr("json")));
}

TEST(Emit, SecretsNeverHaveValues) {
  for (const Emitter& emitter : emitter_table()) {
    verdict::Proof proof = pulling_proof(emitter.platform.empty() ? "docker" : emitter.platform);
    proof.target.env[0].value = "nvapi-hunter2";  // as in the process that proved it
    if (emitter.name == "oci") proof.target.volumes.erase(proof.target.volumes.begin() + 1);
    for (const File& file : emitted(proof, emitter.name)) {
      EXPECT_THAT(file.content, Not(HasSubstr("hunter2"))) << emitter.name << " " << file.name;
    }
  }
}

TEST(Yaml, ReadsBackAsWritten) {
  std::vector<std::string> texts = {
      "",     "plain", "yes", "NO",     "null",   "~",          "1",          "1e3",   "0x10",
      "a: b", "a #b",  "- x", "'q'",    "\"q\"",  "\\n",        "two\nlines", "\ttab", "8000:8000",
      "é",    "\x01",  "1.5", "-",      "a,b",    "{x}",        "!tag",       "&a",    "*a",
      "%x",   "@x",    "`x`", "\u2028", "\u0085", "2026-01-01", ".inf",       "=",     "<<"};
  Yaml map = Yaml::map();
  for (const std::string& text : texts) map.set("k" + text, text, "about " + text);
  map.set("list", texts).set("empty", Yaml::list()).set("none", Yaml::map()).set("n", 3);
  map.set("nested", Yaml::list().add(Yaml::map().set("a", true, "why\rnot").set("b", texts)));
  auto documents = yaml_documents(map.text());
  ASSERT_EQ(documents.size(), 1u) << map.text();
  for (const std::string& text : texts) EXPECT_EQ(documents[0]["k" + text], text) << text;
  EXPECT_EQ(documents[0]["list"], base::Json(texts));
  EXPECT_EQ(documents[0]["empty"], base::Json::array());
  EXPECT_EQ(documents[0]["none"], base::Json::object());
  EXPECT_EQ(documents[0]["n"], 3);
  EXPECT_EQ(documents[0]["nested"][0]["a"], true);
  EXPECT_EQ(documents[0]["nested"][0]["b"], base::Json(texts));
}

}  // namespace pare::emit
