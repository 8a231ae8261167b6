// What an attacker who writes to the volume may try. Nothing outside it is ever touched.
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <atomic>
#include <functional>
#include <thread>

#include "base/text.h"
#include "prepare/testing_volume.h"

namespace pare::prepare {
namespace {

namespace fs = std::filesystem;

class Attack : public VolumeTest {
 protected:
  void TearDown() override {
    for (const std::string& point : mounts_) umount2(point.c_str(), MNT_DETACH);
    VolumeTest::TearDown();
  }
  void mount_at(const std::string& source, const std::string& target, const char* type,
                unsigned long flags) {
    ASSERT_EQ(mount(source.c_str(), target.c_str(), type, flags, nullptr), 0) << strerror(errno);
    mounts_.push_back(target);
  }
  // Eight writers repeat `act` while the volume is prepared again and again for half a second.
  void race(const std::function<void(int)>& act) {
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    for (int i = 0; i < 8; ++i) {
      writers.emplace_back([&, i] {
        while (!stop) act(i);
      });
    }
    auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(500);
    int runs = 0;
    for (; std::chrono::steady_clock::now() < end || runs < 3; ++runs) {
      auto report = run();
      EXPECT_TRUE(report) << report.error().message;
    }
    stop = true;
    for (std::thread& writer : writers) writer.join();
    expect_outside_untouched();
  }
  std::vector<std::string> mounts_;
};

TEST_P(Attack, LinkToAFileOutside) {
  fs::create_symlink(outside_ + "/secret", volume_ + "/link");
  expect_done();
  EXPECT_EQ(stat_of(volume_ + "/link").st_uid, 1000u);
}

TEST_P(Attack, RelativeLinkOut) {
  fs::create_symlink("../outside/secret", volume_ + "/link");
  expect_done();
}

TEST_P(Attack, LinkToADirectoryOutside) {
  fs::create_symlink(outside_, volume_ + "/link");
  expect_done();
}

TEST_P(Attack, LinkLoop) {
  fs::create_symlink("b", volume_ + "/a");
  fs::create_symlink("a", volume_ + "/b");
  expect_done();
}

TEST_P(Attack, DanglingLink) {
  fs::create_symlink(outside_ + "/absent", volume_ + "/link");
  expect_done();
  EXPECT_FALSE(fs::exists(outside_ + "/absent"));
}

TEST_P(Attack, DirectoryOfTheSpecificationIsALink) {
  fs::create_symlink(outside_, volume_ + "/logs");
  spec_.directories = {{"logs", Owner{1000, 1000}, 0777, {}}};
  expect_refused("logs");
}

TEST_P(Attack, ParentOfADirectoryIsALink) {
  fs::create_symlink(outside_, volume_ + "/logs");
  spec_.directories = {{"logs/sub", Owner{1000, 1000}, 0777, {}}};
  expect_refused("logs/sub");
}

TEST_P(Attack, DirectoryWouldBeMadeThroughALink) {
  fs::create_symlink(outside_, volume_ + "/logs");
  spec_.directories = {{"logs/new", Owner{1000, 1000}, 0777, {}}};
  expect_refused("logs");
  EXPECT_FALSE(fs::exists(outside_ + "/new"));
}

TEST_P(Attack, DotsInASpecification) {
  for (const char* path : {"..", "../outside", "a/../../outside", "/etc", "a//b", "./a", ""}) {
    auto spec =
        parse_spec("{\"directories\": [{\"path\": \"" + std::string(path) + "\"}]}", "spec");
    ASSERT_FALSE(spec) << path;
    EXPECT_EQ(spec.error().kind, ErrorKind::kUsage);
  }
}

TEST_P(Attack, DotsThatGotPastTheParser) {
  spec_.directories = {{"../outside/sub", Owner{1000, 1000}, 0777, {}}};
  expect_refused("../outside/sub");
}

TEST_P(Attack, HardLinkToAFileOutside) {
  fs::create_hard_link(outside_ + "/secret", volume_ + "/mine");
  expect_refused("mine has a second name");
}

TEST_P(Attack, HardLinkToAFifoOutside) {
  ASSERT_EQ(mkfifo((outside_ + "/door").c_str(), 0600), 0);
  before_ = state(outside_);
  fs::create_hard_link(outside_ + "/door", volume_ + "/mine");
  expect_refused("mine has a second name");
}

TEST_P(Attack, HardLinkDeepInside) {
  fs::create_directories(volume_ + "/a/b/c");
  fs::create_hard_link(outside_ + "/sub/file", volume_ + "/a/b/c/mine");
  expect_refused("a/b/c/mine");
}

TEST_P(Attack, HardLinkIsLeftAloneWhereTheSpecificationSaysSo) {
  fs::create_hard_link(outside_ + "/secret", volume_ + "/mine");
  spec_.hard_links = HardLinks::kSkip;
  EXPECT_EQ(expect_done().skipped, 1u);
}

TEST_P(Attack, MountInside) {
  fs::create_directory(volume_ + "/point");
  mount_at(outside_, volume_ + "/point", nullptr, MS_BIND);
  expect_refused("point is another mount");
}

TEST_P(Attack, FileMountedInside) {
  write(volume_ + "/point", "");
  mount_at(outside_ + "/secret", volume_ + "/point", nullptr, MS_BIND);
  expect_refused("point");
}

TEST_P(Attack, OtherFileSystemInside) {
  fs::create_directory(volume_ + "/point");
  mount_at("tmpfs", volume_ + "/point", "tmpfs", 0);
  expect_refused("point is another mount");
  EXPECT_EQ(stat_of(volume_ + "/point").st_uid, 0u);
}

TEST_P(Attack, ProcMountedInside) {
  fs::create_directory(volume_ + "/point");
  mount_at("proc", volume_ + "/point", "proc", 0);
  spec_.directories = {{"point/self/root", Owner{1000, 1000}, 0777, {}}};
  expect_refused("point");
}

TEST_P(Attack, DirectoryOfTheSpecificationIsAMount) {
  fs::create_directory(volume_ + "/logs");
  mount_at(outside_, volume_ + "/logs", nullptr, MS_BIND);
  spec_.directories = {{"logs", Owner{1000, 1000}, 0777, {}}};
  expect_refused("logs is another mount");
}

TEST_P(Attack, SameVolumeMountedInsideItself) {
  fs::create_directories(volume_ + "/a/point");
  mount_at(volume_, volume_ + "/a/point", nullptr, MS_BIND);
  expect_refused("a/point is another mount");
}

TEST_P(Attack, CharacterDevice) {
  ASSERT_EQ(mknod((volume_ + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3)), 0);
  expect_refused("null is a device");
  EXPECT_EQ(stat_of(volume_ + "/null").st_uid, 0u);
}

TEST_P(Attack, BlockDevice) {
  ASSERT_EQ(mknod((volume_ + "/disk").c_str(), S_IFBLK | 0600, makedev(7, 200)), 0);
  expect_refused("disk is a device");
}

TEST_P(Attack, DeviceIsNotReadForAManifest) {
  ASSERT_EQ(mknod((volume_ + "/zero").c_str(), S_IFCHR | 0666, makedev(1, 5)), 0);
  spec_.own.reset();
  spec_.write_manifest = "m";
  expect_refused("zero is no regular file");
  EXPECT_FALSE(fs::exists(volume_ + "/m"));
}

TEST_P(Attack, FifoDoesNotMakeItWait) {
  ASSERT_EQ(mkfifo((volume_ + "/fifo").c_str(), 0600), 0);
  expect_done();
  spec_.write_manifest = "m";
  expect_refused("fifo is no regular file");
}

TEST_P(Attack, SocketIsRefusedByAManifest) {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un at{AF_UNIX, {}};
  std::string path = volume_ + "/s";
  ASSERT_LT(path.size(), sizeof at.sun_path);
  path.copy(at.sun_path, path.size());
  ASSERT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&at), sizeof at), 0);
  close(fd);
  spec_.write_manifest = "m";
  expect_refused("s");
}

