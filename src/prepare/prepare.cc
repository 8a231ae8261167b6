#include "prepare/prepare.h"

#include <fcntl.h>
#include <sys/statfs.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "prepare/manifest.h"
#include "prepare/own.h"
#include "prepare/walk.h"

namespace pare::prepare {

namespace {

constexpr size_t kManifestLimit = 256 << 20;

// Calls options.progress on a thread of its own while a step runs.
class Ticker {
 public:
  Ticker(const std::function<void(uint64_t)>& tell, const std::atomic<uint64_t>& count) {
    if (!tell) return;
    thread_ = std::thread([this, &tell, &count] {
      std::unique_lock lock(mutex_);
      while (!end_.wait_for(lock, std::chrono::milliseconds(250), [this] { return done_; })) {
        tell(count.load(std::memory_order_relaxed));
      }
    });
  }
  ~Ticker() {
    {
      std::lock_guard guard(mutex_);
      done_ = true;
    }
    end_.notify_all();
    if (thread_.joinable()) thread_.join();
  }
  Ticker(const Ticker&) = delete;
  Ticker& operator=(const Ticker&) = delete;

 private:
  std::mutex mutex_;
  std::condition_variable end_;
  bool done_ = false;
  std::thread thread_;
};

Status check_space(const Volume& volume, const Spec& spec) {
  struct statfs st {};
  if (fstatfs(volume.fd(), &st) != 0) return fail_errno("cannot ask " + volume.path(), errno);
  uint64_t available = static_cast<uint64_t>(st.f_bavail) * static_cast<uint64_t>(st.f_bsize);
  if (available >= spec.free_bytes) return {};
  return fail(ErrorKind::kHost, volume.path() + " has " + std::to_string(available) +
                                    " bytes left, of " + std::to_string(spec.free_bytes) +
                                    " that the specification asks for");
}

Result<std::string> read_inside(const Volume& volume, const std::string& path) {
  PARE_TRY(UniqueFd fd, volume.open_at(volume.fd(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  PARE_TRY(struct statx st, look(fd.get(), ""));
  if (!S_ISREG(st.stx_mode)) return fail(ErrorKind::kUsage, path + " is not a regular file");
  PARE_TRY(std::string text, base::read_all(fd.get(), path, kManifestLimit));
  if (text.size() > kManifestLimit) return fail(ErrorKind::kUsage, path + " is no manifest");
  return text;
}

// Whole or not at all; never through a name that somebody else could have put there.
Status write_inside(const Volume& volume, const std::string& path, const std::string& text) {
  size_t slash = path.rfind('/');
  std::string parent_path = slash == std::string::npos ? "." : path.substr(0, slash);
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  std::string partial = "." + name + ".partial";
  PARE_TRY(UniqueFd parent, volume.open_at(volume.fd(), parent_path, O_RDONLY | O_DIRECTORY));
  unlinkat(parent.get(), partial.c_str(), 0);
  PARE_TRY(UniqueFd fd, volume.open_at(parent.get(), partial, O_WRONLY | O_CREAT | O_EXCL, 0644));
  PARE_CHECK_OK(base::write_all(fd.get(), text, path));
  if (fchmod(fd.get(), 0644) != 0 || fsync(fd.get()) != 0 ||
      renameat(parent.get(), partial.c_str(), parent.get(), name.c_str()) != 0) {
    return fail_errno("cannot write " + path, errno);
  }
  return {};
}

class Preparation {
 public:
  Preparation(const Spec& spec, const Options& options, Volume volume)
      : spec_(spec),
        options_(options),
        volume_(std::move(volume)),
        threads_(options.threads != 0 ? options.threads : default_threads()) {}

  Result<Report> run() {
    auto start = std::chrono::steady_clock::now();
    Ticker ticker(options_.progress, progress_);
    PARE_CHECK_OK(check_space(volume_, spec_));
    Status made = make_directories(volume_, spec_, options_.dry_run, changes_);
    if (!made) refuse(made.error().message);
    if (report_.refused == 0 && !spec_.verify.empty()) PARE_CHECK_OK(verify());
    if (report_.refused == 0 && !spec_.write_manifest.empty()) PARE_CHECK_OK(write_manifest());
    if (report_.refused == 0 && spec_.own) PARE_CHECK_OK(own());
    report_.made = changes_.made;
    report_.changed = changes_.changed;
    report_.skipped = changes_.skipped;
    report_.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return std::move(report_);
  }

 private:
  void refuse(const std::string& why) {
    ++report_.refused;
    if (report_.reasons.size() < WalkResult::kKept) report_.reasons.push_back(why);
  }

  void take(const WalkResult& walked) {
    report_.entries += walked.entries;
    report_.vanished += walked.vanished;
    report_.refused += walked.refused;
    for (const std::string& reason : walked.reasons) {
      if (report_.reasons.size() < WalkResult::kKept) report_.reasons.push_back(reason);
    }
  }

  Status own() {
    PARE_TRY(WalkResult walked,
             own_tree(volume_, spec_, threads_, options_.dry_run, changes_, progress_));
    take(walked);
    return {};
  }

  Status verify() {
    auto text = read_inside(volume_, spec_.verify);
    if (!text) return refuse("manifest " + text.error().message), Status();
    report_.manifest_digest = base::sha256_hex(*text);
    if (!spec_.verify_digest.empty() && report_.manifest_digest != spec_.verify_digest) {
      refuse("manifest " + spec_.verify + " has the digest " + report_.manifest_digest + ", not " +
             spec_.verify_digest);
      return {};
    }
    PARE_TRY(Manifest expected, parse_manifest(*text, spec_.verify));
    PARE_TRY(Digested found, digest(volume_, spec_.verify, threads_, progress_));
    take(found.walk);
    report_.verified = found.manifest.files.size() + found.manifest.links.size();
    report_.bytes = found.bytes;
    for (const std::string& why : differences(expected, found.manifest, spec_.extra_files)) {
      refuse(why);
    }
    return {};
  }

  Status write_manifest() {
    PARE_TRY(Digested found, digest(volume_, spec_.write_manifest, threads_, progress_));
    take(found.walk);
    if (report_.refused > 0) return {};
    report_.bytes = found.bytes;
    std::string text = to_text(found.manifest);
    report_.manifest_digest = base::sha256_hex(text);
    auto have = read_inside(volume_, spec_.write_manifest);
    if (have && *have == text) return {};
    ++changes_.changed;
    if (options_.dry_run) return {};
    auto written = write_inside(volume_, spec_.write_manifest, text);
    if (!written) refuse(written.error().message);
    return {};
  }

  const Spec& spec_;
  const Options& options_;
  Volume volume_;
  unsigned threads_;
  Changes changes_;
  std::atomic<uint64_t> progress_{0};
  Report report_;
};

}  // namespace

Result<Report> prepare(const Spec& spec, const Options& options) {
  if (spec.volume.empty()) {
    return fail(ErrorKind::kUsage,
                "no volume: give --volume DIR, or 'volume:' in the specification");
  }
  PARE_TRY(Volume volume, Volume::open(spec.volume, options.lookup));
  return Preparation(spec, options, std::move(volume)).run();
}

std::string summary(const Report& report, bool dry_run) {
  auto count = [](uint64_t n, const char* what) { return std::to_string(n) + " " + what; };
  std::string text = count(report.entries, "entries, ") + count(report.made, "directories ") +
                     (dry_run ? "to be made, " : "made, ") + count(report.changed, "") +
                     (dry_run ? "to be changed" : "changed");
  if (report.verified > 0) text += ", " + count(report.verified, "verified");
  if (report.skipped > 0) text += ", " + count(report.skipped, "with several names left alone");
  if (report.refused > 0) text += ", " + count(report.refused, "refused");
  for (const std::string& reason : report.reasons) text += "\n  " + reason;
  if (report.refused > report.reasons.size()) {
    text += "\n  ... and " + count(report.refused - report.reasons.size(), "more");
  }
  return text;
}

std::string to_json_text(const Report& report, bool dry_run) {
  base::Json json = {{"schema", "pare.prepare/v1"}, {"dryRun", dry_run},
                     {"entries", report.entries},   {"made", report.made},
                     {"changed", report.changed},   {"verified", report.verified},
                     {"bytes", report.bytes},       {"vanished", report.vanished},
                     {"skipped", report.skipped},   {"refused", report.refused},
                     {"reasons", report.reasons},   {"manifestDigest", report.manifest_digest},
                     {"seconds", report.seconds}};
  return base::write_json(json);
}

}  // namespace pare::prepare
