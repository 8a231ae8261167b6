// The oci engine with real containers: what a policy becomes inside.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "engine/oci_testing.h"
#include "privilege/seccomp.h"

namespace pare::engine {

using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

// "CapEff" -> "00000000a80425fb", from the text of /proc/PID/status.
std::string field(const std::string& status, const std::string& name) {
  for (const std::string& line : base::split(status, '\n')) {
    if (base::starts_with(line, name + ":")) {
      return std::string(base::trim(line.substr(name.size() + 1)));
    }
  }
  return "(none)";
}

// Enough for a static busybox under runc.
privilege::SeccompProfile busybox_profile(bool no_new_privileges) {
  privilege::SeccompProfile profile;
  profile.syscalls = {"arch_prctl",
                      "brk",
                      "close",
                      "dup2",
                      "execve",
                      "exit_group",
                      "fcntl",
                      "fork",
                      "clone",
                      "fstat",
                      "getcwd",
                      "getegid",
                      "geteuid",
                      "getgid",
                      "getpid",
                      "getppid",
                      "getrandom",
                      "getuid",
                      "ioctl",
                      "lseek",
                      "mmap",
                      "mprotect",
                      "munmap",
                      "newfstatat",
                      "open",
                      "openat",
                      "poll",
                      "prctl",
                      "prlimit64",
                      "read",
                      "readlink",
                      "rseq",
                      "rt_sigaction",
                      "rt_sigprocmask",
                      "rt_sigreturn",
                      "sendfile",
                      "set_robust_list",
                      "set_tid_address",
                      "setgid",
                      "setuid",
                      "stat",
                      "vfork",
                      "wait4",
                      "write",
                      "writev",
                      "readlinkat"};
  for (const auto& list :
       {privilege::runtime_syscalls(no_new_privileges), privilege::error_path_syscalls()}) {
    profile.syscalls.insert(profile.syscalls.end(), list.begin(), list.end());
  }
  std::sort(profile.syscalls.begin(), profile.syscalls.end());
  profile.syscalls.erase(std::unique(profile.syscalls.begin(), profile.syscalls.end()),
                         profile.syscalls.end());
  return profile;
}

}  // namespace

TEST_F(OciTest, RootWithDockersDefaultsHasExactlyThose) {
  policy_.user = {};
  policy_.no_new_privileges = false;
  policy_.capabilities = platform_.default_capabilities;
  std::string status = output("cat /proc/self/status", policy_);
  EXPECT_EQ(field(status, "Uid"), "0\t0\t0\t0");
  for (const char* set : {"CapEff", "CapPrm", "CapBnd"}) {
    EXPECT_EQ(field(status, set), "00000000a80425fb") << set;
  }
  EXPECT_EQ(field(status, "CapAmb"), "0000000000000000");
  EXPECT_EQ(field(status, "NoNewPrivs"), "0");
  EXPECT_EQ(field(status, "Seccomp"), "0");
}

TEST_F(OciTest, AnotherUidHasItsCapabilitiesInTheBoundingSetAlone) {
  policy_.user = {1000, 1001, {20, 30}};
  policy_.capabilities = {"NET_RAW"};
  std::string status = output("cat /proc/self/status", policy_);
  EXPECT_EQ(field(status, "Uid"), "1000\t1000\t1000\t1000");
  EXPECT_EQ(field(status, "Gid"), "1001\t1001\t1001\t1001");
  EXPECT_THAT(field(status, "Groups"), HasSubstr("20 30"));
  EXPECT_EQ(field(status, "CapBnd"), "0000000000002000");
  for (const char* set : {"CapEff", "CapPrm", "CapInh", "CapAmb"}) {
    EXPECT_EQ(field(status, set), "0000000000000000") << set;
  }
  EXPECT_EQ(field(status, "NoNewPrivs"), "1");
}

