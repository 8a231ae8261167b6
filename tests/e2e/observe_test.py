#!/usr/bin/python3
"""observe of what runs already, merge of what replicas did, and a proof from a recorder that lost."""
import json
import os
import shutil
import subprocess
import sys
import time
import unittest

import harness


class Observe(harness.Ground):
    def start_container(self, root, argv):
        """A container of runc's own, as some other tool might run it; its id."""
        if shutil.which("runc") is None:
            harness.cannot(self, "runc is not installed")
        bundle = self.dir / "bundle"
        bundle.mkdir()
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=argv)
        config["root"] = {"path": str(root), "readonly": False}
        ident = os.urandom(32).hex()  # as Docker's
        config["linux"]["cgroupsPath"] = f"/pare-test-{os.getpid()}/{ident}"
        (bundle / "config.json").write_text(json.dumps(config))
        runc = ["runc", "--root", self.dir / "runc"]
        log = open(self.dir / "log", "w")
        self.addCleanup(log.close)
        subprocess.run(
            [*runc, "run", "--detach", "--bundle", bundle, ident],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        self.addCleanup(self.remove_cgroups)
        self.addCleanup(subprocess.run, [*runc, "delete", "--force", ident], check=True)
        state = subprocess.run([*runc, "state", ident], capture_output=True, check=True)
        return ident, json.loads(state.stdout)["pid"]

    @staticmethod
    def remove_cgroups():
        subprocess.run(
            f"find /sys/fs/cgroup -depth -type d -path '*/pare-test-{os.getpid()}*' "
            "-exec rmdir {} + 2>/dev/null",
            shell=True,
            check=False,
        )

    def test_what_runs_already(self):
        ident, pid = self.start_container(self.root("admin_port"), ["/admin_port"])
        time.sleep(0.5)
        listed = self.dir / "checks.yaml"
        listed.write_text(f"checks: [{{check: '{harness.INFER}'}}]\n")
        checks = {"--container": ["--check", harness.INFER], "--pid": ["--checks", listed]}
        for which in (["--container", ident[:12]], ["--pid", pid]):
            with self.subTest(which=which):
                run = self.pare("observe", *which, "--during", "1s", *checks[which[0]])
                self.assertEqual(run.code, 0, run)
                evidence = run.json()
                self.assertEqual(evidence["coverage"], "attached")
                self.assertEqual(evidence["loss"]["events"], 0, run)
                self.assertIsNotNone(evidence["ready"])
                ports = {l["port"]: l for l in evidence["listeners"]}
                self.assertEqual(ports[8000]["speaks"], "http")
                self.assertIn("accept4" if "accept4" in run.out else "accept", run.out)
                self.assertIn("/admin_port", [e["path"] for e in evidence["execs"]])
                for call in evidence["syscalls"]:
                    self.assertEqual([e["exe"] for e in call["exes"]], ["/admin_port"], call)
                self.assertNotIn("execve", [c["name"] for c in evidence["syscalls"]])

    def test_an_interrupt_ends_it(self):
        ident, _ = self.start_container(self.root("nothing"), ["/nothing"])
        out = self.dir / "out"
        child = subprocess.Popen(
            [harness.PARE, "observe", "--container", ident, "-o", out],
            env=self.environment(),
            stderr=subprocess.PIPE,
            text=True,
        )
        self.assertIn("recording", child.stderr.readline())
        time.sleep(1)
        child.terminate()
        self.assertEqual(child.wait(timeout=60), 0, child.stderr.read())
        child.stderr.close()
        evidence = json.loads((out / "evidence.json").read_text())
        self.assertEqual(evidence["coverage"], "attached")

    def test_what_does_not_run_is_named(self):
        for options, words in (
            (["--container", "beefbeef"], "beefbeef"),
            (["--pid", 2**22 - 1], "process 4194303"),
            (["--pid", os.getpid()], "pare itself"),
            (["--container", "beefbeef", "--pid", 1], "exclude"),
            (["--container", "beefbeef", "--", "docker", "run", "x"], "besides"),
            (["--container", "beefbeef", "--during", "long"], "--during"),
            (["--container", "beefbeef", "--ready-within", "long"], "--ready-within"),
        ):
            run = self.pare("observe", *options)
            self.assertEqual(run.code, 2, run)
            self.assertIn(words, run.err)


class Merge(harness.Ground):
    def observed(self, name, *argv):
        out = self.dir / name
        root = self.root("exits", name=f"root-{name}")
        run = self.pare(
            *["observe", "--rootfs", root, "--network", "none"],
            *["-o", out, "--", "/exits", *argv],
        )
        self.assertEqual(run.code, 0, run)
        return out / "evidence.json"

    def test_replicas(self):
        one, two = self.observed("one"), self.observed("two", "x")
        run = self.pare("merge", one, two, "-o", self.dir / "both.json")
        self.assertEqual((run.code, run.out), (0, ""), run)
        both = json.loads((self.dir / "both.json").read_text())
        self.assertEqual(both["schema"], "pare.evidence/v1")
        self.assertEqual(both["coverage"], "entry")
        self.assertEqual(len(both["replicas"]), 2)
        for call in both["syscalls"]:
            self.assertEqual(call["replicas"], [0, 1], call)
        again = self.pare("merge", two.parent, self.dir / "both.json", one)
        self.assertEqual(again.out, (self.dir / "both.json").read_text())

    def test_what_cannot_be_read_is_named(self):
        one = self.observed("one")
        bad = {
            "not-json": "{",
            "no-evidence": '{"schema": "pare.proof/v1"}',
            "later": one.read_text().replace("evidence/v1", "evidence/v9"),
            "wrong": one.read_text().replace('"events": 0', '"events": "none"'),
        }
        for name, text in bad.items():
            path = self.dir / name
            path.write_text(text)
            run = self.pare("merge", one, path)
            self.assertEqual((run.code, run.out), (5, ""), run)
            self.assertIn(str(path), run.err)
        run = self.pare("merge", one, self.dir / "missing")
        self.assertEqual((run.code, run.out), (2, ""), run)
        self.assertIn(str(self.dir / "missing"), run.err)


class Loss(harness.Ground):
    def test_a_proof_from_a_recorder_that_lost_is_unproven(self):
        root = self.root("admin_port")
        os.environ["PARE_TEST_MAP_ENTRIES"] = "1"
        self.addCleanup(os.environ.pop, "PARE_TEST_MAP_ENTRIES")
        run, proof = self.prove(root, ["/admin_port"], "--repeat", 1)
        self.assertEqual(run.code, 1, run)
        self.assertFalse(proof["minimal"])
        self.assertGreater(proof["loss"]["events"], 0)
        self.assertIn("listeners", proof["loss"]["maps"])
        verdicts = {v["privilege"]: v["verdict"] for v in proof["verdicts"]}
        self.assertEqual(verdicts["syscall/any"], "unproven", verdicts)
        self.assertIn("loss", [f["id"] for f in proof["findings"]])


if __name__ == "__main__":
    sys.exit(unittest.main())
