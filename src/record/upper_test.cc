// Ground truth: what a run left in its overlay's upper directory is in the evidence, and what is in
// the evidence is there, or was taken away again.
#include <sys/mount.h>

#include <map>

#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Container;
using testing::list_files;
namespace fs = std::filesystem;

// An overlay over the container's root file system, on a tmpfs of its own.
class Overlay {
 public:
  explicit Overlay(const Container& container)
      : base_(container.path("layers")), root_(container.rootfs()) {
    fs::create_directories(base_);
    mounted_ = mount("tmpfs", base_.c_str(), "tmpfs", 0, nullptr) == 0;
    fs::create_directories(upper());
    fs::create_directories(base_ + "/work");
    fs::create_directories(base_ + "/lower");
    fs::copy(root_, base_ + "/lower",
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
    const std::string options =
        "lowerdir=" + base_ + "/lower,upperdir=" + upper() + ",workdir=" + base_ + "/work";
    overlaid_ = mount("overlay", root_.c_str(), "overlay", 0, options.c_str()) == 0;
  }
  ~Overlay() {
    if (overlaid_) umount2(root_.c_str(), MNT_DETACH);
    if (mounted_) umount2(base_.c_str(), MNT_DETACH);
  }
  Overlay(const Overlay&) = delete;
  Overlay& operator=(const Overlay&) = delete;
  bool usable() const { return mounted_ && overlaid_; }
  std::string upper() const { return base_ + "/upper"; }

 private:
  std::string base_, root_;
  bool mounted_ = false, overlaid_ = false;
};

// Random changes below /data, by a generator that needs no library; on lower files too.
constexpr const char* kChanges = R"c(
  unsigned state = atoi(argv[1]);
  #define NEXT(n) ((state = state * 1103515245u + 12345u) >> 16) % (n)
  const char* directories[] = {"/data", "/data/d0", "/data/d1", "/data/link"};
  for (int i = 0; i < 400; i++) {
    char a[64], b[64];
    snprintf(a, sizeof a, "%s/f%d", directories[NEXT(4)], NEXT(12));
    snprintf(b, sizeof b, "%s/f%d", directories[NEXT(4)], NEXT(12));
    chdir(directories[NEXT(4)]);
    switch (NEXT(10)) {
      case 0: close(open(a, O_CREAT | O_WRONLY, 0600)); break;
      case 1: close(open(a, O_RDWR | O_APPEND)); break;
      case 2: unlink(a); break;
      case 3: rename(a, b); break;
      case 4: symlink("nowhere", a); break;
      case 5: link(a, b); break;
      case 6: chmod(a, 0640); break;
      case 7: truncate(a, 9); break;
      case 8: close(open(strrchr(a, '/') + 1, O_CREAT | O_TRUNC | O_WRONLY, 0600)); break;
      case 9: renameat2(AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */); break;
    }
  }
)c";

using UpperTest = testing::KernelTest;

TEST_F(UpperTest, TheUpperDirectoryAndTheEvidenceAgree) {
  for (const char* seed : {"1", "2", "3"}) {
    SCOPED_TRACE(seed);
    Container container(kChanges);
    const std::string data = container.rootfs() + "/data";
    for (const char* directory : {"/d0", "/d1"}) fs::create_directories(data + directory);
    fs::create_directory_symlink("d1", data + "/link");
    for (const char* file : {"/f0", "/f1", "/d0/f2", "/d0/f3", "/d1/f4", "/d1/f5"})
      std::ofstream(data + file) << "lower";
    Overlay overlay(container);
    if (!overlay.usable()) PARE_SKIP("this host mounts no overlay on a tmpfs");
    testing::Bundle bundle;
    bundle.args = {seed};
    auto evidence = testing::record_run(container, bundle);
    std::map<std::string, std::set<std::string>> done;  // by path
    for (const evidence::FileFact& fact : evidence.files)
      if (!fact.error) done[fact.path].insert(fact.ops.begin(), fact.ops.end());
    ASSERT_GT(done.size(), 10U);

    std::set<std::string> upper;
    for (const auto& entry : fs::recursive_directory_iterator(overlay.upper() + "/data")) {
      const std::string path = entry.path().string().substr(overlay.upper().size());
      upper.insert(path);
      if (entry.is_directory() && !entry.is_symlink()) continue;  // copied up for what is in it
      ASSERT_EQ(done.count(path), 1U) << path << " is not in\n" << list_files(evidence);
      if (entry.is_character_file()) {  // a whiteout: a name of the lower layer was taken away
        EXPECT_TRUE(done[path].count("unlink") + done[path].count("rename") > 0) << path;
      }
    }
    for (const auto& [path, ops] : done) {
      const bool taken_away = ops.count("unlink") + ops.count("rename") > 0;
      EXPECT_TRUE(upper.count(path) > 0 || taken_away) << path << " is not in the upper directory";
    }
  }
}

}  // namespace
}  // namespace pare::record
