// Paths that were changed or refused, each by one small program.
#include <algorithm>
#include <map>

#include "record/recorder.h"
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using testing::Bundle;
using testing::Container;
using testing::expect_file;
using testing::list_files;
using testing::record_run;
using FilesTest = testing::KernelTest;

TEST_F(FilesTest, PathsAreResolvedThroughLinksDirectoriesAndDescriptors) {
  Container container(R"(
    mkdir("/scratch/d", 0755);
    symlink("/scratch/d", "/scratch/link");
    int fd = open("/scratch/link/new", O_CREAT | O_WRONLY, 0644);
    fchown(fd, 0, 0);
    chdir("/scratch/d");
    rename("new", "../renamed");
    int dir = open("/scratch/link", O_PATH | O_DIRECTORY);
    mkdirat(dir, "sub", 0700);
    close(openat(dir, "sub/./deep", O_CREAT | O_RDWR, 0600));
    unlinkat(dir, "sub/deep", 0);
    link("/scratch/renamed", "/scratch/link/hard");
    chmod("/scratch/link/hard", 0600);
    truncate("/scratch/renamed", 4);
    utimensat(AT_FDCWD, "../link/hard", 0, 0);
    futimens(fd, 0);
    mknod("/scratch/fifo", S_IFIFO | 0600, 0);
    int s = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un a = {AF_UNIX, "socket"};
    bind(s, (void*)&a, sizeof a);
    close(open("/scratch/renamed", O_RDONLY));
  )");
  auto evidence = record_run(container);
  expect_file(evidence, "/scratch/d", "mkdir");
  expect_file(evidence, "/scratch/link", "symlink");
  expect_file(evidence, "/scratch/d/new", "create");
  expect_file(evidence, "/scratch/d/new", "write");
  expect_file(evidence, "/scratch/d/new", "chown");
  expect_file(evidence, "/scratch/d/new", "rename");
  expect_file(evidence, "/scratch/renamed", "rename");
  expect_file(evidence, "/scratch/d/sub", "mkdir");
  expect_file(evidence, "/scratch/d/sub/deep", "create");
  expect_file(evidence, "/scratch/d/sub/deep", "unlink");
  expect_file(evidence, "/scratch/d/hard", "link");
  expect_file(evidence, "/scratch/d/hard", "chmod");
  expect_file(evidence, "/scratch/renamed", "truncate");
  expect_file(evidence, "/scratch/d/hard", "utime");
  expect_file(evidence, "/scratch/renamed", "utime");
  expect_file(evidence, "/scratch/fifo", "mknod");
  expect_file(evidence, "/scratch/d/socket", "create");
  EXPECT_EQ(evidence.files.size(), 9U) << list_files(evidence);
}

TEST_F(FilesTest, EachCallsPathsAreTakenFromItsOwnArguments) {
  Container container(R"(
    mkdir("/data/a", 0700);
    mkdir("/data/b", 0700);
    int dir = open("/data/a", O_PATH | O_DIRECTORY), other = open("/data/b", O_PATH | O_DIRECTORY);
    close(syscall(SYS_creat, "/data/a/made", 0600));
    close(open("/data/a/made", O_RDONLY | O_TRUNC));
    struct { uint64_t flags, mode, resolve; } how = {O_CREAT | O_WRONLY, 0600, 0};
    close(syscall(SYS_openat2, dir, "how", &how, sizeof how));
    syscall(SYS_renameat, dir, "made", other, "moved");
    syscall(SYS_renameat2, other, "moved", dir, "back", 1);  // RENAME_NOREPLACE
    syscall(SYS_linkat, dir, "back", other, "hard", 0);
    syscall(SYS_symlinkat, "/data/a/back", other, "soft");
    syscall(SYS_mknodat, other, "pipe", S_IFIFO | 0600, 0);
    syscall(SYS_fchownat, other, "soft", 0, 0, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_fchownat, other, "soft", 0, 1, 0);
    symlink("pipe", "/data/b/link");
    syscall(SYS_lchown, "/data/b/link", 0, 2);
    syscall(SYS_chown, "/data/b/hard", 0, 3);
    syscall(SYS_fchmodat, other, "hard", 0640);
    struct timespec now[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
    syscall(SYS_utimensat, other, "soft", now, AT_SYMLINK_NOFOLLOW);
    syscall(SYS_setxattr, "/data/b/hard", "security.pare", "x", 1, 0);
    int fd = open("/data/b/hard", O_RDONLY);
    syscall(SYS_fremovexattr, fd, "security.pare");
    sleep(1);  // links are followed as they are when the fact is read
    rename("/data/b/soft", "/data/b/softer");
    syscall(SYS_unlinkat, other, "pipe", 0);
    mkdir("/data/b/gone", 0700);
    rmdir("/data/b/gone");
  )");
  Bundle bundle;
  bundle.capabilities = {"CAP_CHOWN", "CAP_SYS_ADMIN"};  // for groups and security.*
  auto evidence = record_run(container, bundle);
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& fact : evidence.files) files[fact.path] = fact.ops;
  for (auto& [path, ops] : files) std::sort(ops.begin(), ops.end());
  using Ops = std::vector<std::string>;
  EXPECT_EQ(files,
            (std::map<std::string, Ops>{{"/data/a", {"mkdir"}},
                                        {"/data/b", {"mkdir"}},
                                        {"/data/a/made", {"create", "rename", "truncate", "write"}},
                                        {"/data/b/moved", {"rename"}},
                                        {"/data/a/how", {"create", "write"}},
                                        {"/data/a/back", {"chown", "rename"}},
                                        {"/data/b/hard", {"chmod", "chown", "link", "setxattr"}},
                                        {"/data/b/soft", {"chown", "rename", "symlink", "utime"}},
                                        {"/data/b/softer", {"rename"}},
                                        {"/data/b/pipe", {"mknod", "unlink"}},
                                        {"/data/b/link", {"chown", "symlink"}},
                                        {"/data/b/gone", {"mkdir", "unlink"}}}))
      << list_files(evidence);
}

