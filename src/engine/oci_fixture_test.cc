#include <dirent.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "engine/oci_testing.h"
#include "sys/cgroup.h"
#include "sys/mounts.h"
#include "sys/process.h"
#include "sys/rootfs.h"

namespace pare::engine {

using namespace std::chrono_literals;

namespace {

// A root with busybox under its usual names, without /proc, /dev or /sys.
void make_root(const std::string& root) {
  auto busybox = base::read_file("/bin/busybox");
  ASSERT_TRUE(busybox) << "install busybox-static";
  for (const char* dir : {"", "/bin", "/etc", "/data", "/data/sub", "/closed", "/hidden"}) {
    ASSERT_EQ(mkdir((root + dir).c_str(), 0755), 0) << dir;
  }
  auto put = [&](const std::string& path, const std::string& text, unsigned mode) {
    ASSERT_TRUE(base::write_file_atomic(root + path, text, mode)) << path;
  };
  put("/bin/busybox", *busybox, 0755);
  put("/closed/program", *busybox, 0755);
  put("/etc/passwd", "root:x:0:0::/root:/bin/sh\nserver:x:1234:1234::/srv:/bin/sh\n", 0644);
  put("/etc/group", "root:x:0:\nvideo:x:44:\n", 0644);
  put("/data/file", "data\n", 0644);
  put("/data/sub/deep", "deep\n", 0644);
  put("/data/plain", "text\n", 0644);
  put("/data/not-a-program",
      "\x7f"
      "nonsense\n",
      0755);
  put("/hidden/file", "hidden\n", 0644);
  for (const char* name : {"sh",    "cat", "ls",   "id",   "env",   "sort",  "grep",     "stat",
                           "mkdir", "rm",  "cp",   "head", "sleep", "wc",    "readlink", "hostname",
                           "true",  "tty", "test", "[",    "pwd",   "mount", "touch"}) {
    ASSERT_EQ(symlink("busybox", (root + "/bin/" + name).c_str()), 0);
  }
  ASSERT_EQ(chmod((root + "/closed").c_str(), 0700), 0);
  ASSERT_EQ(chmod((root + "/data").c_str(), 0750), 0);
  ASSERT_EQ(chown((root + "/data").c_str(), 1000, 1000), 0);
}

}  // namespace

void OciTest::SetUp() {
  if (geteuid() != 0) PARE_SKIP("containers need root");
  if (!sys::find_program("runc")) PARE_SKIP("runc is not installed");
  char path[] = "/var/tmp/pare-oci-XXXXXX";
  ASSERT_NE(mkdtemp(path), nullptr);
  dir_ = path;
  root_ = dir_ + "/root";
  ASSERT_NO_FATAL_FAILURE(make_root(root_));
  auto session = sys::Session::open(dir_ + "/sessions");
  ASSERT_TRUE(session) << session.error().message;
  session_ = std::make_unique<sys::Session>(std::move(*session));
  OciOptions options;
  options.state_dir = session_->directory() + "/oci";
  if (const char* runtime = getenv("PARE_TEST_RUNTIME")) options.runtime = runtime;
  auto engine = make_oci(options);
  ASSERT_TRUE(engine) << engine.error().message;
  engine_ = std::move(*engine);
  platform_ = privilege::find_platform("kubernetes").value();
  policy_.user = {1000, 1000, {}};
  policy_.no_new_privileges = true;
  policy_.rootfs_writable = false;
}

void OciTest::TearDown() {
  if (dir_.empty()) return;
  engine_.reset();
  session_.reset();
  EXPECT_TRUE(sys::mounts_below(dir_)->empty());
  EXPECT_TRUE(sys::remove_tree(dir_));
}

target::Target OciTest::shell(const std::string& script) {
  target::Target target;
  target.rootfs = root_;
  target.command = {"/bin/sh", "-c", script};
  auto resolved = engine_->resolve(target);
  EXPECT_TRUE(resolved) << resolved.error().message;
  return resolved.value_or(target);
}

std::unique_ptr<Container> OciTest::create(const std::string& script,
                                           const privilege::Policy& policy,
                                           const CreateOptions& extra) {
  CreateOptions options = extra;
  options.id = "pare-" + session_->id() + "-" + std::to_string(++serial_);
  options.log_path = dir_ + "/log";
  unlink(options.log_path.c_str());
  auto container = engine_->create(shell(script), policy, platform_, options);
  EXPECT_TRUE(container) << container.error().message;
  return container ? std::move(*container) : nullptr;
}

std::string OciTest::output(const std::string& script, const privilege::Policy& policy,
                            const CreateOptions& extra) {
  auto container = create(script, policy, extra);
  if (!container) return "";
  auto started = container->start();
  EXPECT_TRUE(started) << started.error().message;
  exit_ = container->wait(20s);
  EXPECT_TRUE(exit_.exited);
  auto removed = container->remove();
  EXPECT_TRUE(removed) << removed.error().message;
  return log();
}

std::string OciTest::log() const {
  return base::read_file(dir_ + "/log").value_or("");
}

void OciTest::expect_nothing_left() {
  EXPECT_FALSE(sys::Cgroup::find(session_->id()));
  std::vector<std::string> left;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(session_->directory() + "/oci")) {
    std::string name = entry.path().filename();
    if (!base::starts_with(name, "bundles-")) left.push_back(entry.path());
  }
  EXPECT_TRUE(left.empty()) << left.front();
  // The engine's own tmpfs is there until the engine goes.
  EXPECT_EQ(sys::mounts_below(session_->directory())->size(), 1U);
}

std::map<std::string, std::string> fingerprint(const std::string& directory) {
  std::map<std::string, std::string> found;
  auto add = [&](const std::string& path) {
    struct stat st {};
    ASSERT_EQ(lstat(path.c_str(), &st), 0) << path;
    std::string content = S_ISREG(st.st_mode) ? base::read_file(path).value() : "";
    found[path] = fmt::format("{:o} {}:{} {} {}.{} {}.{} {}", st.st_mode, st.st_uid, st.st_gid,
                              st.st_size, st.st_mtim.tv_sec, st.st_mtim.tv_nsec, st.st_ctim.tv_sec,
                              st.st_ctim.tv_nsec, base::sha256_hex(content));
  };
  add(directory);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    add(entry.path());
  }
  return found;
}

}  // namespace pare::engine
