// Reads back compose.yaml: its services as the reader of compose files takes them.
#include <algorithm>

#include "emit/check_read.h"
#include "emit/docker.h"
#include "target/files.h"
#include "target/tree.h"

namespace pare::emit {

using target::Tree;

namespace {

// Whether the service has no way out: no network, or internal ones alone.
bool is_closed(const Tree& document, const std::string& service) {
  const Tree* own = document.get({"services", service});
  if (own == nullptr) return false;
  if (const Tree* mode = own->get("network_mode")) return mode->text == "none";
  const Tree* list = own->get("networks");
  if (list == nullptr) return false;
  std::vector<std::string> names;
  for (const Tree& item : list->seq) names.push_back(item.text);
  for (const Tree::Entry& entry : list->map) names.push_back(entry.key);
  return !names.empty() && std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    const Tree* internal = document.get({"networks", name, "internal"});
    return internal != nullptr && internal->text == "true";
  });
}

Result<std::pair<Granted, Terms>> read_service(const Reading& reading, const File& file,
                                               const Tree& document) {
  target::FileOptions options;
  options.not_to_run = true;
  options.container = reading.plan.name;
  // What is emitted names no other file that a reader would open.
  options.read_file = [](const std::string& path) -> Result<std::string> {
    return fail(ErrorKind::kUsage, path + " is not part of what was emitted");
  };
  options.environment = secret_values(reading.plan);
  PARE_TRY(auto workloads, target::read_target_files({{file.name, file.content}}, options));
  PARE_TRY(target::Workload workload, target::choose_workload(workloads, reading.plan.name));
  if (workload.refused) return tl::unexpected(*workload.refused);
  target::Target target = workload.target;
  for (target::EnvVar& v : target.env) {
    v.secret = v.secret || options.environment.count(v.name) > 0;
  }
  Granted granted{file.name, {}, {}};
  PARE_TRY(privilege::Platform docker, privilege::find_platform("docker"));
  PARE_TRY(granted.terms, target_terms(target, docker, reading, file.name));
  docker_network_terms(reading, is_closed(document, reading.plan.name), granted);
  Terms wanted = proof_terms(reading.proof, reading.plan);
  if (!reading.proof.target.lsm_options.empty()) {
    granted.cannot["lsm"] = "written in by hand where it matters";
  }
  return std::pair(granted, wanted);
}

}  // namespace

Result<std::vector<std::pair<Granted, Terms>>> read_compose(const Reading& reading) {
  PARE_TRY(const File* file, need_file(reading.files, "compose.yaml"));
  PARE_TRY(std::vector<Tree> documents,
           target::read_trees({file->name, file->content}, 0, target::yaml::Dialect::kCompose));
  if (documents.empty()) return fail(ErrorKind::kUnread, file->name + ": it is empty");
  std::vector<std::pair<Granted, Terms>> out;
  PARE_TRY(auto server, read_service(reading, *file, documents[0]));
  out.push_back(server);
  if (auto pull = pull_phase(reading.proof)) {
    Plan plan = pull_plan(*pull, reading.plan, reading.options);
    PARE_TRY(auto job, read_service({*pull, plan, reading.options, reading.files, reading.fresh},
                                    *file, documents[0]));
    out.push_back(job);
  }
  return out;
}

}  // namespace pare::emit
