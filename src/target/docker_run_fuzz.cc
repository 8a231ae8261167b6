// The words of a docker run line, one a line of the input.
#include <cstdint>

#include "base/text.h"
#include "target/docker_run.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  // --env-file would read the host's files.
  if (text.find("env-file") != std::string_view::npos) return 0;
  std::vector<std::string> words = {"docker", "run"};
  for (std::string& word : pare::base::split(text, '\n')) words.push_back(std::move(word));
  auto target = pare::target::parse_docker_run(words, {{"SET", "1"}, {"API_KEY", "k"}});
  if (!target && target.error().message.empty()) __builtin_trap();
  if (target && (target->image.empty() || target->written.size() != words.size())) __builtin_trap();
  (void)pare::target::parse_env_file(std::string(text), "fuzz.env", {});
  return 0;
}
