#include "confine/serve_metrics.h"

#include "confine/testing_gate.h"

namespace pare::confine {

// Requests are answered one after another.
TEST(MetricsServer, WhoSendsAByteNowAndThenHoldsNobodyUp) {
  Door door = any_door();
  Door same = {UniqueFd(dup(door.socket.get())), 0};
  auto server = MetricsServer::open(std::move(door.socket), [] { return Snapshot(); });
  ASSERT_TRUE(server) << server.error().message;
  UniqueFd slow = client_of(same);
  write_all(slow.get(), "G");
  std::atomic<bool> stop{false};
  std::thread dripping([&] {
    while (!stop && write_all(slow.get(), "E")) {
      std::this_thread::sleep_for(std::chrono::milliseconds(200));
    }
  });
  UniqueFd scraper = client_of(same);
  write_all(scraper.get(), "GET /metrics HTTP/1.1\r\n\r\n");
  std::string answer = read_all(scraper.get());  // at most ten seconds
  EXPECT_NE(answer.find("pare_up 0"), std::string::npos) << answer;
  stop = true;
  dripping.join();
}

}  // namespace pare::confine