TEST_F(OciTest, APlatformWithAmbientCapabilitiesGivesThemToAnyUid) {
  platform_.ambient_capabilities = true;
  policy_.capabilities = {"NET_RAW", "SYS_NICE"};
  std::string status = output("cat /proc/self/status", policy_);
  for (const char* set : {"CapEff", "CapPrm", "CapAmb", "CapBnd"}) {
    EXPECT_EQ(field(status, set), "0000000000802000") << set;
  }
}

TEST_F(OciTest, ASeccompProfileIsInForce) {
  for (bool no_new_privileges : {true, false}) {
    policy_.no_new_privileges = no_new_privileges;
    policy_.seccomp = busybox_profile(no_new_privileges);
    std::string text = output("cat /proc/self/status; mkdir /tmp/x; echo code $?", policy_);
    EXPECT_EQ(field(text, "Seccomp"), "2") << text;
    EXPECT_THAT(text, HasSubstr("can't create directory '/tmp/x': Operation not permitted"));
    EXPECT_THAT(text, HasSubstr("code 1"));
  }
}

TEST_F(OciTest, AReadOnlyRootRefusesWritesAndItsWritablePathsTakeThem) {
  policy_.writable = {{"/scratch", "tmpfs", 1, false, false},
                      {"/programs", "tmpfs", 0, true, false}};
  platform_.tmpfs_exec = false;
  std::string text = output(
      "echo x > /etc/new; echo etc $?; echo x > /scratch/f && cat /scratch/f; stat -c %a /scratch;"
      "for d in /scratch /programs; do cp /bin/busybox $d/true; $d/true; echo $d $?; done;"
      "grep -E ' /(scratch|programs) ' /proc/mounts",
      policy_);
  EXPECT_THAT(text, HasSubstr("Read-only file system"));
  EXPECT_THAT(text, HasSubstr("etc 1\nx\n1777\n"));
  EXPECT_THAT(text, HasSubstr("/scratch 126\n/programs 0\n"));
  EXPECT_THAT(text, HasSubstr("/scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=16384k"));
  EXPECT_THAT(text, HasSubstr("/programs tmpfs rw,nosuid,nodev,relatime 0 0"));
}

TEST_F(OciTest, ScratchSpaceOverADirectoryOfTheImageHasThePlatformsOwnerAndMode) {
  policy_.user = {1000, 1001, {}};
  policy_.writable = {{"/hidden", "tmpfs", 0, false, false}, {"/data", "tmpfs", 0, false, true}};
  const std::string script = "stat -c '%a %u %g' /hidden /data";
  EXPECT_EQ(output(script, policy_), "1777 0 0\n1777 0 0\n");
  platform_ = privilege::find_platform("docker").value();
  EXPECT_EQ(output(script, policy_), "1777 1000 1001\n1777 1000 1001\n");
}

TEST_F(OciTest, CopyUpStartsWithWhatTheImageHasThere) {
  policy_.writable = {{"/data", "tmpfs", 0, false, true}, {"/hidden", "tmpfs", 0, false, false}};
  std::string text = output(
      "cat /data/file; cat /data/sub/deep; ls /hidden | wc -l; echo more > /data/new; cat "
      "/data/new",
      policy_);
  EXPECT_EQ(text, "data\ndeep\n0\nmore\n");
}

TEST_F(OciTest, AWritableRootIsWrittenToItsUpperDirectoryAlone) {
  policy_.user = {};
  policy_.rootfs_writable = true;
  auto before = fingerprint(root_);
  auto container = create("echo x > /etc/new; rm /hidden/file; mkdir /made; exit 5", policy_);
  ASSERT_NE(container, nullptr);
  ASSERT_TRUE(container->start());
  EXPECT_EQ(container->wait(10s).code, 5);
  // The runtime's own mount points (/proc, /dev, a working directory) are not in it.
  std::vector<std::string> written;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(container->upper_dir())) {
    written.push_back(entry.path().string().substr(container->upper_dir().size()));
  }
  std::sort(written.begin(), written.end());
  EXPECT_EQ(written,
            (std::vector<std::string>{"/etc", "/etc/new", "/hidden", "/hidden/file", "/made"}));
  ASSERT_TRUE(container->remove());
  EXPECT_EQ(fingerprint(root_), before);
}

