#include "record/ledger.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "privilege/capability.h"
#include "record/names.h"
#include "record/uring.h"

namespace pare::record {
namespace {

constexpr size_t kMaxFacts = 65'536;  // of a kind; a third of a KiB each
constexpr uint16_t kNoCall = 0xffff;
constexpr int kSysAdmin = 21;

std::string_view c_string(std::string_view bytes) {
  return bytes.substr(0, bytes.find('\0'));
}

void add_op(std::vector<std::string>& ops, const std::string& op) {
  if (std::find(ops.begin(), ops.end(), op) == ops.end()) ops.push_back(op);
}

// What an open(2) with these flags did, or tried when it failed.
std::vector<std::string> open_ops(uint64_t flags, const pare_record& record) {
  const bool failed = record.ret < 0, created = (record.flags & PARE_CREATED) != 0;
  std::vector<std::string> ops;
  if ((record.flags & PARE_DEVICE) != 0) ops.emplace_back("device");
  const bool writes = (flags & O_ACCMODE) != O_RDONLY;
  if (failed ? (flags & O_CREAT) != 0 : created) ops.emplace_back("create");
  if (writes) ops.emplace_back("write");
  if ((flags & O_TRUNC) != 0 && !writes) ops.emplace_back("truncate");
  if (ops.empty()) ops.emplace_back("open-read");
  return ops;
}

}  // namespace

struct Ledger::View {
  pare_record record;
  std::string_view request, names;
  bool serve() const { return (record.flags & PARE_SERVE) != 0; }
  bool detached() const { return (record.flags & PARE_DETACHED) != 0; }
  // What was walked in the kernel: its path; without a slash what no file system holds ("memfd:x").
  std::string file() const { return detached() ? std::string(c_string(names)) : join_names(names); }
};

bool Ledger::take(const void* data, size_t size) {
  View view;
  if (size < sizeof(view.record)) return false;
  std::memcpy(&view.record, data, sizeof(view.record));
  const pare_record& r = view.record;
  std::string_view text(static_cast<const char*>(data) + sizeof(r), size - sizeof(r));
  if (size_t{r.request} + r.names > text.size()) return false;
  view.request = text.substr(0, r.request);
  view.names = text.substr(r.request, r.names);
  switch (r.kind) {
    case PARE_CGROUP:
      cgroups_.emplace_back(c_string(view.request));
      break;
    case PARE_SETUP:
    case PARE_ENTRY:
      entry_seen_ |= r.kind == PARE_ENTRY;
      resolver_.adopt(static_cast<int>(r.pid));
      traffic_.adopt(static_cast<int>(r.pid));
      break;
    case PARE_EXE:
      if (exes_.size() <= r.exe) exes_.resize(size_t{r.exe} + 1);
      exes_[r.exe] = view.file();
      break;
    case PARE_EXEC:
      take_exec(view, requested(view, true), 0);
      break;
    case PARE_CALL:
      take_call(view);
      break;
    case PARE_ARGUMENTS:
      take_arguments(view);
      break;
    case PARE_CAPABILITY:
      take_capability(view);
      break;
    case PARE_DNS:
      traffic_.add_dns(view.request, (r.flags & PARE_ANSWER) != 0);
      break;
    case PARE_URING:
      take_uring(view);
      break;
    default:
      return false;
  }
  return true;
}

void Ledger::set_count(uint64_t key, uint64_t count) {
  counts_[key] = count;
}

void Ledger::add_to(Tally& tally, const View& view) {
  (view.serve() ? tally.serve : tally.pull) = true;
  if ((view.record.flags & PARE_UNCOUNTED) != 0)
    ++tally.alone;
  else
    tally.keys.push_back(view.record.key);
}

uint64_t Ledger::total(const Tally& tally) const {
  uint64_t sum = tally.alone;
  for (uint64_t key : tally.keys) {
    auto it = counts_.find(key);
    sum += it == counts_.end() ? 1 : it->second;
  }
  return sum;
}

template <typename Fact>
Fact* Ledger::find(std::map<std::string, Fact>& facts, const std::string& name) {
  auto it = facts.find(name);
  if (it != facts.end()) return &it->second;
  if (facts.size() >= kMaxFacts) {
    ++dropped_;
    return nullptr;
  }
  return &facts[name];
}

void Ledger::join(const std::string& cgroup, int pid) {
  cgroups_.push_back(cgroup);
  resolver_.adopt(pid);
  traffic_.adopt(pid);
}

const std::string& Ledger::exe_of(const View& view) const {
  return exe(view.record.exe);
}

const std::string& Ledger::exe(size_t number) const {
  static const std::string unknown;
  return number < exes_.size() ? exes_[number] : unknown;
}

std::string Ledger::requested(const View& view, bool follow) {
  std::string_view request = c_string(view.request);
  if (request.empty()) return view.file();
  if (view.detached()) return std::string(request);
  return resolver_.resolve(join_request(view.file(), request), follow);
}

std::string Ledger::object_path(const View& view, const CallRow& row) {
  return requested(view, follows_link(row, view.record.args));
}

// "10.0.0.1:80", "[::1]:80", a unix socket's path, "@abstract"; empty for other families.
std::string Ledger::object_address(const View& view) {
  sockaddr_storage address = {};
  std::memcpy(&address, view.request.data(), std::min(view.request.size(), sizeof(address)));
  char text[INET6_ADDRSTRLEN] = "";
  if (address.ss_family == AF_INET) {
    auto* in = reinterpret_cast<sockaddr_in*>(&address);
    inet_ntop(AF_INET, &in->sin_addr, text, sizeof(text));
    return fmt::format("{}:{}", text, ntohs(in->sin_port));
  }
  if (address.ss_family == AF_INET6) {
    auto* in6 = reinterpret_cast<sockaddr_in6*>(&address);
    inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text));
    return fmt::format("[{}]:{}", text, ntohs(in6->sin6_port));
  }
  constexpr size_t kPath = offsetof(sockaddr_un, sun_path);
  if (address.ss_family != AF_UNIX || view.request.size() <= kPath) return "";
  std::string_view path = view.request.substr(kPath);
  if (path[0] == '\0') return "@" + std::string(c_string(path.substr(1)));
  return resolver_.resolve(
      join_request(path[0] == '/' ? "/" : join_names(view.names), c_string(path)), false);
}