TEST_F(FilesTest, PathsOfAChangedRootAreTheContainers) {
  Container container(R"(
    mkdir("/scratch/jail", 0755);
    chroot("/scratch/jail");
    mkdir("/inside", 0700);
    open("/nowhere/file", O_CREAT | O_WRONLY, 0644);
  )");
  Bundle bundle;
  bundle.capabilities = {"CAP_SYS_CHROOT"};
  auto evidence = record_run(container, bundle);
  expect_file(evidence, "/scratch/jail/inside", "mkdir");
  expect_file(evidence, "/scratch/jail/nowhere/file", "create", "ENOENT");
  EXPECT_EQ(evidence.files.size(), 3U) << list_files(evidence);
}

TEST_F(FilesTest, WhatNoFileSystemHoldsIsNoFileOfTheContainers) {
  Container container(R"(
    if (argc > 1) { getppid(); return 0; }
    int copy = syscall(SYS_memfd_create, "copy", 0), program = open("/program", O_RDONLY);
    ftruncate(copy, 4096);
    fchmod(copy, 0700);
    char bytes[65536];
    for (int n; (n = read(program, bytes, sizeof bytes)) > 0;) write(copy, bytes, n);
    char* child[] = {"copy", "x", 0};
    syscall(SYS_execveat, copy, "", child, child + 2, AT_EMPTY_PATH);
  )");
  auto evidence = record_run(container);
  EXPECT_TRUE(evidence.files.empty()) << list_files(evidence);
  std::map<std::string, uint64_t> execs;
  for (const auto& fact : evidence.execs) execs[fact.path] = fact.count;
  EXPECT_EQ(execs, (std::map<std::string, uint64_t>{{"/program", 1}, {"memfd:copy", 1}}));
  for (const auto& fact : evidence.syscalls)
    if (fact.name == "getppid") {
      ASSERT_EQ(fact.exes.size(), 1U);
      EXPECT_EQ(fact.exes[0].exe, "memfd:copy");
    }
}

TEST_F(FilesTest, RefusalsKeepThePathAndTheErrorAndPlainReadsLeaveNoTrace) {
  Container container(R"(
    open("/data/new", O_CREAT | O_WRONLY, 0644);
    open("/data/there", O_WRONLY);
    mkdir("/data/dir", 0755);
    unlink("/data/there");
    chdir("/data");
    rename("there", "elsewhere");
    open("/nowhere/file", O_CREAT | O_WRONLY, 0644);
    open("/data/missing", O_RDONLY);
    unlink("/data/missing");
    close(open("/data/there", O_RDONLY));
    open("secret", O_RDONLY);
    struct stat st;
    stat("/data/closed/x", &st);
  )");
  std::ofstream(container.rootfs() + "/data/there") << "x";
  chmod((container.rootfs() + "/data/there").c_str(), 0666);
  std::ofstream(container.rootfs() + "/data/secret") << "x";
  chmod((container.rootfs() + "/data/secret").c_str(), 0600);
  mkdir((container.rootfs() + "/data/closed").c_str(), 0700);
  Bundle bundle;
  bundle.read_only = true;
  bundle.uid = 1000;
  auto evidence = record_run(container, bundle);
  expect_file(evidence, "/data/new", "create", "EROFS");
  expect_file(evidence, "/data/there", "write", "EROFS");
  expect_file(evidence, "/data/dir", "mkdir", "EROFS");
  expect_file(evidence, "/data/there", "unlink", "EROFS");
  expect_file(evidence, "/data/elsewhere", "rename", "EROFS");
  expect_file(evidence, "/data/missing", "unlink", "EROFS");
  expect_file(evidence, "/nowhere/file", "create", "ENOENT");
  expect_file(evidence, "/data/secret", "open-read", "EACCES");
  expect_file(evidence, "/data/closed/x", "stat", "EACCES");
  EXPECT_EQ(evidence.files.size(), 8U) << list_files(evidence);
  const evidence::FileFact* secret = testing::file_fact(evidence, "/data/secret", "open-read");
  ASSERT_NE(secret, nullptr);
  EXPECT_EQ(secret->owner, 0U);
  EXPECT_EQ(secret->uid, 1000U);
  // What the bounding set lacks was asked for all the same.
  EXPECT_EQ(testing::capability_names(evidence, true), std::set<std::string>{});
  EXPECT_EQ(testing::capability_names(evidence, false),
            (std::set<std::string>{"DAC_OVERRIDE", "DAC_READ_SEARCH"}));
}

TEST_F(FilesTest, WhatTheRingCannotTakeIsCountedExactly) {
  // From the twentieth directory on, a path alone is larger than the ring.
  Container container(R"(
    char name[201] = {0};
    memset(name, 'x', 200);
    chdir("/scratch");
    for (int i = 0; i < 30; i++) {
      mkdir(name, 0700);
      chdir(name);
    }
    for (int i = 0; i < 5; i++) chmod(".", 0700);  // each time as if it were new
  )");
  Options options;
  options.ring_bytes = 4096;
  auto recorder = testing::recorder_for(container, options);
  ASSERT_TRUE(recorder);
  EXPECT_EQ(container.run().code, 0);
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_EQ(evidence->loss.maps, std::vector<std::string>{"ring"});
  EXPECT_GE(evidence->loss.events, 10U);
  EXPECT_GT(evidence->files.size(), 0U);
  EXPECT_EQ(evidence->files.size() + evidence->loss.events, 35U);
}

}  // namespace
}  // namespace pare::record
