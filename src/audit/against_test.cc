#include <gtest/gtest.h>

#include <algorithm>

#include "audit/audit.h"

namespace pare::audit {
namespace {

TEST(Against, EachExcessIsAFindingWithItsEvidence) {
  verdict::Proof proof;
  proof.target.image = "nvcr.io/nim/meta/llama:1.0";
  proof.policy.user = {1000, 1000, {2000}};
  proof.policy.no_new_privileges = true;
  proof.policy.rootfs_writable = false;
  proof.policy.capabilities = privilege::CapabilitySet{"CHOWN"};
  proof.policy.ports = {{8000, "tcp", "inference"}};
  verdict::Verdict verdict;
  verdict.privilege = {privilege::Axis::kCapability, "NET_RAW"};
  verdict.kind = verdict::Kind::kUnneeded;
  verdict.because = "every check passed without it";
  verdict.trials = {4, 5};
  proof.verdicts = {verdict};
  Options options;
  options.proof = &proof;
  const std::string text =
      "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  hostPID: true\n"
      "  securityContext: {fsGroup: 1000, supplementalGroups: [44, 2000]}\n  containers:\n"
      "  - name: c\n    image: nvcr.io/nim/meta/llama:1.1\n"
      "    ports: [{containerPort: 8000}, {containerPort: 8002}]\n"
      "    securityContext: {capabilities: {drop: [ALL], add: [NET_RAW, CHOWN]}}\n"
      "  - {name: other, image: 'x:1'}\n";
  Audit audit = audit_files({{"p.yaml", text}}, options);
  std::vector<std::string> found;
  for (const Finding& f : audit.findings) {
    if (f.rule->name != "against-proof") continue;
    EXPECT_EQ(f.container, "c");
    found.push_back(f.message.substr(0, f.message.find(',')));
    if (f.message.find("NET_RAW") == std::string::npos) continue;
    EXPECT_EQ(f.evidence, "trials 4, 5");
    EXPECT_NE(f.message.find("every check passed without it"), std::string::npos);
    EXPECT_EQ(audit.position(0, f.span.begin).line, 11u);
  }
  const std::vector<std::string> expected = {"shares the host's pid namespace",
                                             "leaves the user to the image",
                                             "has a writable root file system",
                                             "allows privilege escalation",
                                             "declares port 8002",
                                             "adds the group 44",
                                             "holds NET_RAW"};
  std::sort(found.begin(), found.end());
  std::vector<std::string> sorted = expected;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(found, sorted);
  Audit alone = audit_files({{"p.yaml", text}}, {});
  EXPECT_TRUE(std::none_of(alone.findings.begin(), alone.findings.end(),
                           [](const Finding& f) { return f.rule->name == "against-proof"; }));
}

}  // namespace
}  // namespace pare::audit
