#include "cli/verbs.h"

#include <fmt/core.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>

#include "base/text.h"
#include "cli/version.h"

namespace pare::cli {

const std::vector<Verb>& verb_table() {
  static const std::vector<Verb> kTable = {
      {"prove", "find the least privilege a container needs, by running it without", set_up_prove},
      {"observe", "run it once under the recorder: evidence only", set_up_observe},
      {"emit", "write a proof down for a platform", set_up_emit},
      {"pull", "fill a volume from named hosts, in a container of its own", set_up_pull},
      {"prepare", "own, create and verify a volume", set_up_prepare},
      {"run", "run a proved server locked to its proof, behind a gate", set_up_run},
      {"audit", "what files ask for, and the fix", set_up_audit},
      {"explain", "what a rule of audit means", set_up_explain},
      {"report", "a proof for people, or for who makes the server", set_up_report},
      {"diff", "what changed from one proof to the next", set_up_diff},
      {"merge", "evidence of replicas as one, and who showed what", set_up_merge},
      {"watch", "close a container's egress, show every attempt, learn exceptions", set_up_watch},
      {"telemetry", "what each opt-out variable really does, by trying it", set_up_telemetry},
      {"doctor", "say what this host can and cannot do", set_up_doctor},
      {"clean", "remove whatever a killed pare left behind", set_up_clean},
  };
  return kTable;
}

namespace {

void print_error(const Error& error) {
  fmt::print(stderr, "pare: {}\n", error.message);
}

bool is_verb(std::string_view word) {
  const auto& table = verb_table();
  return std::any_of(table.begin(), table.end(), [&](const Verb& v) { return v.name == word; });
}

std::string unknown_verb(const std::string& word) {
  std::vector<std::string> names;
  for (const Verb& verb : verb_table()) names.emplace_back(verb.name);
  std::string near = base::nearest(word, names);
  return "unknown verb '" + word + "'" +
         (near.empty() ? ", see pare --help" : ", did you mean '" + near + "'?");
}

// What was printed has to have arrived: a full disk shows when the last of it is written.
Result<int> delivered(int code) {
  if (fflush(stdout) == 0 && ferror(stdout) == 0) return code;
  return fail_errno("cannot write standard output", errno);
}

// CLI11 takes "-1" for a very large number.
void refuse_signs(CLI::App& app) {
  for (CLI::Option* option : app.get_options()) {
    if (option->get_type_name() != "UINT") continue;
    option->check(CLI::Validator(
        [](std::string& text) {
          return base::parse_u64(text) ? std::string()
                                       : "'" + text + "' is no whole number from 0 on";
        },
        ""));
  }
}

int run_action(const Action& action) {
  try {
    Result<int> code = action();
    if (code) code = delivered(*code);
    if (code) return *code;
    print_error(code.error());
    return base::exit_code(code.error().kind);
  } catch (const std::exception& e) {
    print_error({ErrorKind::kHost, std::string("unexpected: ") + e.what()});
    return base::exit_code(ErrorKind::kHost);
  }
}

}  // namespace

int run(int argc, char** argv) {
  CLI::App app{"pare proves the least privilege an inference container needs, and writes it down.",
               "pare"};
  app.set_version_flag("--version", std::string("pare ") + kVersion);
  app.require_subcommand(0, 1);
  app.footer(
      "exit codes: 0 done (a proof: minimal), 1 the answer is no, 2 usage, 3 the host cannot,\n"
      "            4 the baseline fails its checks, 5 could not read everything");
  Action chosen;
  for (const Verb& verb : verb_table()) {
    CLI::App* sub = app.add_subcommand(verb.name, verb.summary);
    Action action = verb.set_up(*sub);
    refuse_signs(*sub);
    sub->callback([&chosen, action] { chosen = action; });
  }
  if (argc > 1 && argv[1][0] != '-' && !is_verb(argv[1])) {
    print_error({ErrorKind::kUsage, unknown_verb(argv[1])});
    return base::exit_code(ErrorKind::kUsage);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return run_action([&] { return app.exit(e); });
    std::string verb = argc > 1 && is_verb(argv[1]) ? std::string(argv[1]) + " " : "";
    print_error({ErrorKind::kUsage, std::string(e.what()) + " (see pare " + verb + "--help)"});
    return base::exit_code(ErrorKind::kUsage);
  }
  if (!chosen) {
    return run_action([&] {
      fmt::print("{}", app.help());
      return argc > 1 ? 0 : base::exit_code(ErrorKind::kUsage);
    });
  }
  return run_action(chosen);
}

}  // namespace pare::cli
