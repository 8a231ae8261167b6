// Network facts, each triggered by one small program.
#include <algorithm>
#include <map>

#include "record/recorder.h"
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using evidence::Evidence;
using testing::Bundle;
using testing::Container;
using testing::loopback;
using testing::record_run;
using NetworkTest = testing::KernelTest;

// C that fills `name`, a sockaddr_in.
std::string to(const std::string& name, const std::string& address, int port) {
  return "struct sockaddr_in " + name + " = {AF_INET, htons(" + std::to_string(port) +
         "), {inet_addr(\"" + address + "\")}};\n";
}

Bundle net_admin() {
  Bundle bundle;
  bundle.capabilities = {"CAP_NET_ADMIN", "CAP_NET_RAW"};
  return bundle;
}

std::string list_egress(const Evidence& evidence) {
  std::string text;
  for (const auto& fact : evidence.egress)
    text += fact.protocol + " " + fact.destination + ":" + std::to_string(fact.port) + " " +
            fact.outcome + " x" + std::to_string(fact.attempts) + "\n";
  return text;
}

TEST_F(NetworkTest, ListenersHaveAPortAnAddressAndAProtocol) {
  Container container(loopback(false) + to("any", "0.0.0.0", 8123) + to("own", "127.0.0.1", 53535) +
                      R"(
    int s = socket(AF_INET, SOCK_STREAM, 0);
    bind(s, (void*)&any, sizeof any);
    listen(s, 5);
    listen(socket(AF_INET6, SOCK_STREAM, 0), 5);  // without bind: any free port
    bind(socket(AF_INET, SOCK_DGRAM, 0), (void*)&own, sizeof own);
    own.sin_port = 0;
    bind(socket(AF_INET, SOCK_DGRAM, 0), (void*)&own, sizeof own);  // a client's
    bind(socket(AF_INET, SOCK_STREAM, 0), (void*)&own, sizeof own);  // never listens
    struct sockaddr_in6 six = {AF_INET6, htons(8124), 0, IN6ADDR_LOOPBACK_INIT};
    s = socket(AF_INET6, SOCK_STREAM, 0);
    bind(s, (void*)&six, sizeof six);
    listen(s, 5);
  )");
  auto evidence = record_run(container, net_admin());
  ASSERT_EQ(evidence.listeners.size(), 4U);
  std::map<std::string, const evidence::ListenerFact*> by_address;
  for (const auto& fact : evidence.listeners) by_address[fact.address] = &fact;
  ASSERT_TRUE(by_address.count("0.0.0.0") && by_address.count("127.0.0.1") &&
              by_address.count("::") && by_address.count("::1"));
  EXPECT_EQ(by_address["::1"]->port, 8124);
  EXPECT_EQ(by_address["0.0.0.0"]->port, 8123);
  EXPECT_EQ(by_address["0.0.0.0"]->protocol, "tcp");
  EXPECT_EQ(by_address["127.0.0.1"]->port, 53535);
  EXPECT_EQ(by_address["127.0.0.1"]->protocol, "udp");
  EXPECT_GT(by_address["::"]->port, 0);
}

