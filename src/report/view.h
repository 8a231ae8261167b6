// What every report shows of a proof, before it is laid out: rows, losses, gaps.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "evidence/evidence.h"
#include "verdict/verdict.h"

namespace pare::report {

// One line of the table of verdicts: one verdict, or several of one axis that were judged alike.
struct Row {
  std::vector<const verdict::Verdict*> verdicts;  // of the proof, never empty
  std::string privilege;                          // "capability/NET_RAW", or "13 capabilities"
  std::string because;  // with the fix and the phase, and the names where there are several
};
// What matters most to a reader first: unproven, needed, fixable, unneeded. Three or more are one
// row where they differ in nothing but their value.
std::vector<Row> table_rows(const verdict::Proof& proof);

// What an attacker inside the container could do before and cannot now.
struct Loss {
  std::string gain;                     // one clause, from the privilege table
  std::vector<std::string> privileges;  // that gave it; most dangerous loss first
};
std::vector<Loss> losses(const verdict::Proof& proof);

// One line each: "GAIN (PRIVILEGES)", "SEVERITY: FINDING", "NAME: CHECK".
std::vector<std::string> loss_lines(const verdict::Proof& proof);
std::vector<std::string> finding_lines(const verdict::Proof& proof);
std::vector<std::string> check_lines(const verdict::Proof& proof);

// What the proof does not show, one clause each: unproven verdicts, lost events, what no check
// exercised, what the platform cannot enforce, assumptions.
std::vector<std::string> not_shown(const verdict::Proof& proof);

// "Confirmed and minimal", "Confirmed, not minimal: ...", "Not confirmed: ...".
std::string headline(const verdict::Proof& proof);
// "for kubernetes: 7 container starts, 12.3 s".
std::string cost(const verdict::Proof& proof);
// The image with its digest, or the root file system.
std::string subject(const verdict::Proof& proof);
// The confirmed policy, one "name: value" a line, as a person would say it.
std::vector<std::pair<std::string, std::string>> policy_lines(const privilege::Policy& policy);

// Without control characters: what a container wrote must not steer the reader's terminal.
std::string printable(std::string text);

// Facts that verdicts refer to, by id: "e12" -> "fchownat /data by /bin/server, uid 0".
std::map<std::string, std::string> fact_lines(const evidence::Evidence& evidence);

}  // namespace pare::report
