// Reads back run.sh and pull.sh: the docker run line that a shell would make of them.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "emit/check_read.h"
#include "emit/docker.h"
#include "target/docker_run.h"

namespace pare::emit {

namespace {

// The words of the first command (POSIX 2.2, quoting; 2.2.1, continued lines), as far as it means
// one thing in every shell; what a shell would expand, split or run is refused.
Result<std::vector<std::string>> shell_words(std::string_view text, const std::string& what,
                                             size_t& end) {
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  size_t i = 0;
  auto take_quoted = [&](char quote) {
    for (++i; i < text.size() && text[i] != quote; ++i) {
      bool escape = quote == '"' && text[i] == '\\' && i + 1 < text.size() &&
                    std::string_view("\"\\$`").find(text[i + 1]) != std::string_view::npos;
      if (quote == '"' && (text[i] == '$' || text[i] == '`')) return false;
      if (escape) ++i;
      word += text[i];
    }
    return i < text.size();
  };
  for (; i < text.size(); ++i) {
    char c = text[i];
    if (c == '\n') break;
    if (c == '\\' && i + 1 < text.size() && text[i + 1] == '\n') {
      ++i;
      continue;
    }
    if (c == ' ' || c == '\t') {
      if (open) words.push_back(std::exchange(word, ""));
      open = false;
      continue;
    }
    bool fine = true;
    if (c == '\'' || c == '"') {
      fine = take_quoted(c);
    } else if (c == '\\' && i + 1 < text.size()) {
      word += text[++i];
    } else {
      fine = std::string_view("$`|&;<>()*?[#~").find(c) == std::string_view::npos ||
             (open && std::string_view("#~").find(c) != std::string_view::npos);
      word += c;
    }
    if (!fine) {
      return fail(ErrorKind::kUnread,
                  fmt::format("{}: the docker run line has something at '{}' that only a shell "
                              "could tell; quote it",
                              what, text.substr(std::min(i, text.size() - 1), 12)));
    }
    open = true;
  }
  if (open) words.push_back(word);
  end = i;
  return words;
}

struct Script {
  std::vector<std::string> words;  // of docker run, at the beginning of a line
  std::string others;              // the other commands
};

Result<Script> read_lines(const File& file) {
  size_t at = file.content.find("\ndocker run ");
  if (at == std::string::npos) {
    return fail(ErrorKind::kUnread, file.name + ": it has no line that begins with 'docker run'");
  }
  Script script;
  size_t length = 0;
  PARE_TRY(script.words,
           shell_words(std::string_view(file.content).substr(at + 1), file.name, length));
  script.others = file.content.substr(0, at) + file.content.substr(at + 1 + length);
  return script;
}

// Options that no axis reads, but for those that limit, name or describe.
std::string options_term(const target::Target& target) {
  static constexpr std::string_view kGrantNothing[] = {"--attach",
                                                       "--blkio-",
                                                       "--cidfile",
                                                       "--cpu",
                                                       "--detach",
                                                       "--dns",
                                                       "--health",
                                                       "--hostname",
                                                       "--label",
                                                       "--log-",
                                                       "--memory",
                                                       "--net-alias",
                                                       "--network-alias",
                                                       "--no-healthcheck",
                                                       "--platform",
                                                       "--pull",
                                                       "--quiet",
                                                       "--restart",
                                                       "--rm",
                                                       "--sig-proxy",
                                                       "--stop-"};
  std::vector<std::string> items;
  if (!target.runtime.empty()) items.push_back("--runtime " + target.runtime);
  for (const target::KeptOption& kept : target.kept) {
    bool nothing = std::any_of(
        std::begin(kGrantNothing), std::end(kGrantNothing),
        [&](std::string_view prefix) { return base::starts_with(kept.option, prefix); });
    if (!nothing) items.push_back(kept.option + " " + kept.value);
  }
  std::sort(items.begin(), items.end());
  return items.empty() ? "none" : base::join(items, ", ");
}

Result<Granted> read_script(const Reading& reading, const File& file) {
  PARE_TRY(Script script, read_lines(file));
  target::Environment environment = secret_values(reading.plan);
  auto target = target::parse_docker_run(script.words, environment);
  if (!target) return fail(ErrorKind::kUnread, file.name + ": " + target.error().message);
  for (target::EnvVar& v : target->env) v.secret = v.secret || environment.count(v.name) > 0;
  Granted granted{file.name, {}, {}};
  PARE_TRY(privilege::Platform docker, privilege::find_platform("docker"));
  PARE_TRY(granted.terms, target_terms(*target, docker, reading, file.name));
  granted.terms["option"] = options_term(*target);
  granted.terms["script"] = script_term(script.others);
  bool closed = file.content.find("docker network create --internal ") != std::string::npos &&
                file.content.find(" " + target->network + " >/dev/null") != std::string::npos;
  docker_network_terms(reading, target->network == "none" || closed, granted);
  return granted;
}

// The script `name`, held against the proof and, in what no axis reads, against a fresh one.
Result<std::pair<Granted, Terms>> read_pair(const Reading& reading, const std::string& name) {
  PARE_TRY(const File* file, need_file(reading.files, name));
  PARE_TRY(const File* own, need_file(reading.fresh, name));
  PARE_TRY(Granted granted, read_script(reading, *file));
  PARE_TRY(Granted again, read_script(reading, *own));
  Terms wanted = proof_terms(reading.proof, reading.plan);
  for (const char* axis : {"option", "script"}) wanted[axis] = again.terms[axis];
  return std::pair(granted, wanted);
}

}  // namespace

void docker_network_terms(const Reading& reading, bool closed, Granted& granted) {
  granted.terms["egress"] = closed ? "none" : "any";
  switch (network_of(reading.proof.policy, reading.plan)) {
    case Network::kInternal:
      granted.cannot["port"] =
          "Docker publishes nothing on an internal network: the host and the containers of the "
          "same network reach every port at the server's own address";
      break;
    case Network::kHost:
      granted.cannot["port"] = "the server has the host's network";
      break;
    case Network::kOpen:
      if (!reading.proof.policy.egress_any) {
        granted.cannot["egress"] = "Docker's networks are open or closed, this one is open";
      }
      break;
    case Network::kNone:
      break;
  }
  for (const Scratch& s : reading.plan.scratch) {
    if (!s.copy_up || s.exec) continue;
    granted.cannot["write-exec"] = "a volume, which is filled from the image, allows it";
  }
}

Result<std::vector<std::pair<Granted, Terms>>> read_docker(const Reading& reading) {
  std::vector<std::pair<Granted, Terms>> out;
  PARE_TRY(auto server, read_pair(reading, "run.sh"));
  out.push_back(server);
  if (auto pull = pull_phase(reading.proof)) {
    Plan plan = pull_plan(*pull, reading.plan, reading.options);
    PARE_TRY(auto job,
             read_pair({*pull, plan, reading.options, reading.files, reading.fresh}, "pull.sh"));
    out.push_back(job);
  }
  return out;
}

}  // namespace pare::emit
