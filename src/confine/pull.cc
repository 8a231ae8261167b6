#include "confine/pull.h"

#include <algorithm>
#include <csignal>

#include "check/closed_network.h"
#include "confine/seal.h"
#include "confine/serve_log.h"
#include "sys/deadline.h"

namespace pare::confine {

using std::chrono::milliseconds;

namespace {

constexpr milliseconds kStep{50}, kStopLimit{30'000};

// The proof's policy, for a container that may write one volume and nothing else.
Status to_pull(ServePlan& plan, const PullOptions& options) {
  privilege::Policy& policy = plan.policy;
  bool known = false;
  for (privilege::VolumeAccess& volume : policy.volumes) {
    volume.writable = volume.path == options.into;
    known = known || volume.writable;
  }
  if (!known) {
    return fail(ErrorKind::kUsage, "the proof has no volume at '" + options.into +
                                       "': name the one to fill with --into PATH");
  }
  policy.no_new_privileges = true;
  policy.rootfs_writable = false;
  if (options.command.empty()) return {};
  // Another program than the one that was proved: its calls are not known.
  plan.target.entrypoint.clear();
  plan.target.facts.entrypoint.clear();
  plan.target.command = options.command;
  policy.arguments.reset();
  policy.capabilities = {};
  policy.seccomp.reset();
  bool scratch = std::any_of(policy.writable.begin(), policy.writable.end(),
                             [](const privilege::Writable& w) { return w.path == "/tmp"; });
  if (!scratch) policy.writable.push_back({"/tmp", "tmpfs", 512 << 20, false, false});
  return {};
}

Pulled until_exit(engine::Container& container, const PullOptions& options,
                  const std::atomic<bool>& stop) {
  sys::Deadline deadline(options.limit);
  Pulled pulled;
  while (!stop && !deadline.passed()) {
    engine::ExitState exit = container.wait(kStep);
    if (!exit.exited) continue;
    pulled.code = exit.code;
    if (exit.code != 0) pulled.why = "the pull exited with code " + std::to_string(exit.code);
    return pulled;
  }
  pulled.code = 1;
  pulled.why = stop ? "interrupted" : "the pull did not end within its limit";
  return pulled;
}

Result<Pulled> until_ready(engine::Container& container, const ServePlan& plan,
                           const PullOptions& options, const std::atomic<bool>& stop) {
  check::Subject subject;
  subject.pid = container.pid();
  for (const privilege::PortGrant& port : plan.policy.ports) subject.reachable.push_back(port.port);
  subject.exec = [&](const std::vector<std::string>& argv, milliseconds limit) {
    return container.exec(argv, limit);
  };
  Pulled pulled;
  if (subject.pid == 0) {
    pulled.code = std::max(container.state().code, 1);
    pulled.why = "the server ended at once";
    return pulled;
  }
  check::Patience patience;
  patience.limit = patience.answering = options.limit;
  PARE_TRY(check::Ready ready, check::wait_ready(plan.checks, subject, patience, [&] {
             return !stop && !container.state().exited;
           }));
  if (ready.pass) {
    (void)container.signal(SIGTERM);
    container.wait(kStopLimit);
  } else {
    pulled.code = 1;
    pulled.why = ready.name + ": " + ready.why;
  }
  return pulled;
}

}  // namespace

Result<Pulled> pull(ServePlan plan, engine::Engine& engine, const PullOptions& options,
                    const std::atomic<bool>& stop) {
  PARE_CHECK_OK(to_pull(plan, options));
  PARE_TRY(plan.target, engine.resolve(plan.target));
  PARE_TRY(auto network, check::ClosedNetwork::open(privilege::Refusal::kUnreachable));
  PARE_TRY(auto doors, PullDoors::open(network->tid(), options.hosts, options.netns, options.tell));
  PARE_TRY(auto log, LogReader::open({}, options.log));
  engine::CreateOptions create;
  create.id = options.id;
  create.volumes = plan.volumes;
  create.netns = network->path();
  create.output = log->write_end();
  create.hosts = doors->names();
  std::string socket = options.directory + "/seal-pull";
  SealPlan seal_plan = plan_seal(plan.policy, socket);
  create.seccomp = seal_plan.profile;
  PARE_TRY(auto seal, Seal::open(seal_plan, socket, [&](const Denial& d) {
             options.tell("refused " + d.call + "(" + d.argument + ") of process " +
                          std::to_string(d.pid) + " (" + d.program + ")");
           }));
  PARE_TRY(auto container, engine.create(plan.target, plan.policy, plan.platform, create));
  PARE_CHECK_OK(container->start());
  log->close_write_end();
  Pulled pulled;
  if (options.command.empty()) {
    PARE_TRY(pulled, until_ready(*container, plan, options, stop));
  } else {
    pulled = until_exit(*container, options, stop);
  }
  PARE_CHECK_OK(container->remove());
  pulled.traffic = doors->counters();
  return pulled;
}

}  // namespace pare::confine