TEST_F(OciTest, TheRootDirectoryKeepsItsOwnerAndMode) {
  ASSERT_EQ(chmod(root_.c_str(), 0711), 0);
  ASSERT_EQ(chown(root_.c_str(), 7, 8), 0);
  EXPECT_EQ(output("stat -c '%a %u %g' / /data", policy_), "711 7 8\n750 1000 1000\n");
}

TEST_F(OciTest, VolumesAreReadOnlyUnlessThePolicySaysOtherwise) {
  for (const char* name : {"/ro", "/rw", "/unlisted"}) {
    ASSERT_EQ(mkdir((dir_ + name).c_str(), 0777), 0);
    ASSERT_EQ(chmod((dir_ + name).c_str(), 0777), 0);
  }
  ASSERT_TRUE(base::write_file_atomic(dir_ + "/file", "one file\n"));
  CreateOptions options;
  options.volumes = {{dir_ + "/ro", "/models/ro"},
                     {dir_ + "/rw", "/rw"},
                     {dir_ + "/unlisted", "/unlisted"},
                     {dir_ + "/file", "/etc/one"}};
  policy_.volumes = {{"/models/ro", false}, {"/rw", true}};
  std::string text =
      output("for d in /models/ro /rw /unlisted; do echo x > $d/f; echo $d $?; done; cat /etc/one",
             policy_, options);
  EXPECT_THAT(text, HasSubstr("/models/ro 1"));
  EXPECT_THAT(text, HasSubstr("/rw 0"));
  EXPECT_THAT(text, HasSubstr("/unlisted 1"));
  EXPECT_THAT(text, HasSubstr("one file"));
  EXPECT_EQ(base::read_file(dir_ + "/rw/f").value_or(""), "x\n");
  EXPECT_NE(access((dir_ + "/ro/f").c_str(), F_OK), 0);
}

TEST_F(OciTest, AMissingWorkingDirectoryIsMade) {
  target::Target target = shell("pwd; stat -c '%a %u' .");
  target.workdir = "/not/there";
  CreateOptions options;
  options.id = "pare-" + session_->id() + "-cwd";
  options.log_path = dir_ + "/log";
  auto container = engine_->create(target, policy_, platform_, options);
  ASSERT_TRUE(container) << container.error().message;
  ASSERT_TRUE((*container)->start());
  EXPECT_EQ((*container)->wait(10s).code, 0);
  ASSERT_TRUE((*container)->remove());
  EXPECT_EQ(log(), "/not/there\n755 0\n");
}

