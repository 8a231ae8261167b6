#include "base/json.h"

#include <gtest/gtest.h>

namespace pare::base {
namespace {

TEST(Json, BytesThatAreNoUtf8AreReplacedNotFatal) {
  EXPECT_EQ(write_json(Json{{"path", "/tmp/a\xff"}}), "{\"path\":\"/tmp/a\xef\xbf\xbd\"}");
  EXPECT_EQ(write_json(Json::array({1}), 1), "[\n 1\n]");
}

TEST(Json, ErrorsNameTheFileAndThePlace) {
  auto bad = parse_json("{\"a\": 1,\n!", "proof.json");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().kind, ErrorKind::kUnread);
  EXPECT_EQ(bad.error().message.rfind("proof.json: parse error at line 2, column 1", 0), 0U)
      << bad.error().message;
}

TEST(Json, AMemberOfAnotherTypeIsNoText) {
  EXPECT_EQ(text_member(Json{{"schema", "x"}}, "schema"), "x");
  EXPECT_EQ(text_member(Json{{"schema", 5}}, "schema"), "");
  EXPECT_EQ(text_member(Json::array({"schema"}), "schema"), "");
}

}  // namespace
}  // namespace pare::base
