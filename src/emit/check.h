// The way back: emitted files, as they are now, read as what a platform would make of them, and
// held against the proof.
#pragma once

#include <string>
#include <vector>

#include "emit/emit.h"

namespace pare::emit {

// One axis of the policy, or one other thing that a server starts with ("image", "command").
struct CheckRow {
  enum class State {
    kSame,           // the files grant what the proof needs
    kDrift,          // they do not: more, less, or something else
    kInexpressible,  // the platform's files cannot say it
  };
  std::string file;  // that was read
  std::string axis;  // as in privileges ("capability"), or "image", "command", "environment"
  State state = State::kSame;
  std::string proof;  // what the proof needs
  std::string found;  // what the file grants; empty where it says nothing
  std::string why;    // of an inexpressible axis
};
std::string_view to_string(CheckRow::State state);

// The errors of emit(), and kUnread for a file that is missing or cannot
// be read as what it should be (file and place in the message). `options` as they were at emit().
Result<std::vector<CheckRow>> check(const verdict::Proof& proof, const std::string& to,
                                    const Options& options, const std::vector<File>& files);

}  // namespace pare::emit
