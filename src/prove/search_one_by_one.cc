#include <algorithm>

#include "prove/search.h"

namespace pare::prove {

Step<Choice> Search::one_by_one(const Choice& floor, std::map<Privilege, Need>& needs) {
  Choice all = universe_.everything(floor);
  Choice least = all;
  for (const Privilege& p : removable(all, Choice{})) {
    Choice less = without(all, p);
    const Record* known = nullptr;
    for (int i = 0; i < std::max(1, question_.options.repeat); ++i) {
      PARE_TRY(known, run("minimal", less));
    }
    if (known->passes() > 0) {
      least.granted.erase(p);
    } else {
      needs[p] = {known->ids(false), true, std::nullopt};
    }
  }
  return least;
}

}  // namespace pare::prove
