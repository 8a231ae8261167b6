// Network facts and io_uring, each triggered by one small program.
#include <algorithm>
#include <map>

#include "record/recorder.h"
#include "record/testing_facts.h"

namespace pare::record {
namespace {

using evidence::Evidence;
using testing::Bundle;
using testing::Container;
using testing::record_run;
using NetworkTest = testing::KernelTest;

// C that makes lo stand for the outside: up, `address` on it, and if asked a default route to it.
// Needs CAP_NET_ADMIN.
std::string loopback(bool route) {
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
    for (int i = 0; i < 3; i++) {
      int s = socket(AF_INET, SOCK_STREAM, 0);
      connect(s, (void*)&out, sizeof out);
      close(s);
      usleep(20000);
    }
    sendto(socket(AF_INET, SOCK_DGRAM, 0), "x", 1, 0, (void*)&out, sizeof out);
    connect(socket(AF_INET, SOCK_DGRAM, 0), (void*)&out, sizeof out);  // sends nothing
    struct sockaddr_in6 six = {AF_INET6, htons(80)};
    inet_pton(AF_INET6, "2001:db8::7", &six.sin6_addr);
    connect(socket(AF_INET6, SOCK_STREAM, 0), (void*)&six, sizeof six);
  )");
  auto evidence = record_run(container);
  ASSERT_EQ(evidence.egress.size(), 3U) << list_egress(evidence);
  EXPECT_EQ(evidence.egress[0].destination, "2001:db8::7");
  EXPECT_EQ(evidence.egress[0].outcome, "unreachable");
  const auto& tcp = evidence.egress[1];
  EXPECT_EQ(tcp.destination, "203.0.113.9");
  EXPECT_EQ(tcp.port, 443);
  EXPECT_EQ(tcp.protocol, "tcp");
  EXPECT_EQ(tcp.attempts, 3U);
  EXPECT_EQ(tcp.outcome, "unreachable");
  ASSERT_TRUE(tcp.period_ms);
  EXPECT_GE(*tcp.period_ms, 20U);
  EXPECT_LE(*tcp.period_ms, 2000U);
  EXPECT_EQ(evidence.egress[2].protocol, "udp");
  EXPECT_EQ(evidence.egress[2].attempts, 1U);
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
    ioctl(control6, SIOCDIFADDR, &own6);
  )");
  auto evidence = record_run(container, net_admin());
  EXPECT_EQ(list_egress(evidence),
            "tcp 2001:db8::7:13 refused x1\n"
            "udp 2001:db8::7:13 sent x1\n"
            "icmp 203.0.113.9:0 sent x1\n"
            "udp 203.0.113.9:11 sent x2\n"
            "tcp 203.0.113.9:12 timeout x1\n");
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
  EXPECT_EQ(outcomes, (std::map<std::string, std::string>{
                          {"tcp 80", "connected"}, {"tcp 81", "refused"}, {"udp 7", "denied"}}))
      << list_egress(evidence);
}

// A name server on 127.0.0.1:53 that answers 203.0.113.9 to one question.
constexpr char kNameServer[] = R"(
    int server = socket(AF_INET, SOCK_DGRAM, 0);
    bind(server, (void*)&ns, sizeof ns);
    int client = socket(AF_INET, SOCK_DGRAM, 0);
    connect(client, (void*)&ns, sizeof ns);
    char question[] = "\x12\x34\1\0\0\1\0\0\0\0\0\0\11telemetry\6vendor\4test\0\0\1\0\1";
    char answer[256];
    struct sockaddr_in from;
    socklen_t size = sizeof from;
    write(client, question, sizeof question - 1);
    int n = recvfrom(server, answer, sizeof answer, 0, (void*)&from, &size);
    answer[2] = 0x81;
    answer[7] = 1;
    memcpy(answer + n, "\300\14\0\1\0\1\0\0\0\74\0\4\313\0\161\11", 16);
    sendto(server, answer, n + 16, 0, (void*)&from, size);
    read(client, answer, sizeof answer);
)";

TEST_F(NetworkTest, DnsQuestionsAreFactsAndAnswersNameAddresses) {
  Container container(loopback(true) + to("ns", "127.0.0.1", 53) + to("out", "203.0.113.9", 443) +
                      kNameServer + R"(
    write(client, question, sizeof question - 1);
    int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    connect(s, (void*)&out, sizeof out);
  )");
  Bundle bundle = net_admin();
  bundle.capabilities.push_back("CAP_NET_BIND_SERVICE");
  auto evidence = record_run(container, bundle);
  ASSERT_EQ(evidence.dns.size(), 1U);
  EXPECT_EQ(evidence.dns[0].name, "telemetry.vendor.test");
  EXPECT_EQ(evidence.dns[0].type, "A");
  EXPECT_EQ(evidence.dns[0].count, 2U);
  ASSERT_EQ(evidence.egress.size(), 1U) << list_egress(evidence);
  EXPECT_EQ(evidence.egress[0].name, "telemetry.vendor.test");
  const evidence::CapabilityUse* bind = nullptr;
  for (const auto& fact : evidence.capabilities)
    for (const auto& use : fact.uses)
      if (fact.name == "NET_BIND_SERVICE") bind = &use;
  ASSERT_NE(bind, nullptr);
  EXPECT_EQ(bind->object, "127.0.0.1:53");
}

