#include "evidence/merge.h"

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "base/json.h"
#include "base/text.h"

namespace pare::evidence {
namespace {

template <typename T>
void raise(T& into, const T& other) {
  into = std::max(into, other);
}

void earlier(Phase& into, Phase other) {
  if (other == Phase::kPull) into = Phase::kPull;
}

template <typename T>
void unite(std::vector<T>& into, const std::vector<T>& other) {
  std::set<T> all(into.begin(), into.end());
  all.insert(other.begin(), other.end());
  into.assign(all.begin(), all.end());
}

// What tells a fact of a kind apart, and how two that are alike become one.
auto key(const SyscallFact& f) {
  return std::tuple(f.name, f.abi);
}
auto key(const ArgumentFact& f) {
  return std::tuple(f.syscall, f.values, f.object, f.error, f.phase);
}
auto key(const CapabilityUse& f) {
  return std::tuple(f.syscall, f.object, f.exe, f.uid, f.granted, f.owner, f.owner_gid);
}
auto key(const CapabilityFact& f) {
  return f.name;
}
auto key(const FileFact& f) {
  return std::tuple(f.path, f.error, f.exe, f.uid, f.phase, f.owner, f.owner_gid);
}
auto key(const EndpointFact& f) {
  return std::tuple(f.path, f.method, f.status, f.role);
}
auto key(const ListenerFact& f) {
  return std::tuple(f.port, f.protocol, f.address, f.speaks, f.role);
}
auto key(const EgressFact& f) {
  return std::tuple(f.destination, f.port, f.protocol, f.name, f.outcome, f.phase);
}
auto key(const DnsFact& f) {
  return std::tuple(f.name, f.type);
}
auto key(const ExecFact& f) {
  return std::tuple(f.path, f.error);
}
auto key(const IoUringFact& f) {
  return std::tuple(f.opcode, f.object);
}
auto key(const ExeCalls& f) {
  return f.exe;
}
auto key(const AreaFact& f) {
  return f.path;
}
auto key(const LogFact::Line& f) {
  return f.line;
}

template <typename Fact>
void merge_list(std::vector<Fact>& facts);

void join(ExeCalls& into, const ExeCalls& other) {
  raise(into.count, other.count);
}
void join(EndpointFact&, const EndpointFact&) {}
void join(AreaFact& into, const AreaFact& other) {
  raise(into.peak_bytes, other.peak_bytes);
}
void join(LogFact::Line& into, const LogFact::Line& other) {
  raise(into.count, other.count);
}
void join(CapabilityUse&, const CapabilityUse&) {}
void join(DnsFact& into, const DnsFact& other) {
  raise(into.count, other.count);
}
void join(ExecFact& into, const ExecFact& other) {
  raise(into.count, other.count);
}
void join(IoUringFact& into, const IoUringFact& other) {
  raise(into.count, other.count);
}
void join(ArgumentFact& into, const ArgumentFact& other) {
  raise(into.count, other.count);
}

void join(SyscallFact& into, const SyscallFact& other) {
  raise(into.count, other.count);
  raise(into.refused, other.refused);
  earlier(into.phase, other.phase);
  into.serve |= other.serve;
  into.exes.insert(into.exes.end(), other.exes.begin(), other.exes.end());
}

void join(CapabilityFact& into, const CapabilityFact& other) {
  raise(into.granted, other.granted);
  raise(into.refused, other.refused);
  into.advisory &= other.advisory;
  earlier(into.phase, other.phase);
  into.serve |= other.serve;
  into.uses.insert(into.uses.end(), other.uses.begin(), other.uses.end());
}

void join(FileFact& into, const FileFact& other) {
  into.ops.insert(into.ops.end(), other.ops.begin(), other.ops.end());
  raise(into.count, other.count);
}

void join(ListenerFact& into, const ListenerFact& other) {
  into.endpoints.insert(into.endpoints.end(), other.endpoints.begin(), other.endpoints.end());
  into.server = std::max(into.server, other.server);
}

void join(EgressFact& into, const EgressFact& other) {
  raise(into.attempts, other.attempts);
  if (!into.period_ms || (other.period_ms && *other.period_ms < *into.period_ms))
    into.period_ms = other.period_ms;
}

// What a fact holds in lists of its own, in one order.
template <typename Fact>
void settle(Fact&) {}
void settle(SyscallFact& f) {
  merge_list(f.exes);
}
void settle(CapabilityFact& f) {
  merge_list(f.uses);
}
void settle(FileFact& f) {
  unite(f.ops, {});
}
void settle(ListenerFact& f) {
  merge_list(f.endpoints);
}

template <typename Fact>
void merge_list(std::vector<Fact>& facts) {
  std::map<decltype(key(facts[0])), Fact> merged;
  for (Fact& fact : facts) {
    auto [it, fresh] = merged.try_emplace(key(fact), fact);
    if (fresh) continue;
    join(it->second, fact);
    if constexpr (requires { fact.replicas; }) unite(it->second.replicas, fact.replicas);
  }
  facts.clear();
  for (auto& [name, fact] : merged) {
    settle(fact);
    facts.push_back(std::move(fact));
  }
}

// Calls visit(list) for each list of facts that says which replicas showed them.
template <typename F>
void for_each_list(Evidence& e, F&& visit) {
  visit(e.syscalls);
  visit(e.arguments);
  visit(e.capabilities);
  visit(e.files);
  visit(e.listeners);
  visit(e.egress);
  visit(e.dns);
  visit(e.io_uring);
  visit(e.execs);
}

// Makes each fact say so by its place in `all`.
void name_replicas(Evidence& e, const std::vector<std::string>& all) {
  const bool single = e.replicas.empty();
  std::vector<std::string> own = single ? std::vector{replica_id(e)} : e.replicas;
  auto rename = [&](Replicas& replicas) {
    if (single) replicas = {0};
    Replicas renamed;
    for (uint32_t place : replicas) {
      if (place >= own.size()) continue;
      auto found = std::lower_bound(all.begin(), all.end(), own[place]);
      renamed.push_back(static_cast<uint32_t>(found - all.begin()));
    }
    unite(renamed, {});
    replicas = std::move(renamed);
  };
  for_each_list(e, [&](auto& facts) {
    for (auto& fact : facts) rename(fact.replicas);
  });
  for (CapabilityFact& fact : e.capabilities)
    for (CapabilityUse& use : fact.uses) rename(use.replicas);
}

void merge_scalars(Evidence& into, const Evidence& other) {
  if (other.coverage == Coverage::kAttached) into.coverage = Coverage::kAttached;
  std::vector<std::string> hooks =
      base::split(into.capability_hook + "," + other.capability_hook, ',');
  unite(hooks, {});
  std::erase(hooks, "");
  into.capability_hook = base::join(hooks, ",");
  if (into.ready.empty() || (!other.ready.empty() && other.ready < into.ready))
    into.ready = other.ready;
  raise(into.peaks.tasks, other.peaks.tasks);
  raise(into.peaks.memory_bytes, other.peaks.memory_bytes);
  raise(into.peaks.shm_bytes, other.peaks.shm_bytes);
  raise(into.peaks.open_files, other.peaks.open_files);
  raise(into.log.bytes_per_second, other.log.bytes_per_second);
  raise(into.loss.events, other.loss.events);
  unite(into.loss.maps, other.loss.maps);
  unite(into.runtime_syscalls, other.runtime_syscalls);
}

template <typename T>
void append(std::vector<T>& into, const std::vector<T>& other) {
  into.insert(into.end(), other.begin(), other.end());
}

void append_facts(Evidence& into, const Evidence& other) {
  append(into.syscalls, other.syscalls);
  append(into.arguments, other.arguments);
  append(into.capabilities, other.capabilities);
  append(into.files, other.files);
  append(into.listeners, other.listeners);
  append(into.egress, other.egress);
  append(into.dns, other.dns);
  append(into.io_uring, other.io_uring);
  append(into.execs, other.execs);
  append(into.areas, other.areas);
  append(into.log.repeated, other.log.repeated);
}

void number(Evidence& e) {
  int id = 0;
  for (CapabilityFact& fact : e.capabilities)
    for (CapabilityUse& use : fact.uses) use.id = "e" + std::to_string(++id);
  for (FileFact& fact : e.files) fact.id = "e" + std::to_string(++id);
  for (EgressFact& fact : e.egress) fact.id = "e" + std::to_string(++id);
}

}  // namespace

std::string replica_id(const Evidence& evidence) {
  return base::sha256_hex(base::write_json(to_json(evidence))).substr(0, 16);
}

Evidence merge(const std::vector<Evidence>& inputs) {
  Evidence merged;
  std::set<std::string> all;
  for (const Evidence& input : inputs) {
    if (input.replicas.empty())
      all.insert(replica_id(input));
    else
      all.insert(input.replicas.begin(), input.replicas.end());
  }
  merged.replicas.assign(all.begin(), all.end());
  for (Evidence input : inputs) {
    name_replicas(input, merged.replicas);
    merge_scalars(merged, input);
    append_facts(merged, input);
  }
  for_each_list(merged, [](auto& facts) { merge_list(facts); });
  merge_list(merged.areas);
  merge_list(merged.log.repeated);
  number(merged);
  return merged;
}

}  // namespace pare::evidence
