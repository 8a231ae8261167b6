// Docker's forms read back by a shell, by the docker run parser and by a YAML parser.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "emit/testing.h"
#include "emit/testing_run.h"
#include "target/docker_run.h"

namespace pare::emit {

using base::Json;
using ::testing::Contains;
using ::testing::HasSubstr;

namespace {

// What the script hands to docker, word by word, for each time that it calls it.
std::vector<std::vector<std::string>> docker_calls(const std::vector<File>& files) {
  Directory dir;
  dir.write(files);
  std::string stub = "#!/bin/sh\nfor word in docker \"$@\"; do printf '%s\\0' \"$word\"; done >>'" +
                     dir.path() + "/calls'\nprintf '\\1\\0' >>'" + dir.path() +
                     "/calls'\n[ \"$2\" != inspect ]\n";
  EXPECT_TRUE(base::write_file_atomic(dir.path() + "/docker", stub, 0755));
  Ran ran = run("NGC_API_KEY=key PATH='" + dir.path() + "':$PATH sh '" + dir.path() + "/run.sh'");
  EXPECT_EQ(ran.code, 0) << ran.output;
  std::vector<std::vector<std::string>> calls(1);
  for (const std::string& word :
       base::split(base::read_file(dir.path() + "/calls").value_or(""), '\0')) {
    if (word == "\1") {
      calls.emplace_back();
    } else {
      calls.back().push_back(word);
    }
  }
  calls.pop_back();
  return calls;
}

}  // namespace

TEST(Docker, TheLineReadsBackAsThePolicy) {
  for (const verdict::Proof& proof : {llama_proof(), image_proof("docker")}) {
    auto calls = docker_calls(emitted(proof, "docker"));
    ASSERT_EQ(calls.size(), 3u);
    EXPECT_THAT(calls[1], ::testing::IsSupersetOf({"network", "create", "--internal"}));
    auto target = target::parse_docker_run(calls[2], {{"NGC_API_KEY", "key"}});
    ASSERT_TRUE(target) << target.error().message;
    target->resolved_user = *target::resolve_user(target->user, {});
    target->resolved_user.groups = target->group_add;
    privilege::Policy read = target::asked_policy(*target, platform("docker"));
    const privilege::Policy& policy = proof.policy;
    EXPECT_EQ(read.user, policy.user);
    EXPECT_EQ(read.capabilities, policy.capabilities);
    EXPECT_EQ(read.no_new_privileges, policy.no_new_privileges);
    EXPECT_EQ(read.rootfs_writable, policy.rootfs_writable);
    EXPECT_EQ(read.pids_max, policy.pids_max);
    EXPECT_EQ(read.shm_bytes, policy.shm_bytes);
    EXPECT_EQ(read.sysctls, policy.sysctls);
    EXPECT_TRUE(read.host_namespaces.empty() && read.devices.empty());
    std::set<std::string> writable, read_writable;
    for (const auto& w : policy.writable) writable.insert(w.path);
    for (const auto& v : policy.volumes) {
      if (v.writable) writable.insert(v.path);
    }
    for (const auto& w : read.writable) read_writable.insert(w.path);
    for (const auto& v : read.volumes) {
      if (v.writable) read_writable.insert(v.path);
    }
    EXPECT_EQ(read_writable, writable);
    EXPECT_THAT(target->seccomp_file, HasSubstr(".seccomp.json"));
    EXPECT_EQ(target->network, target->name + "-closed");
    EXPECT_TRUE(target->ports.empty());
  }
}

TEST(Docker, WordsSurviveTheShell) {
  auto calls = docker_calls(emitted(image_proof("docker"), "docker"));
  ASSERT_FALSE(calls.empty());
  EXPECT_THAT(calls.back(), Contains("ODD=a$(HOME) 'b'\nc"));
  EXPECT_THAT(calls.back(), Contains("NGC_API_KEY"));
  EXPECT_EQ(calls.back().back(), "--all");
}

TEST(Docker, AnOpenNetworkIsPublishedOnLoopbackAlone) {
  verdict::Proof proof = image_proof("docker");
  proof.policy.egress = {{"models.example", 443}};
  auto files = emitted(proof, "docker");
  auto calls = docker_calls(files);
  ASSERT_EQ(calls.size(), 1u);
  EXPECT_THAT(calls[0], Contains("127.0.0.1:9000:8000"));
  EXPECT_THAT(content_of(files, "run.sh"), HasSubstr("models.example:443 alone"));
  proof.policy.egress.clear();
  proof.policy.ports.clear();
  EXPECT_THAT(docker_calls(emitted(proof, "docker")).at(0), Contains("none"));
}

TEST(Docker, ThePullIsAContainerOfItsOwnThatEndsWhenReady) {
  Directory dir;
  dir.write(emitted(pulling_proof("docker"), "docker"));
  for (const auto& [name, body] : {std::pair{"docker", "echo docker \"$@\"; echo true"},
                                   std::pair{"curl", "echo curl \"$@\""}}) {
    ASSERT_TRUE(base::write_file_atomic(dir.path() + "/" + name,
                                        std::string("#!/bin/sh\n") + body + "\n", 0755));
  }
  Ran ran = run("NGC_API_KEY=k PATH='" + dir.path() + "':$PATH sh '" + dir.path() + "/pull.sh'");
  EXPECT_EQ(ran.code, 0) << ran.output;
  EXPECT_THAT(ran.output, HasSubstr("docker run --detach --name embed-pull "));
  EXPECT_THAT(ran.output, HasSubstr("type=bind,source=/data/cache,target=/opt/cache "));
  EXPECT_THAT(ran.output, HasSubstr("curl --fail --silent --output /dev/null "
                                    "http://127.0.0.1:9000/v1/health/ready"));
  EXPECT_THAT(content_of(emitted(pulling_proof("docker"), "docker"), "run.sh"),
              HasSubstr("source=/data/cache,target=/opt/cache,readonly"));
}

TEST(Docker, AMissingSecretStopsTheScriptBeforeDocker) {
  Directory dir;
  dir.write(emitted(image_proof("docker"), "docker"));
  Ran ran = run("env -u NGC_API_KEY PATH=/nonexistent:$PATH sh '" + dir.path() + "/run.sh'");
  EXPECT_NE(ran.code, 0);
  EXPECT_THAT(ran.output, HasSubstr("NGC_API_KEY: export it first"));
}

TEST(Compose, TheServiceHasThePolicyAndNothingElse) {
  auto files = emitted(image_proof("docker"), "compose");
  Json document = yaml_documents(content_of(files, "compose.yaml")).at(0);
  ASSERT_EQ(document["services"].size(), 1u);
  Json service = document["services"]["embed"];
  EXPECT_EQ(service["user"], "1000:1001");
  EXPECT_EQ(service["group_add"], (Json{"44", "107"}));
  EXPECT_EQ(service["privileged"], false);
  EXPECT_EQ(service["read_only"], true);
  EXPECT_EQ(service["cap_drop"], Json::array({"ALL"}));
  EXPECT_EQ(service["cap_add"], Json::array({"SYS_NICE"}));
  EXPECT_EQ(service["security_opt"],
            (Json{"no-new-privileges:true", "seccomp:./embed.seccomp.json"}));
  EXPECT_EQ(service["pids_limit"], 512);
  EXPECT_EQ(service["networks"], Json::array({"closed"}));
  EXPECT_FALSE(service.contains("ports") || service.contains("network_mode"));
  EXPECT_EQ(document["networks"]["closed"]["internal"], true);
  EXPECT_EQ(service["command"], (Json{"serve", "--all"}));
  EXPECT_EQ(service["mem_limit"], "8g");
  EXPECT_THAT(service["environment"], Contains("NGC_API_KEY"));
  EXPECT_THAT(service["environment"], Contains("ODD=a$$(HOME) 'b'\nc"));
  ASSERT_EQ(service["volumes"].size(), 4u);
  EXPECT_EQ(service["volumes"][1]["target"], "/opt/cache");
  EXPECT_FALSE(service["volumes"][1].contains("read_only"));
  EXPECT_EQ(
      service["volumes"][2],
      (Json{{"type", "volume"}, {"source", "models"}, {"target", "/models"}, {"read_only", true}}));
  EXPECT_EQ(document["volumes"]["models"]["external"], true);
  std::string head = content_of(files, "compose.yaml");
  EXPECT_THAT(head, HasSubstr("--log-driver=local: write it in by hand"));
  EXPECT_THAT(head, ::testing::Not(HasSubstr("--detach=true")));
}

TEST(Compose, ThePullIsAServiceThatIsOnlyStartedOnRequest) {
  auto files = emitted(pulling_proof("docker"), "compose");
  Json services = yaml_documents(content_of(files, "compose.yaml")).at(0)["services"];
  EXPECT_EQ(services["embed-pull"]["profiles"], Json::array({"pull"}));
  EXPECT_EQ(services["embed-pull"]["ports"], Json::array({"127.0.0.1:9000:8000"}));
  EXPECT_FALSE(services["embed-pull"]["volumes"][1].contains("read_only"));
  EXPECT_EQ(services["embed"]["volumes"][1]["read_only"], true);
  EXPECT_EQ(services["embed"]["networks"], Json::array({"closed"}));
}

}  // namespace pare::emit
