#include "evidence/evidence.h"

#include "base/json.h"
#include "base/utf8.h"

namespace pare::evidence {

using base::get_optional;
using base::Json;
using base::put_optional;

namespace {

constexpr const char* kSchema = "pare.evidence/v1";

Json phases_json(Json json, Phase first, bool serve) {
  json["phase"] = serve ? "serve" : std::string(to_string(first));
  json["first"] = to_string(first);
  return json;
}

Phase phase_of(const std::string& text) {
  return text == "serve" ? Phase::kServe : Phase::kPull;
}

// Only in merged evidence.
Json with_replicas(Json json, const Replicas& replicas) {
  if (!replicas.empty()) json["replicas"] = replicas;
  return json;
}

Replicas read_replicas(const Json& json) {
  return json.value("replicas", Replicas{});
}

Json use_json(const CapabilityUse& u) {
  Json json = {{"id", u.id},   {"syscall", u.syscall}, {"object", u.object},
               {"exe", u.exe}, {"uid", u.uid},         {"granted", u.granted}};
  put_optional(json, "owner", u.owner);
  put_optional(json, "ownerGid", u.owner_gid);
  return with_replicas(json, u.replicas);
}

Json capability_json(const CapabilityFact& c) {
  Json uses = Json::array();
  for (const CapabilityUse& u : c.uses) uses.push_back(use_json(u));
  Json json = phases_json({{"name", c.name},
                           {"granted", c.granted},
                           {"refused", c.refused},
                           {"advisory", c.advisory},
                           {"uses", uses}},
                          c.phase, c.serve);
  return with_replicas(json, c.replicas);
}

CapabilityFact read_capability(const Json& j) {
  CapabilityFact c;
  c.name = j.at("name");
  c.granted = j.at("granted");
  c.refused = j.at("refused");
  c.advisory = j.at("advisory");
  c.phase = phase_of(j.value("first", "pull"));
  c.serve = j.value("phase", "pull") == "serve";
  c.replicas = read_replicas(j);
  for (const Json& u : j.at("uses")) {
    CapabilityUse use{u.at("id"),  u.at("syscall"), u.at("object"),
                      u.at("exe"), u.at("uid"),     u.value("granted", true)};
    use.owner = get_optional<uint32_t>(u, "owner");
    use.owner_gid = get_optional<uint32_t>(u, "ownerGid");
    use.replicas = read_replicas(u);
    c.uses.push_back(use);
  }
  return c;
}

Json file_json(const FileFact& f) {
  Json json = {{"id", f.id},      {"path", f.path}, {"ops", f.ops},
               {"exe", f.exe},    {"uid", f.uid},   {"phase", to_string(f.phase)},
               {"count", f.count}};
  put_optional(json, "errno", f.error);
  put_optional(json, "owner", f.owner);
  put_optional(json, "ownerGid", f.owner_gid);
  return with_replicas(json, f.replicas);
}

FileFact read_file_fact(const Json& j) {
  FileFact f;
  f.id = j.value("id", "");
  f.path = j.at("path");
  f.ops = j.at("ops").get<std::vector<std::string>>();
  f.error = get_optional<std::string>(j, "errno");
  f.exe = j.value("exe", "");
  f.uid = j.value("uid", uint32_t{0});
  f.phase = phase_of(j.value("phase", "pull"));
  f.owner = get_optional<uint32_t>(j, "owner");
  f.owner_gid = get_optional<uint32_t>(j, "ownerGid");
  f.count = j.value("count", uint64_t{1});
  f.replicas = read_replicas(j);
  return f;
}

Json syscall_json(const SyscallFact& s) {
  Json exes = Json::array();
  for (const ExeCalls& x : s.exes) exes.push_back({{"exe", x.exe}, {"count", x.count}});
  Json j =
      phases_json({{"name", s.name}, {"count", s.count}, {"refused", s.refused}, {"exes", exes}},
                  s.phase, s.serve);
  if (!s.abi.empty()) j["abi"] = s.abi;
  return with_replicas(j, s.replicas);
}

SyscallFact read_syscall(const Json& j) {
  SyscallFact s{j.at("name"), j.at("count"), j.value("refused", uint64_t{0})};
  s.phase = phase_of(j.value("first", "pull"));
  s.serve = j.value("phase", "pull") == "serve";
  s.abi = j.value("abi", "");
  s.replicas = read_replicas(j);
  for (const Json& x : j.value("exes", Json::array()))
    s.exes.push_back({x.at("exe"), x.at("count")});
  return s;
}

Json listener_json(const ListenerFact& l) {
  Json endpoints = Json::array();
  for (const EndpointFact& e : l.endpoints)
    endpoints.push_back(
        {{"path", e.path}, {"method", e.method}, {"status", e.status}, {"role", e.role}});
  Json json = {{"port", l.port},     {"protocol", l.protocol}, {"address", l.address},
               {"speaks", l.speaks}, {"role", l.role},         {"endpoints", endpoints}};
  if (!l.server.empty()) json["server"] = l.server;
  return with_replicas(json, l.replicas);
}

ListenerFact read_listener(const Json& j) {
  ListenerFact l{j.at("port"), j.at("protocol"), j.at("address"), j.value("speaks", ""),
                 j.value("role", "unknown")};
  l.replicas = read_replicas(j);
  l.server = j.value("server", "");
  for (const Json& e : j.value("endpoints", Json::array()))
    l.endpoints.push_back({e.at("path"), e.at("method"), e.at("status"), e.at("role")});
  return l;
}

Json egress_json(const EgressFact& e) {
  Json json = {{"id", e.id},           {"destination", e.destination},
               {"port", e.port},       {"protocol", e.protocol},
               {"name", e.name},       {"attempts", e.attempts},
               {"outcome", e.outcome}, {"phase", to_string(e.phase)}};
  put_optional(json, "periodMs", e.period_ms);
  return with_replicas(json, e.replicas);
}

EgressFact read_egress(const Json& j) {
  EgressFact e;
  e.id = j.value("id", "");
  e.destination = j.at("destination");
  e.port = j.at("port");
  e.protocol = j.at("protocol");
  e.name = j.value("name", "");
  e.attempts = j.at("attempts");
  e.outcome = j.at("outcome");
  e.phase = phase_of(j.value("phase", "pull"));
  e.period_ms = get_optional<uint64_t>(j, "periodMs");
  e.replicas = read_replicas(j);
  return e;
}

Json argument_json(const ArgumentFact& a) {
  Json j = {{"syscall", a.syscall},
            {"values", a.values},
            {"object", a.object},
            {"count", a.count},
            {"phase", to_string(a.phase)}};
  put_optional(j, "errno", a.error);
  return with_replicas(j, a.replicas);
}

ArgumentFact read_argument(const Json& j) {
  return {j.at("syscall"),       j.at("values"),
          j.value("object", ""), get_optional<std::string>(j, "errno"),
          j.at("count"),         phase_of(j.value("phase", "pull")),
          read_replicas(j)};
}

// Names of files are bytes; JSON is UTF-8.
void make_text(Json& json) {
  if (json.is_string()) {
    auto& text = json.get_ref<std::string&>();
    text = base::valid_utf8(text);
  }
  if (!json.is_structured()) return;
  for (auto& item : json) make_text(item);
}

template <typename T, typename F>
Json list(const std::vector<T>& items, F&& one) {
  Json out = Json::array();
  for (const T& item : items) out.push_back(one(item));
  return out;
}

template <typename T, typename F>
void read_list(const Json& json, const char* key, std::vector<T>& into, F&& one) {
  auto it = json.find(key);
  if (it == json.end()) return;
  for (const Json& item : *it) into.push_back(one(item));
}

Evidence read_evidence(const Json& json) {
  Evidence e;
  e.coverage = json.at("coverage") == "entry" ? Coverage::kEntry : Coverage::kAttached;
  e.capability_hook = json.at("recorder").value("capabilities", "");
  e.ready = get_optional<std::string>(json, "ready").value_or("");
  read_list(json, "syscalls", e.syscalls, read_syscall);
  read_list(json, "arguments", e.arguments, read_argument);
  e.runtime_syscalls = json.value("runtimeSyscalls", std::vector<std::string>{});
  read_list(json, "capabilities", e.capabilities, read_capability);
  read_list(json, "files", e.files, read_file_fact);
  read_list(json, "listeners", e.listeners, read_listener);
  read_list(json, "egress", e.egress, read_egress);
  read_list(json, "dns", e.dns, [](const Json& j) {
    return DnsFact{j.at("name"), j.at("type"), j.at("count"), read_replicas(j)};
  });
  read_list(json, "ioUring", e.io_uring, [](const Json& j) {
    return IoUringFact{j.at("opcode"), j.at("object"), j.at("count"), read_replicas(j)};
  });
  read_list(json, "execs", e.execs, [](const Json& j) {
    return ExecFact{j.at("path"), j.at("count"), get_optional<std::string>(j, "errno"),
                    read_replicas(j)};
  });
  const Json& peaks = json.at("peaks");
  e.peaks = {peaks.value("tasks", uint64_t{0}), peaks.value("memoryBytes", uint64_t{0}),
             peaks.value("shmBytes", uint64_t{0}), peaks.value("openFiles", uint64_t{0})};
  read_list(json, "areas", e.areas, [](const Json& j) {
    return AreaFact{j.at("path"), j.at("peakBytes")};
  });
  if (auto log = json.find("log"); log != json.end()) {
    e.log.bytes_per_second = log->value("bytesPerSecond", 0.0);
    read_list(*log, "repeated", e.log.repeated, [](const Json& j) {
      return LogFact::Line{j.at("line"), j.at("count")};
    });
  }
  const Json& loss = json.at("loss");
  e.loss = {loss.at("events"), loss.at("maps").get<std::vector<std::string>>()};
  e.replicas = json.value("replicas", std::vector<std::string>{});
  return e;
}

}  // namespace

std::string_view to_string(Phase phase) {
  return phase == Phase::kServe ? "serve" : "pull";
}

Result<Phase> parse_phase(std::string_view text) {
  if (text == "serve") return Phase::kServe;
  if (text == "pull") return Phase::kPull;
  return fail(ErrorKind::kUnread, "'" + std::string(text) + "' is not a phase: pull or serve");
}

Json to_json(const Evidence& e) {
  Json json = {{"schema", kSchema},
               {"coverage", e.coverage == Coverage::kEntry ? "entry" : "attached"},
               {"recorder", {{"capabilities", e.capability_hook}}},
               {"ready", e.ready.empty() ? Json(nullptr) : Json(e.ready)},
               {"runtimeSyscalls", e.runtime_syscalls}};
  json["syscalls"] = list(e.syscalls, syscall_json);
  json["capabilities"] = list(e.capabilities, capability_json);
  json["files"] = list(e.files, file_json);
  json["listeners"] = list(e.listeners, listener_json);
  json["arguments"] = list(e.arguments, argument_json);
  json["egress"] = list(e.egress, egress_json);
  json["dns"] = list(e.dns, [](const DnsFact& d) {
    return with_replicas({{"name", d.name}, {"type", d.type}, {"count", d.count}}, d.replicas);
  });
  json["ioUring"] = list(e.io_uring, [](const IoUringFact& u) {
    return with_replicas({{"opcode", u.opcode}, {"object", u.object}, {"count", u.count}},
                         u.replicas);
  });
  json["execs"] = list(e.execs, [](const ExecFact& x) {
    Json j = {{"path", x.path}, {"count", x.count}};
    put_optional(j, "errno", x.error);
    return with_replicas(j, x.replicas);
  });
  json["peaks"] = {{"tasks", e.peaks.tasks},
                   {"memoryBytes", e.peaks.memory_bytes},
                   {"shmBytes", e.peaks.shm_bytes},
                   {"openFiles", e.peaks.open_files}};
  json["areas"] = list(e.areas, [](const AreaFact& a) {
    return Json{{"path", a.path}, {"peakBytes", a.peak_bytes}};
  });
  json["log"] = {{"bytesPerSecond", e.log.bytes_per_second},
                 {"repeated", list(e.log.repeated, [](const LogFact::Line& l) {
                    return Json{{"line", l.line}, {"count", l.count}};
                  })}};
  json["loss"] = {{"events", e.loss.events}, {"maps", e.loss.maps}};
  if (!e.replicas.empty()) json["replicas"] = e.replicas;
  make_text(json);
  return json;
}

Result<Evidence> evidence_from_json(const Json& json, const std::string& what) {
  std::string schema = base::text_member(json, "schema");
  if (schema != kSchema) {
    return fail(ErrorKind::kUnread,
                what + ": expected schema " + kSchema + ", found '" + schema + "'");
  }
  base::NumberBounds bounds = {
      {"port", base::kPortBound},
      {"uid", base::kIdBound},
      {"owner", base::kIdBound},
      {"ownerGid", base::kIdBound},
      {"status", 1000},
      {"bytesPerSecond", std::nullopt},
      {"replicas", json.contains("replicas") ? json["replicas"].size() : 0}};
  PARE_CHECK_OK(base::check_numbers(json, bounds, what));
  return base::read_json(what, [&] { return read_evidence(json); });
}

}  // namespace pare::evidence
