#include "cli/serve_words.h"

#include <fmt/core.h>
#include <signal.h>

#include <cstdio>

#include "base/text.h"
#include "report/view.h"
#include "sys/process.h"

namespace pare::cli {

namespace {

std::atomic<bool> stop_asked{false};

void on_signal(int) {
  stop_asked = true;
}

}  // namespace

void add_serve_words(CLI::App& app, ServeWords& words) {
  app.add_option("proof", words.proof, "proof.json, or the directory that holds it")->required();
  add_serve_options(app, words);
}

void add_serve_options(CLI::App& app, ServeWords& words) {
  app.add_option("--rootfs", words.rootfs, "root file system, instead of the proof's");
  app.add_option("--runtime", words.runtime, "runc | crun | runsc (gVisor)");
  for (CLI::Option* option :
       {app.add_option("--volume", words.volumes, "HOST:PATH, instead of the proof's source"),
        app.add_option("--env", words.env, "NAME=VALUE, or NAME from the environment"),
        app.add_option("--secret", words.secrets, "NAME=FILE: a value that is never shown")}) {
    option->allow_extra_args(false);
  }
  app.add_flag("--unconfirmed", words.unconfirmed, "take a proof that was not confirmed");
}

Result<Serving> read_serving(const ServeWords& words) {
  Serving serving;
  PARE_TRY(serving.file, read_proof(words.proof));
  // Volumes and variables are spelled as for prove.
  TargetOptions options;
  options.rootfs = words.rootfs.empty() ? "/" : words.rootfs;
  options.volumes = words.volumes;
  options.env = words.env;
  options.secrets = words.secrets;
  options.words = {"/"};
  PARE_TRY(WrittenTarget written, make_target(options));
  const target::Target& target = written.target;
  serving.wishes.rootfs = words.rootfs.empty() ? "" : target.rootfs;
  serving.wishes.volumes = target.volumes;
  serving.wishes.env = target.env;
  serving.wishes.unconfirmed = words.unconfirmed;
  return serving;
}

Result<Workshop> open_serving(const ServeWords& words, confine::ServePlan& plan) {
  TargetOptions options;
  options.engine = words.engine;
  options.runtime = words.runtime;
  PARE_TRY(Workshop workshop, open_workshop(options, plan.target));
  for (const target::Volume& volume : plan.target.volumes) {
    if (!volume.named) continue;
    PARE_TRY(std::string directory, workshop.engine->volume_source(volume));
    if (directory.empty()) {
      return fail(ErrorKind::kUsage,
                  "the volume " + volume.source +
                      " is not on this Docker host: give --volume HOST:" + volume.path);
    }
    for (engine::VolumeMount& mount : plan.volumes) {
      if (mount.path == volume.path) mount.source = directory;
    }
  }
  return workshop;
}

std::vector<std::string> hosts_needed(const verdict::Proof& proof) {
  std::vector<std::string> names;
  for (const verdict::Verdict& v : proof.verdicts) {
    bool needed = v.kind == verdict::Kind::kNeeded && v.privilege.axis == privilege::Axis::kEgress;
    if (needed && v.privilege.value != "any") names.push_back(v.privilege.value);
  }
  return names;
}

const std::atomic<bool>& stop_on_signals() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaction(number, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return stop_asked;
}

Status run_prepare(const std::vector<std::string>& words) {
  sys::Command command;
  command.argv = {"/proc/self/exe", "prepare"};
  command.argv.insert(command.argv.end(), words.begin(), words.end());
  PARE_TRY(sys::Finished done, sys::run(command, std::chrono::hours(24)));
  if (done.code == 0) return {};
  std::string text(base::trim(done.code == 1 ? done.out : done.err));
  return fail(done.code == 2 ? ErrorKind::kUsage : ErrorKind::kHost, "prepare: " + text);
}

Result<InVolume> in_volume(const confine::ServePlan& plan, const std::string& path) {
  for (const engine::VolumeMount& volume : plan.volumes) {
    if (path == volume.path) return InVolume{volume.source, "."};
    if (base::starts_with(path, volume.path + "/")) {
      return InVolume{volume.source, path.substr(volume.path.size() + 1)};
    }
  }
  return fail(ErrorKind::kUsage, path + " lies on no volume of the proof");
}

void say(const std::string& text) {
  // The server chose parts of it (paths that it was refused): one line, and nothing for terminals.
  fmt::print(stderr, "pare: {}\n", report::printable(text));
}

void print_line(std::string_view line) {
  fmt::print("{}\n", line);
  fflush(stdout);
}

}  // namespace pare::cli