TEST_P(Attack, ManifestToVerifyIsALink) {
  write(outside_ + "/m", "");
  before_ = state(outside_);
  fs::create_symlink(outside_ + "/m", volume_ + "/m");
  spec_.verify = "m";
  expect_refused("m is or leads through a symbolic link");
}

TEST_P(Attack, ManifestToWriteIsALink) {
  fs::create_symlink(outside_ + "/secret", volume_ + "/m");
  spec_.write_manifest = "m";
  expect_done();
  EXPECT_FALSE(fs::is_symlink(volume_ + "/m"));
}

TEST_P(Attack, ManifestIsWrittenThroughAPlantedName) {
  for (bool hard : {false, true}) {
    std::string planted = volume_ + "/.m.partial";
    if (hard) {
      fs::create_hard_link(outside_ + "/secret", planted);
    } else {
      fs::create_symlink(outside_ + "/secret", planted);
    }
    spec_.own.reset();
    spec_.write_manifest = "m";
    auto report = run();  // the planted name is listed, or gone
    ASSERT_TRUE(report) << report.error().message;
    expect_outside_untouched();
    fs::remove(planted);
  }
}

TEST_P(Attack, ManifestNamesFilesOutside) {
  for (const char* path : {"../outside/secret", "/etc/passwd", "a/../../outside/secret"}) {
    write(volume_ + "/m", base::sha256_hex("secret") + "  " + path + "\n");
    spec_.verify = "m";
    auto report = run();
    ASSERT_FALSE(report) << path;
    EXPECT_EQ(report.error().kind, ErrorKind::kUsage);
    expect_outside_untouched();
  }
}

TEST_P(Attack, LinkInPlaceOfAVerifiedFile) {
  fs::create_symlink(outside_ + "/secret", volume_ + "/model");
  write(volume_ + "/m", base::sha256_hex("secret") + "  model\n");
  spec_.verify = "m";
  expect_refused("model is missing");
}

