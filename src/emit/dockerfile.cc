// A Dockerfile that puts the proof's user, directories and settings into an image of its own.
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/text.h"
#include "emit/emitters.h"
#include "emit/yaml.h"

namespace pare::emit {

namespace {

// The exec form is a JSON array (docs.docker.com, Dockerfile reference).
std::string exec_form(const std::vector<std::string>& words) {
  return base::write_json(base::Json(words));
}

// Docker expands $NAME in ENV and WORKDIR, and takes backslashes as escapes.
std::string unexpanded(const std::string& text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\' || c == '$') out += '\\';
    out += c;
  }
  return out;
}

// A Dockerfile has no way to say a line break in a value.
bool one_line(const std::string& text) {
  return text.find('\n') == std::string::npos;
}

// Directories that volumes and tmpfs are mounted over: a new named volume takes owner and mode
// from the image's directory, and a read-only root file system cannot make a mount point later.
std::vector<std::string> mount_points(const Plan& plan) {
  std::vector<std::string> paths;
  for (const Scratch& s : plan.scratch) {
    if (!s.copy_up) paths.push_back(s.path);
  }
  for (const Mounted& m : plan.volumes) {
    if (!m.file) paths.push_back(m.path);
  }
  return paths;
}

std::string directories(const verdict::Proof& proof, const Plan& plan) {
  std::vector<std::string> all = mount_points(plan), owned;
  for (const Mounted& m : plan.volumes) {
    if (m.writable && !m.file) owned.push_back(m.path);
  }
  if (all.empty()) return "";
  std::string text = "USER 0:0\nRUN mkdir -p " + base::shell_join(all);
  if (!owned.empty()) {
    text += fmt::format(" && chown {}:{} {}", proof.policy.user.uid, proof.policy.user.gid,
                        base::shell_join(owned));
  }
  return text + "\n";
}

std::string own_words(const verdict::Proof& proof, const Plan& plan) {
  std::string text;
  bool rootfs = proof.target.kind == target::Kind::kRootfs;
  if (!plan.entrypoint.empty()) text += "ENTRYPOINT " + exec_form(plan.entrypoint) + "\n";
  // ENTRYPOINT clears the base's CMD, and CMD alone keeps its ENTRYPOINT.
  bool changed = !plan.arguments.empty() && (!rootfs || !plan.entrypoint.empty());
  if (changed) text += "CMD " + exec_form(plan.arguments) + "\n";
  return text;
}

std::vector<std::string> inexpressible(const Plan& plan) {
  std::vector<std::string> out = {
      "capabilities, new privileges, the read-only root file system, seccomp, ports, egress and "
      "limits: they belong to who runs the image; use that platform's emitter beside this"};
  for (const target::EnvVar& variable : plan.env) {
    if (variable.secret) out.push_back(variable.name + ": a secret has no place in an image");
    if (!one_line(variable.value)) out.push_back(variable.name + ": its value has several lines");
  }
  return out;
}

}  // namespace

Result<std::vector<File>> emit_dockerfile(const verdict::Proof& proof, const Options& options) {
  Plan plan = make_plan(proof, options);
  bool rootfs = proof.target.kind == target::Kind::kRootfs;
  Header header;
  header.title = plan.name + ": an image that starts as the proof's user, with its directories.";
  if (rootfs) {
    // COPY would make root the owner of everything; ADD keeps what the archive says.
    header.extra.push_back("Its build context holds the root file system that was proved:");
    header.extra.push_back("  tar -C " + base::shell_quote(proof.target.rootfs) +
                           " --numeric-owner -cf rootfs.tar .");
  }
  header.check = {
      fmt::format("docker build --tag {}:proved .", plan.name),
      fmt::format("docker image inspect --format '{{{{.Config.User}}}}' {}:proved", plan.name)};
  std::string made = directories(proof, plan);
  if (!made.empty()) header.assumptions.emplace_back("the image has sh, mkdir and chown");
  header.inexpressible = inexpressible(plan);
  std::string text = comment_lines(header_text(proof, plan, header));
  text += rootfs ? "FROM scratch\nADD rootfs.tar /\n" : "FROM " + plan.image + "\n";
  text += made;
  for (const target::EnvVar& variable : plan.env) {
    if (variable.secret || !one_line(variable.value)) continue;
    text += "ENV " + variable.name + "=\"" + unexpanded(variable.value) + "\"\n";
  }
  if (!proof.target.workdir.empty()) {
    text += "WORKDIR " + unexpanded(proof.target.workdir) + "\n";
  }
  for (const Port& port : plan.ports)
    text += fmt::format("EXPOSE {}/{}\n", port.port, port.protocol);
  text += own_words(proof, plan);
  text += fmt::format("LABEL pare.proof=\"sha256:{}\"\n", plan.proof_digest);
  if (!proof.confirmed) text += "LABEL pare.unconfirmed=\"true\"\n";
  text += fmt::format("USER {}:{}\n", proof.policy.user.uid, proof.policy.user.gid);
  return std::vector<File>{{"Dockerfile", text}};
}

}  // namespace pare::emit
