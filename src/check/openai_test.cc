#include <gtest/gtest.h>

#include "base/json.h"
#include "check/testing_server.h"

namespace pare::check {
namespace {

using base::Json;

// An OpenAI server that answers what it is told to.
struct FakeOpenai {
  std::string models = R"({"object": "list", "data": [{"id": "tiny"}, {"id": "other/model"}]})";
  std::string completion =
      R"({"id": "1", "choices": [{"text": " there was"}], "usage": {"completion_tokens": 2}})";
  std::string chat = R"({"choices": [{"message": {"content": "Hello"}}]})";
  std::string embeddings = R"({"data": [{"embedding": [0.5, 0, -1]}]})";
  int completion_status = 200;
  int chat_status = 200;
  bool chunks_apart = false;

  FakeResponse operator()(const FakeRequest& request) const {
    if (request.path == "/v1/models") return {.body = models};
    if (request.path == "/v1/completions") {
      return {.status = completion_status, .body = completion, .chunks_apart = chunks_apart};
    }
    if (request.path == "/v1/embeddings") return {.body = embeddings};
    if (request.path == "/v1/chat/completions") return {.status = chat_status, .body = chat};
    return {.status = 404};
  }
};

class OpenaiTest : public CheckTest {
 protected:
  std::string verdict_of(const FakeOpenai& fake, const std::string& text = "openai://:8000") {
    FakeServer server(subject_.pid, 8000, fake);
    return verdict(text);
  }
};

TEST_F(OpenaiTest, ACompletionOfTheFirstModelPasses) {
  FakeServer server(subject_.pid, 8000, FakeOpenai{});
  CheckResult result = check("openai://:8000;header=Authorization:Bearer k");
  EXPECT_TRUE(result.pass) << result.why;
  EXPECT_EQ(result.output, " there was");
  ASSERT_EQ(server.seen().size(), 2u);
  for (const FakeRequest& seen : server.seen()) {
    EXPECT_NE(seen.headers.find("Authorization: Bearer k\r\n"), std::string::npos);
  }
  Json sent = Json::parse(server.seen()[1].body, nullptr, false);
  EXPECT_EQ(sent["model"], "tiny");
  EXPECT_EQ(sent["temperature"], 0);
  EXPECT_LE(sent["max_tokens"], 32);
}

TEST_F(OpenaiTest, TheModelThatWasNamedMustBeListed) {
  EXPECT_EQ(verdict_of({}, "openai://:8000/other/model"), "pass");
  EXPECT_EQ(verdict_of({}, "openai://:8000/third"), "/v1/models does not list third");
}

TEST_F(OpenaiTest, WhatIsNoListOfModels) {
  EXPECT_EQ(verdict_of({.models = R"({"data": []})"}), "/v1/models lists no model");
  EXPECT_EQ(verdict_of({.models = R"({"data": null})"}), "/v1/models is not a list in JSON");
  EXPECT_EQ(verdict_of({.models = "<html>"}), "/v1/models is not a list in JSON");
  EXPECT_EQ(verdict_of({.models = ""}), "/v1/models is not a list in JSON");
}

TEST_F(OpenaiTest, WhatIsNoCompletion) {
  EXPECT_EQ(verdict_of({.completion = ""}), "the completion is not JSON");
  EXPECT_EQ(verdict_of({.completion = "{}"}), "the completion has no choices");
  EXPECT_EQ(verdict_of({.completion = R"({"choices": []})"}), "the completion has no choices");
  EXPECT_EQ(verdict_of({.completion = R"({"choices": [{"text": ""}]})"}),
            "the completion is empty");
  EXPECT_EQ(verdict_of({.completion = R"({"choices": [{"text": null}]})"}),
            "the completion is empty");
  EXPECT_EQ(verdict_of({.completion = R"({"choices": [7]})"}), "the completion is empty");
  EXPECT_EQ(verdict_of({.completion = R"({"choices": [{"text": "x"}],
                                         "usage": {"completion_tokens": 0}})"}),
            "the completion has no token");
  EXPECT_EQ(verdict_of({.completion_status = 500}), "HTTP 500 from /v1/completions");
}

TEST_F(OpenaiTest, ChatIsAskedWhereThereAreNoCompletions) {
  for (int status : {404, 405, 501}) {
    EXPECT_EQ(verdict_of({.completion_status = status}), "pass");
  }
  EXPECT_EQ(verdict_of({.completion_status = 404, .chat_status = 404}),
            "HTTP 404 from /v1/chat/completions");
  EXPECT_EQ(verdict_of({.chat = R"({"choices": [{"message": {"content": ""}}]})",
                        .completion_status = 404}),
            "the completion is empty");
  EXPECT_EQ(verdict_of({.chat = R"({"choices": [{"message":
                          {"content": null, "reasoning_content": "hm"}}]})",
                        .completion_status = 404}),
            "pass");
}

