#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "check/kind.h"
#include "check/spec_parts.h"

namespace pare::check {
namespace {

Result<std::string> fake_file(const std::string& path) {
  if (path == "lines") return std::string("a=1\r\nb=2\n");
  return fail(ErrorKind::kUsage, "cannot read " + path);
}

Spec parsed(const std::string& text) {
  auto spec = parse_spec(text, fake_file);
  EXPECT_TRUE(spec) << text << ": " << spec.error().message;
  return spec.value_or(Spec{});
}

std::string refusal(const std::string& text) {
  auto spec = parse_spec(text, fake_file);
  EXPECT_FALSE(spec) << text;
  if (spec) return "";
  EXPECT_EQ(spec.error().kind, ErrorKind::kUsage);
  return spec.error().message;
}

TEST(Spec, AnHttpCheckWithEveryModifier) {
  Spec spec = parsed(
      "http://:8000/v1/infer?x=1;method=put;body={\"a\":\"b\\;c\"};header=X-Run: 7;expect=201;"
      "match=\"ok\";batch=4;repeat=3;within=250ms;name=mine;tls");
  EXPECT_EQ(spec.kind, "http");
  EXPECT_EQ(spec.scheme, "https");
  EXPECT_EQ(spec.port, 8000);
  EXPECT_EQ(spec.path, "/v1/infer?x=1");
  EXPECT_EQ(spec.method, "PUT");
  EXPECT_EQ(spec.body, "{\"a\":\"b;c\"}");
  EXPECT_EQ(spec.headers, (std::vector<std::string>{"X-Run: 7", "Content-Type: application/json"}));
  EXPECT_EQ(spec.expect, 201);
  EXPECT_EQ(spec.match, "\"ok\"");
  EXPECT_EQ(spec.batch, 4);
  EXPECT_EQ(spec.repeat, 3);
  EXPECT_EQ(spec.within, std::chrono::milliseconds(250));
  EXPECT_EQ(spec.name, "mine");
  EXPECT_FALSE(spec.host_port);
}

TEST(Spec, OpenaiTakesAModelWithSlashes) {
  EXPECT_EQ(parsed("openai://:8000").model, "");
  EXPECT_EQ(parsed("openai://:8000/").model, "");
  EXPECT_EQ(parsed("openai://:8000/meta-llama/Llama-3").model, "meta-llama/Llama-3");
  EXPECT_NE(refusal("openai://:8000/v1").find("leave it away"), std::string::npos);
}

TEST(Spec, KserveNeedsAModelAndGrpcHealthMayNameAService) {
  EXPECT_EQ(parsed("kserve://:8000/resnet").model, "resnet");
  EXPECT_EQ(parsed("kserve://:8000/resnet").name, "resnet");
  EXPECT_NE(refusal("kserve://:8000").find("no model is named"), std::string::npos);
  EXPECT_NE(refusal("kserve://:8000/v2/models/x").find("leave it away"), std::string::npos);
  EXPECT_EQ(parsed("grpc-health://:8001").service, "");
  EXPECT_EQ(parsed("grpc-health://:8001/inference.Service").service, "inference.Service");
  EXPECT_EQ(parsed("openai://:8000;stream=1").stream, true);
}

TEST(Spec, TheTextOfASpecGivesTheSameSpecAgain) {
  for (const char* text :
       {"http://:80/x;body={\"a\":\"b\\;c\"};batch=2", "exec:sh -c 'a; b';within=5s",
        "curl -sS -H 'A: b c' -d '{\"a\": \"x; y\"}' localhost:80/x"}) {
    Spec once = parsed(text);
    Spec twice = parsed(once.text);
    EXPECT_EQ(twice.text, once.text);
    EXPECT_EQ(twice.body, once.body);
    EXPECT_EQ(twice.argv, once.argv);
    EXPECT_EQ(twice.headers, once.headers);
    EXPECT_EQ(twice.within, once.within);
  }
}

TEST(Spec, ExecIsSplitAsAShellWouldAndMayHoldSemicolonsInQuotes) {
  Spec spec = parsed("exec:/bin/sh -c 'test -e /x; exit $?' \"a \\\"b\\\"\" ;within=5s");
  EXPECT_EQ(spec.argv,
            (std::vector<std::string>{"/bin/sh", "-c", "test -e /x; exit $?", "a \"b\""}));
  EXPECT_EQ(spec.within, std::chrono::seconds(5));
  EXPECT_EQ(spec.name, "sh");
  EXPECT_NE(refusal("exec:cat /x | grep y").find("'|' needs a shell"), std::string::npos);
  EXPECT_NE(refusal("exec:echo \"$HOME\"").find("'$' needs a shell"), std::string::npos);
  EXPECT_NE(refusal("exec:echo 'x").find("not closed"), std::string::npos);
  EXPECT_NE(refusal("exec:").find("no program"), std::string::npos);
}

TEST(Spec, APastedCurlLine) {
  Spec spec = parsed(
      "curl -sS -X POST http://localhost:9000/v1/completions \\\n  -H 'Accept: text/plain' "
      "-HContent-Type:application/json -d '{\"prompt\": \"hi; there\"}' -k -N --max-time 7");
  EXPECT_EQ(spec.kind, "http");
  EXPECT_EQ(spec.method, "POST");
  EXPECT_EQ(spec.port, 9000);
  EXPECT_TRUE(spec.host_port);
  EXPECT_EQ(spec.path, "/v1/completions");
  EXPECT_EQ(spec.body, "{\"prompt\": \"hi; there\"}");
  EXPECT_EQ(spec.within, std::chrono::seconds(7));
  EXPECT_EQ(spec.headers,
            (std::vector<std::string>{"Accept: text/plain", "Content-Type: application/json"}));
  EXPECT_EQ(spec.name, "completions");
}

TEST(Spec, CurlGivesItsDataTheTypesOfCurl) {
  EXPECT_EQ(parsed("curl localhost:80/x -d a=1 --data-raw @b").body, "a=1&@b");
  EXPECT_EQ(parsed("curl localhost:80/x -d a=1").headers.front(),
            "Content-Type: application/x-www-form-urlencoded");
  EXPECT_EQ(parsed("curl localhost/x --data @lines").body, "a=1b=2");
  EXPECT_EQ(parsed("curl localhost/x --data-binary @lines").body, "a=1\r\nb=2\n");
  Spec json = parsed("curl --json '{\"a\":1}' https://127.0.0.1/x");
  EXPECT_EQ(json.headers, (std::vector<std::string>{"Accept: application/json",
                                                    "Content-Type: application/json"}));
  EXPECT_EQ(json.method, "POST");
  EXPECT_EQ(json.scheme, "https");
  EXPECT_EQ(json.port, 443);
}

TEST(Spec, WhatCurlOptionsAreNotUnderstoodIsSaidByName) {
  EXPECT_NE(refusal("curl -L localhost:80/").find("-L is not understood"), std::string::npos);
  EXPECT_NE(refusal("curl -sL localhost:80/").find("-L is not understood"), std::string::npos);
  EXPECT_NE(refusal("curl --proxy x localhost:80/").find("--proxy is not"), std::string::npos);
  EXPECT_NE(refusal("curl --form=a=b localhost:80/").find("--form is not"), std::string::npos);
  EXPECT_NE(refusal("curl localhost:80/ | jq .").find("'|' needs a shell"), std::string::npos);
  EXPECT_NE(refusal("curl -s").find("no URL"), std::string::npos);
  EXPECT_NE(refusal("curl -s -X").find("-X needs a value"), std::string::npos);
  EXPECT_NE(refusal("curl a:1 b:2").find("more than one URL"), std::string::npos);
  EXPECT_NE(refusal("curl ftp://a:1/").find("'ftp' is not http"), std::string::npos);
  EXPECT_NE(refusal("curl a:1 -d @gone").find("cannot read gone"), std::string::npos);
}

TEST(Spec, EveryBadPartIsNamed) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "it is empty"},
      {"  ", "it is empty"},
      {":8000/health", "has no scheme"},
      {"htp://:8000", "did you mean 'http'?"},
      {"gopher://:8000", "'gopher' is no kind of check"},
      {"http://:80000/", "'80000' is not a port"},
      {"http://:0/", "'0' is not a port"},
      {"http:///health", "no port is named"},
      {"openai://localhost", "no port is named"},
      {"http://a b:80/", "'a b' is not a host name"},
      {"http://u:p@h:80/", "user or password"},
      {"http://[::1:80/", "no closing ']'"},
      {"http://:80/a b", "the path has a blank"},
      {"http://:80/;expct=200", "did you mean 'expect'?"},
      {"http://:80/;colour=red", "the modifier 'colour' is unknown"},
      {"http://:80/;expect=20", "expect: '20' is not a number from 100 to 599"},
      {"http://:80/;batch=0", "batch: '0' is not a number from 1"},
      {"http://:80/;batch", "'batch' needs a value"},
      {"http://:80/;within=fast", "within: 'fast' is not a duration"},
      {"http://:80/;within=0s", "within: '0s' is not a duration"},
      {"http://:80/;match=(", "match: /(/ is not a regular expression"},
      {"http://:80/;match=(a)\\1", "is not a regular expression"},
      {"http://:80/;header=X", "header: a header is not of the form"},
      {"http://:80/;header=X Y:1", "'X Y' is not the name of a header"},
      {"http://:80/;method=G T", "'G T' is not an HTTP method"},
      {"http://:80/;method=HEAD", "has no body to look at"},
      {"http://:80/;body=@gone", "body: cannot read gone"},
      {"http://:80/;name=a b", "'a b' is not a name"},
      {"http://:80/;tls=yes", "'tls' takes no value"},
      {"http://:80/;;name=a", "a modifier is empty"},
      {"openai://:80;expect=200", "kind openai has no modifier 'expect'"},
      {"http://:80/\x01", "control character"},
  };
  for (const auto& [text, part] : cases) {
    EXPECT_NE(refusal(text).find(part), std::string::npos) << text << " -> " << refusal(text);
  }
}

