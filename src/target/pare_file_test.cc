#include "target/pare_file.h"

#include <gmock/gmock.h>

#include <set>

#include "base/file.h"
#include "base/json.h"

namespace pare::target {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Pair;

Result<PareFile> read(const std::string& text, const std::string& path = "d/pare.yaml") {
  return read_pare_file({path, text});
}

TEST(PareFile, OptionsAndPaths) {
  auto file = read(
      "pare: v1\nrootfs: ./root\ncommand: [/server, --port, 8000]\nvolume: ['m:/models:ro']\n"
      "env: {A: 1, B: }\nsecret: {T: key}\nport: 8000\nrepeat: 2\nno-record: true\nresume: false\n"
      "bind: {pvc/x: /abs}\nimage: oci:layout:v1\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_THAT(file->words, ElementsAre("/server", "--port", "8000"));
  EXPECT_THAT(file->options,
              ElementsAre(Pair("rootfs", "d/root"), Pair("image", "oci:d/layout:v1"),
                          Pair("bind", "pvc/x=/abs"), Pair("volume", "d/m:/models:ro"),
                          Pair("env", "A=1"), Pair("env", "B"), Pair("secret", "T=d/key"),
                          Pair("port", "8000"), Pair("repeat", "2"), Pair("no-record", "true")));
}

TEST(PareFile, ALineOrFilesSayWhatRuns) {
  EXPECT_THAT(read("pare: v1\nrun: docker run -e 'A=b c' i\n")->words,
              ElementsAre("docker", "run", "-e", "A=b c", "i"));
  EXPECT_THAT(read("pare: v1\nfiles: [a.yaml, /b.yml]\ncontainer: llm\n")->words,
              ElementsAre("d/a.yaml", "/b.yml"));
}

TEST(PareFile, HowTrialsRun) {
  EXPECT_THAT(read("pare: v1\nrun: x\njobs: 2\none-by-one: true\n")->options,
              ElementsAre(Pair("jobs", "2"), Pair("one-by-one", "true")));
}

TEST(PareFile, ChecksKeepTheirTypesAndLines) {
  auto file = read(
      "pare: v1\nrun: docker run i\nchecks:\n- http://:80/x\n- check: http://:80/y\n"
      "  body: {a: 1, b: true, c: [x, null], d: 0.7, e: -1}\n  batch: 4\n");
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(file->checks, nlohmann::json::parse(
                              R"(["http://:80/x", {"check": "http://:80/y", "batch": 4,
                                  "body": {"a": 1, "b": true, "c": ["x", null], "d": 0.7, "e": -1}}])"));
  EXPECT_THAT(file->check_where, ElementsAre("d/pare.yaml:4", "d/pare.yaml:5"));
}

TEST(PareFile, RefusalsNameFileAndLine) {
  const std::pair<const char*, const char*> rows[] = {
      {"pare: v2\nrun: x\n", "d/pare.yaml:1: pare: is the form's version"},
      {"pare: v1\nrun: x\nrepaet: 3\n",
       "d/pare.yaml:3: unknown key 'repaet' in pare.yaml; did you "
       "mean repeat?"},
      {"pare: v1\nrun: x\nwhatever: 3\n", "d/pare.yaml:3: key 'whatever'"},
      {"pare: v1\nrun: x\nrepeat: often\n", "d/pare.yaml:3: repeat is not a whole number"},
      {"pare: v1\nrun: x\nresume: maybe\n", "d/pare.yaml:3: resume is neither true nor false"},
      {"pare: v1\nrun: x\nfiles: [a.yaml]\n", "exclude each other"},
      {"pare: v1\nfiles: [a.txt]\n", "a.txt is no .yaml"},
      {"pare: v1\n", "nothing says what runs"},
      {"pare: v1\nrun: docker run 'i\n", "a quote is not closed"},
      {"pare: v1\nrun: x\nrun: y\n", "d/pare.yaml:3: key 'run' stands twice"},
      {"pare: v1\nrun: x\nchecks: {a: b}\n", "checks is not a list"},
  };
  for (const auto& [text, why] : rows) {
    auto file = read(text);
    ASSERT_FALSE(file) << text;
    EXPECT_THAT(file.error().message, HasSubstr(why)) << text;
  }
}

// Editors see the same keys as the reader.
TEST(PareFile, TheSchemaNamesTheSameKeys) {
  std::string path = std::string(PARE_SOURCE_DIR) + "/data/schemas/pare-target.schema.json";
  auto schema = base::parse_json(base::read_file(path).value(), path);
  ASSERT_TRUE(schema) << schema.error().message;
  std::set<std::string> published, read_keys = {"pare", "run", "files", "command", "checks"};
  for (const auto& [key, ignored] : (*schema)["properties"].items()) published.insert(key);
  for (const PareKey& key : pare_keys()) read_keys.emplace(key.name);
  EXPECT_EQ(published, read_keys);
}

}  // namespace
}  // namespace pare::target
