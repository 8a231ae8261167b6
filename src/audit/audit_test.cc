#include "audit/audit.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>

#include "audit/fix.h"
#include "audit/format.h"
#include "base/file.h"
#include "base/testing.h"

namespace pare::audit {
namespace {

namespace fs = std::filesystem;

Audit audit_text(const std::string& name, const std::string& text, const Options& options = {}) {
  return audit_files({{name, text}}, options);
}

std::vector<const Finding*> of_rule(const Audit& audit, std::string_view rule) {
  std::vector<const Finding*> found;
  for (const Finding& f : audit.findings) {
    if (f.rule->name == rule) found.push_back(&f);
  }
  return found;
}

size_t line(const Audit& audit, const Finding* f) {
  return audit.position(f->file, f->span.begin).line;
}

std::string fixed(const std::string& name, const std::string& text) {
  Audit audit = audit_text(name, text);
  return fix_file(audit, 0, {}).text;
}

std::string level_after(const std::string& text, std::string* reason = nullptr) {
  Audit audit = audit_text("a.yaml", text);
  FixedFile result = fix_file(audit, 0, {});
  if (result.workloads.empty()) return "none";
  if (reason != nullptr) *reason = result.workloads[0].not_restricted;
  return result.workloads[0].pod_security;
}

constexpr const char* kNim = R"(apiVersion: apps/v1
kind: Deployment
metadata:
  name: llm   # the name
spec:
  selector: {matchLabels: {app: llm}}
  template:
    metadata:
      labels: {app: llm}
    spec:
      containers:
      - name: nim
        image: nvcr.io/nim/meta/llama-3.1-8b-instruct:1.3.3
        ports:
        - containerPort: 8000
        - containerPort: 8001   # metrics?
        - containerPort: 8002
        - containerPort: 8080
)";

TEST(Audit, OfANimsPortsOnlyTheInferencePortStays) {
  Audit audit = audit_text("nim.yaml", kNim);
  auto ports = of_rule(audit, "extra-port");
  ASSERT_EQ(ports.size(), 3u);
  EXPECT_EQ(line(audit, ports[0]), 16u);
  EXPECT_EQ(line(audit, ports[2]), 18u);
  EXPECT_NE(ports[0]->message.find("not metrics"), std::string::npos);
  EXPECT_NE(ports[0]->message.find("unverified"), std::string::npos);
  std::string text = fix_file(audit, 0, {}).text;
  EXPECT_NE(text.find("- containerPort: 8000\n"), std::string::npos);
  for (const char* port : {"8001", "8002", "8080"}) EXPECT_EQ(text.find(port), std::string::npos);
  EXPECT_NE(text.find("name: llm   # the name\n"), std::string::npos);
  EXPECT_EQ(fixed("nim.yaml", text), text) << "a second fix changes nothing";
  EXPECT_EQ(level_after(kNim), "restricted");
}

TEST(Audit, AnOptionSaidManyTimesGoesWhole) {
  std::string line = "docker run --net=host";
  for (int i = 0; i < 20; ++i) line += " --net=host --privileged";
  std::string text =
      fixed("run.sh", line + " --net host -p 127.0.0.1:8000:8000 nvcr.io/nim/meta/x:1\n");
  EXPECT_EQ(text.find("host"), std::string::npos) << text;
  EXPECT_EQ(text.find("--privileged"), std::string::npos) << text;
  EXPECT_EQ(fixed("run.sh", text), text);
}

TEST(Audit, ReadOnlyRootBringsWhatTheServerWrites) {
  std::string text = fixed("nim.yaml", kNim);
  EXPECT_NE(text.find("readOnlyRootFilesystem: true"), std::string::npos) << text;
  EXPECT_NE(text.find("mountPath: /opt/nim/.cache"), std::string::npos) << text;
  EXPECT_NE(text.find("mountPath: /tmp"), std::string::npos);
  EXPECT_NE(text.find("emptyDir: {}"), std::string::npos);
  EXPECT_NE(text.find("runAsUser: 1000"), std::string::npos);
  EXPECT_NE(text.find("name: NIM_TELEMETRY_MODE"), std::string::npos);
}

TEST(Audit, AMountedCacheIsNotMovedAway) {
  std::string text = std::string(kNim) +
                     "        volumeMounts:\n        - {name: cache, mountPath: /opt/nim/.cache}\n"
                     "      volumes:\n      - name: cache\n        persistentVolumeClaim: "
                     "{claimName: c}\n";
  std::string after = fixed("nim.yaml", text);
  EXPECT_EQ(after.find("mountPath: /opt/nim/.cache", after.find("/opt/nim/.cache}")),
            std::string::npos);
  EXPECT_NE(after.find("fsGroup: 1000"), std::string::npos) << after;
  EXPECT_NE(after.find("- {name: cache, mountPath: /opt/nim/.cache}\n"), std::string::npos);
}

TEST(Audit, MergeKeysThatCarryThePrivilegedFlag) {
  const std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nx: &sec\n  privileged: true\nspec:\n"
      "  containers:\n  - name: c\n    image: a/b:1\n    securityContext:\n      <<: *sec\n";
  Audit audit = audit_text("p.yaml", text);
  auto found = of_rule(audit, "privileged");
  ASSERT_EQ(found.size(), 1u);
  FixedFile result = fix_file(audit, 0, {});
  EXPECT_NE(result.text.find("  privileged: true\n"), std::string::npos) << "never mangled";
  bool said = false;
  for (const UnappliedFix& left : result.unapplied) {
    said |= left.rule->name == "privileged" && left.why.find("merge key") != std::string::npos;
  }
  EXPECT_TRUE(said);
  EXPECT_EQ(fixed("p.yaml", result.text), result.text);
}

TEST(Audit, ListsAreReadItemByItem) {
  const std::string text =
      "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: a}, "
      "spec: "
      "{containers: [{name: x, image: 'i:1'}]}}\n- apiVersion: v1\n  kind: Service\n  metadata: "
      "{name: s}\n";
  Audit audit = audit_text("l.yaml", text);
  ASSERT_EQ(audit.workloads.size(), 1u);
  EXPECT_EQ(audit.workloads[0].name, "a");
  EXPECT_EQ(audit.models[0]->services.size(), 1u);
  EXPECT_EQ(level_after(text), "restricted");
}

TEST(Audit, LineEndsBomAndTabsStay) {
  std::string crlf;
  for (char c : std::string(kNim)) crlf += c == '\n' ? std::string("\r\n") : std::string(1, c);
  std::string after = fixed("c.yaml", "\xef\xbb\xbf" + crlf);
  EXPECT_EQ(after.substr(0, 3), "\xef\xbb\xbf");
  for (size_t at = after.find('\n'); at != std::string::npos; at = after.find('\n', at + 1)) {
    ASSERT_EQ(after[at - 1], '\r') << at;
  }
  EXPECT_EQ(level_after(after), "restricted");
  Audit tabs = audit_text("t.yaml", "apiVersion: v1\nkind: Pod\nspec:\n\tcontainers: []\n");
  ASSERT_EQ(tabs.models[0]->unread.size(), 1u);
  EXPECT_TRUE(anything_unread(tabs));
}

TEST(Audit, JsonAsYamlIsFixedAsJson) {
  const std::string text =
      "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Pod\",\n  \"metadata\": {\"name\": \"p\"},\n"
      "  \"spec\": {\n    \"containers\": [\n      {\"name\": \"c\", \"image\": \"a:1\"}\n    ]\n  "
      "}\n}\n";
  std::string after = fixed("p.json", text);
  EXPECT_NO_THROW({
    auto json = nlohmann::json::parse(after);
    EXPECT_EQ(json["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"], false);
  }) << after;
  EXPECT_EQ(level_after(text), "restricted");
  EXPECT_EQ(fixed("p.json", after), after);
}

TEST(Audit, DuplicateKeysAreReportedAndTheLastCounts) {
  Audit audit =
      audit_text("d.yaml",
                 "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostPID: true\n"
                 "  hostPID: false\n  containers: [{name: c, image: 'a:1'}]\n");
  EXPECT_EQ(of_rule(audit, "duplicate-key").size(), 1u);
  EXPECT_TRUE(of_rule(audit, "host-pid").empty());
}

TEST(Audit, NorwayBooleansAndOctalModes) {
  Audit audit = audit_text("n.yaml",
                           "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostPID: yes\n"
                           "  hostIPC: 'yes'\n  containers: [{name: c, image: 'a:1', "
                           "securityContext: {runAsUser: 00}}]\n");
  EXPECT_EQ(of_rule(audit, "host-pid").size(), 1u);
  EXPECT_EQ(of_rule(audit, "host-ipc").size(), 0u);
  EXPECT_EQ(of_rule(audit, "wrong-type").size(), 1u);
  EXPECT_EQ(of_rule(audit, "root").size(), 1u);
}

TEST(Audit, TemplatesAndVariablesAreSaidAndNeverMangled) {
  const std::string text =
      "services:\n  a:\n    image: ${IMAGE}\n    privileged: ${PRIV}\n    user: ${U}\n    ports:\n"
      "    - ${PORT}\n";
  Audit audit = audit_text("compose.yaml", text);
  EXPECT_GE(of_rule(audit, "not-judged").size(), 3u);
  std::string after = fix_file(audit, 0, {}).text;
  for (const char* kept :
       {"image: ${IMAGE}\n", "privileged: ${PRIV}\n", "user: ${U}\n", "- ${PORT}\n"}) {
    EXPECT_NE(after.find(kept), std::string::npos) << kept;
  }
  Audit helm =
      audit_text("t.yaml", "apiVersion: v1\nkind: Pod\n{{- if .x }}\nspec: {}\n{{- end }}\n");
  ASSERT_EQ(helm.models[0]->unread.size(), 1u);
  EXPECT_NE(helm.models[0]->unread[0].why.find("template"), std::string::npos);
}

TEST(Audit, OneBadDocumentDoesNotHideTheOthers) {
  Audit audit = audit_text("m.yaml", std::string(kNim) + "---\na: [\n---\n" + kNim);
  EXPECT_EQ(audit.workloads.size(), 2u);
  EXPECT_EQ(audit.models[0]->unread.size(), 1u);
}

TEST(Audit, TenThousandDocumentsAndABomb) {
  std::string text;
  for (int i = 0; i < 10000; ++i) {
    text += "---\napiVersion: v1\nkind: Pod\nmetadata: {name: p" + std::to_string(i) +
            "}\nspec: {containers: [{name: c, image: 'a:1'}]}\n";
  }
  auto start = std::chrono::steady_clock::now();
  Audit audit = audit_text("many.yaml", text);
  EXPECT_EQ(audit.workloads.size(), 10000u);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(60));
  std::string bomb = "apiVersion: v1\nkind: List\na: &a [x, x, x, x, x, x, x, x, x, x]\n";
  for (char c = 'b'; c < 'p'; ++c) {
    bomb += std::string(1, c) + ": &" + c + " [";
    for (int i = 0; i < 10; ++i)
      bomb += (i == 0 ? "*" : ", *") + std::string(1, static_cast<char>(c - 1));
    bomb += "]\n";
  }
  Audit exploded = audit_text("bomb.yaml", bomb);
  ASSERT_EQ(exploded.models[0]->unread.size(), 1u);
  EXPECT_NE(exploded.models[0]->unread[0].why.find("million"), std::string::npos);
}

