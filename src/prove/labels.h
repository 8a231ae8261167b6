// What is no longer granted: was it never needed, or does a change stand in for it?
#pragma once

#include "prove/answer.h"
#include "prove/search.h"

namespace pare::prove {

class Labels {
 public:
  Labels(const Question& question, Universe& universe, Ledger& ledger, Search& search,
         Search& restarting, Answer& answer)
      : question_(question),
        universe_(universe),
        ledger_(ledger),
        search_(search),
        restarting_(restarting),
        answer_(answer) {}

  // Repeats each failure that the choice's privileges rest on, and tries what tells fixable from
  // unneeded. kFlaky when one of them passes after all.
  Step<void> show();
  // The same from what was tried already, for a search that ended early.
  void show_known();
  // What may still turn out to be fixable where it is not granted, as long as show() did not end.
  std::vector<Privilege> undecided() const;

 private:
  Step<void> show_needed();
  Step<void> label_user();
  std::optional<Privilege> replaced_group() const;
  Step<void> label_group();
  Step<void> label_files();
  Step<void> label_capabilities();
  void label_stood_in(std::set<Privilege>& used);
  void label_gated();
  Step<void> label_moved();
  Step<void> label_as_root(const std::set<Privilege>& used);
  bool lacks(const Privilege& privilege) const;  // the answer's choice
  bool cares_for_owners() const;
  bool tolerated(const Privilege& capability) const;
  Step<void> show_need(Search& search, const Privilege& privilege);
  bool explained(const Choice& without, const Privilege& privilege);
  Step<bool> fails_by_itself(const Choice& choice, const Privilege& privilege);

  const Question& question_;
  Universe& universe_;
  Ledger& ledger_;
  Search& search_;
  Search& restarting_;  // for needs that only a restart brings out
  Answer& answer_;
};

// How often a failure has to repeat before it counts: once more where no refusal explains it.
int failures_wanted(const Options& options, bool explained);

}  // namespace pare::prove
