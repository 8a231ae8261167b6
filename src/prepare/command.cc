#include "prepare/command.h"

#include <iostream>
#include <iterator>

#include "base/file.h"
#include "base/text.h"
#include "prepare/lockdown.h"

namespace pare::prepare {

void add_options(CLI::App& app, Words& words) {
  app.add_option("spec", words.spec, "specification, YAML or JSON; - reads standard input");
  app.add_option("--digest", words.digest, "SHA-256 that the specification must have");
  app.add_option("--volume", words.volume, "the volume's directory");
  app.add_option("--own", words.own, "UID:GID that everything in it is to belong to");
  app.add_option("--directory", words.directories, "PATH[:MODE[:UID:GID]] to create or correct")
      ->allow_extra_args(false);
  app.add_option("--verify", words.verify, "manifest in the volume that every file must match");
  app.add_option("--manifest", words.manifest, "manifest to write into the volume");
  app.add_option("--free", words.free_bytes, "bytes that the volume must have left");
  app.add_flag("--foreign", words.foreign, "keep CAP_DAC_OVERRIDE for a tree of another owner");
  app.add_flag("--dry-run", words.dry_run, "say what would be done, change nothing");
  app.add_option("--threads", words.threads, "threads (default: one a processor)");
  app.add_flag("--json", words.json, "the result as JSON");
}

static Result<std::string> read_words(const std::string& path) {
  if (path != "-") return base::read_file(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

Result<Spec> make_spec(const Words& words) {
  Spec spec;
  if (!words.spec.empty()) {
    PARE_TRY(std::string text, read_words(words.spec));
    std::string digest = base::sha256_hex(text);
    if (!words.digest.empty() && base::lower(words.digest) != digest) {
      return fail(ErrorKind::kUsage, words.spec + " has the digest " + digest + ", not " +
                                         words.digest + ": it is not the file that was reviewed");
    }
    PARE_TRY(spec, parse_spec(text, words.spec));
  } else if (!words.digest.empty()) {
    return fail(ErrorKind::kUsage, "--digest pins a specification: name its file");
  }
  if (!words.volume.empty()) spec.volume = words.volume;
  if (!words.own.empty()) {
    PARE_TRY(spec.own, parse_owner(words.own));
  }
  for (const std::string& text : words.directories) {
    PARE_TRY(Directory directory, parse_directory(text));
    spec.directories.push_back(std::move(directory));
  }
  if (!words.verify.empty()) spec.verify = words.verify;
  if (!words.manifest.empty()) spec.write_manifest = words.manifest;
  for (const std::string* path : {&spec.verify, &spec.write_manifest}) {
    if (!path->empty()) PARE_CHECK_OK(check_inside(*path, "manifest"));
  }
  if (words.free_bytes) spec.free_bytes = *words.free_bytes;
  spec.foreign = spec.foreign || words.foreign;
  return spec;
}

Result<Printed> run(const Words& words, const std::function<void(uint64_t)>& progress) {
  PARE_TRY(Spec spec, make_spec(words));
  PARE_CHECK_OK(lock_down(spec));
  Options options;
  options.dry_run = words.dry_run;
  options.threads = words.threads;
  options.progress = progress;
  PARE_TRY(Report report, prepare(spec, options));
  Printed printed;
  printed.code = report.refused == 0 ? 0 : 1;
  printed.text = words.json ? to_json_text(report, words.dry_run) : summary(report, words.dry_run);
  return printed;
}

}  // namespace pare::prepare