TEST(Audit, SuppressionsNeedAReason) {
  std::string text = std::string(kNim);
  size_t at = text.find("      - name: nim");
  text.insert(at, "      # pare: ignore PARE007 -- the cache is on the root by design\n");
  Audit audit = audit_text("nim.yaml", text);
  auto found = of_rule(audit, "writable-root");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_TRUE(found[0]->suppressed);
  EXPECT_EQ(found[0]->suppression, "the cache is on the root by design");
  EXPECT_EQ(fix_file(audit, 0, {}).text.find("readOnlyRootFilesystem"), std::string::npos);
  text.replace(text.find(" -- the cache"),
               std::string(" -- the cache is on the root by design").size(), "");
  Audit bare = audit_text("nim.yaml", text);
  EXPECT_FALSE(of_rule(bare, "writable-root")[0]->suppressed);
  EXPECT_EQ(of_rule(bare, "bad-suppression").size(), 1u);
  const std::string pod =
      "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  annotations:\n    "
      "pare.audit/ignore-PARE006.c: needs sudo\nspec:\n  containers:\n  - {name: c, image: "
      "'a:1'}\n  "
      "- {name: d, image: 'a:1'}\n";
  Audit annotated = audit_text("p.yaml", pod);
  auto escalation = of_rule(annotated, "escalation");
  ASSERT_EQ(escalation.size(), 2u);
  EXPECT_TRUE(escalation[0]->suppressed);
  EXPECT_FALSE(escalation[1]->suppressed);
}

