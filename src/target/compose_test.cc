#include "target/compose.h"

#include <gmock/gmock.h>

#include "target/testing_files.h"

namespace pare::target {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using testing::Given;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::value_of;

std::string service(const std::string& lines) {
  return "services:\n  llm:\n    image: i:1\n" + lines;
}

TEST(Interpolation, EveryForm) {
  const Environment env = {{"SET", "v"}, {"EMPTY", ""}, {"INNER", "SET"}};
  const std::pair<const char*, const char*> rows[] = {{"a-$SET-${SET}", "a-v-v"},
                                                      {"$$SET", "$SET"},
                                                      {"${NO:-d}", "d"},
                                                      {"${EMPTY:-d}", "d"},
                                                      {"${EMPTY-d}", ""},
                                                      {"${NO-d}", "d"},
                                                      {"${SET:+x}", "x"},
                                                      {"${NO:+x}", ""},
                                                      {"${EMPTY+x}", "x"},
                                                      {"${EMPTY:+x}", ""},
                                                      {"${NO:-${SET}-${NO:-e}}", "v-e"},
                                                      {"${SET:?why}", "v"},
                                                      {"${EMPTY?why}", ""},
                                                      {"${NO:-a:b}", "a:b"}};
  for (const auto& [text, want] : rows) {
    auto done = interpolate(text, env);
    ASSERT_TRUE(done) << text << ": " << done.error().message;
    EXPECT_EQ(done->text, want) << text;
  }
  for (const char* bad : {"${", "${NO:?}", "${EMPTY:?why}", "$", "$ x", "${}", "${A!b}", "${1}"}) {
    EXPECT_FALSE(interpolate(bad, env)) << bad;
  }
  EXPECT_THAT(interpolate("$NO", env)->unset, ElementsAre("NO"));
}

TEST(Dotenv, QuotesCommentsAndReferences) {
  auto env = parse_dotenv(
      "# c\nexport A=1 # one\nB='$A # x'\nC=\"two\\n$A\"\nD=${A}-${HOME}\nE=\nHOME\nF: yaml\n",
      ".env", {{"HOME", "/h"}});
  ASSERT_TRUE(env) << env.error().message;
  std::map<std::string, std::string> got;
  for (const EnvVar& variable : *env) got[variable.name] = variable.value;
  EXPECT_EQ(got, (std::map<std::string, std::string>{{"A", "1"},
                                                     {"B", "$A # x"},
                                                     {"C", "two\n1"},
                                                     {"D", "1-/h"},
                                                     {"E", ""},
                                                     {"HOME", "/h"},
                                                     {"F", "yaml"}}));
  EXPECT_THAT(parse_dotenv("A=1\nB='x\n", "x.env", {}).error().message, HasSubstr("x.env:"));
}

TEST(Compose, LongAndShortFormsSayTheSame) {
  Given given;
  given.options.environment = {{"HOME", "/home/u"}};
  const std::string files = "volumes: {data: {}}\nname: proj\n";
  Workload brief = given.one(service("    ports: ['127.0.0.1:8000:80', '9000']\n"
                                     "    volumes: ['./m:/models:ro', 'data:/data', '~/c:/c']\n"
                                     "    tmpfs: /tmp:size=64m\n"
                                     "    environment: [A=1, B=]\n"
                                     "    ulimits: {memlock: -1, nofile: {soft: 1, hard: 2}}\n") +
                                 files,
                             "/p/compose.yaml");
  Workload full = given.one(
      service("    ports:\n    - {target: 80, published: '8000', host_ip: 127.0.0.1}\n"
              "    - {target: 9000}\n"
              "    volumes:\n    - {type: bind, source: ./m, target: /models, read_only: true}\n"
              "    - {type: volume, source: data, target: /data}\n"
              "    - {type: bind, source: ~/c, target: /c}\n"
              "    - {type: tmpfs, target: /tmp, tmpfs: {size: 64m}}\n"
              "    environment: {A: '1', B: ''}\n"
              "    ulimits: {memlock: {soft: -1, hard: -1}, nofile: {soft: 1, hard: 2}}\n") +
          files,
      "/p/compose.yaml");
  ASSERT_FALSE(brief.refused) << brief.refused->message;
  ASSERT_FALSE(full.refused) << full.refused->message;
  auto platform = *privilege::find_platform("docker");
  EXPECT_EQ(asked_policy(brief.target, platform), asked_policy(full.target, platform));
  for (const Workload* w : {&brief, &full}) {
    ASSERT_EQ(w->target.volumes.size(), 3u);
    EXPECT_EQ(w->target.volumes[0].source, "/p/m");
    EXPECT_EQ(w->target.volumes[1].source, "proj_data");
    EXPECT_TRUE(w->target.volumes[1].named);
    EXPECT_EQ(w->target.volumes[2].source, "/home/u/c");
    EXPECT_EQ(w->target.ports.at(0).host_address, "127.0.0.1");
    EXPECT_EQ(value_of(w->target, "B"), "");
    EXPECT_THAT(w->target.tmpfs, ElementsAre("/tmp"));
    EXPECT_EQ(w->platform, "docker");
  }
}

TEST(Compose, VariablesFromTheCallerBeforeDotenv) {
  Given given;
  given.options.environment = {{"TAG", "caller"}};
  given.files["/p/.env"] = "TAG=file\nPORT=9000\n";
  Workload w = given.one(
      "services:\n  llm:\n    image: i:${TAG}\n    ports: ['${PORT}:80']\n"
      "    environment: {X: '${NOBODY}', Y: }\n",
      "/p/compose.yaml");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.image, "i:caller");
  EXPECT_EQ(w.target.ports.at(0).host_port, 9000);
  EXPECT_EQ(value_of(w.target, "Y"), "(unset)");
  EXPECT_THAT(w.assumptions, Contains("/p/compose.yaml:5: variable NOBODY is not set, so nothing "
                                      "stands there"));
}

