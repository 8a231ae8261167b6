// The docker engine against a daemon of its own. Few tests with many sections: each test runs in
// its own process under CTest and starts the daemon anew.
#include <gmock/gmock.h>
#include <signal.h>

#include <thread>

#include "base/json.h"
#include "base/testing.h"
#include "base/text.h"
#include "engine/docker_api.h"
#include "engine/docker_testing.h"
#include "engine/engine.h"
#include "privilege/seccomp.h"
#include "target/docker_run.h"

namespace pare::engine {
namespace {

using privilege::CapabilitySet;
using privilege::Platform;
using privilege::Policy;
using target::Target;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using namespace std::chrono_literals;

struct Ran {
  int code = -1;
  std::string log;
};

class DockerEngineTest : public testing::Test {
 protected:
  void SetUp() override {
    daemon_ = std::make_unique<TestDaemon>();
    if (!daemon_->valid()) PARE_SKIP("no Docker daemon for tests: " + daemon_->why());
    root_ = daemon_->directory() + "/root";
    if (!make_busybox_root(root_)) PARE_SKIP("no static busybox (apt-get install busybox-static)");
    ASSERT_TRUE(daemon_->import("pare/test:1", root_,
                                {"ENV FROM_IMAGE=1", "ENV MODE=slow", "WORKDIR /srv", "USER svc",
                                 "VOLUME /data", "EXPOSE 8000", "CMD [\"sh\", \"-c\", \"id\"]"}))
        << daemon_->why();
    DockerOptions options;
    options.socket = daemon_->socket();
    options.session = "s1";
    auto engine = make_docker(options);
    ASSERT_TRUE(engine) << engine.error().message;
    engine_ = std::move(*engine);
  }

  void TearDown() override {
    engine_.reset();
    std::string directory = daemon_->directory();
    daemon_.reset();
    EXPECT_NE(access(directory.c_str(), F_OK), 0) << directory;
    EXPECT_THAT(base::read_file("/proc/self/mountinfo").value(), Not(HasSubstr(directory)));
  }

  Result<Target> resolved(const std::vector<std::string>& words) {
    std::vector<std::string> line = {"docker", "run"};
    line.insert(line.end(), words.begin(), words.end());
    auto target = target::parse_docker_run(line, {});
    if (!target) return target;
    return engine_->resolve(*target);
  }

  // A shell in the image, as root unless `options` say otherwise.
  Target shell(const std::string& script, std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"--user", "0"});
    options.insert(options.end(), {"pare/test:1", "sh", "-c", script});
    auto target = resolved(options);
    EXPECT_TRUE(target) << target.error().message;
    return target.value_or(Target{});
  }

  Policy asked(const Target& target, const char* platform = "docker") {
    return asked_policy(target, privilege::find_platform(platform).value());
  }

  CreateOptions next_options() {
    CreateOptions options;
    options.id = "pare-s1-" + std::to_string(++runs_);
    options.log_path = daemon_->directory() + "/log-" + std::to_string(runs_);
    return options;
  }

  Result<std::unique_ptr<Container>> create(const Target& target, const Policy& policy,
                                            const CreateOptions& options,
                                            const char* platform = "docker") {
    return engine_->create(target, policy, privilege::find_platform(platform).value(), options);
  }

  Ran run(const Target& target, const Policy& policy, const char* platform = "docker",
          std::vector<VolumeMount> volumes = {}) {
    CreateOptions options = next_options();
    options.volumes = std::move(volumes);
    return run(target, policy, options, platform);
  }

  Ran run(const Target& target, const Policy& policy, const CreateOptions& options,
          const char* platform = "docker") {
    auto container = create(target, policy, options, platform);
    if (!container) return {-1, container.error().message};
    Status started = (*container)->start();
    if (!started) return {-1, started.error().message};
    ExitState state = (*container)->wait(20s);
    EXPECT_TRUE(state.exited);
    Status removed = (*container)->remove();
    EXPECT_TRUE(removed) << removed.error().message;
    return {state.code, base::read_file(options.log_path).value_or("")};
  }

