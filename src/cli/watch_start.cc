#include "cli/watch_start.h"

#include <sys/stat.h>

#include <cerrno>
#include <csignal>

#include "sys/running.h"

namespace pare::cli {

namespace {

constexpr std::chrono::milliseconds kStopLimit{10'000};

}  // namespace

Result<std::unique_ptr<WatchedServer>> WatchedServer::make(const ServeWords& words,
                                                           const std::string& netns) {
  PARE_TRY(Serving serving, read_serving(words));
  verdict::Proof& proof = serving.file.proof;
  // What of it may leave is the window's business.
  proof.policy.egress.clear();
  proof.policy.egress_any = false;
  if (!netns.empty() && words.rootfs.empty() && proof.target.kind == target::Kind::kImage)
    return fail(ErrorKind::kUsage, "--netns is for a root file system: Docker gives the network");
  PARE_TRY(confine::ServePlan plan,
           confine::plan_serve(proof, serving.file.evidence, serving.wishes));
  PARE_TRY(Workshop workshop, open_serving(words, plan));
  std::unique_ptr<WatchedServer> server(new WatchedServer(std::move(workshop), std::move(plan)));
  PARE_CHECK_OK(server->create(netns));
  PARE_CHECK_OK(server->find_subject());
  return server;
}

Status WatchedServer::create(const std::string& netns) {
  engine::Engine& engine = *workshop_.engine;
  PARE_TRY(plan_.target, engine.resolve(plan_.target));
  engine::CreateOptions create;
  create.withheld = confine::withhold_keys(plan_.target);
  create.id = "pare-" + workshop_.session.id() + "-watch";
  create.volumes = plan_.volumes;
  create.log_path = workshop_.session.directory() + "/log";
  create.netns = netns;
  create.open_network = engine.name() == "docker";
  create.memory_bytes = plan_.memory_bytes;
  PARE_TRY(container_, engine.create(plan_.target, plan_.policy, plan_.platform, create));
  return {};
}

Status WatchedServer::find_subject() {
  if (workshop_.engine->name() == "docker") {
    PARE_TRY(subject_, confine::find_subject(container_->cgroup_leaf(), docker_socket()));
    subject_.name = plan_.target.name;
    subject_.log = {workshop_.session.directory() + "/log", false};
    return {};
  }
  // Made before the runtime does: a window on it holds from the first process on, and nobody
  // removes the directory above meanwhile.
  PARE_TRY(const std::string mount, sys::v2_mount());
  subject_.name = plan_.target.name;
  subject_.cgroup = mount + "/pare/" + container_->cgroup_leaf();
  subject_.log = {workshop_.session.directory() + "/log", false};
  for (int tries = 0; tries < 10; ++tries) {
    if (mkdir((mount + "/pare").c_str(), 0755) != 0 && errno != EEXIST) break;
    if (mkdir(subject_.cgroup.c_str(), 0755) == 0) return {};
    if (errno != ENOENT) break;  // else another pare removed the one above in between
  }
  return fail_errno("cannot make the cgroup " + subject_.cgroup, errno);
}

std::string WatchedServer::ended() {
  const engine::ExitState state = container_->state();
  if (!state.exited) return "";
  if (state.oom_killed) return "the server was killed for want of memory";
  return "the server ended with code " + std::to_string(state.code);
}

Status WatchedServer::stop() {
  if (!container_->state().exited && container_->pid() != 0) {
    PARE_CHECK_OK(container_->signal(SIGTERM));
    container_->wait(kStopLimit);
  }
  return container_->remove();
}

}  // namespace pare::cli
