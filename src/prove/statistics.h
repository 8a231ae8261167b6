// What counts of passes and failures do and do not say.
#pragma once

namespace pare::prove {

struct Tally {
  int passes = 0;
  int runs = 0;
};

// The most by which the policy's failure rate may exceed the baseline's, at 95 % one-sided: the
// upper end of Newcombe's hybrid score interval for a difference of proportions (Statistics in
// Medicine 17, 1998, method 10). 0..1; 1 when either was never run.
double worse_by_at_most(Tally baseline, Tally policy);

}  // namespace pare::prove
