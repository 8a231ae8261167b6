// One row for each kind of check: how it is spelled, which modifiers it takes, how it is tried.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "check/check.h"

namespace pare::check {

// What came of one request (or of one small conversation, where a kind needs several).
struct Attempt {
  bool pass = false;
  bool answered = false;  // something answered, rightly or not
  bool refused = false;   // nothing listens there
  std::string why;        // of a failure, one clause
  std::string body;       // the last response, whole
  std::string output;     // see CheckResult
  double seconds = 0;
};

// Tries once, on the calling thread, which is in the subject's namespace. Called from several
// threads at once when the check has a batch.
using Probe = std::function<Attempt()>;
// Or the failure that kept a probe from being made.
using Prepared = tl::expected<Probe, Attempt>;

struct Kind {
  std::string_view name;       // Spec::kind, and the scheme of its URL
  std::string_view example;    // for error sentences
  std::string_view modifiers;  // names of those it takes, each with a blank before and after
  // Reads what follows the port: "/", or "/..." with the query. kUsage when it makes no sense.
  Status (*adopt)(Spec& spec, std::string_view path);
  // May talk to the server (to find a model's name); runs in the subject's namespace unless
  // `outside`.
  Prepared (*prepare)(const Spec& spec, const Subject& subject);
  bool outside = false;  // goes through the engine, not through the namespace
};

const std::vector<Kind>& kinds();
const Kind* find_kind(std::string_view name);

Prepared prepare_http(const Spec& spec, const Subject& subject);
Prepared prepare_openai(const Spec& spec, const Subject& subject);
Prepared prepare_embeddings(const Spec& spec, const Subject& subject);
Prepared prepare_kserve(const Spec& spec, const Subject& subject);
Prepared prepare_grpc_health(const Spec& spec, const Subject& subject);
Prepared prepare_exec(const Spec& spec, const Subject& subject);

}  // namespace pare::check
