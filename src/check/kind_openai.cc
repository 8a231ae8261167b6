// openai: the API lists a model, and that model completes a text with at least one token.
#include <fmt/format.h>

#include <atomic>
#include <memory>

#include "check/talk.h"

namespace pare::check {
namespace {

using base::Json;

constexpr int kMaxTokens = 16;

// Two spellings of one question; which one a server has is found out by asking.
struct Endpoint {
  const char* path;
  Json (*question)(const std::string& model);
  std::string (*text)(const Json& answer);
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
std::string chat_text(const Json& answer) {
  std::string text = dig_string(answer, {"choices", "0", "message", "content"});
  if (text.empty()) text = dig_string(answer, {"choices", "0", "message", "reasoning_content"});
  if (text.empty()) text = dig_string(answer, {"choices", "0", "message", "reasoning"});
  return text;
}

constexpr Endpoint kEndpoints[] = {
    {"/v1/completions", completion_question, completion_text},
    {"/v1/chat/completions", chat_question, chat_text},
};

bool not_offered(int status) {
  return status == 404 || status == 405 || status == 501;
}

// Why the answer is no completion, or "".
std::string wrong_with(const Json& answer, const std::string& text) {
  if (answer.is_discarded()) return "the completion is not JSON";
  const Json* choices = dig(answer, {"choices"});
  if (choices == nullptr || !choices->is_array() || choices->empty()) {
    return "the completion has no choices";
  }
  const Json* tokens = dig(answer, {"usage", "completion_tokens"});
  if (tokens != nullptr && tokens->is_number() && tokens->get<double>() < 1) {
    return "the completion has no token";
  }
  return text.empty() ? "the completion is empty" : "";
}

tl::expected<std::string, Attempt> find_model(const Spec& spec, const Subject& subject) {
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

Attempt complete(const Spec& spec, const Subject& subject, const std::string& model,
                 std::atomic<size_t>& endpoint) {
  HttpResponse response;
  double seconds = 0;
  while (true) {
    const Endpoint& asked = kEndpoints[endpoint];
    response = exchange(json_request(spec, subject, asked.path, asked.question(model)));
    seconds += response.seconds;
    if (&asked == kEndpoints && response.complete && not_offered(response.status)) {
      endpoint = 1;
      continue;
    }
    if (auto bad = not_ok(response, asked.path)) return *bad;
    Json answer = lenient_json(response.body);
    std::string text = asked.text(answer);
    if (std::string why = wrong_with(answer, text); !why.empty()) return failed(response, why);
    return Attempt{
        .pass = true, .answered = true, .body = response.body, .output = text, .seconds = seconds};
  }
}

}  // namespace

Prepared prepare_openai(const Spec& spec, const Subject& subject) {
  auto model = find_model(spec, subject);
  if (!model) return tl::unexpected(std::move(model).error());
  auto endpoint = std::make_shared<std::atomic<size_t>>(0);
  return [spec, subject, model = *model, endpoint]() {
    return complete(spec, subject, model, *endpoint);
  };
}

}  // namespace pare::check