TEST_F(NetworkTest, AttemptsThatFindNoRouteAreUnreachable) {
  Container container(to("out", "203.0.113.9", 443) + R"(
    // An address at the end of what can be read.
    char* last = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(last + 4096, 4096);
    last = memcpy(last + 4096 - sizeof out, &out, sizeof out);
    for (int i = 0; i < 3; i++) {
      int s = socket(AF_INET, SOCK_STREAM, 0);
      connect(s, i ? (void*)&out : last, sizeof out);
      close(s);
      usleep(20000);
    }
    sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void*)&out, sizeof out);
    connect(socket(AF_INET, SOCK_DGRAM, 0), (void*)&out, sizeof out);  // sends nothing
    struct sockaddr_in6 six = {AF_INET6, htons(80)};
    inet_pton(AF_INET6, "2001:db8::7", &six.sin6_addr);
    connect(socket(AF_INET6, SOCK_STREAM, 0), (void*)&six, sizeof six);
    inet_pton(AF_INET6, "2001:db8::8", &six.sin6_addr);
    sendto(socket(AF_INET6, SOCK_DGRAM, 0), "x", 1, 0, (void*)&six, sizeof six);
  )");
  auto evidence = record_run(container);
  EXPECT_EQ(list_egress(evidence),
            "tcp 2001:db8::7:80 unreachable x1\n"
            "udp 2001:db8::8:80 unreachable x1\n"
            "tcp 203.0.113.9:443 unreachable x3\n"
            "udp 203.0.113.9:443 unreachable x1\n");
  ASSERT_EQ(evidence.egress.size(), 4U);
  const auto& tcp = evidence.egress[2];
  ASSERT_TRUE(tcp.period_ms);
  EXPECT_GE(*tcp.period_ms, 20U);
  EXPECT_LE(*tcp.period_ms, 2000U);
}

TEST_F(NetworkTest, LoopbackIsNoEgressAndWhatLeavesIs) {
  Container container(loopback(true) + to("own", "127.0.0.1", 9) + to("out", "203.0.113.9", 9) + R"(
    connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&own, sizeof own);
    sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void*)&own, sizeof own);
    int quiet = socket(AF_INET, SOCK_DGRAM, 0), talks = socket(AF_INET, SOCK_DGRAM, 0);
    out.sin_port = htons(10);
    connect(quiet, (void*)&out, sizeof out);
    out.sin_port = htons(11);
    connect(talks, (void*)&out, sizeof out);
    write(talks, "x", 1);
    write(talks, "x", 1);
    out.sin_port = 0;
    char ping[64] = {8};
    sendto(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), ping, sizeof ping, 0, (void*)&out, sizeof out);
    out.sin_port = htons(12);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(s, (void*)&out, sizeof out);
    usleep(5000);
    close(s);
    // A route over lo is one that refuses for IPv6: lo has the address for a while.
    struct { struct in6_addr address; uint32_t prefix; int index; } own6 = {.prefix = 128, .index = 1};
    struct sockaddr_in6 six = {AF_INET6, htons(13)};
    inet_pton(AF_INET6, "2001:db8::7", &six.sin6_addr);
    own6.address = six.sin6_addr;
    int control6 = socket(AF_INET6, SOCK_DGRAM, 0);
    ioctl(control6, SIOCSIFADDR, &own6);
    // The address and its route are there once it is no longer tentative.
    struct sockaddr_in6 self = {AF_INET6, 0, 0, six.sin6_addr};
    for (int i = 0; i < 500 && bind(control6, (void*)&self, sizeof self); i++) usleep(10000);
    connect(socket(AF_INET6, SOCK_STREAM, 0), (void*)&six, sizeof six);
    sendto(control6, "x", 1, 0, (void*)&six, sizeof six);
    // Connected to an IPv6 address, and refused an IPv4 one.
    int alone = 1;
    int only6 = socket(AF_INET6, SOCK_DGRAM, 0);
    setsockopt(only6, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof alone);
    connect(only6, (void*)&six, sizeof six);
    out.sin_port = htons(14);
    sendto(only6, "x", 1, 0, (void*)&out, sizeof out);
    ioctl(control6, SIOCDIFADDR, &own6);
  )");
  auto evidence = record_run(container, net_admin());
  EXPECT_EQ(list_egress(evidence),
            "tcp 2001:db8::7:13 refused x1\n"
            "udp 2001:db8::7:13 sent x1\n"
            "icmp 203.0.113.9:0 sent x1\n"
            "udp 203.0.113.9:11 sent x2\n"
            "tcp 203.0.113.9:12 timeout x1\n"
            "udp 203.0.113.9:14 unreachable x1\n");
}

