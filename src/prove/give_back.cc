#include "prove/give_back.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "prove/candidates.h"
#include "prove/usage.h"

namespace pare::prove {

using evidence::Evidence;
using evidence::FileFact;

namespace {

bool permission_error(const std::string& error) {
  return error == "EACCES" || error == "EPERM";
}

class Reader {
 public:
  Reader(Universe& universe, const Choice& choice, const Evidence& failing)
      : universe_(universe), choice_(choice), failing_(failing), asked_(universe.question().asked) {
    root_withheld_ = withheld({Axis::kUser, "root"});
    uid_ = root_withheld_ ? choice.user.uid : asked_.user.uid;
  }

  Hints read() {
    for (const FileFact& file : failing_.files) read_file(file);
    for (const auto& fact : failing_.capabilities) read_capability(fact);
    for (const auto& fact : failing_.syscalls) read_syscall(fact);
    for (const auto& fact : failing_.egress) read_egress(fact);
    for (const auto& fact : failing_.execs) read_exec(fact);
    read_limits();
    rank_users();
    read_escalation();
    return std::move(hints_);
  }

 private:
  bool withheld(const Privilege& privilege) const { return universe_.lacks(choice_, privilege); }

  void suspect(const Privilege& privilege, bool likely) {
    if (!withheld(privilege)) return;
    (likely ? hints_.likely : hints_.possible).insert(privilege);
  }

  bool refused_before(const FileFact& file) const {
    for (const Evidence& baseline : universe_.baselines()) {
      for (const FileFact& known : baseline.files) {
        if (known.path == file.path && known.error == file.error) return true;
      }
    }
    return false;
  }

  // Refused to this uid, and perhaps not to another, or to a group.
  void owned_by(std::optional<uint32_t> owner, std::optional<uint32_t> gid) {
    if (owner == uid_) return;
    // It may also be the group of a directory on the way.
    for (uint32_t group : asked_.user.groups) suspect(group_privilege(group), group == gid);
    if (!owner || !root_withheld_) return;
    bool of_asked_group = gid && universe_.has(group_privilege(*gid));
    if (*owner != 0) {
      users_[{*owner, gid && !of_asked_group ? *gid : *owner, {}}]++;
      return;
    }
    suspect({Axis::kUser, "root"}, false);
    const std::vector<uint32_t>& groups = choice_.user.groups;
    bool member = gid == choice_.user.gid || !gid || *gid == 0 ||
                  std::find(groups.begin(), groups.end(), *gid) != groups.end();
    if (member || of_asked_group) return;
    privilege::User user = choice_.user;
    user.groups.push_back(*gid);
    users_[user]++;
  }

  void read_file(const FileFact& file) {
    if (!file.error || refused_before(file)) return;
    const std::string& error = *file.error;
    if (error == "ENOENT") {
      read_missing(file.path);
    } else if (error == "EROFS" || permission_error(error)) {
      bool tmpfs_serves = is_write(file) && read_refused_write(file);
      if (permission_error(error) && !tmpfs_serves) {
        owned_by(file.owner, file.owner_gid);
        suspect({Axis::kDevice, file.path}, true);
        if (!file.owner) suspect({Axis::kUser, "root"}, false);
      }
    }
  }

  void read_missing(const std::string& path) {
    suspect({Axis::kDevice, path}, true);
    for (const Privilege& granted : choice_.granted) {
      const Element* element = universe_.find(granted);
      if (granted.axis != Axis::kWrite || element == nullptr || element->asked) continue;
      if (under(path, granted.value)) hints_.copy_up.insert(granted.value);
    }
  }

  // True when the write lies in the root file system and a tmpfs would serve it, whoever owns the
  // directory.
  bool read_refused_write(const FileFact& file) {
    for (const privilege::VolumeAccess& volume : asked_.volumes) {
      if (under(file.path, volume.path)) suspect({Axis::kVolumeWrite, volume.path}, true);
    }
    for (const privilege::Writable& w : asked_.writable) {
      if (under(file.path, w.path)) suspect({Axis::kWrite, w.path}, true);
    }
    if (!in_root_filesystem(asked_, file.path) || !withheld({Axis::kRootfs, "write"})) return false;
    std::string directory = known_directory(file.path);
    if (directory.empty()) directory = writable_directory(failing_, file.path);
    if (directory == "/") {
      hints_.rootfs = true;
      hints_.home = true;
      suspect({Axis::kRootfs, "write"}, false);
      return false;
    }
    Privilege write{Axis::kWrite, directory};
    if (choice_.granted.count(write) > 0) return false;
    Element element{write};
    element.asked = false;
    universe_.add(element);
    suspect(write, true);
    return true;
  }