void Ledger::take_file(const View& view, const std::string& path,
                       const std::vector<std::string>& ops) {
  const pare_record& r = view.record;
  if (path[0] != '/') return;  // on no file system that is mounted
  File* file =
      find(files_, fmt::format("{}\n{}\n{}\n{}\n{}", path, r.ret, r.exe, r.uid, view.serve()));
  if (file == nullptr) return;
  evidence::FileFact& fact = file->fact;
  if (file->tally.keys.empty() && file->tally.alone == 0) {
    fact.path = path;
    if (r.ret < 0) fact.error = error_name(-r.ret);
    fact.exe = exe_of(view);
    fact.uid = r.uid;
    fact.phase = view.serve() ? evidence::Phase::kServe : evidence::Phase::kPull;
    if (auto owner = resolver_.owner(path)) {
      fact.owner = owner->first;
      fact.owner_gid = owner->second;
    }
  }
  for (const std::string& op : ops) add_op(fact.ops, op);
  add_to(file->tally, view);
}

void Ledger::take_exec(const View& view, const std::string& path, int error) {
  Exec* exec = find(execs_, fmt::format("{}\n{}", path, error));
  if (exec == nullptr) return;
  exec->fact.path = path;
  if (error != 0) exec->fact.error = error_name(error);
  add_to(exec->tally, view);
}

void Ledger::take_call(const View& view) {
  const pare_record& r = view.record;
  const CallRow* row = call_row(r.nr);
  if (row == nullptr) return;
  if (row->shape.kind == PARE_SHAPE_ADDRESS) {
    std::string object = object_address(view);
    if (!object.empty() && object[0] == '/') take_file(view, object, {std::string(row->op)});
    return;
  }
  std::string path = object_path(view, *row);
  if (row->shape.kind == PARE_SHAPE_EXEC) {
    take_exec(view, path, -r.ret);
  } else if (row->shape.kind == PARE_SHAPE_OPEN) {
    const uint64_t flags = r.args[5];
    // A file without a name: what is needed is its directory.
    if (r.ret == 0 && (flags & O_TMPFILE) == O_TMPFILE) {
      take_file(view, path.substr(0, std::max<size_t>(path.rfind('/'), 1)), {"create"});
    } else {
      take_file(view, path, open_ops(flags, r));
    }
  } else {
    take_file(view, path, {std::string(row->op)});
  }
}

void Ledger::take_arguments(const View& view) {
  const pare_record& r = view.record;
  const CallRow* row = call_row(r.nr);
  if (row == nullptr) return;
  std::vector<uint64_t> values;
  for (int i = 0; i < 6; ++i)
    if ((row->shape.values >> i & 1) != 0) values.push_back(r.args[i]);
  const std::string object = view.names.empty() ? "" : join_names(view.names);
  Argument* argument = find(arguments_, fmt::format("{} {} {} {} {}", r.nr, fmt::join(values, ","),
                                                    object, r.ret, view.serve()));
  if (argument == nullptr) return;
  argument->fact.syscall = call_name(r.nr, false);
  argument->fact.values = values;
  argument->fact.object = object;
  if (r.ret < 0) argument->fact.error = error_name(-r.ret);
  argument->fact.phase = view.serve() ? evidence::Phase::kServe : evidence::Phase::kPull;
  add_to(argument->tally, view);
}