TEST(Spec, SecretsAreInNeitherTheTextNorAnError) {
  const char* texts[] = {
      "http://:80/x?api_key=sesame;header=Authorization: Bearer sesame;header=X-Api-Key:sesame",
      "http://:80/x;header=X-Custom:Bearer sesame;batch=2",
      "curl -H 'Authorization: Bearer sesame' -H Cookie:sesame 'localhost:80/?token=sesame'",
      "curl --url 'localhost:80/?key=sesame' -H'api-key: sesame'",
  };
  for (const char* text : texts) {
    Spec spec = parsed(text);
    EXPECT_EQ(spec.text.find("sesame"), std::string::npos) << spec.text;
    EXPECT_NE(spec.text.find("***"), std::string::npos) << spec.text;
  }
  EXPECT_EQ(parsed("http://:80/x;header=Accept: text/plain;batch=2").text,
            "http://:80/x;header=Accept: text/plain;batch=2");
  EXPECT_EQ(refusal("http://:80/x;header=Authorization Bearer sesame").find("sesame"),
            std::string::npos);
  EXPECT_EQ(refusal("http://:80/x?token=sesame;no=1").find("sesame"), std::string::npos);
  EXPECT_EQ(refusal("curl -H 'Authorization sesame' a:1").find("sesame"), std::string::npos);
}

