#include "trial/outcome_json.h"

#include "base/json.h"
#include "base/text.h"

namespace pare::trial {

using base::Json;

Json to_json(const prove::Outcome& outcome) {
  Json checks = Json::array();
  for (const prove::CheckOutcome& c : outcome.checks) {
    checks.push_back({{"name", c.name},
                      {"pass", c.pass},
                      {"why", c.why},
                      {"implied", c.implied},
                      {"seconds", c.seconds},
                      {"answer", c.answer}});
  }
  return {{"pass", outcome.pass},
          {"ready", outcome.ready},
          {"checks", checks},
          {"why", outcome.why},
          {"seconds", outcome.seconds},
          {"starts", outcome.starts},
          {"evidence", outcome.evidence ? evidence::to_json(*outcome.evidence) : Json(nullptr)}};
}

static Result<prove::Outcome> read_outcome(const Json& json, const std::string& what) {
  prove::Outcome outcome;
  outcome.pass = json.at("pass");
  outcome.ready = json.value("ready", true);
  for (const Json& c : json.at("checks")) {
    outcome.checks.push_back({c.at("name"), c.at("pass"), c.at("why"), c.at("implied"),
                              c.value("seconds", 0.0), c.value("answer", "")});
  }
  outcome.why = json.at("why");
  outcome.seconds = json.at("seconds");
  outcome.starts = json.at("starts");
  if (const Json& e = json.at("evidence"); !e.is_null()) {
    PARE_TRY(outcome.evidence, evidence::evidence_from_json(e, what));
  }
  return outcome;
}

Result<prove::Outcome> outcome_from_json(const Json& json, const std::string& what) {
  try {
    return read_outcome(json, what);
  } catch (const Json::exception& e) {
    return fail(ErrorKind::kUnread, what + ": " + base::json_problem(e));
  }
}

std::string request_key(const prove::Request& request) {
  Json json = {{"policy", privilege::to_json(request.policy)},
               {"cold", request.cold},
               {"restart", request.restart}};
  return base::sha256_hex(base::write_json(json));
}

}  // namespace pare::trial
