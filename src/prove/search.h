// From a policy that is too tight to one that passes and from which nothing more can be taken.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "prove/candidates.h"
#include "prove/give_back.h"
#include "prove/ledger.h"
#include "prove/universe.h"

namespace pare::prove {

// How the trials of one search are run.
struct Manner {
  bool cold = false;     // from the volumes as the user has them
  bool restart = false;  // each trial stops and starts once more
};

class Search {
 public:
  Search(const Question& question, Universe& universe, Ledger& ledger, Manner manner)
      : question_(question),
        universe_(universe),
        ledger_(ledger),
        manner_(manner),
        users_(user_candidates(question, universe.baselines())) {}

  // A choice that passed, and of which each privilege beyond `floor` was taken away once and then
  // failed. Starts with `floor`, which is never searched below.
  Step<Choice> find(const Choice& floor);

  // The published way, for comparison: each privilege is taken from the whole, as often as --repeat
  // says. What fails without is kept, with its trials in `needs`; what is left was never tried
  // together.
  Step<Choice> one_by_one(const Choice& floor, std::map<Privilege, Need>& needs);

  // Whether checks pass under it; run only when that is not known yet.
  Step<bool> passes(const std::string& kind, const Choice& choice);
  // Runs it until it failed `times` times; false when it passed.
  Step<bool> fails(const std::string& kind, const Choice& choice, int times);
  // Brings the failures of each choice up to so many, side by side; a choice that passes on the way
  // is left alone. Nothing is run where trials go one by one.
  Step<void> fail_ahead(const std::string& kind,
                        const std::vector<std::pair<Choice, int>>& choices);
  const Record* record(const Choice& choice) const;
  // Of the last run that failed (passed) under it; nullptr without a recorder.
  const evidence::Evidence* evidence(const Choice& choice, bool pass) const;
  // What its last failing run says; empty without a recorder.
  Hints hints(const Choice& choice);

  // Of the choices that passed so far, the one that grants the least danger.
  const std::optional<Choice>& best() const { return best_; }
  const std::vector<UserCandidate>& users() const { return users_; }
  // Privileges of the choice beyond `floor` that a trial can take away, most dangerous first.
  std::vector<Privilege> removable(const Choice& choice, const Choice& floor) const;
  // A minimal part of the candidates that has to be added to `base`; `top` is base with all of
  // them, and passes. The most dangerous goes first (QuickXplain, Junker 2004).
  Step<Choice> shrink(Choice base, const std::vector<Privilege>& candidates);
  // Takes away what can be taken away alone, until nothing can.
  Step<Choice> polish(Choice choice, const Choice& floor);

 private:
  Request request(const std::string& kind, const Choice& choice) const;
  Step<const Record*> run(const std::string& kind, const Choice& choice);
  Step<bool> give_back(Choice& choice);
  bool apply(const Hints& hints, bool first, Choice& choice);
  bool apply_copy_up(Choice& choice);
  bool apply_untraced(Choice& choice);
  Step<Choice> drop_settings(Choice choice, const Choice& floor);
  bool apply_possible(const Hints& hints, Choice& choice);
  void let_capabilities_reach(Choice& choice);
  Step<Choice> bisect_all(const Choice& start);
  std::vector<Privilege> unused(const Choice& passing, const Choice& floor) const;
  Step<Choice> reduce(const Choice& passing, const Choice& floor);
  Step<std::vector<Privilege>> needed_of(const Choice& base, const std::vector<Privilege>& list,
                                         bool base_fails);
  Step<std::optional<Choice>> stand_ins(const Choice& choice, const Privilege& p);
  Step<Choice> prefer(Choice choice, const Choice& floor);
  Step<Choice> fix_user(Choice choice);
  Step<Choice> fix_volumes(Choice choice);
  Step<Choice> fix_rootfs(Choice choice);
  bool refused_in(const Choice& choice, const std::string& directory) const;
  bool uid_could_help(const Choice& without_root);

  const Question& question_;
  Universe& universe_;
  Ledger& ledger_;
  Manner manner_;
  std::vector<UserCandidate> users_;
  std::set<privilege::User> tried_users_;
  std::optional<Choice> best_;
};

Choice without(Choice choice, const Privilege& privilege);

}  // namespace pare::prove
