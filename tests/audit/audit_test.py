#!/usr/bin/python3
"""pare audit and pare explain as a user meets them: exit codes, files, formats, SARIF validity."""
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARE = pathlib.Path(os.environ.get("PARE_BUILD", ROOT / "build")) / "pare"
POD = """apiVersion: v1
kind: Pod
metadata:
  name: p   # kept
spec:
  containers:
  - name: c
    image: example/a:1.0@sha256:aa
    securityContext: {privileged: yes}
"""
GOOD = """apiVersion: v1
kind: Secret
metadata: {name: s}
"""


def run(*arguments, stdin=None):
    return subprocess.run([str(PARE), *map(str, arguments)], input=stdin, text=True,
                          capture_output=True, timeout=120, check=False)


class Audit(unittest.TestCase):
    def test_fix_writes_where_a_link_leads_and_keeps_the_owner(self):
        self.file.write_text(POD)
        self.file.chmod(0o640)
        if os.geteuid() == 0:
            os.chown(self.file, 1234, 4321)
        before = self.file.stat()
        link = self.work / "link.yaml"
        link.symlink_to("pod.yaml")
        run("audit", "--fix", link)
        after = self.file.stat()
        self.assertTrue(link.is_symlink())
        self.assertNotEqual(self.file.read_text(), POD)
        self.assertEqual((before.st_mode, before.st_uid, before.st_gid),
                         (after.st_mode, after.st_uid, after.st_gid))

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.work = pathlib.Path(directory.name)
        self.file = self.work / "pod.yaml"
        self.file.write_text(POD)

    def test_exit_codes_are_the_same_in_every_format(self):
        good, bad = self.work / "good.yaml", self.work / "bad.yaml"
        good.write_text(GOOD)
        bad.write_text("a: [\n")
        for form in ("text", "json", "sarif", "junit", "github", "markdown"):
            with self.subTest(form=form):
                self.assertEqual(run("audit", good, "--format", form).returncode, 0)
                self.assertEqual(run("audit", self.file, "--format", form).returncode, 1)
                self.assertEqual(run("audit", self.file, bad, "--format", form).returncode, 5)
        self.assertEqual(run("audit", self.work / "absent.yaml").returncode, 5)
        (self.work / "nothing").mkdir()
        nothing = run("audit", self.work / "nothing")
        self.assertEqual(nothing.returncode, 5)
        self.assertIn("holds no file that pare audits", nothing.stdout)
        self.assertEqual(run("audit", self.file, "--format", "x").returncode, 2)

    def test_fail_on(self):
        self.file.write_text(POD.replace("privileged: yes", "privileged: no"))
        self.assertEqual(run("audit", self.file, "--fail-on", "critical").returncode, 0)
        self.assertEqual(run("audit", self.file, "--fail-on", "medium").returncode, 1)

    def test_text_points_at_the_place_and_ends_with_the_prove_line(self):
        out = run("audit", self.file).stdout
        self.assertIn(f"{self.file}:9:35: critical: privileged", out)
        self.assertIn("securityContext: {privileged: yes}", out)
        self.assertIn("^^^", out)
        self.assertTrue(out.rstrip().endswith(f"pare prove {self.file} --container c"), out[-200:])

    def test_diff_changes_nothing_and_fix_does_once(self):
        done = run("audit", self.file, "--diff")
        self.assertIn("-    securityContext: {privileged: yes}", done.stdout)
        self.assertIn("may break", done.stderr)
        self.assertEqual(self.file.read_text(), POD)
        self.file.chmod(0o640)
        run("audit", self.file, "--fix")
        fixed = self.file.read_text()
        self.assertIn("name: p   # kept\n", fixed)
        self.assertIn("privileged: false", fixed)
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o640)
        run("audit", self.file, "--fix")
        self.assertEqual(self.file.read_text(), fixed)
        audited = json.loads(run("audit", self.file, "--json").stdout)
        self.assertEqual(audited["workloads"][0]["podSecurity"], "restricted")

    def test_standard_input(self):
        audited = json.loads(run("audit", "-", "--json", stdin=POD).stdout)
        self.assertEqual(audited["schema"], "pare.audit/v1")
        self.assertEqual(audited["findings"][0]["file"], "-")
        self.assertIn("privileged: false", run("audit", "-", "--fix", stdin=POD).stdout)

    def test_directories(self):
        (self.work / "sub").mkdir()
        (self.work / "sub" / "Dockerfile").write_text("FROM ollama/ollama\n")
        (self.work / "sub" / "notes.bin").write_bytes(b"\0\1")
        audited = json.loads(run("audit", self.work, "--json").stdout)
        self.assertEqual({w["kind"] for w in audited["workloads"]}, {"Pod", "Dockerfile"})
        self.assertEqual(audited["unread"], [])

    def test_a_baseline_accepts_what_is_there(self):
        baseline = self.work / "baseline.json"
        run("audit", self.file, "--write-baseline", baseline)
        self.assertEqual(run("audit", self.file, "--baseline", baseline).returncode, 0)
        baseline.write_text("{}")
        self.assertEqual(run("audit", self.file, "--baseline", baseline).returncode, 5)

    def test_junit_and_github(self):
        suite = xml.etree.ElementTree.fromstring(run("audit", self.file, "--format", "junit").stdout)
        self.assertGreater(int(suite.get("failures")), 0)
        self.assertIn("::error file=", run("audit", self.file, "--format", "github").stdout)

    def test_explain(self):
        self.assertIn("attacker gains", run("explain", "privileged").stdout)
        self.assertEqual(run("explain", "PARE001").stdout, run("explain", "privileged").stdout)
        self.assertIn("did you mean", run("explain", "privilegd").stderr)
        table = run("explain", "--markdown").stdout
        self.assertIn(table, (ROOT / "docs" / "audit.md").read_text(), "docs/audit.md is not of today")

    def test_sarif_is_valid(self):
        if shutil.which("npm") is None:
            self.skip("npm is not installed")
        done = subprocess.run(
            ["npm", "install", "--no-audit", "--no-fund", "--silent", "@microsoft/sarif-multitool"],
            cwd=self.work, capture_output=True, check=False, timeout=240)
        tool = (self.work / "node_modules" / "@microsoft" / "sarif-multitool-linux" /
                "Sarif.Multitool")
        if done.returncode != 0 or not tool.exists():
            self.skip("the npm registry does not give @microsoft/sarif-multitool")
        tool.chmod(0o755)
        self.file.write_text(POD + "    # pare: ignore PARE038 -- measured\n    resources: {}\n---\na: [\n")
        log = self.work / "a.sarif"
        log.write_text(run("audit", self.file, "--format", "sarif").stdout)
        written = json.loads(log.read_text())
        self.assertTrue(any("fixes" in r for r in written["runs"][0]["results"]))
        env = dict(os.environ, DOTNET_SYSTEM_GLOBALIZATION_INVARIANT="1",
                   DOTNET_BUNDLE_EXTRACT_BASE_DIR=str(self.work / "dotnet"))
        said = subprocess.run([str(tool), "validate", str(log)], env=env, capture_output=True,
                              text=True, check=False, timeout=240)
        self.assertIn("1 files scanned", said.stdout)
        self.assertNotIn(": error ", said.stdout)
        self.assertEqual(said.returncode, 0, said.stdout + said.stderr)

    def skip(self, why):
        if os.environ.get("PARE_MUST_RUN"):
            self.fail("must run, but: " + why)
        self.skipTest(why)


if __name__ == "__main__":
    unittest.main()
