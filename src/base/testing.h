// For tests alone: a skip that names what the host lacks, and that is a failure where everything
// must run (PARE_MUST_RUN=1).
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>

#define PARE_SKIP(why)                                                                 \
  do {                                                                                 \
    if (std::getenv("PARE_MUST_RUN") != nullptr) FAIL() << "must run, but: " << (why); \
    GTEST_SKIP() << (why);                                                             \
  } while (false)
