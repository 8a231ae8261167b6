// openai: the API lists a model, and that model completes a text with at least one token.
#include <fmt/format.h>

#include <atomic>
#include <memory>

#include "check/event_stream.h"
#include "check/openai.h"

namespace pare::check {
namespace {

using base::Json;

constexpr int kMaxTokens = 16;

// Two spellings of one question; which one a server has is found out by asking.
struct Endpoint {
  const char* path;
  Json (*question)(const std::string& model);
  std::string (*text)(const Json& answer);   // whole
  std::string (*piece)(const Json& answer);  // of one chunk of a stream
};

Json completion_question(const std::string& model) {
  return {{"model", model},
          {"prompt", "Once upon a time"},
          {"max_tokens", kMaxTokens},
          {"temperature", 0}};
}
std::string completion_text(const Json& answer) {
  return dig_string(answer, {"choices", "0", "text"});
}

Json chat_question(const std::string& model) {
  return {{"model", model},
          {"messages", {{{"role", "user"}, {"content", "Say hello."}}}},
          {"max_tokens", kMaxTokens},
          {"temperature", 0}};
}
// Models that think first may spend all tokens on it.
std::string said(const Json& answer, std::string_view part) {
  for (std::string_view field : {"content", "reasoning_content", "reasoning"}) {
    std::string text = dig_string(answer, {"choices", "0", part, field});
    if (!text.empty()) return text;
  }
  return "";
}
std::string chat_text(const Json& answer) {
  return said(answer, "message");
}
std::string chat_piece(const Json& answer) {
  return said(answer, "delta");
}

constexpr Endpoint kEndpoints[] = {
    {"/v1/completions", completion_question, completion_text, completion_text},
    {"/v1/chat/completions", chat_question, chat_text, chat_piece},
};

bool not_offered(int status) {
  return status == 404 || status == 405 || status == 501;
}

struct Completion {
  std::string text;
  std::string wrong;  // why it is none, or ""
};

Completion read_whole(const Endpoint& endpoint, const std::string& body) {
  Json answer = lenient_json(body);
  if (answer.is_discarded()) return {"", "the completion is not JSON"};
  const Json* choices = dig(answer, {"choices"});
  if (choices == nullptr || !choices->is_array() || choices->empty()) {
    return {"", "the completion has no choices"};
  }
  const Json* tokens = dig(answer, {"usage", "completion_tokens"});
  if (tokens != nullptr && tokens->is_number() && tokens->get<double>() < 1) {
    return {"", "the completion has no token"};
  }
  std::string text = endpoint.text(answer);
  return {text, text.empty() ? "the completion is empty" : ""};
}

Completion read_stream(const Endpoint& endpoint, const std::string& body) {
  std::vector<std::string> events = event_data(body);
  if (events.empty()) return {"", "the completion is no event stream"};
  if (events.back() != "[DONE]") return {"", "the stream does not end with [DONE]"};
  events.pop_back();
  Completion completion;
  for (const std::string& event : events) {
    Json chunk = lenient_json(event);
    if (dig(chunk, {"choices"}) == nullptr) {
      // vLLM and OpenAI may send one that holds nothing but the usage.
      return {"", chunk.is_discarded() ? "a chunk of the stream is not JSON"
                                       : "a chunk of the stream has no choices"};
    }
    completion.text += endpoint.piece(chunk);
  }
  if (events.size() < 2) completion.wrong = "the stream has a single chunk";
  if (completion.text.empty()) completion.wrong = "the completion is empty";
  return completion;
}

Attempt complete(const Spec& spec, const Subject& subject, const std::string& model,
                 std::atomic<size_t>& endpoint) {
  double seconds = 0;
  while (true) {
    const Endpoint& asked = kEndpoints[endpoint];
    Json question = asked.question(model);
    if (spec.stream) question["stream"] = true;
    HttpResponse response = exchange(json_request(spec, subject, asked.path, question));
    seconds += response.seconds;
    if (&asked == kEndpoints && response.complete && not_offered(response.status)) {
      endpoint = 1;
      continue;
    }
    if (auto bad = not_ok(response, asked.path)) return *bad;
    Completion completion =
        spec.stream ? read_stream(asked, response.body) : read_whole(asked, response.body);
    if (!completion.wrong.empty()) return failed(response, completion.wrong);
    return Attempt{.pass = true,
                   .answered = true,
                   .body = response.body,
                   .output = completion.text,
                   .seconds = seconds};
  }
}

}  // namespace

tl::expected<std::string, Attempt> find_openai_model(const Spec& spec, const Subject& subject) {
  HttpResponse response = exchange(request_to(spec, subject, "GET", "/v1/models"));
  if (auto bad = not_ok(response, "/v1/models")) return tl::unexpected(std::move(*bad));
  Json answer = lenient_json(response.body);
  const Json* data = dig(answer, {"data"});
  if (data == nullptr || !data->is_array()) {
    return tl::unexpected(failed(response, "/v1/models is not a list in JSON"));
  }
  std::string first;
  for (const Json& entry : *data) {
    std::string id = dig_string(entry, {"id"});
    if (first.empty()) first = id;
    if (!id.empty() && id == spec.model) return id;
  }
  if (!spec.model.empty()) {
    return tl::unexpected(failed(response, "/v1/models does not list " + spec.model));
  }
  if (first.empty()) return tl::unexpected(failed(response, "/v1/models lists no model"));
  return first;
}

Prepared prepare_openai(const Spec& spec, const Subject& subject) {
  auto model = find_openai_model(spec, subject);
  if (!model) return tl::unexpected(std::move(model).error());
  auto endpoint = std::make_shared<std::atomic<size_t>>(0);
  return [spec, subject, model = *model, endpoint]() {
    return complete(spec, subject, model, *endpoint);
  };
}

}  // namespace pare::check
