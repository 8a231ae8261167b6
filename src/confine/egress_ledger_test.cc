#include "confine/egress_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "confine/egress_opening.h"

namespace pare::confine {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

Attempt attempt(const std::string& address, uint16_t port, uint64_t at_ms) {
  Attempt one;
  one.address = *parse_address(address);
  one.port = port;
  one.protocol = 6;
  one.count = 1;
  one.times_ns = {at_ms * 1'000'000};
  one.last_ns = at_ms * 1'000'000;
  one.exe = "server";
  one.comm = "wor\033ker";
  return one;
}

Question question(const std::string& name) {
  Question one;
  one.name = name;
  one.type = "A";
  one.resolver = *parse_address("10.0.0.53");
  one.count = 1;
  one.bytes = name.size() + 18;
  return one;
}

TEST(EgressLedger, AttemptsAreGroupedByDestinationNotByPort) {
  EgressLedger ledger;
  for (uint16_t i = 0; i < 8; ++i) {
    Look look;
    look.attempts.push_back(
        attempt("203.0.113.9", static_cast<uint16_t>(40000 + 37 * i), 1000U * i));
    ledger.take(look, {});
  }
  ASSERT_EQ(ledger.destinations().size(), 1U);
  const Destination& one = ledger.destinations().begin()->second;
  EXPECT_EQ(one.service(), "tcp 40000-40259 (8 ports)");
  EXPECT_EQ(one.denied, 8U);
  EXPECT_EQ(one.processes, std::set<std::string>{"server (wor?ker)"});
  EXPECT_THAT(one.remark(), HasSubstr("every 1.0 s"));
  EXPECT_THAT(one.remark(), HasSubstr("random ports"));
}

TEST(EgressLedger, AConnectedDatagramSocketIsARefusalOnlyWhereNothingWasLetThrough) {
  EgressLedger ledger;
  Look look;
  look.attempts = {attempt("203.0.113.9", 443, 1), attempt("203.0.113.8", 443, 1),
                   attempt("203.0.113.8", 443, 2)};
  for (Attempt& each : look.attempts) each.protocol = 17;
  look.attempts[0].verdict = look.attempts[1].verdict = PARE_EGRESS_UNSENT;
  look.attempts[2].verdict = PARE_EGRESS_ALLOWED;
  ledger.take(look, {});
  const Destination& refused = ledger.destinations().at("203.0.113.9");
  EXPECT_TRUE(refused.refused());
  EXPECT_EQ(refused.attempts(), 0U);
  EXPECT_EQ(refused.tries(), 1U);
  EXPECT_THAT(refused.remark(), HasSubstr("1 datagram sockets connected, nothing sent"));
  EXPECT_THAT(refused.remark(), HasSubstr("QUIC"));
  EXPECT_FALSE(ledger.destinations().at("203.0.113.8").refused());
}

TEST(EgressLedger, NamesThatCarryDataAreOneTunnel) {
  EgressLedger ledger;
  for (int i = 0; i < 40; ++i) {
    Look look;
    look.questions = {question(std::string(40, static_cast<char>('a' + i % 26)) +
                               std::to_string(i) + ".exfil.test"),
                      question("www" + std::to_string(i % 3) + ".ordinary.test")};
    ledger.take(look, {*parse_address("10.0.0.53")});
  }
  ASSERT_EQ(ledger.destinations().count("*.exfil.test"), 1U);
  const Destination& tunnel = ledger.destinations().at("*.exfil.test");
  EXPECT_TRUE(tunnel.tunnel);
  EXPECT_EQ(tunnel.names, 40U);
  EXPECT_EQ(tunnel.questions, 40U);
  EXPECT_FALSE(tunnel.own_resolver);
  EXPECT_EQ(ledger.destinations().count("www1.ordinary.test"), 1U);
  EXPECT_EQ(ledger.destinations().size(), 4U);
}

TEST(EgressLedger, WhatWasTriedAtANameStaysWithIt) {
  EgressLedger ledger;
  Look tried;
  tried.attempts = {attempt("203.0.113.1", 443, 1), attempt("203.0.113.2", 443, 1)};
  tried.attempts[0].names = {"model.vendor.test"};
  tried.attempts[0].verdict = PARE_EGRESS_ALLOWED;
  tried.attempts[1].names = {"inner.vendor.test"};
  tried.attempts[1].verdict = PARE_EGRESS_REBOUND;
  for (const char* name : {"model.vendor.test", "inner.vendor.test"})
    tried.questions.push_back(question(name));
  ledger.take(tried, {});
  for (int i = 0; i < 40; ++i) {
    Look look;
    look.questions = {question("host" + std::to_string(i) + ".vendor.test"),
                      question("model.vendor.test")};
    ledger.take(look, {});
  }
  ASSERT_EQ(ledger.destinations().size(), 3U);
  EXPECT_EQ(ledger.destinations().at("model.vendor.test").allowed, 1U);
  EXPECT_EQ(ledger.destinations().at("model.vendor.test").questions, 41U);
  EXPECT_EQ(ledger.destinations().at("inner.vendor.test").rebound, 1U);
  EXPECT_EQ(ledger.destinations().at("*.vendor.test").attempts(), 0U);
  EXPECT_EQ(ledger.destinations().at("*.vendor.test").questions, 40U);
}

TEST(EgressLedger, ItDoesNotGrowForEver) {
  EgressLedger ledger;
  Look look;
  for (uint32_t i = 0; i < 10'000; ++i)
    look.attempts.push_back(
        attempt("198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250), 1, 1));
  ledger.take(look, {});
  EXPECT_EQ(ledger.destinations().size(), kMaxDestinations);
  EXPECT_EQ(ledger.others(), 10'000 - kMaxDestinations);
}

std::string client_hello(const std::string& name) {
  auto sized = [](size_t bytes, const std::string& text) {
    std::string out;
    for (size_t i = bytes; i-- > 0;) out += static_cast<char>(text.size() >> (8 * i) & 0xff);
    return out + text;
  };
  std::string server = std::string(1, '\0') + sized(2, name);
  std::string extensions = std::string("\0\x2b", 2) + sized(2, "\x02\x03\x04") +
                           std::string("\0\0", 2) + sized(2, sized(2, server));
  std::string hello = "\x03\x03" + std::string(32, 'r') + sized(1, "session") +
                      sized(2, "\x13\x01") + sized(1, std::string(1, '\0')) + sized(2, extensions);
  return std::string("\x16\x03\x01", 3) + sized(2, "\x01" + sized(3, hello));
}

TEST(EgressOpening, TheServerNameIsRead) {
  const std::string hello = client_hello("Hidden.vendor.test");
  EXPECT_EQ(server_name(hello), "hidden.vendor.test");
  for (size_t n = 0; n < hello.size(); ++n) EXPECT_EQ(server_name(hello.substr(0, n)), "") << n;
  EXPECT_EQ(server_name("GET / HTTP/1.1\r\nHost: Plain.test:8080\r\n\r\n"), "plain.test");
  EXPECT_EQ(server_name("SSH-2.0-OpenSSH_9.2\r\nhost: x\r\n"), "");
}

}  // namespace
}  // namespace pare::confine
