// kserve: the v2 inference protocol (github.com/kserve/open-inference-protocol). The server and the
// model are ready, and the model answers zeros of the shapes and types that its metadata asks for.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "base/json.h"
#include "base/text.h"
#include "check/kserve.h"

namespace pare::check {
namespace {

using base::Json;

constexpr uint64_t kMostElements = 4U << 20;

struct Datatype {
  std::string_view name;
  const char* zero;  // in JSON; nullptr: JSON cannot carry it
  size_t bytes = 0;  // in binary, where it has to be
};
constexpr Datatype kDatatypes[] = {
    {"BOOL", "false"},
    {"UINT8", "0"},
    {"UINT16", "0"},
    {"UINT32", "0"},
    {"UINT64", "0"},
    {"INT8", "0"},
    {"INT16", "0"},
    {"INT32", "0"},
    {"INT64", "0"},
    {"FP32", "0.0"},
    {"FP64", "0.0"},
    {"BYTES", "\"0\""},
    // Triton: "FP16 data type is not supported in JSON"; its binary data extension carries them.
    {"FP16", nullptr, 2},
    {"BF16", nullptr, 2},
};

std::string encoded(std::string_view name) {
  std::string out;
  for (unsigned char c : name) {
    bool plain = isalnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
    out += plain ? std::string(1, static_cast<char>(c)) : fmt::format("%{:02X}", c);
  }
  return out;
}

struct Question {
  std::string json;    // the inference request
  std::string binary;  // after it, for what JSON cannot carry
};

// One tensor of zeros, or why it cannot be made.
std::string add_input(const Json& input, std::string& list, std::string& binary) {
  std::string name = dig_string(input, {"name"});
  std::string type = dig_string(input, {"datatype"});
  const Json* shape = dig(input, {"shape"});
  const auto* datatype = std::find_if(std::begin(kDatatypes), std::end(kDatatypes),
                                      [&](const Datatype& d) { return d.name == type; });
  if (datatype == std::end(kDatatypes)) {
    return fmt::format("input {} has the unknown datatype '{}'", name, type);
  }
  if (shape == nullptr || !shape->is_array()) return fmt::format("input {} has no shape", name);
  uint64_t elements = 1;
  Json concrete = Json::array();
  for (const Json& dimension : *shape) {
    // -1 is whatever the caller likes.
    int64_t size = dimension.is_number_integer() ? dimension.get<int64_t>() : -1;
    uint64_t wanted = size < 0 ? 1 : static_cast<uint64_t>(size);
    if (wanted > kMostElements || elements * wanted > kMostElements) {
      return fmt::format("input {} is too large for a check", name);
    }
    elements *= wanted;
    concrete.push_back(wanted);
  }
  Json tensor = {{"name", name}, {"datatype", type}, {"shape", concrete}};
  if (datatype->zero == nullptr) {
    size_t bytes = elements * datatype->bytes;
    tensor["parameters"] = {{"binary_data_size", bytes}};
    binary.append(bytes, '\0');
    list += base::write_json(tensor);
    return "";
  }
  std::string text = base::write_json(tensor);
  text.pop_back();
  text += ",\"data\":[";
  for (uint64_t i = 0; i < elements; ++i) {
    if (i > 0) text += ',';
    text += datatype->zero;
  }
  list += text + "]}";
  return "";
}

bool only_binary(const Json& output) {
  std::string type = dig_string(output, {"datatype"});
  return type == "FP16" || type == "BF16";
}

// From the model's metadata; the error is why there is none.
tl::expected<Question, std::string> ask_zeros(const Json& metadata) {
  const Json* inputs = dig(metadata, {"inputs"});
  if (inputs == nullptr || !inputs->is_array() || inputs->empty()) {
    return tl::unexpected(std::string("the model's metadata names no inputs"));
  }
  Question question;
  std::string list;
  for (const Json& input : *inputs) {
    if (!list.empty()) list += ',';
    std::string why = add_input(input, list, question.binary);
    if (!why.empty()) return tl::unexpected(why);
  }
  question.json = "{\"inputs\":[" + list + "]";
  const Json* outputs = dig(metadata, {"outputs"});
  if (outputs != nullptr && outputs->is_array() &&
      std::any_of(outputs->begin(), outputs->end(), only_binary)) {
    question.json += ",\"parameters\":{\"binary_data_output\":true}";
  }
  question.json += "}";
  return question;
}

// Why it is no inference, or "".
std::string wrong_with(const Json& answer) {
  if (answer.is_discarded()) return "the inference is not JSON";
  const Json* outputs = dig(answer, {"outputs"});
  if (outputs == nullptr || !outputs->is_array() || outputs->empty()) {
    return "the inference has no outputs";
  }
  // Some outputs may rightly be empty (nothing detected), all of them not.
  bool data = std::any_of(outputs->begin(), outputs->end(), [](const Json& output) {
    const Json* values = dig(output, {"data"});
    if (values != nullptr && values->is_array() && !values->empty()) return true;
    const Json* size = dig(output, {"parameters", "binary_data_size"});
    return size != nullptr && size->is_number() && size->get<double>() > 0;
  });
  return data ? "" : "no output of the inference has data";
}

Attempt infer(const HttpRequest& request) {
  HttpResponse response = exchange(request);
  if (auto bad = not_ok(response, request.path)) return *bad;
  // Binary outputs follow the JSON, whose length the header tells (Triton's binary extension).
  auto length = base::parse_u64(response.header("inference-header-content-length"));
  std::string json = length ? response.body.substr(0, *length) : response.body;
  Json answer = lenient_json(json);
  if (std::string why = wrong_with(answer); !why.empty()) return failed(response, why);
  std::string output = base::write_json(*dig(answer, {"outputs"}));
  if (length && *length < response.body.size()) {
    output += base::sha256_hex(std::string_view(response.body).substr(*length));
  }
  return Attempt{.pass = true,
                 .answered = true,
                 .body = json,
                 .output = std::move(output),
                 .seconds = response.seconds};
}

}  // namespace

std::vector<std::string> kserve_models(const Spec& spec, const Subject& subject) {
  HttpRequest request = request_to(spec, subject, "POST", "/v2/repository/index");
  request.headers.emplace_back("Content-Type: application/json");
  request.body = "{\"ready\":true}";
  HttpResponse response = exchange(request);
  std::vector<std::string> names;
  Json answer = lenient_json(response.body);
  if (!response.complete || response.status != 200 || !answer.is_array()) return names;
  for (const Json& entry : answer) {
    std::string state = dig_string(entry, {"state"});
    std::string name = dig_string(entry, {"name"});
    bool known = std::find(names.begin(), names.end(), name) != names.end();
    if (!name.empty() && !known && (state.empty() || state == "READY")) names.push_back(name);
  }
  return names;
}

Prepared prepare_kserve(const Spec& spec, const Subject& subject) {
  std::string model = "/v2/models/" + encoded(spec.model);
  // The protocol leaves the bodies of the two open: Triton's are empty.
  for (const std::string& path : {std::string("/v2/health/ready"), model + "/ready"}) {
    HttpResponse ready = exchange(request_to(spec, subject, "GET", path));
    if (auto bad = not_ok(ready, path)) return tl::unexpected(std::move(*bad));
  }
  HttpResponse metadata = exchange(request_to(spec, subject, "GET", model));
  if (auto bad = not_ok(metadata, model)) return tl::unexpected(std::move(*bad));
  auto question = ask_zeros(lenient_json(metadata.body));
  if (!question) return tl::unexpected(failed(metadata, question.error()));
  HttpRequest request = request_to(spec, subject, "POST", model + "/infer");
  request.body = question->json + question->binary;
  if (question->binary.empty()) {
    request.headers.emplace_back("Content-Type: application/json");
  } else {
    request.headers.emplace_back("Content-Type: application/octet-stream");
    request.headers.push_back(
        fmt::format("Inference-Header-Content-Length: {}", question->json.size()));
  }
  return [request]() { return infer(request); };
}

}  // namespace pare::check
