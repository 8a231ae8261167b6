// What a port speaks, found out by talking to it.
#include "check/identify.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "base/text.h"
#include "check/attempts.h"
#include "check/grpc.h"
#include "check/talk.h"

namespace pare::check {
namespace {

using base::Json;

// Enough for a server under load. A port that waits for other words costs all three.
constexpr std::chrono::milliseconds kPlainPatience{2000};
constexpr std::chrono::milliseconds kOtherPatience{1000};

bool is_openai(const Json& json, const std::string&) {
  const Json* data = dig(json, {"data"});
  return data != nullptr && data->is_array();
}
// Server metadata of the v2 protocol: name, version, extensions.
bool is_kserve(const Json& json, const std::string&) {
  const Json* extensions = dig(json, {"extensions"});
  return extensions != nullptr && extensions->is_array() && !dig_string(json, {"name"}).empty();
}
bool is_kserve_live(const Json& json, const std::string&) {
  return dig(json, {"live"}) != nullptr && dig(json, {"live"})->is_boolean();
}
bool is_ollama(const Json& json, const std::string&) {
  const Json* models = dig(json, {"models"});
  return models != nullptr && models->is_array();
}
// text-embeddings-inference tells its model_type; text-generation-inference does not.
bool is_tei(const Json& json, const std::string&) {
  return !dig_string(json, {"model_id"}).empty() && dig(json, {"model_type"}) != nullptr;
}
bool is_tgi(const Json& json, const std::string&) {
  return !dig_string(json, {"model_id"}).empty();
}
bool is_prometheus(const Json&, const std::string& body) {
  return is_prometheus_text(body);
}
// The list of regions; the management paths alone may be on a port of their own.
bool is_triton_admin(const Json& json, const std::string&) {
  return json.is_array();
}

struct Signature {
  const char* path;
  bool (*is)(const Json& json, const std::string& body);
  const char* speaks;
  const char* role;
};

// In this order: a server that speaks several is named by the first.
constexpr Signature kSignatures[] = {
    {"/v1/models", is_openai, "openai", "inference"},
    {"/v2", is_kserve, "kserve", "inference"},
    {"/v2/health/live", is_kserve_live, "kserve", "inference"},
    {"/api/tags", is_ollama, "ollama", "inference"},
    {"/info", is_tei, "tei", "inference"},
    {"/info", is_tgi, "tgi", "inference"},
    {"/v2/systemsharedmemory/status", is_triton_admin, "triton-admin", "admin"},
    {"/metrics", is_prometheus, "prometheus", "metrics"},
};

Identity identify_http(const Spec& spec, const Subject& subject) {
  Identity identity;
  identity.speaks = "http";
  identity.tls = spec.scheme == "https";
  std::string asked;
  HttpResponse response;
  for (const Signature& signature : kSignatures) {
    if (asked != signature.path) {
      asked = signature.path;
      response = exchange(request_to(spec, subject, "GET", asked));
    }
    identity.loading = identity.loading || response.status == 503;
    if (!response.complete || response.status != 200) continue;
    if (!signature.is(lenient_json(response.body), response.body)) continue;
    identity.speaks = signature.speaks;
    identity.role = signature.role;
    return identity;
  }
  return identity;
}

// Servers that speak TLS answer a plain request in words (nginx, Go) or not at all.
bool wants_tls(const HttpResponse& plain) {
  return plain.status == 400 && base::lower(plain.body).find("https") != std::string::npos;
}

// An answer in HTTP/2 to a gRPC call.
std::string speaks_http2(const HttpResponse& response) {
  if (!response.answered) return "";
  return base::starts_with(response.header("content-type"), "application/grpc") ? "grpc" : "http";
}

HttpResponse grpc_call(Spec spec, const Subject& subject) {
  spec.within = kOtherPatience;
  return exchange(grpc_request(spec, subject, "/grpc.health.v1.Health/Check", ""));
}

Identity identify_tls(const Spec& spec, const Subject& subject) {
  Identity identity;
  HttpResponse call = grpc_call(spec, subject);  // offers h2 and http/1.1
  if (!call.tls) return identity;
  identity.tls = true;
  identity.speaks = speaks_http2(call);
  if (identity.speaks == "grpc") return identity;
  // Not every server answers such a call at all.
  HttpResponse page = exchange(request_to(spec, subject, "GET", "/"));
  if (page.answered || call.answered) return identify_http(spec, subject);
  identity.speaks = "tls";
  return identity;
}

}  // namespace

Spec probe_spec(uint16_t port, bool tls, std::chrono::milliseconds within) {
  Spec spec;
  spec.port = port;
  spec.scheme = tls ? "https" : "http";
  spec.within = within;
  return spec;
}

bool is_prometheus_text(const std::string& body) {
  for (std::string_view mark : {"# HELP ", "# TYPE "}) {
    size_t at = body.find(mark);
    if (at == 0 || (at != std::string::npos && body[at - 1] == '\n')) return true;
  }
  return false;
}

Identity identify_here(const Subject& subject, uint16_t port) {
  Spec plain = probe_spec(port, false, kPlainPatience);
  Spec tls = probe_spec(port, true, kPlainPatience);
  Identity identity;
  HttpResponse first = exchange(request_to(plain, subject, "GET", "/v1/models"));
  if (first.refused) return identity;
  if (first.answered && !wants_tls(first)) return identify_http(plain, subject);
  if (std::string speaks = speaks_http2(grpc_call(plain, subject)); !speaks.empty()) {
    identity.speaks = speaks;
    return identity;
  }
  identity = identify_tls(tls, subject);
  if (identity.speaks == "silent" && first.spoke) identity.speaks = "unknown";
  return identity;
}

Result<Identity> identify(const Subject& subject, uint16_t port) {
  PARE_TRY(Bench bench, Bench::open(subject));
  PARE_TRY(sys::NetNs ns, sys::NetNs::of_process(subject.pid));
  auto first = ns.call([&] { return identify_here(subject, port); });
  bool nothing = first && first->speaks == "silent";
  if (!nothing || !bench.switch_to_ipv6(port)) return first;
  return ns.call([&] { return identify_here(bench.subject(), port); });
}

}  // namespace pare::check