TEST_F(NetworkTest, WhatAttemptsMetIsTold) {
  Container container(loopback(true) + to("peer", "203.0.113.9", 80) +
                      to("all", "255.255.255.255", 7) + R"(
    struct ifreq alias = {.ifr_name = "lo:1"};
    memcpy(&alias.ifr_addr, &peer, sizeof peer);
    ioctl(control, SIOCSIFADDR, &alias);
    int server = socket(AF_INET, SOCK_STREAM, 0);
    bind(server, (void*)&peer, sizeof peer);
    listen(server, 5);
    connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&peer, sizeof peer);
    peer.sin_port = htons(81);
    connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&peer, sizeof peer);  // nobody listens
    sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void*)&all, sizeof all);  // no SO_BROADCAST
    // A link where nobody answers: the connection begins, and its caller is told, once.
    ioctl(control, SIOCBRADDBR, "br0");
    int solicit = open("/proc/sys/net/ipv4/neigh/br0/mcast_solicit", O_WRONLY);
    int interval = open("/proc/sys/net/ipv4/neigh/br0/retrans_time_ms", O_WRONLY);
    write(solicit, "1", 1);
    write(interval, "20", 2);
    struct ifreq bridge = {.ifr_name = "br0"};
    peer.sin_addr.s_addr = inet_addr("198.51.100.1");
    memcpy(&bridge.ifr_addr, &peer, sizeof peer);
    ioctl(control, SIOCSIFADDR, &bridge);
    bridge.ifr_flags = IFF_UP;
    ioctl(control, SIOCSIFFLAGS, &bridge);
    peer.sin_addr.s_addr = inet_addr("198.51.100.2");
    peer.sin_port = htons(82);
    if (connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&peer, sizeof peer) == 0 ||
        errno != EHOSTUNREACH) return 7;
    all.sin_port = htons(83);  // one that does not begin
    connect(socket(AF_INET, SOCK_STREAM, 0), (void*)&all, sizeof all);
    alias.ifr_flags = 0;  // gone again: what stays the container's own address is no egress
    ioctl(control, SIOCSIFFLAGS, &alias);
  )");
  Bundle bundle = net_admin();
  bundle.capabilities.push_back("CAP_NET_BIND_SERVICE");
  auto evidence = record_run(container, bundle);
  std::map<std::string, std::string> outcomes;
  for (const auto& fact : evidence.egress) {
    outcomes[fact.protocol + " " + std::to_string(fact.port)] = fact.outcome;
    EXPECT_EQ(fact.attempts, 1U) << list_egress(evidence);
  }
  EXPECT_EQ(outcomes, (std::map<std::string, std::string>{{"tcp 80", "connected"},
                                                          {"tcp 81", "refused"},
                                                          {"udp 7", "denied"},
                                                          {"tcp 82", "unreachable"},
                                                          {"tcp 83", "unreachable"}}))
      << list_egress(evidence);
}

// C: a name server at `ns`, an address of lo, that answers 203.0.113.9 to one question.
std::string name_server(const std::string& family) {
  return "int server = socket(" + family + ", SOCK_DGRAM, 0), client = socket(" + family +
         ", SOCK_DGRAM, 0);" + R"(
    bind(server, (void*)&ns, sizeof ns);
    connect(client, (void*)&ns, sizeof ns);
    char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\11telemetry\6vendor\4test\0\0\1\0\1";
    char answer[256];
    struct sockaddr_in6 from;
    socklen_t size = sizeof from;
    write(client, question, sizeof question - 1);
    int n = recvfrom(server, answer, sizeof answer, 0, (void*)&from, &size);
    answer[2] = 0x81;
    answer[7] = 1;
    memcpy(answer + n, "\300\14\0\1\0\1\0\0\0\74\0\4\313\0\161\11", 16);
    sendto(server, answer, n + 16, 0, (void*)&from, size);
    answer[n + 15] = 10;  // another one, which nobody asked for any more
    sendto(server, answer, n + 16, 0, (void*)&from, size);
    read(client, answer, sizeof answer);
)";
}