TEST(Audit, ABaselineAcceptsWhatIsThere) {
  Audit audit = audit_text("nim.yaml", kNim);
  auto accepted = baseline_from_json(baseline_json(audit).dump(), "baseline.json");
  ASSERT_TRUE(accepted) << accepted.error().message;
  Options options;
  options.baseline = *accepted;
  EXPECT_FALSE(worst(audit_text("nim.yaml", kNim, options)).has_value());
  EXPECT_FALSE(baseline_from_json("{\"schema\": \"other\", \"accepted\": []}", "x"));
}

TEST(Audit, ComposeReachesTheEquivalentOfRestricted) {
  const std::string text =
      "services:\n  nim:\n    image: nvcr.io/nim/meta/llama:1.3   # pinned\n    privileged: true\n"
      "    environment:\n      - NGC_TELEMETRY_OPTOUT=1\n    ports:\n      - \"8000:8000\"\n"
      "      - \"8002:8002\"\n    cap_add: [SYS_NICE]\n    ipc: host\n";
  Audit audit = audit_text("compose.yaml", text);
  EXPECT_EQ(of_rule(audit, "telemetry-unknown").size(), 1u);
  EXPECT_EQ(of_rule(audit, "published").size(), 2u);
  FixedFile result = fix_file(audit, 0, {});
  for (const char* want :
       {"privileged: false\n", "cap_drop:\n      - ALL\n", "no-new-privileges:true",
        "read_only: true", "user: \"1000:1000\"", "- \"127.0.0.1:8000:8000\"\n",
        "- \"NIM_TELEMETRY_MODE=0\"", "- \"/tmp:exec\"", "# pinned"}) {
    EXPECT_NE(result.text.find(want), std::string::npos) << want << "\n" << result.text;
  }
  for (const char* gone : {"8002", "SYS_NICE", "ipc: host"}) {
    EXPECT_EQ(result.text.find(gone), std::string::npos) << gone;
  }
  EXPECT_EQ(fixed("compose.yaml", result.text), result.text);
}

