#include "prove/cold.h"

#include <algorithm>

#include "prove/usage.h"

namespace pare::prove {

std::set<Privilege> only_when_cold(const Universe& universe, const Choice& choice) {
  std::vector<evidence::Evidence> recorded;
  if (universe.recorded()) recorded.push_back(universe.baselines().front());
  Universe cold(universe.question(), universe.check_ports(), recorded);
  auto writes = [&](const Element& element) {
    return element.privilege.axis == Axis::kVolumeWrite && (recorded.empty() || element.used);
  };
  bool fills = std::any_of(cold.elements().begin(), cold.elements().end(), writes);
  if (!fills && !recorded.empty()) return {};
  bool reaches = recorded.empty() || reaches_out(recorded.front());
  std::set<Privilege> set;
  for (const Element& element : cold.elements()) {
    const Privilege& p = element.privilege;
    bool of_a_pull = writes(element) || (p.axis == Axis::kEgress && reaches) ||
                     (p.axis == Axis::kGroup && fills);
    if (of_a_pull && choice.granted.count(p) == 0) set.insert(p);
  }
  return set;
}

}  // namespace pare::prove