TEST_F(NetworkTest, APacketSocketDoesNotHide) {
  Container container(loopback(false) + R"(
    struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_ifindex = 1};
    unsigned char packet[64] = {0x45, 0, 0, 64, 0, 0, 0, 0, 9, 17, 0, 0, 10, 0, 0, 1, 198, 51, 100, 3,
                                0, 9, 0, 77};
    sendto(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)), packet, sizeof packet, 0, (void*)&link, sizeof link);
  )");
  auto evidence = record_run(container, net_admin());
  ASSERT_EQ(evidence.egress.size(), 1U) << list_egress(evidence);
  EXPECT_EQ(evidence.egress[0].protocol, "packet");
  EXPECT_EQ(evidence.egress[0].destination, "198.51.100.3");
  EXPECT_EQ(evidence.egress[0].port, 77);
}

TEST_F(NetworkTest, WhatIsDoneThroughAnIoUringAloneIsSeen) {
  Container container(loopback(true) + to("out", "203.0.113.9", 4433) + R"c(
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 8, &p);
    char* sq = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    char* cq = p.features & IORING_FEAT_SINGLE_MMAP
        ? sq : mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
    struct io_uring_sqe* sqes =
        mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    int act(struct io_uring_sqe sqe) {  // its result
      unsigned* tail = (void*)(sq + p.sq_off.tail);
      unsigned* head = (void*)(cq + p.cq_off.head);
      sqes[0] = sqe;
      ((unsigned*)(sq + p.sq_off.array))[*tail & (p.sq_entries - 1)] = 0;
      __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
      syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, 0, 0);
      struct io_uring_cqe* cqes = (void*)(cq + p.cq_off.cqes);
      int result = cqes[*head & (p.cq_entries - 1)].res;
      __atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
      return result;
    }
    int f = act((struct io_uring_sqe){.opcode = IORING_OP_OPENAT, .fd = AT_FDCWD,
        .addr = (unsigned long)"scratch/by-ring", .open_flags = O_CREAT | O_WRONLY, .len = 0600});
    if (act((struct io_uring_sqe){.opcode = IORING_OP_WRITE, .fd = f,
            .addr = (unsigned long)"four", .len = 4}) != 4) return 7;
    act((struct io_uring_sqe){.opcode = IORING_OP_MKDIRAT, .fd = AT_FDCWD,
        .addr = (unsigned long)"/scratch/ring-dir", .len = 0700});
    int s = act((struct io_uring_sqe){.opcode = IORING_OP_SOCKET, .fd = AF_INET,
        .off = SOCK_DGRAM});
    if (s >= 0) act((struct io_uring_sqe){.opcode = IORING_OP_CLOSE, .fd = s});
    s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);  // so that the connect ends at once
    struct io_uring_sqe connects = {.opcode = IORING_OP_CONNECT, .fd = s,
        .addr = (unsigned long)&out, .off = sizeof out};
    unsigned* tail = (void*)(sq + p.sq_off.tail);
    sqes[0] = connects;
    __atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
    syscall(SYS_io_uring_enter, ring, 1, 0, 0, 0, 0);
    usleep(5000);
  )c");
  auto evidence = record_run(container, net_admin());
  std::map<std::string, std::string> operations;
  for (const auto& fact : evidence.io_uring) operations[fact.opcode] = fact.object;
  operations.erase("CLOSE");  // where the kernel has SOCKET
  EXPECT_EQ(operations, (std::map<std::string, std::string>{{"OPENAT", "/scratch/by-ring"},
                                                            {"WRITE", ""},
                                                            {"MKDIRAT", "/scratch/ring-dir"},
                                                            {"SOCKET", "AF_INET SOCK_DGRAM"},
                                                            {"CONNECT", "203.0.113.9:4433"}}));
  for (const char* call : {"open", "openat", "write", "mkdir", "mkdirat", "connect"})
    EXPECT_EQ(testing::call_names(evidence).count(call), 0U) << call;
  ASSERT_EQ(evidence.egress.size(), 1U) << list_egress(evidence);
  EXPECT_EQ(evidence.egress[0].port, 4433);
  std::map<std::string, std::vector<std::string>> files;
  for (const auto& fact : evidence.files) files[fact.path] = fact.ops;
  EXPECT_EQ(files["/scratch/by-ring"], (std::vector<std::string>{"create", "write"}));
  EXPECT_EQ(files["/scratch/ring-dir"], (std::vector<std::string>{"mkdir"}));
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