  base::Json list(const std::string& path) {
    auto api = DockerApi::connect(daemon_->socket());
    ApiRequest request;
    request.path = path;
    return api.value()->json(request, path).value();
  }

  std::unique_ptr<TestDaemon> daemon_;
  std::unique_ptr<Engine> engine_;
  std::string root_;
  int runs_ = 0;
};

std::string status_field(const Ran& ran, const std::string& name) {
  for (const std::string& line : base::split(ran.log, '\n')) {
    if (base::starts_with(line, name + ":")) {
      std::string value(base::trim(line.substr(name.size() + 1)));
      std::replace(value.begin(), value.end(), '\t', ' ');
      return value;
    }
  }
  return "no " + name + " in: " + ran.log;
}

uint64_t mask(const Ran& ran, const std::string& name) {
  return std::stoull("0" + status_field(ran, name), nullptr, 16);
}

constexpr const char* kStatus = "cat /proc/self/status";

TEST_F(DockerEngineTest, APolicyIsWhatTheProcessHas) {
  Target target = shell(kStatus);
  {
    SCOPED_TRACE("as asked: Docker's own grants");
    Ran ran = run(target, asked(target));
    EXPECT_EQ(status_field(ran, "Uid"), "0 0 0 0");
    uint64_t defaults = privilege::find_platform("docker")->default_capabilities.mask();
    EXPECT_EQ(mask(ran, "CapEff"), defaults);
    EXPECT_EQ(mask(ran, "CapBnd"), defaults);
    EXPECT_EQ(mask(ran, "CapAmb"), 0u);
    EXPECT_EQ(status_field(ran, "NoNewPrivs"), "0");
    EXPECT_EQ(status_field(ran, "Seccomp"), "2");
  }
  {
    SCOPED_TRACE("root with one capability, no filter");
    Policy policy = asked(target);
    policy.capabilities = CapabilitySet{"NET_RAW"};
    policy.seccomp_default = false;
    Ran ran = run(target, policy);
    EXPECT_EQ(mask(ran, "CapEff"), CapabilitySet{"NET_RAW"}.mask());
    EXPECT_EQ(mask(ran, "CapBnd"), CapabilitySet{"NET_RAW"}.mask());
    EXPECT_EQ(status_field(ran, "Seccomp"), "0");
  }
  {
    SCOPED_TRACE("everything away");
    Policy policy = asked(target);
    policy.user = {1000, 1001, {44, 77}};
    policy.capabilities = {};
    policy.no_new_privileges = true;
    Ran ran = run(target, policy);
    EXPECT_EQ(status_field(ran, "Uid"), "1000 1000 1000 1000");
    EXPECT_EQ(status_field(ran, "Gid"), "1001 1001 1001 1001");
    // Docker 20.10.18 and later repeat the gid (CVE-2022-36109).
    EXPECT_THAT(status_field(ran, "Groups"), testing::AnyOf("44 77", "44 77 1001"));
    EXPECT_EQ(mask(ran, "CapEff") | mask(ran, "CapPrm") | mask(ran, "CapInh"), 0u);
    EXPECT_EQ(mask(ran, "CapBnd") | mask(ran, "CapAmb"), 0u);
    EXPECT_EQ(status_field(ran, "NoNewPrivs"), "1");
  }
  {
    SCOPED_TRACE("a capability is nothing to another uid");
    Policy policy = asked(target);
    policy.user = {1000, 1000, {}};
    policy.capabilities = CapabilitySet{"NET_RAW"};
    Ran ran = run(target, policy);
    EXPECT_EQ(mask(ran, "CapEff") | mask(ran, "CapAmb"), 0u);
    EXPECT_EQ(mask(ran, "CapBnd"), CapabilitySet{"NET_RAW"}.mask());
  }
  {
    SCOPED_TRACE("an allow-list");
    Target tries = shell("mkdir /tmp/x; grep Seccomp: /proc/self/status");
    Policy policy = asked(tries);
    privilege::SeccompProfile profile;
    profile.syscalls = {"access",
                        "arch_prctl",
                        "brk",
                        "clone",
                        "close",
                        "dup",
                        "dup2",
                        "execve",
                        "exit",
                        "exit_group",
                        "fcntl",
                        "fork",
                        "vfork",
                        "fstat",
                        "futex",
                        "getcwd",
                        "getdents64",
                        "getegid",
                        "geteuid",
                        "getgid",
                        "getpid",
                        "getppid",
                        "getuid",
                        "ioctl",
                        "lseek",
                        "lstat",
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
                        "set_robust_list",
                        "set_tid_address",
                        "stat",
                        "umask",
                        "uname",
                        "wait4",
                        "write",
                        "writev",
                        "getrandom",
                        "readlinkat",
                        "sendfile",
                        "setgid",
                        "setuid"};
    for (const std::string& name : privilege::runtime_syscalls(false)) {
      profile.syscalls.push_back(name);
    }
    policy.seccomp = profile;
    Ran ran = run(tries, policy);
    EXPECT_THAT(ran.log,
                HasSubstr("mkdir: can't create directory '/tmp/x': Operation not permitted"));
    EXPECT_EQ(status_field(ran, "Seccomp"), "2") << ran.log;
  }
}

