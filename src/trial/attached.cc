#include "trial/attached.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <memory>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "record/recorder.h"
#include "sys/cgroup.h"
#include "trial/annotate.h"

namespace pare::trial {

namespace fs = std::filesystem;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kPause{100};

// The target of a link of /proc; empty when the process has ended.
std::string link_of(const std::string& path) {
  std::error_code error;
  return fs::read_symlink(path, error).string();
}

// open(2)'s flags of a descriptor (proc(5), fdinfo: "flags:\t0100002").
std::optional<unsigned> flags_of(const std::string& fdinfo) {
  auto text = base::read_file(fdinfo);
  constexpr std::string_view kKey = "flags:\t";
  const size_t at = text ? text->find(kKey) : std::string::npos;
  if (at == std::string::npos) return std::nullopt;
  unsigned flags = 0;
  const char* begin = text->data() + at + kKey.size();
  std::from_chars(begin, text->data() + text->size(), flags, 8);
  return flags;
}

// What a process has open for writing, and devices.
void add_open_files(int pid, const std::string& exe, evidence::Evidence& into) {
  const std::string process = fmt::format("/proc/{}", pid);
  struct stat owner {};
  if (stat(process.c_str(), &owner) != 0) return;
  std::error_code error;
  for (fs::directory_iterator it(process + "/fd", error), end; !error && it != end;
       it.increment(error)) {
    const std::string descriptor = it->path().string();
    const std::string path = link_of(descriptor);
    if (path.empty() || path[0] != '/' || base::ends_with(path, " (deleted)")) continue;
    auto flags = flags_of(process + "/fdinfo/" + it->path().filename().string());
    struct stat file {};
    if (!flags || stat(descriptor.c_str(), &file) != 0) continue;
    evidence::FileFact fact;
    if (S_ISCHR(file.st_mode) || S_ISBLK(file.st_mode)) fact.ops.emplace_back("device");
    if ((*flags & O_ACCMODE) != O_RDONLY) fact.ops.emplace_back("write");
    if (fact.ops.empty() || (*flags & O_PATH) != 0) continue;
    fact.path = path;
    fact.exe = exe;
    fact.uid = owner.st_uid;
    fact.owner = file.st_uid;
    fact.owner_gid = file.st_gid;
    into.files.push_back(std::move(fact));
  }
}

class Observation {
 public:
  explicit Observation(const Attached& attached) : attached_(attached) {
    subject_.pid = attached.pid;
    subject_.address = "127.0.0.1";  // nothing is added to a network that is in use
    subject_.address6 = "";
    for (const check::Spec& spec : attached.checks) subject_.reachable.push_back(spec.port);
  }

  Result<evidence::Evidence> run() {
    PARE_TRY(sys::Cgroup cgroup, sys::Cgroup::at(attached_.cgroup));
    record::Options options;
    options.seccomp_refusals = true;
    PARE_TRY(auto recorder, record::Recorder::join(options, attached_.cgroup, attached_.pid));
    look_around(cgroup);
    auto over = [&] { return attached_.enough() || cgroup.processes().empty(); };
    if (!attached_.checks.empty()) {
      PARE_TRY(check::Ready ready, check::wait_ready(attached_.checks, subject_, attached_.patience,
                                                     [&] { return !over(); }));
      if (ready.pass) PARE_CHECK_OK(recorder->mark_ready());
    }
    while (!over()) std::this_thread::sleep_for(kPause);
    PARE_TRY(evidence::Evidence evidence, recorder->finish());
    add_found(evidence);
    talk_to_ports(evidence);
    return evidence;
  }

 private:
  // What was there before the recorder. A process that ends meanwhile is passed over.
  void look_around(const sys::Cgroup& cgroup) {
    for (int pid : cgroup.processes()) {
      const std::string exe = link_of(fmt::format("/proc/{}/exe", pid));
      if (exe.empty()) continue;
      found_.execs.push_back({exe, 1, std::nullopt, {}});
      add_open_files(pid, exe, found_);
    }
    if (auto listeners = check::listeners(subject_)) {
      for (const check::Listener& one : *listeners) {
        evidence::ListenerFact fact;
        fact.port = one.port;
        fact.address = one.address;
        found_.listeners.push_back(std::move(fact));
      }
    }
  }

  void add_found(evidence::Evidence& evidence) const {
    for (const evidence::ExecFact& exec : found_.execs) {
      auto known = std::find_if(evidence.execs.begin(), evidence.execs.end(),
                                [&](const auto& e) { return e.path == exec.path && !e.error; });
      if (known == evidence.execs.end())
        evidence.execs.push_back(exec);
      else
        ++known->count;
    }
    for (const evidence::ListenerFact& one : found_.listeners) {
      bool known = std::any_of(evidence.listeners.begin(), evidence.listeners.end(),
                               [&](const evidence::ListenerFact& l) {
                                 return l.port == one.port && l.protocol == one.protocol &&
                                        l.address == one.address;
                               });
      if (!known) evidence.listeners.push_back(one);
    }
    for (evidence::FileFact file : found_.files) {
      file.id = fmt::format("o{}", evidence.files.size() + 1);  // the recorder's are "e1"...
      evidence.files.push_back(std::move(file));
    }
  }

  void talk_to_ports(evidence::Evidence& evidence) const {
    for (evidence::ListenerFact& listener : evidence.listeners) {
      if (listener.protocol != "tcp") continue;
      check::Subject subject = subject_;
      if (listener.address != "0.0.0.0" && listener.address != "::")
        subject.address = listener.address;
      auto identity = check::identify(subject, listener.port);
      if (!identity) return;  // it has ended
      listener.speaks = identity->speaks;
      listener.role = identity->role;
      auto endpoints = check::endpoints(subject, listener.port, identity->tls);
      if (endpoints) listener.endpoints = std::move(*endpoints);
    }
  }

  const Attached& attached_;
  check::Subject subject_;
  evidence::Evidence found_;
};

}  // namespace

Result<evidence::Evidence> observe_running(const Attached& attached) {
  return Observation(attached).run();
}

}  // namespace pare::trial
