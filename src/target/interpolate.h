// ${NAME} in compose files and .env files (compose-spec 12-interpolation.md; compose-go template/).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "target/docker_values.h"
#include "target/tree.h"

namespace pare::target {

struct Interpolated {
  std::string text;
  std::vector<std::string> unset;  // names without a value or a default: they became empty
};

// $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?why}, ${NAME?why}, ${NAME:+other},
// ${NAME+other}, nested; $$ is a dollar. kUsage: a form that is none of these, or :? without value.
Result<Interpolated> interpolate(std::string_view text, const Environment& environment);

// Every scalar of a tree. What is wrong or unset is left as the scalar's remark.
void interpolate(Tree& tree, const Environment& environment);

// The text of a .env or env_file: NAME=VALUE with quotes, escapes, comments, `export`, ${NAME} (of
// `environment`, else of the lines before). NAME alone takes `environment`'s value, if any.
Result<std::vector<EnvVar>> parse_dotenv(const std::string& text, const std::string& path,
                                         const Environment& environment);

}  // namespace pare::target