TEST(Audit, DockerRunLinesInScriptsAndMarkdown) {
  const std::string script =
      "#!/bin/sh\n# docker run never\nset -e\nsudo docker run --gpus all --privileged -it \\\n"
      "  -p 8000:8000 -p8002:8002 --net=host -v /var/run/docker.sock:/var/run/docker.sock \\\n"
      "  nvcr.io/nvidia/tritonserver:25.06-py3 tritonserver --model-control-mode explicit | tee "
      "x\n";
  Audit audit = audit_text("run.sh", script);
  ASSERT_EQ(audit.workloads.size(), 1u);
  for (const char* rule : {"privileged", "host-network", "runtime-socket", "vulnerable",
                           "admin-api", "extra-port", "capabilities-kept"}) {
    EXPECT_FALSE(of_rule(audit, rule).empty()) << rule;
  }
  std::string after = fix_file(audit, 0, {}).text;
  EXPECT_EQ(after.find("--privileged"), std::string::npos) << after;
  EXPECT_NE(after.find("docker run --"), std::string::npos);
  EXPECT_NE(after.find("--cap-drop=ALL"), std::string::npos);
  EXPECT_NE(after.find("| tee x\n"), std::string::npos);
  EXPECT_EQ(fixed("run.sh", after), after);
  const std::string prose =
      "You can docker run it.\n\n```sh\n$ docker run --rm ollama/ollama\n```\n";
  Audit markdown = audit_text("README.md", prose);
  ASSERT_EQ(markdown.workloads.size(), 1u);
  EXPECT_EQ(markdown.workloads[0].server, "ollama");
  EXPECT_NE(prove_line(markdown).find("pare prove -- docker run --rm ollama/ollama"),
            std::string::npos);
}

TEST(Audit, DockerfilesAndImageConfigs) {
  Audit file =
      audit_text("Dockerfile",
                 "FROM nvcr.io/nvidia/tritonserver:25.06-py3 AS base\nENV HF_TOKEN=hf_abc\n"
                 "RUN chmod 777 /models\nEXPOSE 8000 8001\nFROM base\nENTRYPOINT [\"sh\", "
                 "\"-c\", \"chown -R 1000 /models && exec tritonserver\"]\n");
  for (const char* rule :
       {"plain-key", "chmod-777", "extra-port", "entry-chown", "user-unset", "vulnerable"}) {
    EXPECT_FALSE(of_rule(file, rule).empty()) << rule;
  }
  Audit image =
      audit_text("config.json", R"({"architecture": "amd64", "config": {"User": "root", "Env": )"
                                R"(["LD_PRELOAD=/x.so"], "ExposedPorts": {"8000/tcp": {}}}})");
  EXPECT_FALSE(of_rule(image, "root").empty());
  EXPECT_FALSE(of_rule(image, "ld-preload").empty());
}