TEST_F(DockerEngineTest, FilesAndVolumesAreAsThePolicySays) {
  {
    SCOPED_TRACE("a read-only root with scratch space");
    Target target = shell(
        "touch /bin/x; touch /scratch/x && echo wrote; cp /bin/busybox /scratch/cat && "
        "/scratch/cat /proc/mounts | grep scratch");
    Policy policy = asked(target);
    policy.user = {1000, 1001, {}};
    policy.rootfs_writable = false;
    policy.writable = {{"/scratch", "tmpfs", 1 << 20}};
    Ran ran = run(target, policy);
    EXPECT_THAT(ran.log, HasSubstr("touch: /bin/x: Read-only file system"));
    EXPECT_THAT(ran.log, HasSubstr("wrote"));
    EXPECT_THAT(ran.log, HasSubstr("/scratch/cat: Permission denied"));
    ran = run(target, policy, "kubernetes");
    EXPECT_THAT(ran.log, HasSubstr("tmpfs /scratch tmpfs rw,nosuid,nodev,relatime,size=16384k"));
    policy.writable[0].exec = true;
    EXPECT_THAT(run(target, policy).log, HasSubstr("tmpfs /scratch tmpfs rw,nosuid,nodev"));
  }
  {
    SCOPED_TRACE("scratch space that begins with the image's files");
    Target target = shell("cat /cache/seed; echo more > /cache/new && cat /cache/new");
    Policy policy = asked(target, "kubernetes");
    policy.user = {4242, 4242, {}};
    policy.rootfs_writable = false;
    policy.writable = {{"/cache", "tmpfs", 0, false, true}};
    EXPECT_EQ(run(target, policy, "kubernetes").log, "from the image\nmore\n");
    policy.writable[0].copy_up = false;
    EXPECT_THAT(run(target, policy, "kubernetes").log, HasSubstr("cat: can't open '/cache/seed'"));
  }
  {
    SCOPED_TRACE("a bind, read-only and read-write");
    std::string host = daemon_->directory() + "/models";
    ASSERT_TRUE(base::make_directories(host));
    Target target = shell("touch /models/x && echo wrote", {"-v", host + ":/models"});
    Policy policy = asked(target);
    std::vector<VolumeMount> volumes = {{host, "/models"}, {"", "/data"}};
    EXPECT_EQ(run(target, policy, "docker", volumes).log, "wrote\n");
    EXPECT_EQ(access((host + "/x").c_str(), F_OK), 0);
    policy.volumes = {{"/models", false}};
    EXPECT_EQ(run(target, policy, "docker", volumes).log,
              "touch: /models/x: Read-only file system\n");
    policy.volumes.clear();
    EXPECT_EQ(run(target, policy, "docker", volumes).code, 1);
    volumes[0].source = host + "-missing";
    EXPECT_THAT(run(target, policy, "docker", volumes).log, HasSubstr(host + "-missing"));
  }
  {
    SCOPED_TRACE("what a volume is on the host");
    Target target = shell("true", {"-v", "/cache"});
    ASSERT_EQ(target.volumes.size(), 2u);  // and the image's /data
    for (const target::Volume& volume : target.volumes) {
      std::string source = engine_->volume_source(volume).value();
      std::string file = source + (volume.path == "/data" ? "/start" : "/seed");
      EXPECT_EQ(base::read_file(file).value_or("none"), "from the image\n") << volume.path;
    }
    target::Volume named{"pare-models", "/m", true, false};
    EXPECT_EQ(engine_->volume_source(named).value(), "");
    ApiRequest make;
    make.method = "POST";
    make.path = "/volumes/create";
    make.body = base::Json{{"Name", "pare-models"}};
    ASSERT_TRUE(DockerApi::connect(daemon_->socket()).value()->json(make, "volume"));
    EXPECT_THAT(engine_->volume_source(named).value(),
                HasSubstr(daemon_->directory() + "/data/volumes/pare-models"));
    EXPECT_EQ(engine_->volume_source({"/nonexistent", "/m", false, false}).value(), "");
    EXPECT_EQ(engine_->volume_source({root_, "/m", false, false}).value(), root_);
  }
  {
    SCOPED_TRACE("what it wrote");
    Target target = shell("echo x > /srv/written; sleep 100");
    auto container = create(target, asked(target), next_options()).value();
    ASSERT_TRUE(container->start());
    std::string upper = container->upper_dir();
    for (int i = 0; i < 200 && access((upper + "/srv/written").c_str(), F_OK) != 0; ++i) {
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(base::read_file(upper + "/srv/written").value_or("none"), "x\n") << upper;
    EXPECT_TRUE(container->remove());
  }
  EXPECT_THAT(list("/containers/json?all=1").size(), 1u);  // the look into the image
  engine_.reset();
  EXPECT_THAT(list("/containers/json?all=1"), IsEmpty());
  base::Json volumes = list("/volumes")["Volumes"];
  ASSERT_EQ(volumes.size(), 1u);
  EXPECT_EQ(volumes[0]["Name"], "pare-models");
}

TEST_F(DockerEngineTest, AContainerLivesAndEnds) {
  {
    SCOPED_TRACE("the image's word, the line's word, the policy's word");
    auto target = resolved({"-e", "MODE=fast", "-P", "--group-add", "extra", "pare/test:1"});
    ASSERT_TRUE(target) << target.error().message;
    EXPECT_THAT(target->argv, ElementsAre("sh", "-c", "id"));
    EXPECT_EQ(target->resolved_user, (privilege::User{1000, 1001, {44, 55}}));
    EXPECT_EQ(target->facts.user, "svc");
    EXPECT_EQ(target->facts.workdir, "/srv");
    EXPECT_THAT(target->facts.volumes, ElementsAre("/data"));
    EXPECT_THAT(target->facts.digest, testing::StartsWith("sha256:"));
    ASSERT_EQ(target->ports.size(), 1u);
    EXPECT_EQ(target->ports[0].port, 8000);
    EXPECT_EQ(target->facts.passwd.size(), 2u);
    Policy policy = asked(*target);
    std::string id = run(*target, policy).log;
    EXPECT_THAT(id, testing::StartsWith("uid=1000(svc) gid=1001(svc) groups="));
    EXPECT_THAT(id, HasSubstr("44(video),55(extra)"));
    policy.arguments = {"sh", "-c", "echo $FROM_IMAGE $MODE $HOME $ADDED $PWD"};
    policy.environment = {{"ADDED", "yes"}, {"HOME", "/tmp"}};
    EXPECT_EQ(run(*target, policy).log, "1 fast /tmp yes /srv\n");
    EXPECT_EQ(engine_->owner(*target, "/srv/model"), (std::pair<uint32_t, uint32_t>(1234, 1235)));
    EXPECT_EQ(engine_->owner(*target, "/bin"), (std::pair<uint32_t, uint32_t>(0, 0)));
    EXPECT_EQ(engine_->owner(*target, "/nowhere"), std::nullopt);
    EXPECT_EQ(engine_->read_image_file(*target, "/srv/model").value(), "weights\n");
    EXPECT_EQ(engine_->read_image_file(*target, "/srv/none").error().kind, ErrorKind::kUsage);
    EXPECT_THAT(engine_->runtime_version().value(), HasSubstr("(Docker "));
  }
  {
    SCOPED_TRACE("exit codes");
    EXPECT_EQ(run(shell("exit 7"), asked(shell(""))).code, 7);
    Ran killed = run(shell("echo last words; kill -9 $$"), asked(shell("")));
    EXPECT_EQ(killed.log, "last words\n");
    Target killed_inside = shell("sh -c 'kill -9 $$'; exit $?");
    EXPECT_EQ(run(killed_inside, asked(killed_inside)).code, 137);
  }
  {
    SCOPED_TRACE("signals, exec, log, pid");
    Target target =
        shell("trap 'echo bye; exit 3' TERM; echo ready; while :; do sleep 0.05; done", {"--init"});
    CreateOptions options = next_options();
    auto container = create(target, asked(target), options).value();
    EXPECT_EQ(container->cgroup_leaf().size(), 64u);
    EXPECT_EQ(container->pid(), 0);
    EXPECT_FALSE(container->state().exited);
    ASSERT_TRUE(container->start());
    EXPECT_GT(container->pid(), 1);
    for (int i = 0; i < 200 && base::read_file(options.log_path).value_or("").empty(); ++i) {
      std::this_thread::sleep_for(10ms);
    }
    EXPECT_EQ(base::read_file(options.log_path).value_or("no log"), "ready\n");
    EXPECT_FALSE(container->wait(50ms).exited);
    EXPECT_EQ(container->exec({"sh", "-c", "exit 5"}, 10s).value(), 5);
    EXPECT_EQ(container->exec({"no-such-program"}, 10s).value(), 127);
    auto before = std::chrono::steady_clock::now();
    EXPECT_EQ(container->exec({"sleep", "100"}, 200ms).value(), 124);
    EXPECT_LT(std::chrono::steady_clock::now() - before, 5s);
    ASSERT_TRUE(container->signal(SIGTERM));
    ExitState state = container->wait(10s);
    EXPECT_TRUE(state.exited);
    EXPECT_EQ(state.code, 3);
    EXPECT_EQ(container->pid(), 0);
    EXPECT_TRUE(container->signal(SIGTERM));
    EXPECT_EQ(container->exec({"true"}, 10s).value(), 126);
    EXPECT_TRUE(container->remove());
    EXPECT_EQ(base::read_file(options.log_path).value_or(""), "ready\nbye\n");
  }
  {
    SCOPED_TRACE("limits, sysctls, network");
    const char* script =
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start; ulimit -l; ulimit -n; "
        "df -k /dev/shm | grep -c ' 2048 '; ls /sys/class/net";
    Target target = shell(script, {"--ulimit", "nofile=512", "--ulimit", "memlock=65536",
                                   "--shm-size=2m", "--memory", "64m", "--pids-limit", "20"});
    EXPECT_EQ(run(target, asked(target)).log, "0\n64\n512\n1\nlo\n");
    EXPECT_EQ(run(target, asked(target, "kubernetes"), "kubernetes").log, "1024\n64\n512\n1\nlo\n");
    Policy policy = asked(target);
    policy.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "80"}};
    CreateOptions options = next_options();
    options.open_network = true;
    EXPECT_EQ(run(target, policy, options).log, "80\n64\n512\n1\neth0\nlo\n");
    Target many =
        shell("for i in 1 2 3 4 5 6 7 8; do sleep 1 & done; echo all", {"--pids-limit=4"});
    EXPECT_THAT(run(many, asked(many)).log, HasSubstr("can't fork"));
  }
  {
    SCOPED_TRACE("a start that the policy refuses is an outcome, not an error");
    auto target = resolved({"--user", "0", "pare/test:1", "root-only", "true"});
    ASSERT_TRUE(target) << target.error().message;
    EXPECT_EQ(run(*target, asked(*target)).code, 0);
    Policy policy = asked(*target);
    policy.user = {1000, 1000, {}};
    Ran ran = run(*target, policy);
    EXPECT_EQ(ran.code, 126) << ran.log;
    EXPECT_THAT(ran.log, HasSubstr("permission denied"));
    Target hidden = shell("true");
    Policy covered = asked(hidden);
    covered.writable = {{"/bin"}};
    EXPECT_EQ(run(hidden, covered).code, 127);
  }
  {
    SCOPED_TRACE("what another run left");
    Target target = shell("sleep 100");
    auto left = create(target, asked(target), next_options()).value();
    ASSERT_TRUE(left->start());
    int pid = left->pid();
    ASSERT_TRUE(engine_->sweep("another"));
    EXPECT_EQ(kill(pid, 0), 0);
    ASSERT_TRUE(engine_->sweep("s1"));
    EXPECT_THAT(list("/containers/json?all=1"), IsEmpty());
    EXPECT_TRUE(left->state().exited);
    EXPECT_TRUE(left->remove());
  }
}

