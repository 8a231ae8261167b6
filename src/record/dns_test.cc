#include "record/dns.h"

#include <gtest/gtest.h>

namespace pare::record {
namespace {

// A header with `questions` and `answers`, then the question www.Example.test A.
std::string message(int flags, int answers, const std::string& rest = "") {
  const char header[] = {
      7, 7, static_cast<char>(flags), 0, 0, 1, 0, static_cast<char>(answers), 0, 0, 0, 0};
  return std::string(header, sizeof(header)) + std::string("\3www\7Example\4test\0\0\1\0\1", 22) +
         rest;
}

// name: a pointer to the question's; class IN; time to live 60.
std::string address_record(const std::string& address, int type) {
  std::string record("\300\14\0", 3);
  record += static_cast<char>(type);
  record += std::string("\0\1\0\0\0\74\0", 7);
  record += static_cast<char>(address.size());
  return record + address;
}

TEST(DnsTest, AQuestionHasANameAndAType) {
  auto dns = parse_dns(message(1, 0));
  ASSERT_TRUE(dns);
  EXPECT_FALSE(dns->response);
  ASSERT_EQ(dns->questions.size(), 1U);
  EXPECT_EQ(dns->questions[0].name, "www.example.test");
  EXPECT_EQ(dns->questions[0].type, "A");
}

TEST(DnsTest, AnAnswerGivesTheAddressesOfBothFamilies) {
  const std::string v6("\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
  auto dns = parse_dns(
      message(0x81, 2, address_record(std::string("\xcb\0q\t", 4), 1) + address_record(v6, 28)));
  ASSERT_TRUE(dns);
  EXPECT_TRUE(dns->response);
  EXPECT_EQ(dns->addresses, (std::vector<std::string>{"203.0.113.9", "2001:db8::1"}));
}

TEST(DnsTest, AnAnswerThatWasCutOffStillHasItsQuestion) {
  const std::string whole = message(0x81, 1, address_record(std::string("\xcb\0q\t", 4), 1));
  auto dns = parse_dns(whole.substr(0, whole.size() - 3));
  ASSERT_TRUE(dns);
  EXPECT_TRUE(dns->response);
  EXPECT_EQ(dns->questions[0].name, "www.example.test");
  EXPECT_TRUE(dns->addresses.empty());
}

TEST(DnsTest, OtherBytesAreNoMessage) {
  EXPECT_FALSE(parse_dns(""));
  EXPECT_FALSE(parse_dns("GET / HTTP/1.1\r\n\r\n"));
  EXPECT_FALSE(parse_dns(std::string(12, '\0')));
}

}  // namespace
}  // namespace pare::record
