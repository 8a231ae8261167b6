#include <gtest/gtest.h>

#include "base/json.h"
#include "check/testing_server.h"

namespace pare::check {
namespace {

using base::Json;

// A v2 server with one model.
struct FakeKserve {
  std::string metadata = R"({"name": "m", "inputs": [
      {"name": "a", "datatype": "FP32", "shape": [-1, 3]},
      {"name": "b", "datatype": "BYTES", "shape": [2]},
      {"name": "c", "datatype": "BOOL", "shape": []}],
      "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1]}]})";
  std::string answer = R"({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1],
      "data": [0.5]}]})";
  int ready = 200;
  int model_ready = 200;
  int infer = 200;
  std::string raw;  // of the inference

  FakeResponse operator()(const FakeRequest& request) const {
    if (request.path == "/v2") {
      return {.body = R"({"name": "triton", "version": "2", "extensions": []})"};
    }
    if (request.path == "/v2/health/ready") return {.status = ready};
    if (request.path == "/v2/models/m/ready") return {.status = model_ready};
    if (request.path == "/v2/models/m") return {.body = metadata};
    if (request.path == "/v2/repository/index") {
      return {.body = R"([{"name": "m", "version": "1", "state": "READY"},
                          {"name": "broken", "state": "UNAVAILABLE"}])"};
    }
    if (request.path == "/v2/models/m/infer") {
      return {.status = infer, .body = raw.empty() ? answer : "", .raw = raw};
    }
    return {.status = 404, .body = "{}"};
  }
};

class KserveTest : public CheckTest {
 protected:
  std::string verdict_of(const FakeKserve& fake) {
    FakeServer server(subject_.pid, 8000, fake);
    return verdict("kserve://:8000/m");
  }
};

TEST_F(KserveTest, ZerosOfTheRightShapesAndTypesAreSent) {
  FakeServer server(subject_.pid, 8000, FakeKserve{});
  CheckResult result = check("kserve://:8000/m");
  EXPECT_TRUE(result.pass) << result.why;
  Json sent = Json::parse(server.seen().back().body, nullptr, false);
  EXPECT_EQ(sent, Json::parse(R"({"inputs": [
      {"name": "a", "datatype": "FP32", "shape": [1, 3], "data": [0.0, 0.0, 0.0]},
      {"name": "b", "datatype": "BYTES", "shape": [2], "data": ["0", "0"]},
      {"name": "c", "datatype": "BOOL", "shape": [], "data": [false]}]})"));
}

// JSON cannot carry half precision: Triton's binary data extension does.
TEST_F(KserveTest, HalfPrecisionGoesInBinary) {
  const std::string json =
      R"({"outputs":[{"name":"y","datatype":"FP16","shape":[2],"parameters":{"binary_data_size":4}}]})";
  FakeKserve fake{.metadata = R"({"inputs": [{"name": "a", "datatype": "FP16", "shape": [2, 2]}],
                      "outputs": [{"name": "y", "datatype": "FP16", "shape": [2]}]})",
                  .raw = "HTTP/1.1 200 x\r\nContent-Length: " + std::to_string(json.size() + 4) +
                         "\r\nInference-Header-Content-Length: " + std::to_string(json.size()) +
                         "\r\n\r\n" + json + "abcd"};
  FakeServer server(subject_.pid, 8000, fake);
  CheckResult result = check("kserve://:8000/m");
  EXPECT_TRUE(result.pass) << result.why;
  FakeRequest seen = server.seen().back();
  std::string head = "Inference-Header-Content-Length: ";
  size_t at = seen.headers.find(head);
  ASSERT_NE(at, std::string::npos);
  size_t length = std::stoul(seen.headers.substr(at + head.size()));
  ASSERT_EQ(seen.body.size(), length + 8);
  EXPECT_EQ(seen.body.substr(length), std::string(8, '\0'));
  Json sent = Json::parse(seen.body.substr(0, length), nullptr, false);
  EXPECT_EQ(sent["inputs"][0]["parameters"]["binary_data_size"], 8);
  EXPECT_EQ(sent["parameters"]["binary_data_output"], true);
}

TEST_F(KserveTest, EveryStepCanFail) {
  EXPECT_EQ(verdict_of({.ready = 400}), "HTTP 400 from /v2/health/ready");
  EXPECT_EQ(verdict_of({.model_ready = 400}), "HTTP 400 from /v2/models/m/ready");
  EXPECT_EQ(verdict_of({.infer = 500}), "HTTP 500 from /v2/models/m/infer");
  EXPECT_EQ(verdict_of({.metadata = "{}"}), "the model's metadata names no inputs");
  EXPECT_EQ(
      verdict_of({.metadata = R"({"inputs": [{"name": "a", "datatype": "X", "shape": []}]})"}),
      "input a has the unknown datatype 'X'");
  EXPECT_EQ(verdict_of({.metadata = R"({"inputs": [{"name": "a", "datatype": "FP32"}]})"}),
            "input a has no shape");
  EXPECT_EQ(verdict_of({.metadata = R"({"inputs": [{"name": "a", "datatype": "FP32",
                                       "shape": [4000000, 4000000, 4000000]}]})"}),
            "input a is too large for a check");
  EXPECT_EQ(verdict_of({.answer = ""}), "the inference is not JSON");
  EXPECT_EQ(verdict_of({.answer = "{}"}), "the inference has no outputs");
  EXPECT_EQ(verdict_of({.answer = R"({"outputs": [{"name": "y", "data": []}]})"}),
            "no output of the inference has data");
}

TEST_F(KserveTest, ReadyModelsAreDetected) {
  FakeServer server(subject_.pid, 8000, FakeKserve{});
  auto specs = detect(subject_);
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 2u);
  EXPECT_EQ(specs->at(0).text, "kserve://:8000/m");
  EXPECT_EQ(specs->at(0).name, "m");
  EXPECT_EQ(specs->at(1).text, "kserve://:8000/m;batch=4");
}

TEST_F(KserveTest, NothingIsDetectedWhileTheServerIsNotReady) {
  FakeServer server(subject_.pid, 8000, FakeKserve{.ready = 400});
  auto specs = detect(subject_);
  ASSERT_TRUE(specs) << specs.error().message;
  EXPECT_TRUE(specs->empty());
}

TEST_F(KserveTest, AServerWithoutAModelThatAnswersIsCheckedByItsMetadata) {
  FakeServer server(subject_.pid, 8000, FakeKserve{.infer = 500});
  auto specs = detect(subject_);
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 1u);
  EXPECT_EQ(specs->at(0).text, "http://:8000/v2;name=kserve");
}

}  // namespace
}  // namespace pare::check
