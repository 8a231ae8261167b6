// openai-embeddings: the API lists a model, and that model turns a text into numbers.
#include <algorithm>

#include "base/json.h"
#include "check/openai.h"

namespace pare::check {
namespace {

using base::Json;

// Why it is no embedding, or "".
std::string wrong_with(const Json* embedding) {
  if (embedding == nullptr) return "the answer has no embedding";
  // With encoding_format base64 it is a string.
  if (embedding->is_string() && !embedding->get<std::string>().empty()) return "";
  if (!embedding->is_array() || embedding->empty()) return "the embedding is empty";
  bool numbers = std::all_of(embedding->begin(), embedding->end(),
                             [](const Json& value) { return value.is_number(); });
  if (!numbers) return "the embedding has something that is no number";
  bool zero = std::all_of(embedding->begin(), embedding->end(),
                          [](const Json& value) { return value.get<double>() == 0; });
  return zero ? "the embedding is all zeros" : "";
}

}  // namespace

Prepared prepare_embeddings(const Spec& spec, const Subject& subject) {
  auto model = find_openai_model(spec, subject);
  if (!model) return tl::unexpected(std::move(model).error());
  Json question = {{"model", *model}, {"input", "Once upon a time"}};
  HttpRequest request = json_request(spec, subject, "/v1/embeddings", question);
  return [request]() {
    HttpResponse response = exchange(request);
    if (auto bad = not_ok(response, "/v1/embeddings")) return *bad;
    Json answer = lenient_json(response.body);
    if (answer.is_discarded()) return failed(response, "the answer is not JSON");
    const Json* embedding = dig(answer, {"data", "0", "embedding"});
    if (std::string why = wrong_with(embedding); !why.empty()) return failed(response, why);
    return Attempt{.pass = true,
                   .answered = true,
                   .body = response.body,
                   .output = base::write_json(*embedding),
                   .seconds = response.seconds};
  };
}

}  // namespace pare::check
