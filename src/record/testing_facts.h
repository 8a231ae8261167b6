// For tests: finding facts in the evidence.
#pragma once

#include <algorithm>
#include <set>
#include <string>

#include "record/testing_container.h"

namespace pare::record::testing {

using evidence::Evidence;
using evidence::FileFact;

// Needs a kernel that lets pare record.
class KernelTest : public ::testing::Test {
 protected:
  void SetUp() override {
    static const Support support = probe();
    if (!support.ok) PARE_SKIP(support.missing);
  }
};

// C that makes lo stand for the outside: up, `address` on it, and if asked a default route to it.
// Needs CAP_NET_ADMIN.
inline std::string loopback(bool route) {
  return std::string(R"(
    struct ifreq lo = {0};
    int control = socket(AF_INET, SOCK_DGRAM, 0);
    strcpy(lo.ifr_name, "lo");
    lo.ifr_flags = IFF_UP;
    ioctl(control, SIOCSIFFLAGS, &lo);
  )") + (route ? R"(
    struct rtentry route = {0};
    route.rt_dst.sa_family = route.rt_genmask.sa_family = route.rt_gateway.sa_family = AF_INET;
    route.rt_flags = RTF_UP;
    route.rt_dev = "lo";
    ioctl(control, SIOCADDRT, &route);
  )"
               : "");
}

inline const FileFact* file_fact(const Evidence& evidence, const std::string& path,
                                 const std::string& op) {
  for (const FileFact& fact : evidence.files)
    if (fact.path == path && std::count(fact.ops.begin(), fact.ops.end(), op) > 0) return &fact;
  return nullptr;
}

// "path op error" of every file fact, for a failure's message.
inline std::string list_files(const Evidence& evidence) {
  std::string text;
  for (const FileFact& fact : evidence.files)
    text += fact.path + " " + ::testing::PrintToString(fact.ops) + " " + fact.error.value_or("ok") +
            "\n";
  return text;
}

inline void expect_file(const Evidence& evidence, const std::string& path, const std::string& op,
                        const std::string& error = "") {
  const FileFact* fact = file_fact(evidence, path, op);
  ASSERT_NE(fact, nullptr) << op << " " << path << " is not in\n" << list_files(evidence);
  EXPECT_EQ(fact->error.value_or(""), error) << path;
  EXPECT_EQ(fact->exe, "/program");
}

inline std::set<std::string> call_names(const Evidence& evidence) {
  std::set<std::string> names;
  for (const auto& fact : evidence.syscalls) names.insert(fact.name);
  return names;
}

inline std::set<std::string> capability_names(const Evidence& evidence, bool granted) {
  std::set<std::string> names;
  for (const auto& fact : evidence.capabilities)
    if ((granted ? fact.granted : fact.refused) > 0) names.insert(fact.name);
  return names;
}

}  // namespace pare::record::testing