// The operation's result is not known when it is submitted: a change that failed looks like one
// that was made.
void Ledger::take_uring(const View& view) {
  const pare_record& r = view.record;
  const std::string name = uring_name(r.nr);
  std::string object;
  if ((r.flags & PARE_SOCKADDR) != 0)
    object = object_address(view);
  else if (!view.request.empty())
    object = requested(view, false);
  else if (name == "SOCKET")
    object = describe_values(SYS_socket, r.args);
  if (Operation* operation = find(operations_, name + "\n" + object)) {
    operation->fact.opcode = name;
    operation->fact.object = object;
    add_to(operation->tally, view);
  }
  const std::vector<std::string> ops = uring_file_ops(r.nr, r.args[5]);
  if (!ops.empty() && !object.empty()) take_file(view, object, ops);
}

void Ledger::take_capability(const View& view) {
  const pare_record& r = view.record;
  const bool advisory = r.capability == kSysAdmin && is_overcommit_site(r.nr, r.args);
  // Each allocation asks whether it may use the administrator's reserve; a no changes nothing
  // (mm/util.c, __vm_enough_memory), so it is no act of the workload.
  if (advisory && r.ret != 0) return;
  const CallRow* row = call_row(r.nr);
  const std::string call = r.nr == kNoCall ? "" : call_name(r.nr, false);
  std::string object;
  if (row == nullptr || row->shape.kind > PARE_SHAPE_ADDRESS)
    object = describe_values(r.nr, r.args);
  else
    object = row->shape.kind == PARE_SHAPE_ADDRESS ? object_address(view) : object_path(view, *row);
  Use* use = find(uses_, fmt::format("{}\n{}\n{}\n{}\n{}\n{}", r.capability, call, object, r.exe,
                                     r.uid, r.ret == 0));
  if (use == nullptr) return;
  use->capability = r.capability;
  use->advisory = advisory;
  use->use.syscall = call;
  use->use.object = object;
  use->use.exe = exe_of(view);
  use->use.uid = r.uid;
  use->use.granted = r.ret == 0;
  if (!object.empty() && object[0] == '/') {
    if (auto owner = resolver_.owner(object)) {
      use->use.owner = owner->first;
      use->use.owner_gid = owner->second;
    }
  }
  add_to(use->tally, view);
}

void Ledger::fill_capabilities(evidence::Evidence& evidence, int& id) {
  std::map<int, evidence::CapabilityFact> facts;
  for (auto& [name, use] : uses_) {
    auto [it, fresh] = facts.try_emplace(use.capability);
    evidence::CapabilityFact& fact = it->second;
    fact.advisory = use.advisory && (fresh || fact.advisory);
    (use.use.granted ? fact.granted : fact.refused) += total(use.tally);
    fact.serve |= use.tally.serve;
    if (fresh) fact.phase = evidence::Phase::kServe;
    if (use.tally.pull) fact.phase = evidence::Phase::kPull;
    use.use.id = fmt::format("e{}", ++id);
    fact.uses.push_back(std::move(use.use));
  }
  for (auto& [number, fact] : facts) {
    fact.name = number < privilege::kCapabilityCount
                    ? std::string(privilege::capability_row(number).name)
                    : fmt::format("CAP_{}", number);
    evidence.capabilities.push_back(std::move(fact));
  }
}

void Ledger::fill(evidence::Evidence& evidence) {
  int id = 0;
  fill_capabilities(evidence, id);
  for (auto& [name, file] : files_) {
    file.fact.id = fmt::format("e{}", ++id);
    file.fact.count = total(file.tally);
    evidence.files.push_back(std::move(file.fact));
  }
  for (auto& [name, exec] : execs_) {
    exec.fact.count = total(exec.tally);
    evidence.execs.push_back(std::move(exec.fact));
  }
  for (auto& [name, operation] : operations_) {
    operation.fact.count = total(operation.tally);
    evidence.io_uring.push_back(std::move(operation.fact));
  }
  for (auto& [name, argument] : arguments_) {
    argument.fact.count = total(argument.tally);
    evidence.arguments.push_back(std::move(argument.fact));
  }
  traffic_.fill(evidence, id);
}

}  // namespace pare::record
