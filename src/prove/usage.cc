#include "prove/usage.h"

#include <algorithm>
#include <array>

#include "prove/candidates.h"

namespace pare::prove {

using evidence::Evidence;
using evidence::Phase;

namespace {

std::string act(const evidence::CapabilityUse& use) {
  std::string text = use.syscall.empty() ? "an unnamed call" : use.syscall;
  if (!use.object.empty()) text += "(" + use.object + ")";
  return text;
}

std::string written(const evidence::FileFact& file) {
  return (file.ops.empty() ? "write" : file.ops.front()) + " of " + file.path;
}

std::string reached(const evidence::EgressFact& fact) {
  std::string name = fact.name.empty() ? fact.destination : fact.name;
  return "a connection to " + name + ":" + std::to_string(fact.port);
}

void mark_capability(Element& element, const Evidence& evidence, const privilege::Policy&) {
  for (const evidence::CapabilityFact& fact : evidence.capabilities) {
    if (fact.name != element.privilege.value || fact.granted == 0 || fact.advisory) continue;
    bool serve = fact.serve || fact.phase == Phase::kServe;
    note_use(element, "an unnamed call", "", serve);
    for (const evidence::CapabilityUse& use : fact.uses) {
      if (!use.granted) continue;
      if (element.used_by == "an unnamed call") element.used_by = act(use);
      note_use(element, act(use), use.id, serve);
    }
  }
}

// Whether a write to `path` is an exercise of the element.
bool serves_write(const Element& element, const Evidence& evidence, const privilege::Policy& asked,
                  const std::string& path) {
  const Privilege& p = element.privilege;
  bool root_filesystem = in_root_filesystem(asked, path);
  if (p.axis == Axis::kRootfs) return root_filesystem;
  if (p.axis == Axis::kVolumeWrite || element.asked) return under(path, p.value);
  return root_filesystem && writable_directory(evidence, path) == p.value;
}

void mark_files(Element& element, const Evidence& evidence, const privilege::Policy& asked) {
  for (const evidence::FileFact& file : evidence.files) {
    if (file.error || !is_write(file)) continue;
    if (serves_write(element, evidence, asked, file.path))
      note_use(element, written(file), file.id, file.phase == Phase::kServe);
  }
}

void mark_egress(Element& element, const Evidence& evidence, const privilege::Policy&) {
  for (const evidence::EgressFact& fact : evidence.egress) {
    note_use(element, reached(fact), fact.id, fact.phase == Phase::kServe);
  }
}

void mark_syscall(Element& element, const Evidence& evidence, const privilege::Policy&) {
  for (const evidence::SyscallFact& fact : evidence.syscalls) {
    if (judged_by(fact.name) != element.privilege || fact.count == 0) continue;
    note_use(element, fact.name + "(2)", "", fact.serve || fact.phase == Phase::kServe);
  }
}

// A set-user-id program shows as an act of root's although the container did not start as root.
void mark_escalation(Element& element, const Evidence& evidence, const privilege::Policy& asked) {
  if (asked.user.uid == 0) return;
  for (const evidence::FileFact& file : evidence.files) {
    if (file.uid == 0) note_use(element, written(file), file.id, true);
  }
  for (const evidence::CapabilityFact& fact : evidence.capabilities) {
    for (const evidence::CapabilityUse& use : fact.uses) {
      if (use.granted) note_use(element, act(use), use.id, true);
    }
  }
}

using Mark = void (*)(Element&, const Evidence&, const privilege::Policy&);
struct MarkRow {
  Axis axis;
  Mark mark;
};
constexpr std::array<MarkRow, 7> kMarks = {{
    {Axis::kCapability, mark_capability},
    {Axis::kRootfs, mark_files},
    {Axis::kWrite, mark_files},
    {Axis::kVolumeWrite, mark_files},
    {Axis::kEgress, mark_egress},
    {Axis::kSyscall, mark_syscall},
    {Axis::kEscalation, mark_escalation},
}};

}  // namespace

void note_use(Element& element, const std::string& by, const std::string& id, bool serve) {
  if (!element.used) element.used_by = by;
  bool served = serve || (element.used && element.phase == Phase::kServe);
  element.phase = served ? Phase::kServe : Phase::kPull;
  element.used = true;
  auto& ids = element.evidence;
  if (!id.empty() && std::find(ids.begin(), ids.end(), id) == ids.end()) ids.push_back(id);
}

void mark_use(Element& element, const Evidence& evidence, const privilege::Policy& asked) {
  for (const MarkRow& row : kMarks) {
    if (row.axis == element.privilege.axis) row.mark(element, evidence, asked);
  }
}

bool reaches_out(const Evidence& evidence) {
  return std::any_of(evidence.egress.begin(), evidence.egress.end(), [](const auto& fact) {
    return fact.outcome == "connected" || fact.outcome == "sent";
  });
}

}  // namespace pare::prove