TEST(Spec, NamesAreReadableAndUnique) {
  auto specs = parse_specs({"openai://:8000", "openai://:8000;batch=4", "http://:8000/health",
                            "http://:8001/v1/health?x=y", "http://:8000/", "exec:/usr/bin/true",
                            "http://:8000/b;name=health-2"});
  ASSERT_TRUE(specs) << specs.error().message;
  std::vector<std::string> names;
  for (const Spec& spec : *specs) names.push_back(spec.name);
  EXPECT_EQ(names, (std::vector<std::string>{"openai", "openai-batch4", "health", "health-3",
                                             "root", "true", "health-2"}));
  auto twice = parse_specs({"http://:80/a;name=x", "http://:80/b;name=x"});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().message, "two checks are named 'x'");
}

TEST(ChecksFile, EntriesAreSpecsOrObjectsWithoutEscapes) {
  auto specs = parse_checks(base::Json::parse(R"([
      "openai://:8000",
      {"check": "http://:8000/infer", "body": {"q": "a;b"}, "header": {"X-A": "1; 2", "X-B": 3},
       "batch": 2, "within": "5s", "match": "a;|b", "tls": true, "allow-empty": false},
      {"check": "curl localhost:9000/x -d '{}'", "header": ["A: b", "C: d"], "name": "mine"},
      {"exec": ["sh", "-c", "test -e '/x y'; exit 0"], "repeat": 2}])"));
  ASSERT_TRUE(specs) << specs.error().message;
  ASSERT_EQ(specs->size(), 4u);
  const Spec& http = specs->at(1);
  EXPECT_EQ(http.name, "infer-batch2");
  EXPECT_EQ(http.body, R"({"q":"a;b"})");
  EXPECT_EQ(http.headers,
            (std::vector<std::string>{"X-A: 1; 2", "X-B: 3", "Content-Type: application/json"}));
  EXPECT_EQ(http.match, "a;|b");
  EXPECT_EQ(http.scheme, "https");
  EXPECT_FALSE(http.allow_empty);
  EXPECT_EQ(specs->at(2).headers.size(), 3u);
  EXPECT_EQ(specs->at(2).name, "mine");
  EXPECT_EQ(specs->at(3).argv, (std::vector<std::string>{"sh", "-c", "test -e '/x y'; exit 0"}));
  EXPECT_EQ(specs->at(3).repeat, 2);
}

