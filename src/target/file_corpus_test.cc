// The corpora of the file readers: every workload in them is read, or refused with its file and
// line; the seeds with a plain name are read whole.
#include <gmock/gmock.h>

#include <filesystem>
#include <set>

#include "base/file.h"
#include "target/files.h"
#include "target/pare_file.h"

namespace pare::target {
namespace {

std::vector<std::filesystem::path> corpus(const std::string& name) {
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(PARE_SOURCE_DIR) +
                                                               "/tests/corpus/" + name)) {
    files.push_back(entry.path());
  }
  EXPECT_FALSE(files.empty()) << name;
  return files;
}

void expect_told(const Error& error, const std::string& path) {
  EXPECT_FALSE(error.message.empty()) << path;
  EXPECT_TRUE(error.kind == ErrorKind::kUsage || error.kind == ErrorKind::kUnread) << path;
}

void replay(const std::string& name, const std::set<std::string>& whole) {
  FileOptions options;
  options.binds["pvc/models"] = "/srv/models";
  options.environment = {{"HOME", "/root"}};
  options.profiles = {"*"};
  size_t seen = 0;
  for (const auto& path : corpus(name)) {
    std::string text = base::read_file(path.string()).value();
    bool plain = whole.count(path.filename().string()) != 0;
    seen += plain ? 1 : 0;
    options.read_file = [&](const std::string& file) -> Result<std::string> {
      return std::filesystem::path(file).extension() == ".yaml" ? text : "A=1\n";
    };
    auto workloads = read_target_files({{"f.yaml", text}}, options);
    if (!workloads) {
      expect_told(workloads.error(), path);
      EXPECT_FALSE(plain) << path << ": " << workloads.error().message;
      continue;
    }
    for (const Workload& workload : *workloads) {
      if (!workload.refused) continue;
      expect_told(*workload.refused, path);
      // FILE:LINE: why
      EXPECT_THAT(workload.refused->message, ::testing::MatchesRegex("[^:]+:[0-9]+: (.|\n)+"))
          << path;
      EXPECT_FALSE(plain) << path << ": " << workload.refused->message;
    }
  }
  EXPECT_EQ(seen, whole.size());
}

TEST(FileCorpus, Kubernetes) {
  replay("kubernetes_file_fuzz", {"helm_render", "nimservice", "inferenceservice", "controllers"});
}

TEST(FileCorpus, Compose) {
  replay("compose_file_fuzz", {"stack"});
}

TEST(FileCorpus, PareFiles) {
  for (const auto& path : corpus("pare_file_fuzz")) {
    auto file = read_pare_file({"f.yaml", base::read_file(path.string()).value()});
    if (!file) expect_told(file.error(), path);
    bool plain = path.filename() == "full" || path.filename() == "line";
    EXPECT_TRUE(file.has_value() || !plain) << path << ": " << file.error().message;
  }
}

}  // namespace
}  // namespace pare::target
