#include "target/compose_service.h"

// A compose service as the `docker run` line that it stands for: each key becomes options, which
// the table of docker run's options reads.
#include <algorithm>
#include <array>
#include <filesystem>

#include "base/text.h"

namespace pare::target::compose {

namespace {

using Means = KeyRule::Means;

// A key whose value is an option's, as it stands.
struct Plain {
  std::string_view key;
  std::string_view option;
};

constexpr std::array<Plain, 43> kPlain = {{
    {"user", "user"},
    {"working_dir", "workdir"},
    {"container_name", "name"},
    {"privileged", "privileged"},
    {"read_only", "read-only"},
    {"shm_size", "shm-size"},
    {"ipc", "ipc"},
    {"pid", "pid"},
    {"uts", "uts"},
    {"runtime", "runtime"},
    {"pids_limit", "pids-limit"},
    {"init", "init"},
    {"tty", "tty"},
    {"stdin_open", "interactive"},
    {"userns_mode", "userns"},
    {"isolation", "isolation"},
    {"hostname", "hostname"},
    {"domainname", "domainname"},
    {"mac_address", "mac-address"},
    {"mem_limit", "memory"},
    {"mem_reservation", "memory-reservation"},
    {"memswap_limit", "memory-swap"},
    {"mem_swappiness", "memory-swappiness"},
    {"oom_kill_disable", "oom-kill-disable"},
    {"oom_score_adj", "oom-score-adj"},
    {"cpus", "cpus"},
    {"cpu_shares", "cpu-shares"},
    {"cpu_quota", "cpu-quota"},
    {"cpu_period", "cpu-period"},
    {"cpu_rt_runtime", "cpu-rt-runtime"},
    {"cpu_rt_period", "cpu-rt-period"},
    {"cpuset", "cpuset-cpus"},
    {"cgroup", "cgroupns"},
    {"cgroup_parent", "cgroup-parent"},
    {"stop_signal", "stop-signal"},
    {"cap_add", "cap-add"},
    {"cap_drop", "cap-drop"},
    {"group_add", "group-add"},
    {"security_opt", "security-opt"},
    {"expose", "expose"},
    {"dns", "dns"},
    {"dns_search", "dns-search"},
    {"dns_opt", "dns-option"},
}};

constexpr std::array<KeyRule, 34> kServiceRules = {{
    {"profiles"},
    {"restart"},
    {"labels"},
    {"label_file"},
    {"annotations"},
    {"logging"},
    {"scale"},
    {"attach"},
    {"platform"},
    {"pull_policy"},
    {"stop_grace_period"},
    {"develop"},
    {"cpu_count"},
    {"cpu_percent"},
    {"blkio_config"},
    {"storage_opt"},
    {"external_links"},
    {"links"},
    {"memswap"},
    {"log_driver"},
    {"log_opt"},
    {"build", Means::kNoted, "the image has to be built before (docker compose build)"},
    {"healthcheck", Means::kNoted,
     "it runs a command in the container; trials do not, --check 'exec:...' does"},
    {"depends_on", Means::kNoted, "other services do not run in trials"},
    {"post_start", Means::kNoted, "hooks do not run in trials"},
    {"pre_start", Means::kNoted, "hooks do not run in trials"},
    {"pre_stop", Means::kNoted, "hooks do not run in trials"},
    {"models", Means::kNoted, "models are served by another program"},
    {"volumes_from", Means::kRefused, "name each volume under volumes: instead"},
    {"volume_driver", Means::kRefused, "name the volume under the file's volumes: instead"},
    {"device_cgroup_rules", Means::kRefused, "name the devices under devices: instead"},
    {"credential_spec", Means::kRefused, "it is for Windows"},
    {"provider", Means::kRefused, "no container runs for such a service"},
    {"use_api_socket", Means::kRefused,
     "it hands the engine's socket to the container: mount it under volumes: if it must be"},
}};

}  // namespace

void ServiceReader::read() {
  tell_remarks(service_);
  Keys keys(reader_, &service_, "service " + name_);
  Target& t = line_.target;
  t.kind = Kind::kImage;
  t.image = keys.text("image").value_or("");
  read_image();
  read_words(keys);
  for (const Plain& plain : kPlain) {
    if (const Tree* value = keys.get(plain.key)) options(plain.option, *value);
  }
  read_environment(keys);
  read_volumes(keys);
  read_tmpfs(keys);
  read_ports(keys);
  read_network(keys);
  read_devices(keys);
  read_limits(keys);
  read_deploy(keys);
  read_files(keys, "secrets");
  read_files(keys, "configs");
  drop_extensions(keys);
  keys.finish(kServiceRules);
  if (t.name.empty()) t.name = name_;
  t.written = {out_.where, out_.object};
  for (EnvVar& variable : t.env) set_env(line_.file_env, std::move(variable));
  t.env = std::move(line_.file_env);
  out_.target = std::move(line_.target);
  check_paths();
}

void ServiceReader::option(std::string_view name, const std::string& value, const Tree& at) {
  const auto& rows = docker_run::rows();
  auto row = std::find_if(rows.begin(), rows.end(),
                          [&](const docker_run::Row& r) { return r.name == name; });
  if (row == rows.end()) return;
  if (!row->refused.empty()) return reader_.refuse(at, std::string(row->refused));
  if (row->set == nullptr) {
    line_.target.kept.push_back({"--" + std::string(name), value});
    return;
  }
  if (auto done = row->set(line_, value); !done) reader_.refuse(at, done.error().message);
}

// A word, or a list of them.
void ServiceReader::options(std::string_view name, const Tree& value) {
  if (value.is_scalar()) {
    // What an unset variable left empty says nothing.
    if (!value.text.empty()) option(name, value.text, value);
    return;
  }
  for (const std::string& one : reader_.texts(value, std::string(name))) {
    if (!one.empty()) option(name, one, value);
  }
}

void ServiceReader::tell_remarks(const Tree& tree) {
  if (tree.broken) reader_.refuse(tree, tree.remark);
  if (!tree.broken && !tree.remark.empty()) reader_.note(tree, tree.remark);
  for (const Tree& item : tree.seq) tell_remarks(item);
  for (const Tree::Entry& entry : tree.map) tell_remarks(entry.value);
}

void ServiceReader::read_image() {
  Target& t = line_.target;
  if (t.image.find_first_of(" \t\n") != std::string::npos) {
    return reader_.refuse(service_, "image: '" + t.image + "' is no image reference");
  }
  if (!t.image.empty()) return;
  if (service_.get("build") == nullptr) {
    return reader_.refuse(service_, "service " + name_ + " names neither image nor build");
  }
  t.image = project_.name + "-" + name_;  // as docker compose calls what it builds
}

void ServiceReader::read_words(Keys& keys) {
  for (auto [key, words] : {std::pair("entrypoint", &line_.target.entrypoint),
                            std::pair("command", &line_.target.command)}) {
    const Tree* value = keys.get(key);
    if (value == nullptr) continue;
    if (value->is_seq()) {
      *words = reader_.texts(*value, key);
    } else {
      auto split = reader_.take(*value, split_words(value->text_or()), key);
      if (split) *words = std::move(*split);
    }
    // An empty entry point means: none, not the image's.
    if (words->empty() && std::string_view(key) == "entrypoint") *words = {""};
  }
}

void ServiceReader::read_environment(Keys& keys) {
  if (const Tree* files = keys.get("env_file")) read_env_files(*files);
  const Tree* env = keys.get("environment");
  if (env == nullptr) return;
  for (const Tree& item : env->seq) {
    std::string text = item.text_or();
    size_t cut = text.find('=');
    if (cut == std::string::npos) {
      pass_through(text);
    } else {
      put(text.substr(0, cut), text.substr(cut + 1));
    }
  }
  for (const Tree::Entry& entry : env->map) {
    if (entry.value.is_null()) {
      pass_through(entry.key);
    } else if (entry.value.is_scalar()) {
      put(entry.key, entry.value.text);
    } else {
      reader_.refuse(entry.value, "environment." + entry.key + " is not text");
    }
  }
  if (env->is_scalar()) reader_.refuse(*env, "environment is neither a mapping nor a list");
}

void ServiceReader::put(const std::string& name, const std::string& value) {
  const auto& secrets = reader_.options().secrets;
  auto given = secrets.find(name);
  bool secret = given != secrets.end();
  set_env(line_.target.env, {name, secret ? given->second : value, secret || looks_secret(name)});
}

// A name without a value: the caller's, and where it has none, none.
void ServiceReader::pass_through(const std::string& name) {
  auto found = project_.environment.find(name);
  if (found != project_.environment.end()) return put(name, found->second);
  if (reader_.options().secrets.count(name) != 0) put(name, "");
}

void ServiceReader::read_env_files(const Tree& files) {
  std::vector<Tree> list = files.is_seq() ? files.seq : std::vector<Tree>{files};
  for (const Tree& item : list) {
    Keys keys(reader_, item.is_map() ? &item : nullptr, "env_file");
    std::string path = item.is_map() ? keys.text("path").value_or("") : item.text_or();
    bool required = keys.boolean("required").value_or(true);
    bool raw = keys.text("format").value_or("") == "raw";
    keys.finish();
    auto text = reader_.options().read_file(absolute(path, item));
    if (!text) {
      if (required && !reader_.options().not_to_run) reader_.refuse(item, text.error().message);
      continue;
    }
    auto env = raw ? parse_env_file(*text, path, project_.environment)
                   : parse_dotenv(*text, path, project_.environment);
    if (!env) {
      reader_.refuse(item, env.error().message);
      continue;
    }
    for (EnvVar& variable : *env) set_env(line_.file_env, std::move(variable));
  }
}

std::string ServiceReader::absolute(const std::string& path, const Tree& at) const {
  if (!path.empty() && path[0] == '/') return path;
  std::filesystem::path out = path;
  if (base::starts_with(path, "~")) {
    auto home = project_.environment.find("HOME");
    out = (home == project_.environment.end() ? "/root" : home->second) + path.substr(1);
  } else {
    out = std::filesystem::path(project_.directories[at.file]) / path;
  }
  std::error_code ec;
  std::string clean = std::filesystem::absolute(out, ec).lexically_normal().string();
  while (clean.size() > 1 && clean.back() == '/') clean.pop_back();
  return clean;
}

bool ServiceReader::is_path(const std::string& source) {
  return !source.empty() && (source[0] == '/' || source[0] == '.' || source[0] == '~');
}

void ServiceReader::drop_extensions(Keys& keys) {
  for (const Tree::Entry& entry : service_.map) {
    if (base::starts_with(entry.key, "x-")) keys.get(entry.key);
  }
}

void ServiceReader::check_paths() {
  std::vector<std::string> paths = out_.target.tmpfs;
  for (const Volume& volume : out_.target.volumes) paths.push_back(volume.path);
  std::sort(paths.begin(), paths.end());
  auto twice = std::adjacent_find(paths.begin(), paths.end());
  if (twice != paths.end()) reader_.refuse(service_, "two things are mounted at " + *twice);
}

Workload read_service(const Project& project, const Tree::Entry& service,
                      const FileOptions& options) {
  Workload out;
  out.kind = FileKind::kCompose;
  out.platform = "docker";
  out.object = "service/" + service.key;
  out.container = service.key;
  Reader reader(project.files, options, false);
  out.where = reader.where(service.value.file, service.line);
  if (!service.value.is_map()) {
    reader.refuse(out.where, "service " + service.key + " is not a mapping");
  } else {
    ServiceReader(project, service, reader, out).read();
  }
  for (const char* key : {"secrets", "configs"}) {
    const Tree* declared = project.root.get(key);
    if (declared == nullptr) continue;
    for (const Tree::Entry& entry : declared->map) out.file_secrets.push_back(entry.key);
  }
  out.refused = reader.refused();
  out.assumptions = reader.notes();
  return out;
}

Result<std::vector<std::string>> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool open = false;
  char quote = '\0';
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    bool escapes = c == '\\' && quote != '\'' && at + 1 < text.size();
    if (escapes) {
      word += text[++at];
      open = true;
    } else if (quote != '\0') {
      if (c == quote) {
        quote = '\0';
      } else {
        word += c;
      }
    } else if (c == '\'' || c == '"') {
      quote = c;
      open = true;
    } else if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      if (open) words.push_back(std::move(word));
      word.clear();
      open = false;
    } else {
      word += c;
      open = true;
    }
  }
  if (quote != '\0') return fail(ErrorKind::kUsage, "a quote is not closed");
  if (open) words.push_back(std::move(word));
  return words;
}

}  // namespace pare::target::compose
