#include "target/servers.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace pare::target {
namespace {

TEST(Servers, EveryEmbeddedFileParsesAndNamesItsSource) {
  ASSERT_FALSE(embedded_server_files().empty());
  std::set<std::string> families;
  for (const ServerFile& file : embedded_server_files()) {
    auto server = parse_server(std::string(file.text), std::string(file.name));
    ASSERT_TRUE(server) << server.error().message;
    EXPECT_EQ(server->family + ".json", file.name);
    EXPECT_FALSE(server->source.empty()) << file.name;
    EXPECT_TRUE(families.insert(server->family).second) << file.name;
    for (const ServerPort& port : server->ports) {
      EXPECT_FALSE(port.source.empty()) << file.name << " port " << port.port;
      EXPECT_FALSE(port.what.empty()) << file.name << " port " << port.port;
    }
    for (const ServerEndpoint& row : server->endpoints) {
      EXPECT_TRUE(row.method == "GET" || row.method == "OPTIONS" ||
                  (row.method == "POST" && row.path == "/v2/repository/index"))
          << file.name << ": " << row.method << " " << row.path << " might act";
      EXPECT_EQ(row.path.find_first_of("*{? "), std::string::npos) << row.path;
      EXPECT_EQ(row.path.front(), '/');
      EXPECT_TRUE(row.role == "metrics" || row.role == "admin") << row.path;
      EXPECT_FALSE(row.source.empty()) << file.name << " " << row.path;
      EXPECT_FALSE(row.what.empty()) << file.name << " " << row.path;
    }
    for (const Telemetry& row : server->telemetry) {
      EXPECT_FALSE(row.source.empty()) << file.name << " " << row.variable;
    }
  }
  EXPECT_EQ(servers().size(), families.size());
}

// Else one path would get two verdicts.
TEST(Servers, EachPathIsAskedForInOneWay) {
  std::map<std::string, std::pair<std::string, std::string>> ways;
  for (const Server& server : servers()) {
    for (const ServerEndpoint& row : server.endpoints) {
      std::pair way(row.method, row.role);
      EXPECT_EQ(ways.try_emplace(row.path, way).first->second, way) << row.path;
    }
  }
}

TEST(Servers, RecognisesByImageThenByCommand) {
  auto family = [](std::string_view image, std::vector<std::string> command) -> std::string {
    const Server* server = recognise_server(image, command);
    return server == nullptr ? "" : server->family;
  };
  EXPECT_EQ(family("nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3", {}), "nim");
  EXPECT_EQ(family("nvcr.io/nvidia/tritonserver:25.06-py3", {}), "triton");
  EXPECT_EQ(family("lmcache/vllm-openai:latest", {}), "vllm");
  EXPECT_EQ(family("ollama/ollama", {}), "ollama");
  EXPECT_EQ(family("my/image", {"python3", "-m", "vllm.entrypoints.openai.api_server"}), "vllm");
  EXPECT_EQ(family("my/image", {"/usr/bin/llama-server", "-m", "x.gguf"}), "llama-cpp");
  EXPECT_EQ(family("postgres:16", {}), "");
}

TEST(Servers, Port8001OfTritonIsGrpcNotMetrics) {
  const Server* triton = find_server("triton");
  ASSERT_NE(triton, nullptr);
  ASSERT_NE(find_port(*triton, 8001), nullptr);
  EXPECT_EQ(find_port(*triton, 8001)->role, "grpc");
  EXPECT_EQ(find_port(*triton, 8002)->role, "metrics");
  const Server* nim = find_server("nim");
  ASSERT_NE(nim, nullptr);
  EXPECT_FALSE(find_port(*nim, 8080)->verified);
  EXPECT_EQ(find_port(*nim, 9999), nullptr);
}

TEST(Servers, ASwitchIsOfItsOwnFamilyAlone) {
  const ServerEndpoint* slots = find_endpoint("llama-cpp", "GET", "/slots");
  ASSERT_NE(slots, nullptr);
  EXPECT_EQ(slots->off.arguments, std::vector<std::string>{"--no-slots"});
  EXPECT_EQ(find_endpoint("vllm", "GET", "/slots"), nullptr);
  ASSERT_NE(find_endpoint("", "GET", "/docs"), nullptr);
  EXPECT_TRUE(find_endpoint("", "GET", "/docs")->off.empty());
}

TEST(Servers, VersionsCompareByNumber) {
  EXPECT_EQ(compare_versions("25.06-py3", "25.07"), -1);
  EXPECT_EQ(compare_versions("v0.10.1", "0.8.5"), 1);
  EXPECT_EQ(compare_versions("25.07-py3", "25.7"), 0);
  EXPECT_EQ(compare_versions("latest", "25.07"), std::nullopt);
}

TEST(Servers, ABadFileIsNamed) {
  auto server = parse_server("{\"title\": 1}", "x.json");
  ASSERT_FALSE(server);
  EXPECT_NE(server.error().message.find("x.json"), std::string::npos);
}

}  // namespace
}  // namespace pare::target