TEST(Compose, AWrongVariableRefusesItsOwnServiceAlone) {
  Given given;
  const std::string text = "services:\n  a: {image: 'i:${TAG:?which tag}'}\n  b: {image: i}\n";
  given.options.container = "b";
  EXPECT_EQ(given.one(text).target.image, "i");
  given.options.container = "a";
  EXPECT_EQ(given.error(text), "f.yaml:2: variable TAG has to be set: which tag");
}

TEST(Compose, ExtendsAnchorsAndMergeKeys) {
  Given given;
  given.files["/p/base/common.yaml"] =
      "services:\n  base:\n    image: i:0\n    volumes: ['./m:/models', './x:/x']\n"
      "    environment: {A: base, B: base}\n    command: [one]\n    cap_add: [NET_RAW]\n";
  Workload w = given.one(
      "x-env: &env {C: anchor, B: anchor}\nservices:\n  llm:\n"
      "    extends: {file: base/common.yaml, service: base}\n    image: i:1\n"
      "    volumes: ['./mine:/x']\n    environment: {<<: *env, A: own}\n    command: [two]\n"
      "    cap_add: [SYS_NICE]\n",
      "/p/compose.yaml");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.image, "i:1");
  EXPECT_THAT(w.target.command, ElementsAre("two"));
  EXPECT_EQ(value_of(w.target, "A"), "own");
  EXPECT_EQ(value_of(w.target, "B"), "anchor");
  EXPECT_EQ(value_of(w.target, "C"), "anchor");
  ASSERT_EQ(w.target.volumes.size(), 2u);
  EXPECT_EQ(w.target.volumes[0].source, "/p/base/m");  // from the file that it stands in
  EXPECT_EQ(w.target.volumes[1].source, "/p/mine");
  EXPECT_THAT(w.target.cap_add, ElementsAre("NET_RAW", "SYS_NICE"));
}

