#include "sys/threads.h"

#include <gtest/gtest.h>
#include <signal.h>

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

}  // namespace
}  // namespace pare::sys
