// pare emit PROOF --to PLATFORM: a proof, written down for a platform.
#include "emit/emit.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "cli/emit_check.h"
#include "cli/emit_patch.h"
#include "cli/proof_file.h"
#include "cli/verbs.h"

namespace pare::cli {

namespace {

struct EmitOptions {
  std::string proof, to, out, cluster_version, patch;
  bool check = false, json = false;
  emit::Options emit;
};

// "1.20" or "v1.20.3" -> 20; empty -> 0.
Result<int> parse_cluster_version(const std::string& text) {
  if (text.empty()) return 0;
  auto parts = base::split(text[0] == 'v' ? text.substr(1) : text, '.');
  auto minor = parts.size() > 1 ? base::parse_u64(parts[1]) : std::nullopt;
  // seccompProfile is a field since 1.19; what is older than 1.20 was never tried.
  if (parts[0] != "1" || !minor || *minor < 20 || *minor > 1000) {
    return fail(ErrorKind::kUsage,
                "--cluster-version '" + text + "' is no Kubernetes version from 1.20 on");
  }
  return static_cast<int>(*minor);
}

// RFC 1123, section 2.1, as Kubernetes takes it for names of objects.
bool is_object_name(std::string_view name) {
  auto letter = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return name.size() <= 253 && letter(name.front()) && letter(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](unsigned char c) { return letter(c) || c == '-' || c == '.'; });
}

// What the API server would refuse, or take for something else.
Status check_names(const emit::Options& options) {
  for (const auto& [option, name] : {std::pair{"--runtime-class", &options.runtime_class},
                                     std::pair{"--seccomp-operator", &options.seccomp_operator},
                                     std::pair{"--metrics-from", &options.metrics_from}}) {
    if (name->empty() || is_object_name(*name)) continue;
    return fail(ErrorKind::kUsage,
                fmt::format("{} '{}' is no name of Kubernetes: lower-case letters, digits, - and .",
                            option, *name));
  }
  return {};
}

// The file under its own name, and the profiles that it names now.
Result<std::vector<emit::File>> patched(const verdict::Proof& proof, const std::string& to,
                                        const emit::Options& options, const std::string& file) {
  PARE_TRY(std::string text, patched_file(proof, to, options, file));
  std::string name = std::filesystem::path(file).filename();
  std::vector<emit::File> files = {{name, text}};
  PARE_TRY(std::vector<emit::File> fresh, emit::emit(proof, to, options));
  for (const emit::File& profile : fresh) {
    std::string own = std::filesystem::path(profile.name).filename();
    if (base::ends_with(own, ".json") && text.find(own) != std::string::npos) {
      files.push_back(profile);
    }
  }
  return files;
}

Result<int> emit_files(const EmitOptions& options) {
  PARE_TRY(ProofFile proof, read_proof(options.proof));
  emit::Options emit_options = options.emit;
  emit_options.proof_digest = proof.digest;
  PARE_TRY(emit_options.cluster_minor, parse_cluster_version(options.cluster_version));
  PARE_CHECK_OK(check_names(options.emit));
  if (options.check) {
    if (options.out.empty()) {
      return fail(ErrorKind::kUsage, "--check reads what was emitted: name its directory with -o");
    }
    return check_emitted(proof.proof, options.to, emit_options, options.out, options.json);
  }
  PARE_TRY(std::vector<emit::File> files,
           options.patch.empty() ? emit::emit(proof.proof, options.to, emit_options)
                                 : patched(proof.proof, options.to, emit_options, options.patch));
  if (options.out.empty() && !options.patch.empty()) {
    fmt::print("{}", files[0].content);
    for (size_t i = 1; i < files.size(); ++i) {
      fmt::print(stderr, "it names {}: -o DIR writes that too\n", files[i].name);
    }
    return 0;
  }
  if (options.out.empty()) {
    // One file is ready for a pipe; several are told apart by their names, YAML's as documents of
    // one stream.
    for (const emit::File& file : files) {
      bool yaml = base::ends_with(file.name, ".yaml") || base::ends_with(file.name, ".json");
      if (files.size() > 1) fmt::print("{}# ---- {}\n", yaml ? "---\n" : "", file.name);
      fmt::print("{}", file.content);
    }
    return 0;
  }
  for (const emit::File& file : files) {
    std::string path = options.out + "/" + file.name;
    PARE_CHECK_OK(base::make_directories(std::filesystem::path(path).parent_path()));
    PARE_CHECK_OK(base::write_file_atomic(path, file.content, file.executable() ? 0755 : 0644));
    fmt::print(stderr, "wrote {}\n", path);
  }
  return 0;
}

}  // namespace

Action set_up_emit(CLI::App& app) {
  auto options = std::make_shared<EmitOptions>();
  std::vector<std::string> names;
  for (const emit::Emitter& emitter : emit::emitter_table()) names.push_back(emitter.name);
  app.add_option("proof", options->proof, "proof.json, or the directory that prove wrote")
      ->required();
  app.add_option("--to", options->to, base::join(names, " | "))->required();
  app.add_option("-o,--out", options->out, "directory to write into (default: stdout)");
  app.add_flag("--check", options->check,
               "write nothing: read the files in -o DIR back and hold them against the proof");
  app.add_option("--patch", options->patch,
                 "kubernetes, compose: lay the policy over this file, comments and order kept")
      ->excludes("--check");
  app.add_flag("--json", options->json, "--check: pare.check/v1 instead of text");
  app.add_flag("--unconfirmed", options->emit.unconfirmed,
               "emit a proof that is not confirmed, and write that into every file");
  app.add_flag("--localhost-seccomp", options->emit.localhost_seccomp,
               "kubernetes: name the proved list of calls (a file on the node) as the profile");
  app.add_option("--seccomp-operator", options->emit.seccomp_operator,
                 "kubernetes: the list as an object of the Security Profiles Operator in this "
                 "namespace")
      ->excludes("--localhost-seccomp");
  app.add_option("--workload", options->emit.workload,
                 "kustomize, helm, --patch: the workload (compose: service)");
  app.add_option("--container", options->emit.container, "kustomize, helm, --patch: its container");
  app.add_option("--metrics-from", options->emit.metrics_from,
                 "kubernetes: the namespace that may reach the metrics ports (default: none)");
  app.add_option("--runtime-class", options->emit.runtime_class, "kubernetes: runtimeClassName");
  app.add_flag_callback(
      "--no-host-users", [options] { options->emit.host_users = false; },
      "kubernetes: hostUsers: false (1.30 and later)");
  app.add_option("--cluster-version", options->cluster_version,
                 "kubernetes: the oldest version that has to take it, 1.20 or later (default: a "
                 "current one)");
  return [options] { return emit_files(*options); };
}

}  // namespace pare::cli
