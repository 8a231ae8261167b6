#include "verdict/verdict.h"

#include <array>
#include <utility>

#include "base/json.h"

namespace pare::verdict {

using base::Json;

namespace {

constexpr const char* kSchema = "pare.proof/v1";

constexpr std::array<std::pair<Kind, std::string_view>, 4> kKinds = {{
    {Kind::kNeeded, "needed"},
    {Kind::kFixable, "fixable"},
    {Kind::kUnneeded, "unneeded"},
    {Kind::kUnproven, "unproven"},
}};

Json verdict_json(const Verdict& v) {
  Json json = {{"privilege", privilege::to_string(v.privilege)},
               {"axis", privilege::axis_name(v.privilege.axis)},
               {"value", v.privilege.value},
               {"phase", evidence::to_string(v.phase)},
               {"verdict", to_string(v.kind)},
               {"asked", v.asked},
               {"used", v.used},
               {"tolerated", v.tolerated},
               {"because", v.because},
               {"trials", v.trials},
               {"evidence", v.evidence},
               {"fix", nullptr}};
  if (v.fix) json["fix"] = {{"text", v.fix->text}, {"change", v.fix->change}};
  return json;
}

Result<Verdict> read_verdict(const Json& json, const std::string& what) {
  PARE_TRY(privilege::Privilege named,
           privilege::parse_privilege(json.at("privilege").get<std::string>()));
  Verdict v;
  v.privilege = named;
  PARE_TRY(v.phase, evidence::parse_phase(json.at("phase").get<std::string>()));
  std::string kind = json.at("verdict");
  bool known = false;
  for (const auto& [value, name] : kKinds) {
    if (name != kind) continue;
    v.kind = value;
    known = true;
  }
  if (!known) return fail(ErrorKind::kUnread, what + ": unknown verdict '" + kind + "'");
  v.asked = json.value("asked", false);
  v.used = json.value("used", false);
  v.tolerated = json.value("tolerated", false);
  v.because = json.value("because", "");
  v.trials = json.value("trials", std::vector<int>{});
  v.evidence = json.value("evidence", std::vector<std::string>{});
  if (auto fix = json.find("fix"); fix != json.end() && !fix->is_null()) {
    v.fix = Fix{fix->at("text"), fix->value("change", "")};
  }
  return v;
}

Json trials_json(const std::vector<TrialEntry>& trials) {
  Json list = Json::array();
  for (const TrialEntry& t : trials) {
    list.push_back({{"id", t.id},
                    {"kind", t.kind},
                    {"outcome", t.outcome},
                    {"failed", t.failed},
                    {"without", t.without},
                    {"why", t.why},
                    {"seconds", t.seconds},
                    {"starts", t.starts}});
  }
  return list;
}

void read_rest(const Json& json, Proof& p) {
  p.pare_version = json.value("pare", "");
  p.confirmed = json.at("confirmed");
  p.minimal = json.at("minimal");
  p.not_minimal_because = json.value("notMinimalBecause", "");
  for (const Json& c : json.at("checks")) p.checks.push_back({c.at("name"), c.at("spec")});
  const Json& host = json.at("host");
  p.kernel = host.value("kernel", "");
  p.arch = host.value("arch", "");
  p.runtime = host.value("runtime", "");
  p.engine = host.value("engine", "");
  p.date = host.value("date", "");
  p.assumptions = json.value("assumptions", std::vector<std::string>{});
  for (const Json& f : json.at("findings")) {
    p.findings.push_back({f.at("id"), f.at("severity"), f.at("text"),
                          f.value("evidence", std::vector<std::string>{})});
  }
  for (const Json& t : json.at("trials")) {
    p.trials.push_back({t.at("id"), t.at("kind"), t.at("outcome"),
                        t.value("failed", std::vector<std::string>{}),
                        t.value("without", std::vector<std::string>{}), t.value("why", ""),
                        t.value("seconds", 0.0), t.value("starts", 1)});
  }
  p.loss = {json.at("loss").at("events"),
            json.at("loss").at("maps").get<std::vector<std::string>>()};
}

Result<privilege::Policy> read_policy(const Json& json, const std::string& what) {
  auto policy = privilege::policy_from_json(json);
  if (!policy) return fail(policy.error().kind, what + ": " + policy.error().message);
  return policy;
}

Result<Proof> read_proof(const Json& json, const std::string& what) {
  Proof p;
  PARE_TRY(p.platform, privilege::find_platform(json.at("platform").get<std::string>()));
  PARE_TRY(p.target, target::target_from_json(json.at("target"), what));
  Json asked = json.at("target").at("asked");
  asked["user"] = json.at("askedUser");
  PARE_TRY(p.asked, read_policy(asked, what));
  p.target.resolved_user = p.asked.user;
  PARE_TRY(p.policy, read_policy(json.at("policy"), what));
  for (const Json& v : json.at("verdicts")) {
    PARE_TRY(Verdict verdict, read_verdict(v, what));
    p.verdicts.push_back(std::move(verdict));
  }
  read_rest(json, p);
  return p;
}

}  // namespace

std::string_view to_string(Kind kind) {
  for (const auto& [value, name] : kKinds) {
    if (value == kind) return name;
  }
  return "unproven";
}

Json to_json(const Proof& proof) {
  Json json = {{"schema", kSchema},
               {"pare", proof.pare_version},
               {"confirmed", proof.confirmed},
               {"minimal", proof.minimal},
               {"notMinimalBecause", proof.not_minimal_because},
               {"platform", proof.platform.name},
               {"platformVersion", proof.platform.version},
               {"platformSource", proof.platform.source},
               {"assumptions", proof.assumptions},
               {"trials", trials_json(proof.trials)}};
  json["target"] = target::to_json(proof.target, proof.asked);
  json["askedUser"] = privilege::to_json(proof.asked)["user"];
  json["policy"] = privilege::to_json(proof.policy);
  json["checks"] = Json::array();
  for (const CheckEntry& c : proof.checks) {
    json["checks"].push_back({{"name", c.name}, {"spec", c.spec}});
  }
  json["verdicts"] = Json::array();
  for (const Verdict& v : proof.verdicts) json["verdicts"].push_back(verdict_json(v));
  json["host"] = {{"kernel", proof.kernel},
                  {"arch", proof.arch},
                  {"runtime", proof.runtime},
                  {"engine", proof.engine},
                  {"date", proof.date}};
  json["findings"] = Json::array();
  for (const Finding& f : proof.findings) {
    json["findings"].push_back(
        {{"id", f.id}, {"severity", f.severity}, {"text", f.text}, {"evidence", f.evidence}});
  }
  json["loss"] = {{"events", proof.loss.events}, {"maps", proof.loss.maps}};
  return json;
}

bool stays_reachable(const Verdict& verdict) {
  return verdict.privilege.axis == privilege::Axis::kEndpoint && !verdict.fix;
}

Result<Proof> proof_from_json(const Json& json, const std::string& what) {
  try {
    std::string schema = base::text_member(json, "schema");
    if (schema != kSchema) {
      return fail(ErrorKind::kUnread,
                  what + ": expected schema " + kSchema + ", found '" + schema + "'");
    }
    return read_proof(json, what);
  } catch (const Json::exception& e) {
    return fail(ErrorKind::kUnread, what + ": " + base::json_problem(e));
  }
}

}  // namespace pare::verdict
