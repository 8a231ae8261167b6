// For tests alone: a busybox root file system, a session of its own and an oci engine on both.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>

#include "base/testing.h"
#include "engine/engine.h"
#include "sys/session.h"

namespace pare::engine {

class OciTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // The container of `sh -c script` under `policy`; null and a test failure on an error.
  std::unique_ptr<Container> create(const std::string& script, const privilege::Policy& policy,
                                    const CreateOptions& extra = {});
  // Runs it to its end and removes it; what it printed.
  std::string output(const std::string& script, const privilege::Policy& policy,
                     const CreateOptions& extra = {});
  std::string log() const;
  // Resolved target of `sh -c script`.
  target::Target shell(const std::string& script);
  // Nothing of the session is left: mounts, cgroups, directories.
  void expect_nothing_left();

  std::string dir_;   // of this test, on a disk file system
  std::string root_;  // dir_ + "/root", a busybox
  std::unique_ptr<sys::Session> session_;
  std::unique_ptr<Engine> engine_;
  privilege::Platform platform_;
  privilege::Policy policy_;  // uid 1000, no capability, read-only root
  ExitState exit_;            // of the last output()
  int serial_ = 0;
};

// Every path of a tree with its type, mode, owner, times, size and content digest.
std::map<std::string, std::string> fingerprint(const std::string& directory);

}  // namespace pare::engine
