#include "confine/egress_window.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <thread>

#include "base/testing.h"
#include "base/unique_fd.h"
#include "sys/running.h"

namespace pare::confine {
namespace {

namespace fs = std::filesystem;

// A pinned window on an empty cgroup, and what the kernel's tables hold.
class WindowTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) PARE_SKIP("a window needs root");
    auto mount = sys::v2_mount();
    if (!mount) PARE_SKIP(mount.error().message);
    char state[] = "/tmp/pare-window-XXXXXX";
    ASSERT_NE(mkdtemp(state), nullptr);
    state_ = state;
    ASSERT_EQ(setenv("PARE_STATE_DIR", state, 1), 0);
    options_.cgroup = *mount + "/" + state_.substr(state_.rfind('/') + 1);
    ASSERT_TRUE(fs::create_directory(options_.cgroup));
    auto pins = pins_of(options_.cgroup);
    ASSERT_TRUE(pins) << pins.error().message;
    options_.pins = *pins;
    open();
  }
  void TearDown() override {
    if (window_ && !window_->close()) ADD_FAILURE() << "the window stays";
    if (!options_.cgroup.empty()) fs::remove(options_.cgroup);
    if (!state_.empty()) fs::remove_all(state_);
    unsetenv("PARE_STATE_DIR");
  }
  void open() {
    auto window = Window::open(options_);
    ASSERT_TRUE(window) << window.error().message;
    window_ = std::move(*window);
  }
  uint32_t allow(const std::string& text) {
    auto exception = parse_exception(text);
    auto row = window_->allow(*exception);
    EXPECT_TRUE(row) << text;
    return row ? *row : 0;
  }
  // 0: the name may not be asked for.
  uint32_t id_of(const std::string& name) const {
    UniqueFd names(bpf_obj_get((options_.pins + "/names").c_str()));
    EXPECT_TRUE(names.valid());
    auto wire = wire_name(name);
    uint32_t id = 0;
    return bpf_map_lookup_elem(names.get(), &*wire, &id) == 0 ? id : 0;
  }

  std::string state_;
  WindowOptions options_;
  std::unique_ptr<Window> window_;
};

TEST_F(WindowTest, ANameKeepsItsIdAndNoOtherGetsIt) {
  const uint32_t first = allow("a.test:443");
  allow("b.test:443");
  const uint32_t a = id_of("a.test"), b = id_of("b.test");
  EXPECT_NE(a, b);
  ASSERT_TRUE(window_->revoke(first));
  EXPECT_EQ(id_of("a.test"), 0U);
  allow("c.test:443");
  const uint32_t second = allow("a.test:443");
  EXPECT_EQ(id_of("a.test"), a);
  EXPECT_NE(id_of("c.test"), a);
  EXPECT_NE(id_of("c.test"), b);
  // What the name was answered outlives who allowed it.
  const uint32_t c = id_of("c.test");
  ASSERT_TRUE(window_->revoke(second));
  window_.reset();
  open();
  allow("d.test:443");
  for (uint32_t taken : {a, b, c}) EXPECT_NE(id_of("d.test"), taken);
  EXPECT_EQ(id_of("b.test"), b);
}

TEST_F(WindowTest, ANameMeansPrivateAddressesAsLongAsOneOfItsRulesDoes) {
  allow("a.test:443");
  const uint32_t plain = id_of("a.test");
  const uint32_t row = allow("a.test:80,private");
  EXPECT_EQ(id_of("a.test"), plain | 1U);
  ASSERT_TRUE(window_->revoke(row));
  allow("a.test:8080");
  EXPECT_EQ(id_of("a.test"), plain);
}

TEST_F(WindowTest, OnlyTheFormsOfTheResolverOfNowMayBeAsked) {
  allow("a.test:443");
  ASSERT_TRUE(window_->set_resolvers({*parse_address("10.0.0.53")}, {"old.example"}));
  EXPECT_NE(id_of("a.test.old.example"), 0U);
  ASSERT_TRUE(window_->set_resolvers({*parse_address("10.0.0.53")}, {"new.example"}));
  EXPECT_EQ(id_of("a.test.old.example"), 0U);
  EXPECT_EQ(id_of("a.test.new.example"), id_of("a.test"));
  EXPECT_NE(id_of("a.test"), 0U);
  // Also what another process put there.
  window_.reset();
  open();
  ASSERT_TRUE(window_->set_resolvers({*parse_address("10.0.0.53")}, {}));
  EXPECT_EQ(id_of("a.test.new.example"), 0U);
  EXPECT_NE(id_of("a.test"), 0U);
}

TEST_F(WindowTest, WhatItsTimeEndedIsGoneAndItsRowIsFree) {
  const uint32_t row = allow("a.test:443,for=20ms");
  const uint32_t other = allow("b.test:443");
  EXPECT_EQ(window_->exceptions().size(), 2U);
  std::this_thread::sleep_for(std::chrono::milliseconds(30));
  ASSERT_EQ(window_->exceptions().size(), 1U);
  EXPECT_EQ(window_->exceptions().count(other), 1U);
  EXPECT_EQ(id_of("a.test"), 0U);
  EXPECT_EQ(allow("c.test:443"), row);
}

}  // namespace
}  // namespace pare::confine
