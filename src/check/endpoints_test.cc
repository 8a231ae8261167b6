#include <gtest/gtest.h>

#include <map>

#include "check/testing_server.h"

namespace pare::check {
namespace {

using evidence::EndpointFact;
using Facts = std::vector<EndpointFact>;

class EndpointsTest : public CheckTest {
 protected:
  Facts of(const Handler& handler) {
    FakeServer server(subject_.pid, 8000, handler);
    auto found = endpoints(subject_, 8000, false);
    EXPECT_TRUE(found) << found.error().message;
    seen_ = server.seen();
    return found.value_or(Facts{});
  }
  std::vector<FakeRequest> seen_;
};

std::string text(const Facts& facts) {
  std::string all;
  for (const EndpointFact& f : facts)
    all += f.method + " " + f.path + " " + std::to_string(f.status) + " " + f.role + "\n";
  return all;
}

TEST_F(EndpointsTest, WhatAnswersWithoutCredentials) {
  Handler triton = [](const FakeRequest& r) -> FakeResponse {
    if (r.path == "/metrics") return {.body = "# TYPE x counter\nx 1\n", .type = "text/plain"};
    if (r.path == "/v2/repository/index" && r.method == "POST") return {.body = "[]"};
    if (r.path == "/v2/systemsharedmemory/status") return {.status = 403, .body = "restricted"};
    if (r.path == "/v2/repository/models/none/load") return {.status = 405};
    return {.status = 404};
  };
  EXPECT_EQ(text(of(triton)),
            "GET /metrics 200 metrics\n"
            "POST /v2/repository/index 200 admin\n"
            "OPTIONS /v2/repository/models/none/load 405 admin\n"
            "GET /v2/systemsharedmemory/status 403 admin\n");
}

TEST_F(EndpointsTest, AServerThatAnswersEverythingTellsNothing) {
  EXPECT_EQ(text(of(always(200, "{}"))), "");
  EXPECT_EQ(text(of(always(401, "who are you?"))), "");
  int turn = 0;
  Handler page = [&turn](const FakeRequest&) -> FakeResponse {
    return {.body = "<html>" + std::to_string(++turn) + "</html>", .type = "text/html"};
  };
  EXPECT_EQ(text(of(page)), "");
  Handler but_one = [](const FakeRequest& r) -> FakeResponse {
    return {.body = r.path == "/slots" ? "[{\"prompt\": \"secret\"}]" : "{}"};
  };
  EXPECT_EQ(text(of(but_one)), "GET /slots 200 admin\n");
}

TEST_F(EndpointsTest, AFamilyIsKnownByItsOwnWords) {
  auto family = [&](const Handler& handler) {
    FakeServer server(subject_.pid, 8000, handler);
    return server_family(subject_, 8000, false).value_or("an error");
  };
  EXPECT_EQ(family(always(200, R"({"data": [{"owned_by": "llamacpp"}]})")), "llama-cpp");
  EXPECT_EQ(family(always(200, R"({"data": [{"owned_by": "me"}]})")), "");
  EXPECT_EQ(family(always(404, "owned_by")), "");
}

TEST_F(EndpointsTest, MetricsAreKnownByTheirText) {
  Handler no_metrics = [](const FakeRequest& r) -> FakeResponse {
    if (r.path == "/metrics") return {.body = "{\"requests\": 1}"};
    return {.status = 404};
  };
  EXPECT_EQ(text(of(no_metrics)), "");
}

TEST_F(EndpointsTest, NothingIsAskedThatActs) {
  of(always(404, ""));
  ASSERT_GT(seen_.size(), 10U);
  for (const FakeRequest& request : seen_) {
    EXPECT_EQ(request.body, "");
    EXPECT_TRUE(request.method != "POST" || request.path == "/v2/repository/index" ||
                request.path.find("nobody") != std::string::npos)
        << request.path;
  }
}

TEST_F(EndpointsTest, WhatSpeaksNoHttpIsAskedOnce) {
  Handler ssh = [](const FakeRequest&) { return FakeResponse{.raw = "SSH-2.0-x\r\n"}; };
  EXPECT_EQ(text(of(ssh)), "");
  EXPECT_EQ(seen_.size(), 1U);
  EXPECT_EQ(endpoints(subject_, 8001, false)->size(), 0U) << "nothing listens";
  process_.end();
  EXPECT_FALSE(endpoints(subject_, 8000, false));
}

}  // namespace
}  // namespace pare::check