  // The narrowest writable path of the universe that holds `path`.
  std::string known_directory(const std::string& path) const {
    std::string best;
    for (const Element& element : universe_.elements()) {
      const Privilege& p = element.privilege;
      if (p.axis != Axis::kWrite || !under(path, p.value) || path == p.value) continue;
      if (p.value.size() > best.size()) best = p.value;
    }
    return best;
  }

  void read_capability(const evidence::CapabilityFact& fact) {
    if (fact.refused == 0 || fact.advisory) return;
    Privilege capability{Axis::kCapability, fact.name};
    const Element* element = universe_.find(capability);
    bool of_owners = is_about_owners(fact.name);
    bool out_of_reach = withheld(capability) || !universe_.capabilities_reach(choice_);
    if (element == nullptr || !out_of_reach) return;
    Privilege instead = stand_in(fact.name);
    if (withheld(instead)) suspect(instead, true);
    bool likely = element->used && !of_owners && !withheld(instead);
    (likely ? hints_.likely : hints_.possible).insert(capability);
    for (const evidence::CapabilityUse& use : fact.uses) {
      if (of_owners && !use.granted) owned_by(use.owner, use.owner_gid);
    }
  }

  void read_syscall(const evidence::SyscallFact& fact) {
    if (fact.refused == 0 || !withheld({Axis::kSyscall, "any"})) return;
    Privilege judged = judged_by(fact.name);
    if (judged.value.empty() || choice_.granted.count(judged) > 0) {
      hints_.calls.insert(fact.name);  // not listed, or not with these arguments
      return;
    }
    universe_.add({judged});
    suspect(judged, universe_.find(judged)->used);
  }

  void read_egress(const evidence::EgressFact& fact) {
    if (fact.outcome == "connected" || fact.outcome == "sent") return;
    for (const Element& element : universe_.elements()) {
      if (element.privilege.axis == Axis::kEgress) suspect(element.privilege, connected_before());
    }
  }

  bool connected_before() const {
    return std::any_of(universe_.baselines().begin(), universe_.baselines().end(), reaches_out);
  }

  void read_exec(const evidence::ExecFact& fact) {
    if (!fact.error || !permission_error(*fact.error)) return;
    for (const Privilege& granted : choice_.granted) {
      if (granted.axis == Axis::kWrite && under(fact.path, granted.value)) {
        hints_.exec.insert(granted.value);
      }
    }
  }

  // Limits refuse without a trace of their own: near the limit is suspicious.
  void read_limits() {
    privilege::Policy policy = universe_.policy(choice_);
    if (policy.pids_max && failing_.peaks.tasks + 1 >= *policy.pids_max) {
      suspect({Axis::kPids, "max"}, true);
    }
    if (failing_.peaks.shm_bytes * 10 >= universe_.question().platform.shm_bytes * 9) {
      suspect({Axis::kShm, "size"}, true);
    }
    for (const auto& fact : failing_.capabilities) {
      if (fact.name != "IPC_LOCK" || fact.refused == 0) continue;
      suspect({Axis::kMemlock, "unlimited"}, true);
    }
  }

  // A set-user-id program leaves no refusal of its own.
  void read_escalation() {
    const Element* escalation = universe_.find({Axis::kEscalation, "new-privileges"});
    if (escalation != nullptr && escalation->used) suspect(escalation->privilege, true);
  }

  void rank_users() {
    std::vector<std::pair<privilege::User, int>> ranked(users_.begin(), users_.end());
    std::stable_sort(ranked.begin(), ranked.end(),
                     [](const auto& a, const auto& b) { return a.second > b.second; });
    for (auto& [user, count] : ranked) hints_.users.push_back(user);
  }

  Universe& universe_;
  const Choice& choice_;
  const Evidence& failing_;
  const privilege::Policy& asked_;
  Hints hints_;
  std::map<privilege::User, int> users_;
  bool root_withheld_ = false;
  uint32_t uid_ = 0;
};

}  // namespace

bool Hints::empty() const {
  return likely.empty() && possible.empty() && users.empty() && copy_up.empty() && exec.empty() &&
         calls.empty() && !home && !rootfs;
}

Hints read_refusals(Universe& universe, const Choice& choice, const Evidence& failing) {
  return Reader(universe, choice, failing).read();
}

}  // namespace pare::prove
