#include "sys/threads.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>

#include "sys/deadline.h"

namespace pare::sys {
namespace {

TEST(Threads, GetNoSignalAndRunWhatFollows) {
  bool term = false, began = false, ran = false;
  auto thread = start_thread(
      [&] {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, nullptr, &mask);
        term = sigismember(&mask, SIGTERM) == 1;
        ran = began;
      },
      [&]() -> Status {
        began = true;
        return {};
      });
  ASSERT_TRUE(thread);
  thread->join();
  EXPECT_TRUE(term);
  EXPECT_TRUE(ran);
  sigset_t own;
  pthread_sigmask(SIG_SETMASK, nullptr, &own);
  EXPECT_EQ(sigismember(&own, SIGTERM), 0);
}

TEST(Threads, WhatGoesWrongAtFirstIsTheErrorAndNothingFollows) {
  bool ran = false;
  auto thread = start_thread(
      [&] { ran = true; }, []() -> Status { return fail(ErrorKind::kHost, "no such namespace"); });
  ASSERT_FALSE(thread);
  EXPECT_EQ(thread.error().message, "no such namespace");
  EXPECT_FALSE(ran);
}

// Each ends about when its start returns.
TEST(Threads, DetachedOnesMayEndAtOnce) {
  constexpr int kThreads = 20'000;
  std::atomic<int> ended{0}, masked{0};
  for (int i = 0; i < kThreads; ++i) {
    ASSERT_TRUE(start_detached([&] {
      sigset_t mask;
      pthread_sigmask(SIG_SETMASK, nullptr, &mask);
      masked += sigismember(&mask, SIGTERM);
      ++ended;
    }));
  }
  Deadline deadline(std::chrono::seconds(30));
  while (ended < kThreads && deadline.sleep(std::chrono::milliseconds(1))) {
  }
  EXPECT_EQ(ended, kThreads);
  EXPECT_EQ(masked, kThreads);
}

}  // namespace
}  // namespace pare::sys
