// The verb table: one row a verb, one file a verb. Help, spelling hints and the man page come from
// it; a verb appears here when its work is done.
#pragma once

#include <CLI/App.hpp>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"

namespace pare::cli {

// 0 done, 1 the answer is no; an Error becomes its own exit code and one printed sentence.
using Action = std::function<Result<int>()>;

struct Verb {
  const char* name;
  const char* summary;
  // Adds the verb's options to its subcommand; what it returns is run when the verb was given.
  Action (*set_up)(CLI::App& app);
};

const std::vector<Verb>& verb_table();

Action set_up_prove(CLI::App& app);
Action set_up_observe(CLI::App& app);
Action set_up_emit(CLI::App& app);
Action set_up_pull(CLI::App& app);
Action set_up_prepare(CLI::App& app);
Action set_up_run(CLI::App& app);
Action set_up_audit(CLI::App& app);
Action set_up_explain(CLI::App& app);
Action set_up_report(CLI::App& app);
Action set_up_diff(CLI::App& app);
Action set_up_merge(CLI::App& app);
Action set_up_watch(CLI::App& app);
Action set_up_telemetry(CLI::App& app);
Action set_up_doctor(CLI::App& app);
Action set_up_clean(CLI::App& app);

// The whole program: parses, runs, prints errors. The process's exit code.
int run(int argc, char** argv);

}  // namespace pare::cli