TEST_F(NetworkTest, DnsQuestionsAreFactsAndAnswersNameAddresses) {
  for (const std::string family : {"AF_INET", "AF_INET6"}) {
    SCOPED_TRACE(family);
    const std::string ns = family == "AF_INET"
                               ? to("ns", "127.0.0.1", 53)
                               : "struct sockaddr_in6 ns = {AF_INET6, htons(53), 0, "
                                 "IN6ADDR_LOOPBACK_INIT};";
    Container container(loopback(true) + ns + to("out", "203.0.113.9", 443) +
                        to("docker", "127.0.0.11", 40053) + name_server(family) + R"(
      write(client, question, sizeof question - 1);
      sendto(control, question, sizeof question - 1, 0, (void*)&docker, sizeof docker);
      int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      connect(s, (void*)&out, sizeof out);
      out.sin_addr.s_addr = inet_addr("203.0.113.10");
      s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
      connect(s, (void*)&out, sizeof out);
    )");
    Bundle bundle = net_admin();
    bundle.capabilities.push_back("CAP_NET_BIND_SERVICE");
    auto evidence = record_run(container, bundle);
    ASSERT_EQ(evidence.dns.size(), 1U);
    EXPECT_EQ(evidence.dns[0].name, "telemetry.vendor.test");
    EXPECT_EQ(evidence.dns[0].type, "A");
    EXPECT_EQ(evidence.dns[0].count, 3U);
    ASSERT_EQ(evidence.egress.size(), 2U) << list_egress(evidence);
    EXPECT_EQ(evidence.egress[0].name, "");
    EXPECT_EQ(evidence.egress[1].name, "telemetry.vendor.test");
    std::string bound;
    for (const auto& fact : evidence.capabilities)
      for (const auto& use : fact.uses)
        if (fact.name == "NET_BIND_SERVICE") bound = use.object;
    EXPECT_EQ(bound, family == "AF_INET" ? "127.0.0.1:53" : "[::1]:53");
  }
}

TEST_F(NetworkTest, APacketSocketDoesNotHide) {
  Container container(loopback(false) + R"(
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
    unsigned char packet[64] = {0x45, 0, 0, 64, 0, 0, 0, 0, 9, 17, 0, 0, 10, 0, 0, 1, 198, 51, 100, 3,
                                0, 9, 0, 77};
    int s = socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP));
    sendto(s, packet, sizeof packet, 0, (void*)&link, sizeof link);
    unsigned char six[64] = {0x60, 0, 0, 0, 0, 24, 17, 9};
    inet_pton(AF_INET6, "2001:db8::9", six + 24);
    six[43] = 78;
    link.sll_protocol = htons(ETH_P_IPV6);
    sendto(s, six, sizeof six, 0, (void*)&link, sizeof link);
  )");
  auto evidence = record_run(container, net_admin());
  EXPECT_EQ(list_egress(evidence),
            "packet 198.51.100.3:77 sent x1\n"
            "packet 2001:db8::9:78 sent x1\n");
}

TEST_F(NetworkTest, PeaksComeFromTheCgroupWhileItRuns) {
  Container container(R"(
    for (int i = 0; i < 9; i++) if (fork() == 0) for (;;) pause();
    mkdir("/data/up", 0700);
    for (;;) pause();
  )");
  auto recorder = testing::recorder_for(container);
  ASSERT_TRUE(recorder);
  container.start();
  container.wait_for("/data/up");
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  container.stop();
  auto evidence = recorder->finish();
  ASSERT_TRUE(evidence);
  EXPECT_GE(evidence->peaks.tasks, 10U);
  EXPECT_GT(evidence->peaks.memory_bytes, 0U);
  EXPECT_GE(evidence->peaks.open_files, 30U);
}

}  // namespace
}  // namespace pare::record
