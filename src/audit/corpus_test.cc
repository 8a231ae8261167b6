// The fuzzers' corpora, replayed: every file of tests/corpus/audit_* through the same properties.
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "audit/fix.h"
#include "audit/format.h"
#include "base/file.h"

namespace pare::audit {
namespace {

namespace fs = std::filesystem;

std::map<std::string, size_t> count(const Audit& audit) {
  std::map<std::string, size_t> counts;
  for (const Finding& f : audit.findings) {
    ++counts[std::string(f.rule->id) + " " + f.workload + " " + f.container];
  }
  return counts;
}

void expect_properties(const std::string& name, const std::string& text) {
  Audit before = audit_files({{name, text}}, {});
  for (Format format : {Format::kText, Format::kJson, Format::kSarif, Format::kJunit,
                        Format::kGithub, Format::kMarkdown}) {
    if (before.models[0]->unread.empty()) format_audit(before, format, {});
  }
  FixedFile fixed = fix_file(before, 0, {});
  Audit after = audit_files({{name, fixed.text}}, {});
  EXPECT_LE(after.models[0]->unread.size(), before.models[0]->unread.size());
  std::map<std::string, size_t> had = count(before);
  for (const auto& [key, number] : count(after)) EXPECT_LE(number, had[key]) << key;
  EXPECT_EQ(fix_file(after, 0, {}).text, fixed.text);
}

TEST(Corpus, EveryFileKeepsTheProperties) {
  const std::map<std::string, std::vector<std::string>> kTargets = {
      {"audit_yaml_fuzz", {"a.yaml"}},
      {"audit_image_config_fuzz", {"config.json"}},
      {"audit_dockerfile_fuzz", {"Dockerfile"}},
      {"audit_script_fuzz", {"run.sh"}},
      {"audit_markdown_fuzz", {"README.md"}},
      {"audit_fix_fuzz", {"a.yaml", "run.sh", "README.md"}}};
  for (const auto& [target, names] : kTargets) {
    size_t files = 0;
    for (const auto& entry :
         fs::directory_iterator(fs::path(PARE_SOURCE_DIR) / "tests" / "corpus" / target)) {
      auto bytes = base::read_file(entry.path());
      ASSERT_TRUE(bytes) << bytes.error().message;
      if (bytes->empty()) continue;
      SCOPED_TRACE(entry.path().string());
      auto kind = static_cast<unsigned char>((*bytes)[0]);
      expect_properties(names[kind % names.size()], bytes->substr(1));
      ++files;
    }
    EXPECT_GT(files, 3u) << target;
  }
}

}  // namespace
}  // namespace pare::audit
