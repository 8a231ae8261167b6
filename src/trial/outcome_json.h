#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "base/result.h"
#include "prove/runner.h"

namespace pare::trial {

nlohmann::json to_json(const prove::Outcome& outcome);
Result<prove::Outcome> outcome_from_json(const nlohmann::json& json, const std::string& what);
// Identifies a request: what is run, not what it is called.
std::string request_key(const prove::Request& request);

}  // namespace pare::trial
