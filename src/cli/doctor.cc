// pare doctor: say beforehand what this host can and cannot do.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>

#include "base/json.h"
#include "cli/host.h"
#include "cli/target_options.h"
#include "cli/verbs.h"
#include "confine/seal.h"
#include "engine/engine.h"
#include "record/recorder.h"
#include "sys/cgroup.h"
#include "sys/session.h"

namespace pare::cli {

namespace {

struct Finding {
  std::string name;
  bool ok = false;
  bool required = false;  // prove does not run without it, as it is called by default
  std::string text;       // what was found, or what is missing and the remedy
};

Finding root() {
  return {"root", geteuid() == 0, true,
          geteuid() == 0 ? "running as root" : "not root: run pare with sudo"};
}

Finding recorder() {
  record::Support support = record::probe();
  return {"recorder", support.ok, true,
          support.ok
              ? "BTF is there and eBPF works; capabilities through the " + support.capability_hook
              : support.missing + " (prove still works with --no-record)"};
}

Finding cgroups() {
  auto mode = sys::cgroup_mode();
  return {"cgroups", mode.has_value(), true,
          mode ? std::string(sys::to_string(*mode)) : mode.error().message};
}

Finding state() {
  std::string root = sys::state_root();
  auto session = sys::Session::open();
  return {"state", session.has_value(), true,
          session ? root + " is writable" : session.error().message};
}

Finding engine_version(const std::string& name, Result<std::unique_ptr<engine::Engine>> made) {
  if (!made) return {name, false, false, made.error().message};
  auto version = (*made)->runtime_version();
  std::string text = version ? *version : version.error().message;
  if (version && (*made)->own_kernel()) text += ": proves with --no-record, runs with --no-seal";
  return {name, version.has_value(), false, text};
}

Finding seal() {
  Status possible = confine::seal_possible();
  return {"seal", possible.has_value(), false,
          possible ? "the kernel asks a listener; whether the runtime hands it over, run says"
                   : possible.error().message + " (run works with --no-seal)"};
}

std::vector<Finding> examine() {
  std::vector<Finding> findings = {root(), cgroups(), state(), recorder(), seal()};
  engine::OciOptions oci;
  oci.state_dir = sys::state_root();
  findings.push_back(engine_version("oci engine", engine::make_oci(oci)));
  for (const char* other : {"crun", "runsc"}) {  // --runtime
    oci.runtime = other;
    findings.push_back(engine_version(other, engine::make_oci(oci)));
  }
  engine::DockerOptions docker;
  docker.state_dir = sys::state_root();
  const char* host = getenv("DOCKER_HOST");
  if (host != nullptr && std::string_view(host).substr(0, 7) == "unix://") docker.socket = host + 7;
  findings.push_back(engine_version("docker engine", engine::make_docker(docker)));
  return findings;
}

Result<int> doctor(bool json, bool recorder_only) {
  std::vector<Finding> findings = recorder_only ? std::vector<Finding>{recorder()} : examine();
  bool engine = recorder_only;
  bool required = true;
  base::Json list = base::Json::array();
  for (const Finding& f : findings) {
    if (f.required) required = required && f.ok;
    if (recorder_only) engine = engine && f.ok;
    if (f.name.find("engine") != std::string::npos) engine = engine || f.ok;
    list.push_back({{"name", f.name}, {"ok", f.ok}, {"text", f.text}});
    if (!json) fmt::print("{:4} {:14} {}\n", f.ok ? "ok" : "no", f.name, f.text);
  }
  HostFacts host = host_facts();
  if (json) {
    base::Json all = {{"schema", "pare.doctor/v1"},
                      {"kernel", host.kernel},
                      {"arch", host.arch},
                      {"findings", list}};
    fmt::print("{}\n", base::write_json(all));
  } else if (!recorder_only) {
    fmt::print("     {:14} {} {}\n", "kernel", host.kernel, host.arch);
  }
  return required && engine ? 0 : base::exit_code(ErrorKind::kHost);
}

}  // namespace

Action set_up_doctor(CLI::App& app) {
  auto json = std::make_shared<bool>(false);
  auto recorder_only = std::make_shared<bool>(false);
  app.add_flag("--json", *json, "findings as JSON");
  app.add_flag("--recorder", *recorder_only, "only whether this host can record");
  return [json, recorder_only] { return doctor(*json, *recorder_only); };
}

}  // namespace pare::cli