TEST(ChecksFile, WhatIsWrongIsNamedByItsEntry) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({})", "checks: is not a list"},
      {R"([1])", "entry 1: it is neither a string nor an object"},
      {R"(["http://:80/", {"body": "x"}])", "entry 2: it needs either check:"},
      {R"([{"check": "http://:80/", "exec": ["x"]}])", "entry 1: it needs either check:"},
      {R"([{"check": 1}])", "check is not a string"},
      {R"([{"exec": "x"}])", "exec is not a list of words"},
      {R"([{"exec": []}])", "names no program"},
      {R"([{"check": "http://:80/", "colour": "red"}])", "the modifier 'colour' is unknown"},
      {R"([{"check": "http://:80/", "batch": {}}])", "batch has no plain value"},
      {R"([{"check": "http://:80/", "header": [{}]}])", "a header is not a string"},
      {R"(["http://:80/;name=a", {"check": "http://:80/", "name": "a"}])", "two checks are named"},
  };
  for (const auto& [text, part] : cases) {
    auto specs = parse_checks(base::Json::parse(text));
    ASSERT_FALSE(specs) << text;
    EXPECT_NE(specs.error().message.find(part), std::string::npos) << specs.error().message;
  }
}

TEST(Spec, AHostsPortBecomesTheContainersOne) {
  std::vector<Spec> specs = {parsed("curl localhost:9000/x"), parsed("http://:9000/x"),
                             parsed("http://localhost:8000/x")};
  to_container_ports(specs, {{9000, 8000}});
  EXPECT_EQ(specs[0].port, 8000);
  EXPECT_EQ(specs[1].port, 9000) << "without a host it is the container's own port";
  EXPECT_EQ(specs[2].port, 8000) << "not published: as written";
}

TEST(Spec, AMovedPortTakesItsChecksAlong) {
  std::vector<Spec> specs = {parsed("http://:80/x"), parsed("http://:8000/x")};
  to_moved_ports(specs, {{8080, "tcp", "inference", 80}, {8000, "tcp", "inference"}});
  EXPECT_EQ(specs[0].port, 8080);
  EXPECT_EQ(specs[1].port, 8000);
}

TEST(Documentation, NamesEveryKindAndEveryModifier) {
  auto text = base::read_file(PARE_SOURCE_DIR "/docs/checks.md");
  ASSERT_TRUE(text) << text.error().message;
  for (const Kind& kind : kinds()) {
    std::string start = std::string("| `") + std::string(kind.name) + ":";
    EXPECT_NE(text->find(start), std::string::npos) << kind.name;
    for (const auto& name : base::split(base::trim(kind.modifiers), ' ')) {
      bool named = text->find("| `" + name + "=") != std::string::npos ||
                   text->find("| `" + name + "`") != std::string::npos;
      EXPECT_TRUE(named) << name;
    }
  }
}

TEST(Spec, ABodyFileMustBeARegularFile) {
  auto device = parse_spec("http://:80/;body=@/dev/zero");
  ASSERT_FALSE(device);
  EXPECT_NE(device.error().message.find("/dev/zero is not a regular file"), std::string::npos);
}

}  // namespace
}  // namespace pare::check