TEST(Compose, CircularExtendsEnds) {
  Given given;
  EXPECT_THAT(given.error("services:\n  a: {extends: b, image: i}\n  b: {extends: a}\n"),
              HasSubstr("nested too deep or circular"));
}

TEST(Compose, LaterFilesOverride) {
  Given given;
  auto read = read_target_files(
      {{"/p/a.yaml",
        "services:\n  llm:\n    image: i:1\n    ports: ['80:80']\n    cap_drop: "
        "[ALL]\n    environment: [A=1, B=1]\n    command: serve --x\n    privileged: "
        "true\n"},
       {"/q/b.yaml",
        "services:\n  llm:\n    ports: ['81:81']\n    environment: {B: '2'}\n"
        "    command: [other]\n    privileged: !reset null\n    cap_drop: !override "
        "[KILL]\n    volumes: ['./v:/v']\n"}},
      given.options);
  ASSERT_TRUE(read) << read.error().message;
  Workload& w = read->at(0);
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.ports.size(), 2u);
  EXPECT_EQ(value_of(w.target, "A"), "1");
  EXPECT_EQ(value_of(w.target, "B"), "2");
  EXPECT_THAT(w.target.command, ElementsAre("other"));
  EXPECT_FALSE(w.target.privileged);
  EXPECT_THAT(w.target.cap_drop, ElementsAre("KILL"));
  EXPECT_EQ(w.target.volumes.at(0).source, "/p/v");  // from the first file's directory
}

TEST(Compose, Profiles) {
  const std::string text = "services:\n  a: {image: a}\n  b: {image: b, profiles: [gpu]}\n";
  Given given;
  EXPECT_EQ(given.one(text).target.image, "a");
  given.options.container = "b";
  EXPECT_EQ(given.one(text).target.image, "b");
  given.options.container = "";
  given.options.profiles = {"gpu"};
  EXPECT_THAT(given.error(text), HasSubstr("several containers"));
}

TEST(Compose, SecretsConfigsAndEnvFiles) {
  Given given;
  given.files["/p/key"] = "hidden";
  given.files["/p/a.env"] = "A=file\nB=file\n";
  Workload w = given.one(service("    env_file: [a.env, {path: none.env, required: false}]\n"
                                 "    environment: {B: own}\n    secrets: [key]\n"
                                 "    configs: [{source: conf, target: /etc/c, mode: 0400}]\n") +
                             "secrets: {key: {file: ./key}}\nconfigs: {conf: {content: c=1}}\n",
                         "/p/compose.yaml");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(value_of(w.target, "A"), "file");
  EXPECT_EQ(value_of(w.target, "B"), "own");
  ASSERT_EQ(w.contents.size(), 2u);
  EXPECT_TRUE(w.contents[0].secret);
  EXPECT_EQ(w.contents[0].files.at(0).content, "hidden");
  EXPECT_EQ(w.target.volumes[w.contents[0].volume].path, "/run/secrets/key");
  EXPECT_EQ(w.contents[1].files.at(0).mode, 0400u);
  EXPECT_EQ(w.target.volumes[w.contents[1].volume].path, "/etc/c");
}

TEST(Compose, ModesAsComposeReadsThem) {
  const std::pair<const char*, unsigned> rows[] = {
      {"0440", 0440}, {"0o440", 0440}, {"'0440'", 0440}, {"'440'", 0440}, {"288", 0440}};
  for (const auto& [text, mode] : rows) {
    Given given;
    Workload w =
        given.one(service(std::string("    configs: [{source: c, mode: ") + text + "}]\n") +
                  "configs: {c: {content: x}}\n");
    ASSERT_FALSE(w.refused) << w.refused->message;
    EXPECT_EQ(w.contents.at(0).files.at(0).mode, mode) << text;
  }
}

