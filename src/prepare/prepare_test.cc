#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "base/text.h"
#include "prepare/lockdown.h"
#include "prepare/manifest.h"
#include "prepare/testing_volume.h"

namespace pare::prepare {
namespace {

namespace fs = std::filesystem;

class Prepare : public VolumeTest {};

TEST_P(Prepare, OwnsEverythingOnceAndThenNothing) {
  fs::create_directories(volume_ + "/a/b");
  write(volume_ + "/a/b/model", "weights");
  fs::create_symlink("b/model", volume_ + "/a/current");
  Report first = expect_done();
  EXPECT_EQ(first.changed, 5u);
  for (const char* path : {"", "/a", "/a/b", "/a/b/model", "/a/current"}) {
    EXPECT_EQ(stat_of(volume_ + path).st_uid, 1000u) << path;
    EXPECT_EQ(stat_of(volume_ + path).st_gid, 1000u) << path;
  }
  EXPECT_EQ(expect_done().changed, 0u);
}

TEST_P(Prepare, DryRunCountsAndChangesNothing) {
  write(volume_ + "/model", "weights");
  spec_.directories = {{"logs", Owner{1000, 1000}, 0750, {}}};
  auto before = state(volume_);
  Options options;
  options.dry_run = true;
  options.lookup = GetParam();
  auto report = prepare(spec_, options);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->made, 1u);
  EXPECT_EQ(report->changed, 2u);
  EXPECT_EQ(state(volume_), before);
}

TEST_P(Prepare, DirectoriesWithSetgidAndDefaultAcl) {
  spec_.own.reset();
  auto acl = parse_acl("u::rwx,g::r-x,u:2000:rwx,o::---", 0750);
  ASSERT_TRUE(acl) << acl.error().message;
  spec_.directories = {{"cache", Owner{1000, 2000}, 02770, *acl},
                       {"cache/logs", Owner{1000, 2000}, 0750, {}}};
  EXPECT_EQ(expect_done().made, 2u);
  EXPECT_EQ(stat_of(volume_ + "/cache").st_mode & 07777, 02770u);
  EXPECT_EQ(stat_of(volume_ + "/cache").st_gid, 2000u);
  EXPECT_EQ(stat_of(volume_ + "/cache/logs").st_mode & 07777, 0750u);
  // What is made below inherits group and ACL.
  write(volume_ + "/cache/file", "x");
  EXPECT_EQ(stat_of(volume_ + "/cache/file").st_gid, 2000u);
  EXPECT_GT(getxattr((volume_ + "/cache/file").c_str(), "system.posix_acl_access", nullptr, 0), 0);
  Report again = expect_done();
  EXPECT_EQ(again.made + again.changed, 0u);
}

TEST_P(Prepare, ManifestIsWhatSha256sumReads) {
  write(volume_ + "/model", "weights");
  fs::create_directory(volume_ + "/sub");
  write(volume_ + "/sub/a b", "");
  spec_.write_manifest = "pare.sha256";
  Report report = expect_done();
  EXPECT_EQ(report.bytes, 7u);
  EXPECT_EQ(report.manifest_digest, base::sha256_hex(read(volume_ + "/pare.sha256")));
  std::string check = "cd " + volume_ + " && sha256sum --quiet --strict -c pare.sha256";
  EXPECT_EQ(system(check.c_str()), 0);
}

TEST_P(Prepare, VerificationNamesWhatIsWrong) {
  write(volume_ + "/changed", "a");
  write(volume_ + "/missing", "a");
  write(volume_ + "/same", "a");
  spec_.write_manifest = "m";
  expect_done();
  spec_.write_manifest.clear();
  spec_.verify = "m";
  EXPECT_EQ(expect_done().verified, 3u);
  write(volume_ + "/changed", "b");
  write(volume_ + "/more", "b");
  fs::remove(volume_ + "/missing");
  expect_refused("changed is not what the manifest says");
  expect_refused("missing is missing");
  expect_refused("more is not in the manifest");
  auto report = run();
  EXPECT_EQ(report->refused, 3u);
}

TEST_P(Prepare, SpaceThatIsNotThere) {
  spec_.free_bytes = UINT64_MAX;
  auto report = run();
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind, ErrorKind::kHost);
}

INSTANTIATE_TEST_SUITE_P(By, Prepare, testing::Values(Lookup::kBest, Lookup::kComponents),
                         lookup_name);

