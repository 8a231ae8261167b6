// For docker_test.cc alone: a daemon of its own and an image with busybox in it.
#pragma once

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "base/file.h"
#include "sys/process.h"

namespace pare::engine {

// tests/support/dockerd start ... stop. valid() is false, with why(), where it cannot run.
class TestDaemon {
 public:
  TestDaemon() {
    char name[] = "/tmp/pare-dk-XXXXXX";
    if (mkdtemp(name) == nullptr) {
      why_ = "cannot make a directory in /tmp";
      return;
    }
    directory_ = name;
    if (getuid() != 0) {
      why_ = "a Docker daemon needs root";
      return;
    }
    valid_ = script({"start", directory_});
  }
  TestDaemon(const TestDaemon&) = delete;
  TestDaemon& operator=(const TestDaemon&) = delete;
  ~TestDaemon() {
    if (valid_) {
      EXPECT_TRUE(script({"stop", directory_})) << why_;
    }
    std::error_code ec;
    std::filesystem::remove_all(directory_, ec);
  }

  bool valid() const { return valid_; }
  const std::string& why() const { return why_; }
  std::string socket() const { return directory_ + "/docker.sock"; }
  std::string directory() const { return directory_; }

  bool import(const std::string& name, const std::string& root,
              const std::vector<std::string>& changes) {
    std::vector<std::string> words = {"import", directory_, name, root};
    words.insert(words.end(), changes.begin(), changes.end());
    return script(words);
  }

 private:
  bool script(const std::vector<std::string>& words) {
    sys::Command command;
    command.argv = {std::string(PARE_SOURCE_DIR) + "/tests/support/dockerd"};
    command.argv.insert(command.argv.end(), words.begin(), words.end());
    auto done = sys::run(command, std::chrono::seconds(100));
    if (done && done->code == 0) return true;
    why_ = done ? done->err : done.error().message;
    return false;
  }

  std::string directory_, why_;
  bool valid_ = false;
};

// Busybox with a user svc (1000:1001, in video), files to read and to copy, and a program that
// root alone may run. False when the host has no static busybox.
inline bool make_busybox_root(const std::string& root) {
  namespace fs = std::filesystem;
  std::string busybox = sys::find_program("busybox").value_or("");
  if (busybox.empty()) return false;
  for (const char* directory :
       {"bin", "etc", "tmp", "cache", "data", "srv", "proc", "dev", "sys"}) {
    fs::create_directories(root + "/" + directory);
  }
  fs::copy_file(busybox, root + "/bin/busybox");
  for (const char* name :
       {"sh", "cat", "grep", "touch", "mkdir", "sleep", "ls", "df", "id", "cp", "true"}) {
    fs::create_symlink("busybox", root + "/bin/" + name);
  }
  std::ofstream(root + "/bin/root-only") << "#!/bin/sh\nexit 0\n";
  chmod((root + "/bin/root-only").c_str(), 0700);
  std::ofstream(root + "/etc/passwd")
      << "root:x:0:0:root:/root:/bin/sh\nsvc:x:1000:1001:svc:/srv:/bin/sh\n";
  std::ofstream(root + "/etc/group") << "root:x:0:\nsvc:x:1001:\nvideo:x:44:svc\nextra:x:55:\n";
  std::ofstream(root + "/cache/seed") << "from the image\n";
  std::ofstream(root + "/data/start") << "from the image\n";
  std::ofstream(root + "/srv/model") << "weights\n";
  return chown((root + "/srv/model").c_str(), 1234, 1235) == 0;
}

}  // namespace pare::engine