TEST_F(OciTest, EnvironmentAndArgumentsFollowThePolicy) {
  target::Target target = shell("unused");
  target.env = {{"KEPT", "a b"}, {"CHANGED", "old"}, {"API_KEY", "secret", true}};
  policy_.environment = {{"CHANGED", "new"}, {"ADDED", "1"}};
  policy_.arguments = {{"/bin/sh", "-c", "env | sort"}};
  CreateOptions options;
  options.id = "pare-" + session_->id() + "-env";
  options.log_path = dir_ + "/log";
  auto container = engine_->create(target, policy_, platform_, options);
  ASSERT_TRUE(container) << container.error().message;
  ASSERT_TRUE((*container)->start());
  EXPECT_EQ((*container)->wait(10s).code, 0);
  ASSERT_TRUE((*container)->remove());
  std::string text = log();
  for (const char* line : {"KEPT=a b\n", "CHANGED=new\n", "ADDED=1\n", "API_KEY=secret\n",
                           "PATH=/usr/local/sbin:/usr/local/bin:", "HOSTNAME=container\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST_F(OciTest, ThePlatformsOwnThingsAreThere) {
  std::string text = output(
      "cat /etc/hostname; hostname; grep -c 127.0.0.1 /etc/hosts; grep nameserver /etc/resolv.conf "
      "|"
      " head -1; grep -o '/proc/sys proc ro' /proc/mounts; ls /proc/acpi /sys/firmware | wc -l; "
      "tty;"
      "for d in null zero full random urandom tty; do [ -c /dev/$d ] || echo no $d; done;"
      "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ls /proc | grep -c '^[0-9]'",
      policy_);
  EXPECT_THAT(text, HasSubstr("container\ncontainer\n1\nnameserver "));
  EXPECT_THAT(text, HasSubstr("/proc/sys proc ro"));
  EXPECT_THAT(text, HasSubstr("not a tty\n1024\n"));
}

TEST_F(OciTest, LimitsComeFromThePolicy) {
  policy_.pids_max = 4;
  policy_.memlock_bytes = 65536;
  policy_.shm_bytes = 2 << 20;
  policy_.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "99"}};
  std::string text = output(
      "ulimit -l; grep /dev/shm /proc/mounts; cat /proc/sys/net/ipv4/ip_unprivileged_port_start;"
      "for i in 1 2 3 4 5 6; do sleep 5 & done; echo survived",
      policy_);
  EXPECT_THAT(text, HasSubstr("64\n"));
  EXPECT_THAT(text, HasSubstr("size=2048k"));
  EXPECT_THAT(text, HasSubstr("\n99\n"));
  EXPECT_THAT(text, HasSubstr("can't fork"));
}

TEST_F(OciTest, OnlyThePolicysDevicesAreAdded) {
  struct stat st {};
  if (stat("/dev/kmsg", &st) != 0) PARE_SKIP("this host has no /dev/kmsg");
  policy_.user = {};
  EXPECT_EQ(output("[ -c /dev/kmsg ] && echo there", policy_), "");
  policy_.devices = {"/dev/kmsg:/dev/log-of-kernel:r"};
  EXPECT_EQ(output("[ -c /dev/log-of-kernel ] && echo there", policy_), "there\n");
}

TEST_F(OciTest, OutputIsAPipeThatTheUserMayReopen) {
  std::string text = output("[ -p /dev/stdout ] && echo pipe > /dev/stdout; echo err >&2", policy_);
  EXPECT_EQ(text, "pipe\nerr\n");
}

TEST_F(OciTest, OneContainersNetworkIsItsOwnOrTheOneItIsGiven) {
  auto net_of = [&](const CreateOptions& options) {
    return output("readlink /proc/self/ns/net", policy_, options);
  };
  std::error_code ec;
  std::string host = std::filesystem::read_symlink("/proc/self/ns/net", ec).string() + "\n";
  EXPECT_NE(net_of({}), host);
  CreateOptions options;
  options.host_network = true;
  EXPECT_EQ(net_of(options), host);
  auto holder = create("sleep 60", policy_);
  ASSERT_NE(holder, nullptr);
  ASSERT_TRUE(holder->start());
  std::string path = "/proc/" + std::to_string(holder->pid()) + "/ns/net";
  CreateOptions joined;
  joined.netns = path;
  EXPECT_EQ(net_of(joined), std::filesystem::read_symlink(path, ec).string() + "\n");
}

TEST_F(OciTest, HostNamespacesAreSharedOnlyWhenThePolicySaysSo) {
  auto spaces = [&](const privilege::Policy& policy) {
    return output("for n in pid ipc uts; do readlink /proc/self/ns/$n; done", policy);
  };
  std::string host;
  for (const char* name : {"pid", "ipc", "uts"}) {
    host += std::filesystem::read_symlink(std::string("/proc/self/ns/") + name).string() + "\n";
  }
  std::vector<std::string> mine = base::split(spaces(policy_), '\n');
  for (const std::string& line : base::split(host, '\n')) {
    if (line.empty()) continue;
    EXPECT_EQ(std::count(mine.begin(), mine.end(), line), 0) << line;
  }
  policy_.host_namespaces = {"pid", "ipc", "uts"};
  EXPECT_EQ(spaces(policy_), host);
}

}  // namespace pare::engine