TEST_F(DockerEngineTest, SaysWhatIsMissing) {
  struct {
    std::vector<std::string> words;
    std::vector<std::string> parts;
  } cases[] = {
      {{"pare/other:2"},
       {"image pare/other:2 is not on this Docker host", "docker pull pare/other:2"}},
      {{"triton:<xx.yy>-py3"}, {"image triton:<xx.yy>-py3 is not", "docker pull 'triton"}},
      {{"pare/test:1", "serve"}, {"pare/test:1 has no program 'serve' in its PATH"}},
      {{"pare/test:1", "/srv/model"}, {"has no program '/srv/model' there"}},
      {{"--user", "nim", "pare/test:1"}, {"user 'nim'"}},
      {{"--user", "0:nim", "pare/test:1"}, {"group 'nim' is not in /etc/group"}},
      {{"--entrypoint", "", "pare/test:1"}, {"names no command"}},
  };
  for (const auto& c : cases) {
    auto target = resolved(c.words);
    ASSERT_FALSE(target) << base::join(c.words, " ");
    EXPECT_EQ(target.error().kind, ErrorKind::kUsage);
    for (const std::string& part : c.parts) EXPECT_THAT(target.error().message, HasSubstr(part));
  }
  // A program on a volume cannot be looked for.
  EXPECT_TRUE(resolved({"-v", root_ + ":/host", "pare/test:1", "/host/bin/anything"}));
  Target gpu = shell("true", {"--gpus", "all"});
  EXPECT_THAT(run(gpu, asked(gpu)).log, HasSubstr("could not select device driver"));
  Target runtime = shell("true", {"--runtime", "nvidia"});
  EXPECT_THAT(run(runtime, asked(runtime)).log, HasSubstr("nvidia"));
}

TEST(DockerApi, SaysWhenNoDaemonAnswers) {
  DockerOptions options;
  options.socket = "unix:///nonexistent/docker.sock";
  auto engine = make_docker(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().kind, ErrorKind::kHost);
  EXPECT_THAT(engine.error().message, HasSubstr("/nonexistent/docker.sock"));
  EXPECT_THAT(engine.error().message, HasSubstr("DOCKER_HOST"));
  options.socket = "tcp://127.0.0.1:2375";
  engine = make_docker(options);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().kind, ErrorKind::kUsage);
}

}  // namespace
}  // namespace pare::engine