TEST(Compose, WhatSecretsDeclareIsNoVariable) {
  Given given;
  given.options.secrets = {{"key", "given"}, {"TOKEN", "t"}};
  Workload w = given.one(service("    secrets: [key]\n    environment: [TOKEN]\n") +
                         "secrets: {key: {external: true}}\nconfigs: {conf: {content: c=1}}\n");
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.contents.at(0).files.at(0).content, "given");
  EXPECT_THAT(w.file_secrets, ElementsAre("key", "conf"));
  EXPECT_EQ(value_of(w.target, "key"), "(unset)");
  EXPECT_EQ(value_of(w.target, "TOKEN"), "t");
}

TEST(Compose, GpusAndLimits) {
  Given given;
  Workload w = given.one(service(
      "    deploy:\n      resources:\n        limits: {memory: 2g, pids: 100}\n"
      "        reservations: {devices: [{driver: nvidia, device_ids: ['0', '1'], capabilities: "
      "[gpu]}]}\n    shm_size: 16gb\n    security_opt: ['no-new-privileges:true', "
      "'seccomp:unconfined']\n    read_only: true\n    network_mode: host\n    user: '1:2'\n"));
  ASSERT_FALSE(w.refused) << w.refused->message;
  EXPECT_EQ(w.target.gpus, "device=0,1");
  EXPECT_EQ(w.target.pids_limit, 100u);
  EXPECT_EQ(w.target.shm_bytes, uint64_t{16} << 30);
  EXPECT_TRUE(w.target.no_new_privileges);
  EXPECT_TRUE(w.target.seccomp_unconfined);
  EXPECT_EQ(w.target.network, "host");
  EXPECT_EQ(w.target.kept.at(0).option, "--memory");
}

TEST(Compose, RefusalsNameFileAndLine) {
  const std::pair<std::string, std::string> rows[] = {
      {service("    read_onli: true\n"),
       "f.yaml:4: unknown key 'read_onli' in service llm; did you mean read_only?"},
      {service("    volumes: ['${NOWHERE}:/m']\n"),
       "f.yaml:4: a volume without its source: variable NOWHERE is not set"},
      {service("    volumes: ['data:/m']\n"), "not among the file's volumes"},
      {service("    network_mode: service:db\n"), "f.yaml:4: network_mode service:db"},
      {service("    ports: ['x:80']\n"), "f.yaml:4: 'x' is not a port"},
      {service("    cap_add: [FLY]\n"), "FLY"},
      {service("    configs: [{source: c, mode: rw}]\n"),
       "f.yaml:4: configs.mode is not a mode such as 0444"},
      {service("    configs: [{source: c, mode: -1}]\n"), "configs.mode is not a mode"},
      {service("    secrets: [{source: s, uid: app}]\n"),
       "f.yaml:4: secrets.uid is not a whole number"},
      {service("    secrets: [{source: s, gid: '4294967295'}]\n"),
       "secrets.gid: an id is a number"},
      {service("    volumes_from: [x]\n"), "volumes_from is not supported"},
      {service("    privileged: maybe\n"), "f.yaml:4: 'maybe'"},
      {"services:\n  llm: {command: x}\n", "neither image nor build"},
      {"services:\n  llm: {image: i, image: j}\n", "stands twice"},
      {"services: {}\n", "has no services"},
      {"service:\n  llm: {image: i}\nservices: {a: {image: i}}\n", "did you mean services?"},
  };
  for (const auto& [text, why] : rows) {
    Given given;
    EXPECT_THAT(given.error(text), HasSubstr(why)) << text;
  }
}

TEST(Compose, MixedKindsAreRefused) {
  Given given;
  auto read = read_target_files(
      {{"a.yaml", service("")}, {"b.yaml", "apiVersion: v1\nkind: Pod\n"}}, given.options);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("different kinds"));
}

TEST(Compose, WordsAsAShellSplitsThem) {
  EXPECT_THAT(*compose::split_words("a 'b c' \"d\\\"e\" f\\ g ''"),
              ElementsAre("a", "b c", "d\"e", "f g", ""));
  EXPECT_FALSE(compose::split_words("a 'b"));
}

}  // namespace
}  // namespace pare::target
