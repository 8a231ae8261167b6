#include "target/yaml.h"

#include <gtest/gtest.h>

#include <chrono>

#include "target/yaml_view.h"

namespace pare::target::yaml {
namespace {

struct Parsed {
  std::string text;
  std::vector<YamlDocument> documents;
};

std::unique_ptr<Parsed> parse(std::string text) {
  auto parsed = std::make_unique<Parsed>();
  parsed->text = std::move(text);
  for (const Part& part : split_documents(parsed->text)) {
    auto documents = parse_yaml(parsed->text, part.span);
    EXPECT_TRUE(documents) << (documents ? "" : documents.error().why);
    if (!documents) continue;
    for (YamlDocument& document : *documents) parsed->documents.push_back(std::move(document));
  }
  return parsed;
}

View root(const Parsed& parsed, size_t i = 0, Dialect dialect = Dialect::kKubernetes) {
  return View(parsed.documents.at(i), parsed.documents.at(i).root, dialect);
}

std::string why(const std::string& text) {
  if (auto bad = check_encoding(text)) return bad->why;
  for (const Part& part : split_documents(text)) {
    auto documents = parse_yaml(text, part.span);
    if (!documents) return documents.error().why;
  }
  return "";
}

TEST(Yaml, SpansAreTheBytesOfTheValues) {
  auto parsed =
      parse("a: 1\nb: \"two\"  # c\nc: [x, 'y']\nd:\n  - |\n    text\n  - z\ne:\nf: {g: h}\n");
  View map = root(*parsed);
  auto source = [&](View view) {
    return parsed->text.substr(view.span().begin, view.span().end - view.span().begin);
  };
  EXPECT_EQ(source(map.get("a")), "1");
  EXPECT_EQ(source(map.get("b")), "\"two\"");
  EXPECT_EQ(map.get("b").as_text(), "two");
  EXPECT_EQ(source(map.get("c")), "[x, 'y']");
  EXPECT_EQ(map.get("d").items().at(0).as_text(), "text\n");
  EXPECT_EQ(source(map.get("d").items().at(1)), "z");
  EXPECT_FALSE(map.get("e"));
  EXPECT_EQ(source(map.get("f")), "{g: h}");
  // An absent value stands after its colon.
  const Node& key = map.key_of("e").node();
  EXPECT_EQ(parsed->documents[0].at(key.next).span.begin, parsed->text.find("e:") + 2);
}

TEST(Yaml, ASeparatorInsideABlockScalarSplitsNothing) {
  auto parsed = parse("a: |\n  one\n  ---\n  two\nb: 1\n---\nc: 2\n");
  ASSERT_EQ(parsed->documents.size(), 2u);
  EXPECT_EQ(root(*parsed).get("a").as_text(), "one\n---\ntwo\n");
  EXPECT_EQ(root(*parsed, 1).get("c").as_int(), 2);
}

TEST(Yaml, EmptyPartsAreNoDocuments) {
  EXPECT_EQ(split_documents("---\n# only a comment\n---\na: 1\n---\n").size(), 1u);
  EXPECT_EQ(split_documents("").size(), 0u);
  // Counted as kubectl counts: comments before the first separator are document 0.
  EXPECT_EQ(split_documents("# c\n---\na: 1\n").at(0).index, 1u);
  EXPECT_EQ(split_documents("---\na: 1\n").at(0).index, 0u);
  EXPECT_EQ(split_documents("%YAML 1.1\n---\na: 1\n").size(), 1u);
}

TEST(Yaml, CrlfBomAndJson) {
  auto parsed = parse(
      "\xef\xbb\xbf"
      "a: x\r\nb:\r\n  - 1\r\n---\r\n\xef\xbb\xbf"
      "c: y\r\n");
  ASSERT_EQ(parsed->documents.size(), 2u);
  EXPECT_EQ(root(*parsed).get("a").as_text(), "x");
  EXPECT_EQ(root(*parsed, 1).get("c").as_text(), "y");
  auto json = parse("{\"a\":\t1,\n\t\"b\": [true, null, \"\\u0041\"]}");
  EXPECT_EQ(root(*json).get("a").as_int(), 1);
  EXPECT_EQ(root(*json).get("b").items().at(2).as_text(), "A");
}

TEST(Yaml, WhatIsNoYamlSaysWhere) {
  EXPECT_NE(why("a:\n\tb: 1\n"), "");
  EXPECT_NE(why("a: \xff\n"), "");
  EXPECT_EQ(why(std::string("a: \0b\n", 6)), "a control character that YAML forbids");
  EXPECT_NE(why("a: *nowhere\n"), "");
  EXPECT_NE(why("a: &x [*x]\n"), "");
  EXPECT_NE(why("a: [1, 2\n"), "");
  EXPECT_NE(why(std::string(5000, '[') + std::string(5000, ']')), "");
  std::string text = "ok: 1\nbad: [\n";
  auto documents = parse_yaml(text, {0, text.size()});
  ASSERT_FALSE(documents);
  EXPECT_GE(documents.error().offset, 6u);
}

TEST(Yaml, ABombIsRefusedInBoundedTime) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 30; ++i) {
    std::string n = std::to_string(i), p = "*a" + std::to_string(i - 1);
    bomb += "a" + n + ": &a" + n + " [";
    for (int j = 0; j < 10; ++j) bomb += (j == 0 ? "" : ",") + p;
    bomb += "]\n";
  }
  auto start = std::chrono::steady_clock::now();
  EXPECT_NE(why(bomb).find("million"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(2));
}

TEST(Yaml, NorwayAndNumbersAsKubernetesReadsThem) {
  auto parsed = parse(
      "no: no\nyes: Yes\non: on\ny: y\nq: 'no'\ntag: !!str no\noct: 0777\noct2: 0o17\n"
      "hex: 0x10\nund: 1_000\nflt: 1000.0\nexp: 1e3\nver: 1.2.3\nzero: 00\nbig: "
      "99999999999999999999\n");
  View map = root(*parsed);
  EXPECT_EQ(map.get("no").as_bool(), false);
  EXPECT_EQ(map.get("yes").as_bool(), true);
  EXPECT_EQ(map.get("on").as_bool(), true);
  EXPECT_EQ(map.get("y").as_bool(), true);
  EXPECT_EQ(map.get("q").as_bool(), std::nullopt);
  EXPECT_EQ(map.get("tag").as_bool(), std::nullopt);
  EXPECT_EQ(map.get("oct").as_int(), 511);
  EXPECT_EQ(map.get("oct2").as_int(), 15);
  EXPECT_EQ(map.get("hex").as_int(), 16);
  EXPECT_EQ(map.get("und").as_int(), 1000);
  EXPECT_EQ(map.get("flt").as_int(), 1000);
  EXPECT_EQ(map.get("exp").as_int(), 1000);
  EXPECT_EQ(map.get("ver").as_int(), std::nullopt);
  EXPECT_EQ(map.get("zero").as_int(), 0);
  EXPECT_EQ(map.get("big").as_int(), std::nullopt);
}

TEST(Yaml, MergeKeysFollowTheReadersOrder) {
  const std::string text =
      "x: &x {privileged: true, a: 1}\n"
      "after: {privileged: false, <<: *x}\n"
      "before: {<<: *x, privileged: false}\n"
      "list: {<<: [{b: 1}, {b: 2}]}\n";
  auto parsed = parse(text);
  // go-yaml v2 decodes in order: a merge after the key overrides it.
  EXPECT_EQ(root(*parsed).get({"after", "privileged"}).as_bool(), true);
  EXPECT_EQ(root(*parsed).get({"before", "privileged"}).as_bool(), false);
  EXPECT_EQ(root(*parsed).get({"list", "b"}).as_int(), 1);
  EXPECT_EQ(root(*parsed).get({"before", "a"}).as_int(), 1);
  View compose = root(*parsed, 0, Dialect::kCompose);
  EXPECT_EQ(compose.get({"after", "privileged"}).as_bool(), false);
  for (Dialect dialect : {Dialect::kKubernetes, Dialect::kCompose}) {
    for (std::string_view map : {"after", "before", "list"}) {
      for (auto& [key, value] : root(*parsed, 0, dialect).get(map).entries()) {
        EXPECT_EQ(value.as_text(), root(*parsed, 0, dialect).get(map).get(key).as_text()) << key;
      }
    }
  }
}

TEST(Yaml, TheLastDuplicateWins) {
  auto parsed = parse("a: 1\na: 2\n");
  EXPECT_EQ(root(*parsed).get("a").as_int(), 2);
  EXPECT_EQ(root(*parsed).entries().size(), 1u);
}

TEST(Yaml, TenMegabytesAreReadInSeconds) {
  std::string text;
  while (text.size() < (10u << 20))
    text += "- name: x" + std::to_string(text.size()) + "\n  v: [1]\n";
  auto start = std::chrono::steady_clock::now();
  auto parsed = parse(std::move(text));
  EXPECT_GT(root(*parsed).items().size(), 300000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
}

TEST(Yaml, TemplatesAndVariables) {
  EXPECT_TRUE(has_template("x-{{ .Values.tag }}"));
  EXPECT_FALSE(has_template("{{ open"));
  EXPECT_TRUE(has_variable("${A:-b}"));
  EXPECT_TRUE(has_variable("a$B"));
  EXPECT_FALSE(has_variable("cost $5 and $$HOME"));
}

// The texts of documents that a growing list of them has moved are still theirs.
TEST(Yaml, ManyDocumentsInOnePart) {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "a: \"x\\n" + std::to_string(i) + " not in a small string\"\n...\n";
  auto parsed = parse(text);
  ASSERT_EQ(parsed->documents.size(), 40u);
  for (size_t i = 0; i < 40; ++i) {
    EXPECT_EQ(root(*parsed, i).get("a").text_or(),
              "x\n" + std::to_string(i) + " not in a small string");
  }
}

}  // namespace
}  // namespace pare::target::yaml
