#include "confine/egress_rules.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace pare::confine {
namespace {

using ::testing::HasSubstr;

TEST(EgressRules, WhatIsWrittenIsReadBack) {
  for (const char* text :
       {"model.example:443", "model.example", "203.0.113.9:443/tcp", "203.0.113.0/24:443",
        "[2001:db8::1]:443/udp", "[2001:db8::/32]", "0.0.0.0/0:53",
        "model.example:443,process=python3.11,private,for=1800000ms"}) {
    auto exception = parse_exception(text);
    ASSERT_TRUE(exception) << exception.error().message;
    EXPECT_EQ(to_string(*exception), text);
  }
  EXPECT_EQ(parse_exception("Model.EXAMPLE.:443")->name, "model.example");
  EXPECT_EQ(parse_exception("2001:db8::1")->prefix, 128);
  EXPECT_EQ(parse_exception("a.example:443,for=30m")->lasts, std::chrono::minutes(30));
}

TEST(EgressRules, WhatIsWrongIsNamed) {
  struct Case {
    const char* text;
    const char* why;
  };
  for (const Case& c : std::vector<Case>{{"*.example:443", "without wildcards"},
                                         {"model.example:0", "the port"},
                                         {"model.example:99999", "the port"},
                                         {"model.example:443/sctp", "tcp or udp"},
                                         {"203.0.113.0/33:443", "no such length"},
                                         {"", "neither a name"},
                                         {"12345", "neither a name"},
                                         {"a..b:1", "neither a name"},
                                         {"a.example,process=/bin/x", "file name"},
                                         {"a.example,for=never", "duration"},
                                         {"a.example,forever", "none of"}}) {
    auto exception = parse_exception(c.text);
    ASSERT_FALSE(exception) << c.text;
    EXPECT_THAT(exception.error().message, HasSubstr(c.why)) << c.text;
    EXPECT_EQ(exception.error().kind, ErrorKind::kUsage);
  }
  auto file = parse_exceptions("a.example:443 # model\n\n b.example:x\n", "rules");
  ASSERT_FALSE(file);
  EXPECT_THAT(file.error().message, HasSubstr("rules:3: "));
}

TEST(EgressRules, OnlyARangeOfTheirOwnNamesPrivateAddresses) {
  auto covers = [](const char* text) {
    return rule_of(*parse_exception(text), 0, 1, 0).private_ != 0;
  };
  for (const char* text : {"10.0.0.0/8:443", "169.254.169.254:80", "192.168.7.7", "[fd00::1]:443",
                           "[fe80::/10]", "100.64.0.0/10", "a.example:443,private"})
    EXPECT_TRUE(covers(text)) << text;
  for (const char* text : {"0.0.0.0/0", "[::/0]", "8.0.0.0/7:443", "198.51.100.0/24",
                           "[2001:db8::/32]", "a.example:443"})
    EXPECT_FALSE(covers(text)) << text;
}

TEST(EgressRules, NamesAreAsOnTheWire) {
  auto wire = wire_name("Model.example");
  ASSERT_TRUE(wire);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(wire->bytes), 15),
            std::string("\5model\7example\0", 15));
  EXPECT_EQ(name_text(*wire), "model.example");
  EXPECT_FALSE(wire_name(std::string(64, 'a')));
  EXPECT_FALSE(wire_name(std::string(60, 'a') + "." + std::string(60, 'b') + ".example"));
}

}  // namespace
}  // namespace pare::confine
