// Containers that Docker runs: the engine's init, docker exec and health checks are not the
// server's doing.
#include <unistd.h>

#include <map>

#include "base/text.h"
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::call_names;
using testing::Container;
using testing::list_files;
using ::testing::PrintToString;

constexpr std::chrono::seconds kPatience{60};

// Asked to act from outside (docker exec, HEALTHCHECK) it does what the server never does.
constexpr const char* kServer = R"c(
  if (argc > 1) {
    mkdir("/scratch/outside", 0700);
    socket(AF_INET, SOCK_RAW, 1);
    chown("/scratch/outside", 7, 7);
    return 0;
  }
  mkdir("/scratch/server", 0700);
  for (int i = 0; i < 120; i++) { usleep(10000); getppid(); }
)c";

// The tests' own daemon (tests/support/dockerd); none where it does not start.
class Docker {
 public:
  Docker() {
    char path[] = "/tmp/pare-d-XXXXXX";
    directory_ = mkdtemp(path);
    runs_ = tool({"start", directory_}).code == 0;
  }
  ~Docker() { tool({"stop", directory_}); }
  Docker(const Docker&) = delete;
  Docker& operator=(const Docker&) = delete;

  bool runs() const { return runs_; }
  // An image of a tree.
  sys::Finished load(const std::string& name, const std::string& root, const std::string& change) {
    return tool({"import", directory_, name, root, change});
  }

  // docker ARGS; its output without the line's end.
  std::string operator()(std::vector<std::string> args) {
    args.insert(args.begin(), {"docker", "-H", "unix://" + directory_ + "/docker.sock"});
    sys::Finished done = finish(args);
    EXPECT_EQ(done.code, 0) << base::join(args, " ") << "\n" << done.err;
    return std::string(base::trim(done.out));
  }

 private:
  static sys::Finished tool(std::vector<std::string> args) {
    args.insert(args.begin(), std::string(PARE_SOURCE_DIR) + "/tests/support/dockerd");
    return finish(std::move(args));
  }
  static sys::Finished finish(std::vector<std::string> argv) {
    auto done = sys::run(sys::Command{std::move(argv)}, kPatience);
    EXPECT_TRUE(done) << done.error().message;
    return done ? *done : sys::Finished{};
  }
  std::string directory_;
  bool runs_ = false;
};

std::map<std::string, uint64_t> counts(const evidence::Evidence& evidence) {
  std::map<std::string, uint64_t> all;
  for (const auto& fact : evidence.syscalls) all[fact.name] = fact.count;
  return all;
}

using DockerTest = testing::KernelTest;

TEST_F(DockerTest, WithOrWithoutInitExecAndHealthChecksItIsTheServerAlone) {
  Container direct(kServer);
  auto expected = testing::record_run(direct);
  ASSERT_EQ(expected.files.size(), 1U) << list_files(expected);
  Docker docker;
  if (!docker.runs()) PARE_SKIP("dockerd does not start (see above)");
  sys::Finished loaded = docker.load("pare-test", direct.rootfs(),
                                     R"(HEALTHCHECK --interval=100ms CMD ["/program", "x"])");
  ASSERT_EQ(loaded.code, 0) << loaded.err;
  for (bool init : {false, true}) {
    SCOPED_TRACE(init ? "with docker-init" : "without");
    std::vector<std::string> create = {"create", "--network", "none", "pare-test", "/program"};
    if (init) create.insert(create.begin() + 1, "--init");
    const std::string id = docker(create);
    auto opened = Recorder::open(Options{});
    ASSERT_TRUE(opened) << opened.error().message;
    ASSERT_TRUE((*opened)->arm(id));
    docker({"start", id});
    docker({"exec", id, "/program", "x"});
    EXPECT_EQ(docker({"wait", id}), "0");
    EXPECT_NE(docker({"inspect", "-f", "{{len .State.Health.Log}}", id}), "0") << "no health check";
    docker({"rm", "-f", id});
    auto evidence = (*opened)->finish();
    ASSERT_TRUE(evidence);
    EXPECT_EQ(evidence->coverage, evidence::Coverage::kEntry);
    EXPECT_EQ(evidence->loss.events, 0U) << PrintToString(evidence->loss.maps);
    EXPECT_EQ(counts(*evidence), counts(expected));
    ASSERT_EQ(evidence->files.size(), 1U) << list_files(*evidence);
    EXPECT_EQ(evidence->files[0].path, "/scratch/server");
    ASSERT_EQ(evidence->execs.size(), 1U);
    EXPECT_EQ(evidence->execs[0].path, "/program");
    for (const auto& fact : evidence->capabilities) EXPECT_TRUE(fact.advisory) << fact.name;
  }
}

}  // namespace
}  // namespace pare::record
