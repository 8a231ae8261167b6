#include "sys/session.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/file.h"
#include "base/testing.h"
#include "sys/mounts.h"
#include "sys/rootfs.h"

namespace pare::sys {
namespace {

class SessionTest : public testing::Test {
 protected:
  void SetUp() override {
    char path[] = "/var/tmp/pare-session-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    base_ = path;
    root_ = base_ + "/state";
  }
  void TearDown() override {
    EXPECT_TRUE(unmount_below(base_));
    EXPECT_TRUE(remove_tree(base_));
  }
  static bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

  // A process that opens a session, may bind a directory inside it, and dies by SIGKILL.
  std::string killed_owner(bool mount) {
    int fds[2];
    EXPECT_EQ(pipe2(fds, O_CLOEXEC), 0);
    pid_t owner = fork();
    if (owner == 0) {
      auto session = Session::open(root_);
      std::string inside = session->directory() + "/at";
      mkdir(inside.c_str(), 0755);
      auto bound = mount ? Mount::bind("/usr", inside, true) : Result<Mount>(Mount());
      std::string id = session && bound ? session->id() : "failed";
      [[maybe_unused]] ssize_t n = write(fds[1], id.data(), id.size());
      pause();
      _exit(0);
    }
    char id[64] = {};
    EXPECT_GT(read(fds[0], id, sizeof id - 1), 0);
    kill(owner, SIGKILL);
    waitpid(owner, nullptr, 0);
    close(fds[0]);
    close(fds[1]);
    return id;
  }

  std::string base_, root_;
};

TEST_F(SessionTest, LivesAndGoesWithItsOwner) {
  std::string directory;
  {
    auto session = Session::open(root_);
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ(session->id().size(), 12U);
    directory = session->directory();
    EXPECT_EQ(directory, root_ + "/" + session->id());
    struct stat st {};
    ASSERT_EQ(stat(directory.c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0700U);
    ASSERT_TRUE(base::make_directories(directory + "/a/b"));
    auto dead = dead_sessions(root_);
    ASSERT_TRUE(dead);
    EXPECT_TRUE(dead->empty());
  }
  EXPECT_FALSE(exists(directory));
}

TEST_F(SessionTest, AKilledOwnersSessionIsFoundOnceAndSwept) {
  if (geteuid() != 0) PARE_SKIP("mounting needs root");
  auto alive = Session::open(root_);
  ASSERT_TRUE(alive);
  std::string id = killed_owner(true);
  auto dead = dead_sessions(root_);
  ASSERT_TRUE(dead) << dead.error().message;
  ASSERT_EQ(dead->size(), 1U);
  EXPECT_EQ(dead->front().id(), id);
  // The finder holds its lock: a second sweeper leaves it alone.
  EXPECT_TRUE(dead_sessions(root_)->empty());
  EXPECT_EQ(mounts_below(root_ + "/" + id)->size(), 1U);
  ASSERT_TRUE(dead->front().remove());
  EXPECT_FALSE(exists(root_ + "/" + id));
  EXPECT_TRUE(exists("/usr/bin"));
  EXPECT_TRUE(exists(alive->directory()));
}

TEST_F(SessionTest, AChildThatDiesWithTheOwnerDelaysTheSweepAlone) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
  pid_t owner = fork();
  if (owner == 0) {
    auto session = Session::open(root_);
    if (fork() == 0) {  // shares the lock and outlives the owner for a moment
      [[maybe_unused]] ssize_t n = write(fds[1], "x", 1);
      while (getppid() != 1) usleep(1000);
      usleep(100'000);
      _exit(0);
    }
    pause();
  }
  char ready = 0;
  ASSERT_EQ(read(fds[0], &ready, 1), 1);
  kill(owner, SIGKILL);
  waitpid(owner, nullptr, 0);
  auto dead = dead_sessions(root_);
  ASSERT_TRUE(dead);
  EXPECT_EQ(dead->size(), 1U);
  close(fds[0]);
  close(fds[1]);
}

TEST_F(SessionTest, ADirectoryWhoseOwnerDiedBeforeItsLockIsDeadToo) {
  ASSERT_TRUE(base::make_directories(root_ + "/0123456789ab"));
  ASSERT_TRUE(base::make_directories(root_ + "/not-a-session"));
  auto dead = dead_sessions(root_);
  ASSERT_TRUE(dead);
  ASSERT_EQ(dead->size(), 1U);
  dead->clear();
  EXPECT_FALSE(exists(root_ + "/0123456789ab"));
  EXPECT_TRUE(exists(root_ + "/not-a-session"));
}

TEST_F(SessionTest, NoStateRootMeansNoSessions) {
  auto dead = dead_sessions(root_);
  ASSERT_TRUE(dead);
  EXPECT_TRUE(dead->empty());
  EXPECT_FALSE(exists(root_));
}

TEST_F(SessionTest, AStateRootThatIsAFileIsOneClearError) {
  ASSERT_TRUE(base::write_file_atomic(root_, "x"));
  auto session = Session::open(root_);
  ASSERT_FALSE(session);
  EXPECT_NE(session.error().message.find(root_), std::string::npos);
}

}  // namespace
}  // namespace pare::sys