TEST_F(OpenaiTest, OnlyTheInferenceIsRepeatedAndBatched) {
  FakeServer server(subject_.pid, 8000, FakeOpenai{});
  CheckResult result = check("openai://:8000;batch=4");
  EXPECT_TRUE(result.pass) << result.why;
  EXPECT_EQ(result.latencies.size(), 4u);
  EXPECT_EQ(server.requests(), 5);
}

// The lines of a stream, each an event.
std::string events(const std::vector<std::string>& lines) {
  std::string out = ": a comment\n\n";
  for (const auto& line : lines) out += "data: " + line + "\n\n";
  return out;
}

TEST_F(OpenaiTest, AStreamHasChunksAndAnEnd) {
  const std::string once = R"({"choices": [{"text": " once"}]})";
  const std::string more = R"({"choices": [{"text": " more"}]})";
  const std::string usage = R"({"choices": [], "usage": {"completion_tokens": 2}})";
  auto streamed = [&](const std::string& body) {
    return verdict_of({.completion = body}, "openai://:8000;stream=1");
  };
  EXPECT_EQ(streamed(events({once, more, usage, "[DONE]"})), "pass");
  EXPECT_EQ(streamed(events({once, more})), "the stream does not end with [DONE]");
  EXPECT_EQ(streamed(events({once, "[DONE]"})), "the stream has a single chunk");
  EXPECT_EQ(streamed(events({usage, usage, "[DONE]"})), "the completion is empty");
  EXPECT_EQ(streamed(events({once, R"({"error": {}})", "[DONE]"})),
            "a chunk of the stream has no choices");
  EXPECT_EQ(streamed(events({once, "<", "[DONE]"})), "a chunk of the stream is not JSON");
  EXPECT_EQ(streamed(once), "the completion is no event stream");
}

TEST_F(OpenaiTest, AStreamThatComesInPiecesIsReadWhole) {
  FakeServer server(subject_.pid, 8000,
                    FakeOpenai{.completion = events({R"({"choices": [{"text": "a"}]})",
                                                     R"({"choices": [{"text": "b"}]})", "[DONE]"}),
                               .chunks_apart = true});
  CheckResult result = check("openai://:8000;stream");
  EXPECT_TRUE(result.pass) << result.why;
  EXPECT_EQ(result.output, "ab");
  Json sent = Json::parse(server.seen()[1].body, nullptr, false);
  EXPECT_EQ(sent["stream"], true);
}

TEST_F(OpenaiTest, AChatIsStreamedInDeltas) {
  EXPECT_EQ(
      verdict_of({.chat = events({R"({"choices": [{"delta": {"role": "assistant"}}]})",
                                  R"({"choices": [{"delta": {"content": "hi"}}]})", "[DONE]"}),
                  .completion_status = 404},
                 "openai://:8000;stream"),
      "pass");
}

TEST_F(OpenaiTest, EmbeddingsAreNumbersAndNotAllZero) {
  auto embedded = [&](const std::string& body) {
    return verdict_of({.embeddings = body}, "openai-embeddings://:8000");
  };
  FakeServer server(subject_.pid, 8001, FakeOpenai{});
  EXPECT_EQ(check("openai-embeddings://:8001").output, "[0.5,0,-1]");
  EXPECT_EQ(embedded(R"({"data": [{"embedding": "AAAA"}]})"), "pass");
  EXPECT_EQ(embedded(R"({"data": [{"embedding": [0, 0.0]}]})"), "the embedding is all zeros");
  EXPECT_EQ(embedded(R"({"data": [{"embedding": []}]})"), "the embedding is empty");
  EXPECT_EQ(embedded(R"({"data": [{"embedding": [null]}]})"),
            "the embedding has something that is no number");
  EXPECT_EQ(embedded(R"({"data": []})"), "the answer has no embedding");
  EXPECT_EQ(embedded(""), "the answer is not JSON");
  EXPECT_EQ(verdict_of({.models = R"({"data": []})"}, "openai-embeddings://:8000"),
            "/v1/models lists no model");
}

}  // namespace
}  // namespace pare::check
