// pare pull: fills a volume from named hosts, in a container of its own.
#include "confine/pull.h"

#include <fmt/core.h>

#include <memory>

#include "base/text.h"
#include "base/time.h"
#include "cli/serve_words.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {

struct PullWords {
  ServeWords serve;
  std::vector<std::string> hosts, resolve, command;
  std::string into, netns, limit, manifest = kManifest;
};

// Those that the proof saw a need of while it pulled, unless some are named.
Result<std::vector<confine::PullHost>> hosts_of(const PullWords& words,
                                                const verdict::Proof& proof) {
  std::vector<confine::PullHost> hosts;
  for (const std::string& name : words.hosts.empty() ? hosts_needed(proof) : words.hosts) {
    PARE_TRY(confine::PullHost host, confine::parse_pull_host(name));
    hosts.push_back(std::move(host));
  }
  if (hosts.empty()) {
    return fail(ErrorKind::kUsage,
                "no host to pull from: the proof names none; give --host NAME[:PORT]");
  }
  std::vector<std::pair<std::string, std::string>> pinned;
  for (const std::string& text : words.resolve) {
    size_t equals = text.find('=');
    if (equals == std::string::npos) {
      return fail(ErrorKind::kUsage, "--resolve '" + text + "' is not NAME=ADDRESS");
    }
    pinned.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  PARE_CHECK_OK(confine::resolve_hosts(hosts, pinned));
  return hosts;
}

Result<std::string> volume_to_fill(const PullWords& words, const confine::ServePlan& plan) {
  if (!words.into.empty()) return words.into;
  if (plan.volumes.size() == 1) return plan.volumes.front().path;
  return fail(ErrorKind::kUsage,
              fmt::format("the proof has {} volumes: say which one to fill with --into PATH",
                          plan.volumes.size()));
}

Result<int> run_pull(const PullWords& words) {
  PARE_TRY(Serving serving, read_serving(words.serve));
  verdict::Proof& proof = serving.file.proof;
  PARE_TRY(std::vector<confine::PullHost> hosts, hosts_of(words, proof));
  // Its way out is this phase's, by name.
  proof.policy.egress.clear();
  proof.policy.egress_any = false;
  PARE_TRY(confine::ServePlan plan, confine::plan_serve(proof, std::nullopt, serving.wishes));
  if (plan.target.kind == target::Kind::kImage) {
    return fail(ErrorKind::kUsage,
                "the proof is of the image " + plan.target.image +
                    ": a pull needs its root file system, --rootfs DIR (docker export writes it)");
  }
  confine::PullOptions options;
  PARE_TRY(options.into, volume_to_fill(words, plan));
  PARE_TRY(InVolume volume, in_volume(plan, options.into));
  if (!words.limit.empty()) {
    auto limit = base::parse_duration(words.limit);
    if (!limit) return fail(ErrorKind::kUsage, "--limit '" + words.limit + "' is no duration");
    options.limit = *limit;
  }
  options.hosts = std::move(hosts);
  options.netns = words.netns;
  options.command = words.command;
  options.tell = say;
  options.log = print_line;
  const std::atomic<bool>& stop = stop_on_signals();
  PARE_TRY(Workshop workshop, open_serving(words.serve, plan));
  options.id = "pare-" + workshop.session.id() + "-pull";
  options.directory = workshop.session.directory();
  std::string owner = fmt::format("{}:{}", plan.policy.user.uid, plan.policy.user.gid);
  PARE_CHECK_OK(run_prepare({"--volume", volume.source, "--own", owner, "--foreign"}));
  PARE_TRY(confine::Pulled pulled, confine::pull(std::move(plan), *workshop.engine, options, stop));
  if (pulled.code != 0) {
    say(pulled.why);
    return 1;
  }
  PARE_CHECK_OK(run_prepare(
      {"--volume", volume.source, "--own", owner, "--manifest", words.manifest, "--foreign"}));
  say(fmt::format("pulled {} bytes over {} connections; {}/{} lists what is there",
                  pulled.traffic.bytes_out, pulled.traffic.accepted, volume.source,
                  words.manifest));
  return 0;
}

}  // namespace

Action set_up_pull(CLI::App& app) {
  auto words = std::make_shared<PullWords>();
  add_serve_words(app, words->serve);
  for (CLI::Option* option :
       {app.add_option("--host", words->hosts, "NAME[:PORT] that may be reached (proof's needs)"),
        app.add_option("--resolve", words->resolve, "NAME=ADDRESS instead of looking it up")}) {
    option->allow_extra_args(false);
  }
  app.add_option("--into", words->into, "path in the container of the volume to fill");
  app.add_option("--netns", words->netns, "network namespace that the hosts are reached from");
  app.add_option("--limit", words->limit, "limit of the whole pull (1h)");
  app.add_option("--manifest", words->manifest, "written into the volume at the end (pare.sha256)");
  app.add_option("command", words->command,
                 "CMD ARGS to pull with, after --; else the server itself, until it is ready");
  return [words] { return run_pull(*words); };
}

}  // namespace pare::cli
