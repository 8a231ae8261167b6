// What can stand in for a privilege that is missed, each tried like any policy.
#include <algorithm>

#include "prove/search.h"

namespace pare::prove {

namespace {
constexpr size_t kMostUsers = 4;  // tried instead of root
}  // namespace

bool Search::uid_could_help(const Choice& without_root) {
  if (evidence(without_root, false) == nullptr) return true;
  Hints said = hints(without_root);
  if (!said.users.empty() || said.home) return true;
  // A capability that only root gets, or a file of uid 0's: no other uid has it either.
  return !said.touches({Axis::kUser, "root"}) && said.likely.empty();
}

Step<Choice> Search::fix_user(Choice choice) {
  Privilege root{Axis::kUser, "root"};
  if (choice.granted.count(root) == 0) return choice;
  Choice less = without(choice, root);
  // What root may do, the members of a group may. Which of them it takes is polish()'s to find.
  for (uint32_t gid : question_.asked.user.groups) less.granted.insert(group_privilege(gid));
  PARE_TRY(bool failed, fails("fix", less, 1));
  if (!failed) return less;
  if (!uid_could_help(less)) return choice;
  size_t tries = 0;
  for (const UserCandidate& candidate : users_) {
    if (tries++ == kMostUsers) break;
    Choice other = less;
    other.user = candidate.user;
    PARE_TRY(bool pass, passes("fix", other));
    if (pass) return other;
  }
  Choice homeless = less;
  homeless.user = users_.back().user;
  for (auto& [name, value] : universe_.home_variables()) homeless.environment[name] = value;
  universe_.add({{Axis::kWrite, "/tmp"}, /*asked=*/false});
  homeless.granted.insert({Axis::kWrite, "/tmp"});
  PARE_TRY(bool pass, passes("fix", homeless));
  return pass ? homeless : choice;
}

Step<Choice> Search::fix_rootfs(Choice choice) {
  Privilege rootfs{Axis::kRootfs, "write"};
  if (choice.granted.count(rootfs) == 0) return choice;
  Choice less = without(choice, rootfs);
  for (const Element& element : universe_.elements()) {
    if (element.privilege.axis == Axis::kWrite) less.granted.insert(element.privilege);
  }
  PARE_TRY(bool pass, passes("fix", less));
  if (pass) return less;
  for (const Privilege& p : less.granted) {
    const Element* element = universe_.find(p);
    if (p.axis == Axis::kWrite && !element->asked) less.forms[p.value].copy_up = true;
  }
  PARE_TRY(pass, passes("fix", less));
  return pass ? less : choice;
}

// Root that is missed for the owners of files in volumes alone: they can belong to another uid
// before the start. Which of the volumes have to is polish()'s to find.
Step<Choice> Search::fix_volumes(Choice choice) {
  Choice less = without(choice, {Axis::kUser, "root"});
  if (less == choice) return choice;
  std::erase_if(less.granted, [](const Privilege& p) {
    return p.axis == Axis::kCapability && is_about_owners(p.value);
  });
  PARE_TRY(bool failed, fails("fix", less, 1));
  if (!failed) return less;
  for (const privilege::VolumeAccess& volume : question_.asked.volumes) {
    if (refused_in(less, volume.path)) less.owned.insert(volume.path);
  }
  if (less.owned.empty()) return choice;
  for (const privilege::VolumeAccess& volume : question_.asked.volumes) {
    less.owned.insert(volume.path);
  }
  PARE_TRY(bool pass, passes("fix", less));
  return pass ? less : choice;
}

// Without a recorder it may have been.
bool Search::refused_in(const Choice& choice, const std::string& directory) const {
  const evidence::Evidence* failing = evidence(choice, false);
  if (failing == nullptr) return true;
  return std::any_of(failing->files.begin(), failing->files.end(), [&](const auto& file) {
    bool refused = file.error && (*file.error == "EACCES" || *file.error == "EPERM");
    return refused && under(file.path, directory);
  });
}

}  // namespace pare::prove
