#include "cli/target_files.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <iostream>
#include <iterator>

#include "base/file.h"
#include "base/text.h"
#include "check/check.h"
#include "engine/oci_image.h"
#include "sys/session.h"
#include "target/docker_run.h"
#include "target/files.h"
#include "target/pare_file.h"

namespace pare::cli {

namespace {

Result<target::SourceFile> read_source(const std::string& path) {
  if (path == "-") {
    std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    return target::SourceFile{path, std::move(text)};
  }
  PARE_TRY(std::string text, base::read_file(path));
  return target::SourceFile{path, std::move(text)};
}

Result<std::pair<std::string, std::string>> pair_of(const std::string& text,
                                                    const std::string& option,
                                                    const std::string& form) {
  size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size()) {
    return fail(ErrorKind::kUsage, option + " '" + text.substr(0, equals) + "' is not " + form);
  }
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

Status add_binds(const TargetOptions& options, target::FileOptions& files) {
  static constexpr std::array<std::string_view, 5> kKinds = {"pvc/", "volume/", "emptydir/",
                                                             "configmap/", "secret/"};
  for (const std::string& text : options.binds) {
    PARE_TRY(auto bind, pair_of(text, "--bind", "pvc/NAME=DIR"));
    bool known = std::any_of(kKinds.begin(), kKinds.end(), [&](std::string_view kind) {
      return base::starts_with(bind.first, kind) && bind.first.size() > kind.size();
    });
    if (!known) {
      return fail(ErrorKind::kUsage, "--bind '" + bind.first +
                                         "' is none of pvc/, volume/, emptydir/, configmap/ and "
                                         "secret/ with a name");
    }
    std::error_code ec;
    std::string directory = std::filesystem::absolute(bind.second, ec).lexically_normal().string();
    if (access(directory.c_str(), F_OK) != 0) {
      return fail(ErrorKind::kUsage, "--bind " + bind.first + ": " + directory + " does not exist");
    }
    files.binds[bind.first] = directory;
  }
  return {};
}

// What the oci engine leaves out: it is told, for a file asks for things that a line would not.
void fit_to_rootfs(WrittenTarget& written, const std::string& where) {
  target::Target& t = written.target;
  auto tell = [&](const std::string& what) { written.assumptions.push_back(where + ": " + what); };
  for (const target::KeptOption& kept : t.kept) {
    tell(kept.option.substr(2) + " " + kept.value + " is not applied by the oci engine");
  }
  for (const std::string& option : t.lsm_options) {
    tell(option + " is not applied by the oci engine");
  }
  if (t.init || t.tty) tell("init and tty are not given by the oci engine");
  for (target::Volume& volume : t.volumes) {
    if (!volume.named) continue;
    tell("volume " + volume.source + " is an empty directory at the first start (--bind volume/" +
         volume.source + "=DIR gives it content)");
    volume = {"", volume.path, false, volume.read_only};
  }
  t.kept.clear();
  t.lsm_options.clear();
  t.init = t.tty = false;
}

// The first entry of checks: that is wrong by itself.
size_t wrong_check(const nlohmann::json& checks) {
  for (size_t i = 0; i < checks.size(); ++i) {
    if (!check::parse_checks(nlohmann::json::array({checks[i]}))) return i;
  }
  return 0;
}

Status apply_options(CLI::App& app, const target::PareFile& file) {
  std::vector<std::string> done;
  for (const auto& [name, ignored] : file.options) {
    if (std::find(done.begin(), done.end(), name) != done.end()) continue;
    done.push_back(name);
    CLI::Option* option = app.get_option_no_throw("--" + name);
    if (option == nullptr) continue;  // prove's, when this is observe
    bool list = option->get_expected_max() > 1;
    if (option->count() > 0 && !list) continue;
    std::vector<std::string> values;
    for (const auto& [other, value] : file.options) {
      if (other == name) values.push_back(value);
    }
    std::vector<std::string> own = option->results();
    values.insert(values.end(), own.begin(), own.end());
    option->clear();
    try {
      option->add_result(values);
      option->run_callback();
    } catch (const CLI::Error& e) {
      return fail(ErrorKind::kUsage, "pare.yaml: " + std::string(e.what()));
    }
  }
  return {};
}

Status write_contents(WrittenTarget& written, const std::string& directory) {
  for (size_t i = 0; i < written.contents.size(); ++i) {
    const target::VolumeContent& content = written.contents[i];
    std::string place = directory + "/content-" + std::to_string(i);
    PARE_CHECK_OK(base::make_directories(place));
    for (const target::VolumeFile& file : content.files) {
      std::string path = place + "/" + file.path;
      PARE_CHECK_OK(base::make_directories(std::filesystem::path(path).parent_path().string()));
      PARE_CHECK_OK(base::write_file_atomic(path, file.content, file.mode));
      if (chmod(path.c_str(), file.mode) != 0 ||
          chown(path.c_str(), content.uid, content.gid) != 0) {
        return fail_errno("cannot set the owner of " + path, errno);
      }
    }
    bool single = content.single && content.files.size() == 1;
    written.target.volumes.at(content.volume).source =
        single ? place + "/" + content.files[0].path : place;
  }
  return {};
}

}  // namespace

bool names_files(const std::vector<std::string>& words) {
  return !words.empty() && std::all_of(words.begin(), words.end(), target::is_target_file);
}

Status apply_pare_file(CLI::App& app, TargetOptions& options) {
  if (options.words.size() != 1 || !names_files(options.words)) return {};
  PARE_TRY(target::SourceFile source, read_source(options.words[0]));
  if (!target::is_pare_file(source)) {
    options.sources = {std::move(source)};  // standard input cannot be read twice
    return {};
  }
  PARE_TRY(target::PareFile file, target::read_pare_file(source));
  PARE_CHECK_OK(apply_options(app, file));
  options.words = file.words;
  if (file.checks.empty()) return {};
  auto checks = check::parse_checks(file.checks);
  if (!checks) {
    return fail(ErrorKind::kUsage,
                file.check_where[wrong_check(file.checks)] + ": " + checks.error().message);
  }
  options.file_checks = std::move(*checks);
  return {};
}

Result<Secrets> read_secrets(const TargetOptions& options) {
  Secrets secrets;
  for (const std::string& text : options.secrets) {
    PARE_TRY(auto secret, pair_of(text, "--secret", "NAME=FILE"));
    PARE_TRY(std::string value, base::read_file(secret.second));
    if (base::ends_with(value, "\n")) value.pop_back();
    secrets[secret.first] = std::move(value);
  }
  return secrets;
}

Result<WrittenTarget> target_of_files(const TargetOptions& options, const Secrets& secrets) {
  std::vector<target::SourceFile> sources = options.sources;
  if (sources.empty()) {
    for (const std::string& path : options.words) {
      PARE_TRY(target::SourceFile source, read_source(path));
      if (target::is_pare_file(source)) {
        return fail(ErrorKind::kUsage, path + ": pare.yaml stands alone; its files: names others");
      }
      sources.push_back(std::move(source));
    }
  }
  target::FileOptions files;
  files.environment = target::caller_environment();
  files.profiles = options.profiles;
  files.container = options.container;
  files.secrets = secrets;
  PARE_CHECK_OK(add_binds(options, files));
  PARE_TRY(std::vector<target::Workload> all, target::read_target_files(sources, files));
  PARE_TRY(target::Workload chosen, target::choose_workload(std::move(all), options.container));
  WrittenTarget written;
  written.target = std::move(chosen.target);
  written.platform = chosen.platform;
  written.assumptions = std::move(chosen.assumptions);
  written.contents = std::move(chosen.contents);
  written.file_secrets = std::move(chosen.file_secrets);
  written.non_root_where = chosen.non_root_where;
  target::Target& t = written.target;
  if (!options.image.empty()) t.image = options.image;
  bool unpacked = engine::is_image_file(t.image);
  if (options.rootfs.empty() && !unpacked) return written;
  t.kind = target::Kind::kRootfs;
  std::error_code ec;
  if (!unpacked) {
    t.rootfs = std::filesystem::absolute(options.rootfs, ec);
    if (t.entrypoint.empty() && t.command.empty()) {
      return fail(ErrorKind::kUsage,
                  chosen.where +
                      ": with --rootfs the file has to say what is run (command:), as "
                      "the image that would is not there");
    }
  }
  fit_to_rootfs(written, chosen.where);
  return written;
}

Result<target::Target> resolve_written(WrittenTarget& written, const Workshop& workshop) {
  for (const std::string& line : written.assumptions) fmt::print(stderr, "note: {}\n", line);
  const std::string directory = workshop.session.directory();
  if (engine::is_image_file(written.target.image) && written.target.rootfs.empty()) {
    PARE_TRY(written.target,
             engine::unpack_image(written.target, sys::state_root() + "/images", directory));
  }
  PARE_CHECK_OK(write_contents(written, directory));
  PARE_TRY(target::Target resolved, workshop.engine->resolve(written.target));
  if (!written.non_root_where.empty() && resolved.resolved_user.uid == 0) {
    return fail(ErrorKind::kUsage, written.non_root_where +
                                       ": runAsNonRoot is true, but the image's user is root: the "
                                       "kubelet would not start it; set runAsUser");
  }
  return resolved;
}

}  // namespace pare::cli