TEST_P(Attack, LinkThatPointsElsewhereThanItDid) {
  write(volume_ + "/a", "a");
  write(volume_ + "/b", "b");
  fs::create_symlink("a", volume_ + "/current");
  spec_.write_manifest = "m";
  expect_done();
  fs::remove(volume_ + "/current");
  fs::create_symlink("b", volume_ + "/current");
  spec_.write_manifest.clear();
  spec_.verify = "m";
  expect_refused("current is not what the manifest says");
}

TEST_P(Attack, ManifestAndModelAreExchangedTogether) {
  write(volume_ + "/model", "good");
  spec_.write_manifest = "m";
  spec_.verify_digest = expect_done().manifest_digest;
  write(volume_ + "/model", "evil");
  write(volume_ + "/m", base::sha256_hex("evil") + "  model\n");
  spec_.write_manifest.clear();
  spec_.verify = "m";
  expect_refused("manifest m has the digest");
}

TEST_P(Attack, SetuidProgramDoesNotKeepItsBitForTheNewOwner) {
  write(volume_ + "/su", "#!");
  ASSERT_EQ(chmod((volume_ + "/su").c_str(), 04755), 0);
  expect_done();
  EXPECT_EQ(stat_of(volume_ + "/su").st_mode & 07777, 0755u);
}

TEST_P(Attack, NamesOfAllBytesAndGreatDepth) {
  std::string path = volume_;
  for (int i = 0; i < 300; ++i) {
    path += "/d";
    ASSERT_EQ(mkdir(path.c_str(), 0755), 0);
  }
  write(path + "/x\ny\\z\x01", "odd");
  write(volume_ + "/" + std::string(255, 'n'), "long");
  spec_.write_manifest = "m";
  expect_done();
  EXPECT_EQ(stat_of(path + "/x\ny\\z\x01").st_uid, 1000u);
  spec_.write_manifest.clear();
  spec_.verify = "m";
  expect_done();
}

TEST_P(Attack, RaceDirectoryAgainstLink) {
  for (int i = 0; i < 8; ++i) {
    fs::create_directories(volume_ + "/real" + std::to_string(i) + "/deeper");
    write(volume_ + "/real" + std::to_string(i) + "/file", "x");
  }
  race([this](int i) {
    std::string n = std::to_string(i), real = volume_ + "/real" + n, aside = volume_ + "/aside" + n;
    rename(real.c_str(), aside.c_str());
    (void)symlink(outside_.c_str(), real.c_str());
    unlink(real.c_str());
    rename(aside.c_str(), real.c_str());
  });
}

TEST_P(Attack, RaceExchangeOfNames) {
  for (int i = 0; i < 8; ++i) {
    std::string n = std::to_string(i);
    fs::create_directories(volume_ + "/real" + n);
    write(volume_ + "/real" + n + "/file", "x");
    fs::create_symlink(outside_ + "/sub", volume_ + "/link" + n);
  }
  race([this](int i) {
    std::string n = std::to_string(i), a = volume_ + "/real" + n, b = volume_ + "/link" + n;
    renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE);
  });
}

TEST_P(Attack, RaceFileAgainstHardLink) {
  race([this](int i) {
    std::string own = volume_ + "/f" + std::to_string(i);
    write(own, "x");
    unlink(own.c_str());
    (void)link((outside_ + "/secret").c_str(), own.c_str());
    unlink(own.c_str());
  });
}

TEST_P(Attack, RaceAgainstDirectoriesOfTheSpecification) {
  spec_.own.reset();
  for (int i = 0; i < 8; ++i) {
    spec_.directories.push_back({"d" + std::to_string(i), Owner{1000, 1000}, 02770, {}});
  }
  race([this](int i) {
    std::string d = volume_ + "/d" + std::to_string(i);
    rmdir(d.c_str());
    (void)symlink(outside_.c_str(), d.c_str());
    unlink(d.c_str());
  });
}

TEST_P(Attack, RaceAgainstTheManifest) {
  write(volume_ + "/model", "model");
  spec_.own.reset();
  spec_.write_manifest = "m";
  race([this](int i) {
    std::string name = volume_ + (i % 2 == 0 ? "/m" : "/.m.partial");
    (void)symlink((outside_ + "/secret").c_str(), name.c_str());
    unlink(name.c_str());
  });
}

TEST_P(Attack, RaceOfATreeThatIsTakenAway) {
  race([this](int i) {
    std::string top = volume_ + "/t" + std::to_string(i);
    std::error_code ignored;
    fs::create_directories(top + "/a/b", ignored);
    fs::create_symlink(outside_, top + "/a/b/link", ignored);
    fs::remove_all(top, ignored);
  });
}

INSTANTIATE_TEST_SUITE_P(By, Attack, testing::Values(Lookup::kBest, Lookup::kComponents),
                         lookup_name);

}  // namespace
}  // namespace pare::prepare
