// For tests alone: a volume, what lies beside it, and a look at whether that was touched.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include "base/testing.h"
#include "prepare/prepare.h"

namespace pare::prepare {

class VolumeTest : public testing::TestWithParam<Lookup> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("changing owners needs root");
    dir_ = (std::filesystem::temp_directory_path() / "pare-prepare-XXXXXX").string();
    ASSERT_NE(mkdtemp(dir_.data()), nullptr);
    volume_ = dir_ + "/volume";
    outside_ = dir_ + "/outside";
    std::filesystem::create_directories(volume_);
    std::filesystem::create_directories(outside_ + "/sub");
    write(outside_ + "/secret", "secret");
    write(outside_ + "/sub/file", "file");
    before_ = state(outside_);
    spec_.volume = volume_;
    spec_.own = Owner{1000, 1000};
  }
  void TearDown() override {
    if (!dir_.empty()) std::filesystem::remove_all(dir_);
  }

  static void write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static struct stat stat_of(const std::string& path) {
    struct stat st {};
    EXPECT_EQ(lstat(path.c_str(), &st), 0) << path;
    return st;
  }
  // path -> owner, mode, content; links not followed.
  static std::map<std::string, std::string> state(const std::string& directory) {
    std::map<std::string, std::string> all;
    auto add = [&](const std::string& path) {
      struct stat st = stat_of(path);
      all[path] = std::to_string(st.st_uid) + ":" + std::to_string(st.st_gid) + " " +
                  std::to_string(st.st_mode) + " " + (S_ISREG(st.st_mode) ? read(path) : "");
    };
    add(directory);
    for (const auto& e : std::filesystem::recursive_directory_iterator(directory)) add(e.path());
    return all;
  }
  void expect_outside_untouched() { EXPECT_EQ(state(outside_), before_); }

  Result<Report> run() {
    Options options;
    options.lookup = GetParam();
    options.threads = 4;
    return prepare(spec_, options);
  }
  // It finds something to refuse whose reason holds `why`, and touches nothing outside.
  void expect_refused(const std::string& why) {
    auto report = run();
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_GT(report->refused, 0u);
    std::string all;
    for (const std::string& reason : report->reasons) all += reason + "\n";
    EXPECT_NE(all.find(why), std::string::npos) << all;
    expect_outside_untouched();
  }
  Report expect_done() {
    auto report = run();
    EXPECT_TRUE(report) << report.error().message;
    if (!report) return {};
    EXPECT_EQ(report->refused, 0u) << summary(*report, false);
    expect_outside_untouched();
    return *report;
  }

  std::string dir_, volume_, outside_;
  std::map<std::string, std::string> before_;
  Spec spec_;
};

inline std::string lookup_name(const testing::TestParamInfo<Lookup>& info) {
  return info.param == Lookup::kBest ? "openat2" : "components";
}

}  // namespace pare::prepare
