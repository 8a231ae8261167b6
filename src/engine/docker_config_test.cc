// What the daemon is told, without one.
#include "engine/docker_config.h"

#include <gmock/gmock.h>

#include "base/json.h"
#include "base/text.h"
#include "engine/docker_stream.h"
#include "engine/docker_tar.h"
#include "privilege/seccomp.h"
#include "sys/process.h"
#include "target/docker_run.h"

namespace pare::engine {
namespace {

using base::Json;
using privilege::Policy;
using target::Target;
using testing::HasSubstr;

// A line's target as if resolved against an image without entry point.
Target line(const std::string& options) {
  std::vector<std::string> words = {"docker", "run"};
  for (std::string& word : base::split(options, ' ')) {
    if (!word.empty()) words.push_back(std::move(word));
  }
  words.insert(words.end(), {"image", "serve", "--port", "1"});
  auto target = target::parse_docker_run(words, {});
  EXPECT_TRUE(target) << target.error().message;
  Target resolved = target.value_or(Target{});
  resolved.argv = resolved.command;
  return resolved;
}

Result<Json> told(const Target& target, const Policy& policy, CreateOptions options = {},
                  const char* platform = "docker") {
  options.id = "pare-x";
  privilege::Platform p = privilege::find_platform(platform).value();
  return docker_container({target, policy, p, options, "session", "sha256:1",
                           target.seccomp_file.empty() ? "" : "{\"own\": 1}", false});
}

Json host_config(const std::string& options) {
  Target target = line(options);
  Policy asked = asked_policy(target, privilege::find_platform("docker").value());
  auto json = told(target, asked);
  EXPECT_TRUE(json) << json.error().message;
  return json ? (*json)["HostConfig"] : Json();
}

TEST(DockerConfig, TheCallersProfileAndLimitReplaceThePolicys) {
  Policy policy;
  policy.seccomp = privilege::SeccompProfile{};
  CreateOptions options;
  options.seccomp = "{\"listenerPath\": \"/x\"}";
  options.memory_bytes = 1 << 20;
  options.output = 1;
  Json host = told(line(""), policy, options).value()["HostConfig"];
  EXPECT_EQ(host["SecurityOpt"], Json::array({"seccomp=" + options.seccomp}));
  EXPECT_EQ(host["Memory"], 1 << 20);
  EXPECT_EQ(host["LogConfig"]["Config"]["max-size"], "16m");
}

TEST(DockerConfig, TheTightestPolicyLeavesNothingToTheDaemon) {
  Target target = line("-p 8000:8000 --privileged --network host --device /dev/kvm -e A=1");
  Policy policy;
  policy.user = {1000, 1001, {44}};
  policy.no_new_privileges = true;
  policy.rootfs_writable = false;
  policy.seccomp = privilege::SeccompProfile{};
  policy.seccomp->syscalls = {"read"};
  policy.environment = {{"A", "2"}, {"HOME", "/tmp"}};
  policy.arguments = std::vector<std::string>{"other"};
  Json json = told(target, policy).value();
  EXPECT_EQ(json["User"], "1000:1001");
  EXPECT_EQ(json["Image"], "sha256:1");
  EXPECT_EQ(json["Entrypoint"], Json::array({"other"}));
  EXPECT_EQ(json["Cmd"], Json::array());
  EXPECT_EQ(json["Env"], Json::array({"A=2", "HOME=/tmp"}));
  target.facts.env = {{"HF_TOKEN", "x", true}, {"A", "0", false}};
  CreateOptions withholding;
  withholding.withheld = {"HF_TOKEN", "A"};
  Json without = told(target, policy, withholding).value();
  EXPECT_EQ(without["Env"], Json::array({"A=2", "HOME=/tmp", "HF_TOKEN"}));
  EXPECT_EQ(json["Labels"], (Json{{"pare.session", "session"}, {"pare.id", "pare-x"}}));
  EXPECT_EQ(json["Healthcheck"], (Json{{"Test", {"NONE"}}}));
  const Json& host = json["HostConfig"];
  EXPECT_EQ(host["Privileged"], false);
  EXPECT_EQ(host["CapDrop"], Json::array({"ALL"}));
  EXPECT_EQ(host["CapAdd"], Json::array());
  EXPECT_EQ(host["ReadonlyRootfs"], true);
  EXPECT_EQ(host["GroupAdd"], Json::array({"44"}));
  EXPECT_EQ(host["NetworkMode"], "none");
  EXPECT_EQ(host["IpcMode"], "private");
  EXPECT_EQ(host["PidMode"], "");
  EXPECT_EQ(host["Devices"], Json::array());
  EXPECT_EQ(host["RestartPolicy"], (Json{{"Name", "no"}}));
  EXPECT_EQ(host["AutoRemove"], false);
  EXPECT_FALSE(host.contains("PortBindings"));
  ASSERT_EQ(host["SecurityOpt"].size(), 2u);
  EXPECT_EQ(host["SecurityOpt"][0], "no-new-privileges");
  std::string seccomp = host["SecurityOpt"][1];
  ASSERT_EQ(seccomp.substr(0, 8), "seccomp=");
  EXPECT_EQ(Json::parse(seccomp.substr(8)), privilege::docker_seccomp(*policy.seccomp));
}

TEST(DockerConfig, SysctlsAreThePlatformsAndNotDockers) {
  Target target = line("");
  Policy policy;
  auto sysctls = [&](const char* platform) {
    return told(target, policy, {}, platform).value()["HostConfig"]["Sysctls"];
  };
  EXPECT_EQ(sysctls("kubernetes"), (Json{{"net.ipv4.ip_unprivileged_port_start", "1024"},
                                         {"net.ipv4.ping_group_range", "1 0"}}));
  EXPECT_EQ(sysctls("docker")["net.ipv4.ip_unprivileged_port_start"], "0");
  policy.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
  EXPECT_EQ(sysctls("kubernetes")["net.ipv4.ip_unprivileged_port_start"], "80");
}

TEST(DockerConfig, TheNetworkIsTheTargetsOwnOnlyWhenOpen) {
  struct {
    const char* options;
    bool open, host_granted;
    const char* network;
  } cases[] = {{"--network host", false, true, "none"},
               {"--network host", true, true, "host"},
               {"--network host", true, false, "bridge"},
               {"--network front", true, false, "front"},
               {"", true, false, "bridge"},
               {"", false, false, "none"}};
  for (const auto& c : cases) {
    Policy policy;
    if (c.host_granted) policy.host_namespaces = {"network"};
    CreateOptions options;
    options.open_network = c.open;
    Json host = told(line(c.options), policy, options).value()["HostConfig"];
    EXPECT_EQ(host["NetworkMode"], c.network) << c.options;
    EXPECT_EQ(host["Sysctls"].empty(), std::string(c.network) == "host") << c.options;
  }
}

TEST(DockerConfig, MountsFollowThePolicy) {
  Target target = line("--tmpfs /own:size=1m,exec");
  Policy policy;
  policy.user = {1000, 1001, {}};
  policy.writable = {{"/own"},
                     {"/tmp", "tmpfs", 40 << 20},
                     {"/lib", "tmpfs", 0, true},
                     {"/seeded", "tmpfs", 0, false, true},
                     {"/m"}};
  policy.volumes = {{"/m", true}, {"/n", false}};
  CreateOptions options;
  options.volumes = {{"/host/m", "/m"}, {"/host/n", "/n"}, {"/host/o", "/o"}, {"", "/p"}};
  Json host = told(target, policy, options).value()["HostConfig"];
  EXPECT_EQ(host["Tmpfs"], (Json{{"/own", "size=1m,exec"},
                                 {"/tmp",
                                  "rw,nosuid,nodev,noexec,uid=1000,gid=1001,mode=1777,"
                                  "size=83886080"},
                                 {"/lib", "rw,nosuid,nodev,exec,uid=1000,gid=1001,mode=1777"}}));
  std::vector<std::string> mounts;
  for (const Json& m : host["Mounts"]) {
    mounts.push_back(m["Type"].get<std::string>() + " " + m.value("Source", "-") + " " +
                     m["Target"].get<std::string>() + (m.value("ReadOnly", false) ? " ro" : ""));
  }
  EXPECT_THAT(mounts,
              testing::ElementsAre("bind /host/m /m", "bind /host/n /n ro", "bind /host/o /o ro",
                                   "volume - /p ro", "volume - /seeded"));
}

TEST(DockerConfig, SeccompHasFourForms) {
  EXPECT_EQ(host_config("--security-opt apparmor=x")["SecurityOpt"], Json::array({"apparmor=x"}));
  EXPECT_EQ(host_config("--security-opt seccomp=unconfined")["SecurityOpt"],
            Json::array({"seccomp=unconfined"}));
  Target own = line("--security-opt seccomp=/profile.json");
  Policy policy;
  policy.seccomp_default = true;
  EXPECT_EQ(told(own, policy).value()["HostConfig"]["SecurityOpt"],
            Json::array({"seccomp={\"own\": 1}"}));
}

TEST(DockerConfig, PrivilegedIsTheAskedPolicyAlone) {
  Target target = line("--privileged");
  Policy asked = asked_policy(target, privilege::find_platform("docker").value());
  EXPECT_EQ(told(target, asked).value()["HostConfig"]["Privileged"], true);
  asked.no_new_privileges = true;
  EXPECT_EQ(told(target, asked).value()["HostConfig"]["Privileged"], false);
  EXPECT_EQ(told(target, asked).value()["HostConfig"]["CapAdd"], Json::array({"ALL"}));
}

TEST(DockerConfig, WhatGrantsNothingIsAppliedAsWritten) {
  Target target = line(
      "--memory 1g --memory-swap=-1 --cpus 1.5 --hostname box --add-host a:1.2.3.4 --dns 1.1.1.1 "
      "--dns 8.8.8.8 --cpu-shares 512 --restart always -l a=b --ulimit nofile=5:6 "
      "--ulimit memlock=-1 -it");
  Policy asked = asked_policy(target, privilege::find_platform("docker").value());
  Json json = told(target, asked).value();
  const Json& host = json["HostConfig"];
  EXPECT_EQ(host["Memory"], 1 << 30);
  EXPECT_EQ(host["MemorySwap"], -1);
  EXPECT_EQ(host["NanoCpus"], 1'500'000'000);
  EXPECT_EQ(host["CpuShares"], 512);
  EXPECT_EQ(json["Hostname"], "box");
  EXPECT_EQ(json["Tty"], true);
  EXPECT_EQ(json["OpenStdin"], true);
  EXPECT_EQ(host["ExtraHosts"], Json::array({"a:1.2.3.4"}));
  EXPECT_EQ(host["Dns"], Json::array({"1.1.1.1", "8.8.8.8"}));
  EXPECT_EQ(host["RestartPolicy"]["Name"], "no");
  EXPECT_EQ(host["Ulimits"], Json::array({Json{{"Name", "nofile"}, {"Soft", 5}, {"Hard", 6}},
                                          Json{{"Name", "memlock"}, {"Soft", -1}, {"Hard", -1}}}));
  auto bad = told(line("--cpus many"), asked);
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::kUsage);
  EXPECT_THAT(bad.error().message, HasSubstr("--cpus"));
}

TEST(DockerConfig, GpusAndDevices) {
  auto first = [](const std::string& gpus) { return docker_gpus(gpus).value().at(0); };
  EXPECT_EQ(first("all")["Count"], -1);
  EXPECT_EQ(first("2")["Count"], 2);
  EXPECT_EQ(first("all")["Capabilities"], Json::parse(R"([["gpu"]])"));
  EXPECT_EQ(first("device=0,1")["DeviceIDs"], Json::array({"0", "1"}));
  EXPECT_EQ(first("\"device=0,1\"")["DeviceIDs"], Json::array({"0", "1"}));
  EXPECT_FALSE(first("device=0").contains("Count"));
  EXPECT_EQ(first("all,capabilities=compute")["Capabilities"],
            Json::parse(R"([["gpu","compute"]])"));
  EXPECT_TRUE(docker_gpus("").value().empty());
  EXPECT_EQ(docker_gpus("everything").error().kind, ErrorKind::kUsage);
  Json host =
      host_config("--device /dev/a:/dev/b:r --device /dev/c:rw --device vendor/x=1 --gpus 1");
  EXPECT_EQ(
      host["Devices"],
      Json::parse(R"([{"PathOnHost":"/dev/a","PathInContainer":"/dev/b","CgroupPermissions":"r"},
                            {"PathOnHost":"/dev/c","PathInContainer":"/dev/c","CgroupPermissions":"rw"}])"));
  EXPECT_EQ(host["DeviceRequests"].size(), 2u);
}

TEST(OutputDemux, TakesTheHeadsOutWhereverTheStreamIsCut) {
  std::string stream("\1\0\0\0\0\0\0\5hello\2\0\0\0\0\0\0\1!\1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\1.", 39);
  for (size_t step = 1; step <= stream.size(); ++step) {
    OutputDemux demux(false);
    std::string out;
    for (size_t at = 0; at < stream.size(); at += step) out += demux.feed(stream.substr(at, step));
    EXPECT_EQ(out, "hello!.") << step;
  }
  EXPECT_EQ(OutputDemux(true).feed(stream), stream);
}

std::string tar_of(const std::vector<std::string>& words) {
  sys::Command command;
  command.argv = {"tar", "-c", "--owner=1234", "--group=5000000", "-C", "/etc"};
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  return sys::run(command, std::chrono::seconds(10)).value().out;
}

TEST(TarEntry, IsReadFromWhatTarWrites) {
  for (const char* format : {"--format=gnu", "--format=pax", "--format=ustar"}) {
    std::string ids = format == std::string("--format=ustar") ? "--group=7" : "--group=5000000";
    std::string archive = tar_of({format, ids, "passwd"});
    auto entry = first_tar_entry(archive).value();
    ASSERT_TRUE(entry) << format;
    EXPECT_EQ(entry->type, '0');
    EXPECT_EQ(entry->uid, 1234u) << format;
    EXPECT_EQ(entry->gid, ids == "--group=7" ? 7u : 5000000u) << format;
    EXPECT_EQ(archive.substr(entry->offset, 5), "root:") << format;
    EXPECT_LE(entry->offset + entry->size, archive.size());
    EXPECT_EQ(first_tar_entry(archive.substr(0, 511)).value(), std::nullopt);
  }
  EXPECT_EQ(first_tar_entry(std::string(600, 'x')).error().kind, ErrorKind::kUnread);
}

}  // namespace
}  // namespace pare::engine
