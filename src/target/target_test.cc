#include "target/target.h"

#include <gmock/gmock.h>

#include "base/json.h"

namespace pare::target {

using testing::ElementsAre;

TEST(AskedPolicy, IsWhatThePlatformGrantsPlusWhatTheLineAdds) {
  Target target;
  target.cap_drop = {"NET_RAW"};
  target.cap_add = {"SYS_NICE"};
  auto platform = privilege::find_platform("docker").value();
  privilege::Policy asked = asked_policy(target, platform);
  EXPECT_EQ(asked.capabilities.names().size(), 14u);
  EXPECT_FALSE(asked.capabilities.has(*privilege::capability_number("NET_RAW")));
  EXPECT_TRUE(asked.capabilities.has(*privilege::capability_number("SYS_NICE")));
  EXPECT_TRUE(asked.egress_any);
}

TEST(AskedPolicy, DropAllThenAddLeavesOnlyWhatWasAdded) {
  Target target;
  target.cap_drop = {"ALL"};
  target.cap_add = {"cap_net_bind_service"};
  privilege::Policy asked = asked_policy(target, privilege::find_platform("docker").value());
  EXPECT_THAT(asked.capabilities.names(), ElementsAre("NET_BIND_SERVICE"));
}

TEST(AskedPolicy, PrivilegedIsEverything) {
  Target target;
  target.privileged = true;
  privilege::Policy asked = asked_policy(target, privilege::find_platform("docker").value());
  EXPECT_EQ(asked.capabilities, privilege::CapabilitySet::all());
  EXPECT_FALSE(asked.seccomp_default);
}

TEST(Argv, AnEmptyEntryPointIsNone) {
  Target target;
  target.facts.entrypoint = {"/start"};
  target.facts.command = {"--serve"};
  EXPECT_THAT(argv_of(target), ElementsAre("/start", "--serve"));
  target.command = {"--own"};
  EXPECT_THAT(argv_of(target), ElementsAre("/start", "--own"));
  target.argv = argv_of(target);
  EXPECT_THAT(argv_of(target, std::nullopt), ElementsAre("/start", "--own"));
  EXPECT_THAT(argv_of(target, std::vector<std::string>{"--less"}), ElementsAre("/start", "--less"));
  target.entrypoint = {""};
  target.command = {"/bin/server", "x"};
  EXPECT_THAT(entry_point(target), testing::IsEmpty());
  EXPECT_THAT(argv_of(target, std::vector<std::string>{"/bin/server"}), ElementsAre("/bin/server"));
  target.command = {};  // it resets the image's too
  EXPECT_THAT(argv_of(target), testing::IsEmpty());
}

TEST(ResolveUser, KnowsNamesNumbersAndGroups) {
  auto passwd =
      parse_passwd("root:x:0:0::/root:/bin/sh\nnim:x:1000:1001::/home/nim:/bin/sh\nbroken\n");
  ASSERT_EQ(passwd.size(), 2u);
  EXPECT_EQ(resolve_user("nim", passwd)->uid, 1000u);
  EXPECT_EQ(resolve_user("nim", passwd)->gid, 1001u);
  EXPECT_EQ(resolve_user("1000", passwd)->gid, 1001u);
  EXPECT_EQ(resolve_user("1234:5", passwd)->gid, 5u);
  EXPECT_EQ(resolve_user("4000000", passwd)->gid, 0u);
  EXPECT_EQ(resolve_user("", passwd)->uid, 0u);
  EXPECT_FALSE(resolve_user("nobody", passwd));
}

TEST(Target, AKeyIsToldByItsName) {
  for (const char* name : {"HF_TOKEN", "NGC_API_KEY", "db_password"})
    EXPECT_TRUE(looks_secret(name));
  for (const char* name : {"TOKENIZERS_PARALLELISM", "MODE"}) EXPECT_FALSE(looks_secret(name));
}

TEST(TargetJson, LeavesSecretsOut) {
  Target target;
  target.env = {{"NGC_API_KEY", "hunter2", looks_secret("NGC_API_KEY")}, {"MODE", "fast", false}};
  std::string text = to_json(target, privilege::Policy{}).dump();
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  auto back = target_from_json(base::Json::parse(text), "proof");
  ASSERT_TRUE(back);
  EXPECT_TRUE(back->env[0].secret);
  EXPECT_EQ(back->env[1].value, "fast");
}

TEST(Target, WhatTheImageSaysReadsBackWithoutItsSecrets) {
  Target t;
  t.kind = Kind::kImage;
  t.image = "x";
  t.facts.env = {{"PATH", "/opt/bin", false}, {"HF_TOKEN", "hunter2", false}};
  t.facts.workdir = "/srv";
  t.facts.pinned = "registry.example/x@sha256:00";
  t.tmpfs_options = {{"/run", "size=1m"}};
  std::string text = to_json(t, privilege::Policy{}).dump();
  EXPECT_EQ(text.find("hunter2"), std::string::npos);
  auto back = target_from_json(base::Json::parse(text), "proof");
  ASSERT_TRUE(back);
  EXPECT_EQ(back->facts.env[0].value, "/opt/bin");
  EXPECT_TRUE(back->facts.env[1].secret);
  EXPECT_EQ(back->facts.workdir, "/srv");
  EXPECT_EQ(back->facts.pinned, t.facts.pinned);
  EXPECT_EQ(back->tmpfs_options, t.tmpfs_options);
}

}  // namespace pare::target