TEST(Spec, YamlAndJsonSayTheSame) {
  auto yaml = parse_spec(
      "volume: /srv/cache\nown: 1000:1000\ndirectories:\n- path: logs\n  mode: 0750\n"
      "  setgid: true\n  owner: 1000:2000\n- tmp:1777\nverify: {manifest: m, extra: allow}\n",
      "spec.yaml");
  ASSERT_TRUE(yaml) << yaml.error().message;
  EXPECT_EQ(yaml->directories.at(0).mode, 02750u);
  EXPECT_EQ(yaml->directories.at(0).owner, (Owner{1000, 2000}));
  EXPECT_EQ(yaml->directories.at(1).mode, 01777u);
  EXPECT_TRUE(yaml->extra_files);
  testing::internal::CaptureStderr();
  EXPECT_EQ(parse_spec("own: 1000:1000\ndirectories: [", "spec.yaml")
                .error()
                .message.find("spec.yaml:3: flow"),
            0U);
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  auto json = parse_spec(R"({"volume": "/srv/cache", "own": "1000:1000"})", "spec.json");
  ASSERT_TRUE(json) << json.error().message;
  EXPECT_EQ(json->own, (Owner{1000, 1000}));
}

TEST(Spec, MistakesAreNamed) {
  const std::pair<const char*, const char*> kWrong[] = {
      {"volumes: /srv", "did you mean 'volume'"},
      {"own: root", "UID:GID"},
      {"own: 4294967295", "UID:GID"},
      {"directories: [a:9]", "octal"},
      {"directories: [{path: a, acl: 'x::rwx'}]", "ACL entry"},
      {"hardLinks: follow", "hardLinks"},
      {"[1, 2]", "not a mapping"},
      {"a: [", "spec:2: flow"},
      {"own: &a 1:1\ndirectories: [*a, *a]", "spec has an anchor"},
      {"own: *a", "spec"},
      {"verify: ../m", "'..'"},
      {"%\xfc}~", "not UTF-8"},  // libfyaml would not come back from it
  };
  for (const auto& [text, why] : kWrong) {
    auto spec = parse_spec(text, "spec");
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().kind, ErrorKind::kUsage) << text;
    EXPECT_NE(spec.error().message.find(why), std::string::npos) << spec.error().message;
  }
}

TEST(Manifest, RoundTripWithOddNames) {
  Manifest manifest;
  manifest.files["a\nb\\c"] = std::string(64, 'a');
  manifest.links["l"] = std::string(64, 'b');
  auto again = parse_manifest(to_text(manifest), "m");
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->files, manifest.files);
  EXPECT_EQ(again->links, manifest.links);
}

// In a child, as it is for good: the number of the first expectation that does not hold.
int locked_down(bool foreign) {
  Spec spec;
  spec.own = Owner{1000, 4321};
  spec.foreign = foreign;
  if (!lock_down(spec)) return 1;
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct held[2]{};
  if (syscall(SYS_capget, &header, held) == 0 || errno != EPERM) return 2;  // not in its list
  if (socket(AF_INET, SOCK_STREAM, 0) >= 0 || errno != EPERM) return 3;
  if (syscall(SYS_execve, "/bin/true", nullptr, nullptr) == 0 || errno != EPERM) return 4;
  if (syscall(SYS_mount, "a", "b", "c", 0, nullptr) == 0 || errno != EPERM) return 5;
  return 0;
}

TEST(LockDown, NoNetworkNoProgramsTwoCapabilities) {
  if (geteuid() != 0) PARE_SKIP("needs root");
  for (bool foreign : {false, true}) {
    int ready[2], go[2];
    ASSERT_EQ(pipe2(ready, O_CLOEXEC) | pipe2(go, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
      char result = static_cast<char>(locked_down(foreign));
      (void)::write(ready[1], &result, 1);
      (void)::read(go[0], &result, 1);
      _exit(0);
    }
    char result = 99;
    ASSERT_EQ(::read(ready[0], &result, 1), 1);
    EXPECT_EQ(result, 0);
    std::string status;
    {
      std::ifstream file("/proc/" + std::to_string(child) + "/status");
      status.assign(std::istreambuf_iterator<char>(file), {});
    }
    // CHOWN is 0, DAC_OVERRIDE 1, FOWNER 3.
    EXPECT_NE(status.find(foreign ? "CapEff:\t000000000000000b" : "CapEff:\t0000000000000009"),
              std::string::npos)
        << status;
    EXPECT_NE(status.find("NoNewPrivs:\t1"), std::string::npos);
    EXPECT_NE(status.find("Groups:\t4321 "), std::string::npos);
    EXPECT_NE(status.find("Seccomp:\t2"), std::string::npos);
    (void)::write(go[1], &result, 1);
    waitpid(child, nullptr, 0);
    for (int fd : {ready[0], ready[1], go[0], go[1]}) close(fd);
  }
}

}  // namespace
}  // namespace pare::prepare
