// For tests: a container that runc makes of one static program, with a recorder on it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/testing.h"
#include "base/text.h"
#include "evidence/evidence.h"
#include "record/recorder.h"
#include "sys/process.h"

namespace pare::record::testing {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr std::chrono::seconds kLimit{240};

// A directory that goes with its owner.
class Scratch {
 public:
  Scratch() {
    char path[] = "/tmp/pare-record-XXXXXX";
    path_ = mkdtemp(path);
    chmod(path, 0755);
  }
  ~Scratch() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// `body` (statements of main) compiled to a static program at `path`. Under $PARE_PROGRAMS what was
// compiled once is kept, for hosts where that takes long.
inline void compile(const std::string& path, const std::string& body,
                    const std::vector<std::string>& flags = {}) {
  const std::string source =
      "int main(int argc, char** argv) {\n(void)argc; (void)argv;\n" + body + "\nreturn 0;\n}\n";
  std::string kept;
  if (const char* programs = std::getenv("PARE_PROGRAMS")) {
    auto prelude = base::read_file(std::string(PARE_SOURCE_DIR) + "/src/record/testing_prelude.h");
    std::string key = prelude.value_or("") + source;
    for (const std::string& flag : flags) key += flag + '\0';
    kept = std::string(programs) + "/" + base::sha256_hex(key);
    std::error_code missing;
    if (fs::copy_file(kept, path, missing)) return;
  }
  std::ofstream(path + ".c") << source;
  sys::Command command{{"cc", "-static", "-O1", "-w", "-D_GNU_SOURCE", "-I",
                        std::string(PARE_SOURCE_DIR) + "/src/record", "-include",
                        "testing_prelude.h", "-o", path, path + ".c"}};
  command.argv.insert(command.argv.end(), flags.begin(), flags.end());
  auto done = sys::run(command, kLimit);
  ASSERT_TRUE(done) << done.error().message;
  ASSERT_EQ(done->code, 0) << done->err;
  unlink((path + ".c").c_str());
  std::error_code unkept;
  if (!kept.empty()) fs::copy_file(path, kept, unkept);
}

struct Bundle {
  std::vector<std::string> args;          // after /program
  std::vector<std::string> capabilities;  // "CAP_CHOWN"
  int uid = 0;
  bool read_only = false;
  json seccomp;              // linux.seccomp
  std::vector<json> mounts;  // besides /proc, /dev and a tmpfs at /scratch
  bool no_new_privileges = true;
  std::string cgroup;  // its directory's name; empty: the container's id
};

class Container {
 public:
  explicit Container(const std::string& body, const std::vector<std::string>& flags = {}) {
    static std::atomic<int> next{0};
    id_ = "pare-record-" + std::to_string(getpid()) + "-" + std::to_string(++next);
    for (const char* dir : {"proc", "dev", "scratch", "data", "etc", "tmp"})
      fs::create_directories(rootfs() + "/" + dir);
    compile(rootfs() + "/program", body, flags);
  }
  ~Container() { runc({"delete", "--force", id_}); }
  Container(const Container&) = delete;
  Container& operator=(const Container&) = delete;

  const std::string& id() const { return id_; }
  std::string rootfs() const { return scratch_.path() + "/rootfs"; }

  sys::Finished runc(std::vector<std::string> args, const std::vector<std::string>& before = {}) {
    std::vector<std::string> argv = before;
    argv.insert(argv.end(), {"runc", "--root", scratch_.path() + "/state"});
    argv.insert(argv.end(), args.begin(), args.end());
    auto done = sys::run(sys::Command{std::move(argv)}, kLimit);
    EXPECT_TRUE(done) << done.error().message;
    return done ? *done : sys::Finished{};
  }

  // Runs the program to its end; `before`: a command that runs runc, such as strace.
  sys::Finished run(const Bundle& bundle = {}, const std::vector<std::string>& before = {}) {
    configure(bundle);
    return runc({"run", "--bundle", scratch_.path(), id_}, before);
  }
  // Starts the program and leaves it running; false and the message when that failed.
  void start(const Bundle& bundle = {}) {
    configure(bundle);
    auto done = runc({"run", "--detach", "--bundle", scratch_.path(), id_});
    EXPECT_EQ(done.code, 0) << done.err;
  }
  void stop() {
    runc({"kill", id_, "KILL"});
    runc({"delete", "--force", id_});
  }
  // Until a path of the container's root file system exists.
  void wait_for(const std::string& name) {
    const auto end = std::chrono::steady_clock::now() + kLimit;
    while (!fs::exists(rootfs() + name)) {
      ASSERT_LT(std::chrono::steady_clock::now(), end) << name;
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }
  std::string path(const std::string& name) const { return scratch_.path() + "/" + name; }

 private:
  void configure(const Bundle& bundle) {
    std::vector<std::string> args = {"/program"};
    args.insert(args.end(), bundle.args.begin(), bundle.args.end());
    json sets = json::object();
    for (const char* set : {"bounding", "effective", "permitted"}) sets[set] = bundle.capabilities;
    std::vector<json> mounts = {
        {{"destination", "/proc"}, {"type", "proc"}, {"source", "proc"}},
        {{"destination", "/dev"}, {"type", "tmpfs"}, {"source", "tmpfs"}},
        {{"destination", "/scratch"}, {"type", "tmpfs"}, {"source", "tmpfs"}}};
    mounts.insert(mounts.end(), bundle.mounts.begin(), bundle.mounts.end());
    json config = {{"ociVersion", "1.0.2"},
                   {"root", {{"path", "rootfs"}, {"readonly", bundle.read_only}}},
                   {"process",
                    {{"user", {{"uid", bundle.uid}, {"gid", bundle.uid}}},
                     {"args", args},
                     {"env", {"PATH=/usr/bin:/"}},
                     {"cwd", "/"},
                     {"capabilities", sets},
                     {"noNewPrivileges", bundle.no_new_privileges}}},
                   {"mounts", mounts},
                   {"linux",
                    {{"cgroupsPath", "/" + (bundle.cgroup.empty() ? id_ : bundle.cgroup)},
                     {"namespaces",
                      {{{"type", "pid"}},
                       {{"type", "mount"}},
                       {{"type", "network"}},
                       {{"type", "ipc"}},
                       {{"type", "uts"}}}}}}};
    if (!bundle.seccomp.is_null()) config["linux"]["seccomp"] = bundle.seccomp;
    std::ofstream(scratch_.path() + "/config.json") << config;
  }

  Scratch scratch_;
  std::string id_;
};

// A recorder that is armed for the container, or a skip that says why there is none.
inline std::unique_ptr<Recorder> recorder_for(const Container& container, Options options = {}) {
  auto recorder = Recorder::open(options);
  if (!recorder) {
    ADD_FAILURE() << recorder.error().message;
    return nullptr;
  }
  EXPECT_TRUE((*recorder)->arm(container.id()));
  return std::move(*recorder);
}

// What the recorder sees of one whole run.
inline evidence::Evidence record_run(Container& container, const Bundle& bundle = {},
                                     Options options = {}) {
  auto recorder = recorder_for(container, options);
  if (!recorder) return {};
  auto done = container.run(bundle);
  EXPECT_EQ(done.code, 0) << done.out << done.err;
  auto evidence = recorder->finish();
  EXPECT_TRUE(evidence) << evidence.error().message;
  if (!evidence) return {};
  EXPECT_EQ(evidence->loss.events, 0U) << ::testing::PrintToString(evidence->loss.maps);
  EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
  return *evidence;
}

}  // namespace pare::record::testing