TEST(Audit, ServicesAndPoliciesAreContext) {
  const std::string service =
      "---\napiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  type: LoadBalancer\n  "
      "selector: {app: llm}\n  ports: [{port: 8000}, {port: 8002}]\n";
  Audit open = audit_files({{"a.yaml", kNim}, {"b.yaml", service}}, {});
  auto exposed = of_rule(open, "service-exposed");
  ASSERT_EQ(exposed.size(), 1u);
  EXPECT_EQ(open.files[exposed[0]->file]->name, "b.yaml");
  EXPECT_EQ(of_rule(open, "no-network-policy").size(), 1u);
  // Without a mount that holds the model it pulls at every start: denying egress would stop it.
  EXPECT_EQ(fixed("a.yaml", kNim).find("kind: NetworkPolicy"), std::string::npos);
  std::string mounted =
      std::string(kNim) +
      "        volumeMounts:\n        - {name: cache, mountPath: /opt/nim/.cache}\n"
      "      volumes:\n      - {name: cache, persistentVolumeClaim: {claimName: "
      "c}}\n";
  std::string after = fixed("a.yaml", mounted);
  EXPECT_NE(after.find("kind: NetworkPolicy"), std::string::npos) << after;
  EXPECT_TRUE(of_rule(audit_text("a.yaml", after), "no-network-policy").empty());
}

TEST(Audit, EveryFixtureIsJudgedOrNamedAndFixedOnce) {
  fs::path root = fs::path(PARE_SOURCE_DIR) / ".." / "shared" / "fixtures";
  // Public files beside the checkout, which are not copied in: no lane that a host lacks.
  if (!fs::exists(root)) GTEST_SKIP() << "../shared/fixtures is not there";
  std::vector<SourceFile> files;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    std::string name = entry.path().string();
    if (!entry.is_regular_file() || (!worth_opening(name) && entry.path().extension() != ".txt"))
      continue;
    auto text = base::read_file(name);
    ASSERT_TRUE(text) << text.error().message;
    files.push_back({name, *text});
  }
  ASSERT_GT(files.size(), 100u);
  Audit audit = audit_files(files, {});
  for (size_t i = 0; i < audit.files.size(); ++i) {
    const FileModel& model = *audit.models[i];
    // Five files are Helm templates: named as such, not judged.
    for (const Unread& unread : model.unread) {
      EXPECT_NE(unread.why.find("a template"), std::string::npos)
          << audit.files[i]->name << ": " << unread.why;
    }
    EXPECT_GT(model.notes.size() + model.unread.size(), 0u) << audit.files[i]->name;
    for (const Part& part : split_documents(audit.files[i]->bytes)) {
      if (model.kind != FileKind::kYaml) break;
      bool named = std::any_of(model.notes.begin(), model.notes.end(),
                               [&](const DocumentNote& n) { return n.document == part.index; });
      bool unread = std::any_of(model.unread.begin(), model.unread.end(), [&](const Unread& u) {
        return u.offset >= part.span.begin && u.offset <= part.span.end;
      });
      EXPECT_TRUE(named || unread) << audit.files[i]->name << " document " << part.index;
    }
    FixedFile result = fix_file(audit, i, {});
    FixedFile again = fix_file(audit_text(audit.files[i]->name, result.text), 0, {});
    EXPECT_EQ(again.text, result.text) << audit.files[i]->name;
    for (const WorkloadSummary& w : result.workloads) {
      if (w.pod_security.empty() || w.pod_security == "restricted") continue;
      bool said = std::any_of(result.unapplied.begin(), result.unapplied.end(),
                              [&](const UnappliedFix& u) { return u.workload == w.name; });
      EXPECT_TRUE(said) << audit.files[i]->name << " " << w.name << ": " << w.not_restricted;
    }
  }
}

}  // namespace
}  // namespace pare::audit
