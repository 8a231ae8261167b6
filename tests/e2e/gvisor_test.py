#!/usr/bin/python3
"""llama-server on gVisor's kernel: proved by ablation alone, then run with loopback alone."""
import json
import pathlib
import shutil
import sys
import unittest

import harness
import llama_test
import run_test


class GVisor(llama_test.Llama):
    test_oci = test_docker = None  # of llama_test

    def setUp(self):
        super().setUp()
        if shutil.which("runsc") is None:
            harness.cannot(self, "runsc is not installed")

    def command(self, verb, *words):
        return (verb, "--rootfs", self.llama, "--runtime", "runsc", *words, "--", *llama_test.ARGV)

    def test_proved_and_run(self):
        run, proof = self.prove(
            self.llama, llama_test.ARGV, "--runtime", "runsc", "--no-record",
            "--volume", f"{self.models}:/models:ro", checks=llama_test.CHECKS,
        )
        self.assertEqual(run.code, 0, run)
        self.assertTrue(proof["confirmed"] and proof["minimal"], run)
        self.assertRegex(proof["host"]["runtime"], r"^runsc \S+$")
        verdicts = {v["privilege"]: v["verdict"] for v in proof["verdicts"]}
        for name in ["user/root", "escalation/new-privileges", "rootfs/write", "capability/NET_RAW"]:
            self.assertEqual(verdicts[name], "unneeded", name)
        self.assertNotIn("syscalls", proof["policy"]["seccomp"] or {})  # nothing showed them
        sealed = run_test.Appliance(self, self.dir / "out", "--runtime", "runsc")
        self.assertEqual(sealed.process.wait(timeout=60), 3, sealed.text())
        self.assertIn("cannot be sealed", sealed.text())
        self.serve(self.dir / "out")
        # Another runtime's proof is said to be one, and its list of calls is left out.
        document = {**proof, "host": {**proof["host"], "runtime": "runc 1.1.5"}}
        document["policy"]["seccomp"] = {
            "arch": "x86_64", "default": "EPERM", "syscalls": ["read"], "arguments": [], "enosys": [],
            "serve": [],
        }
        (self.dir / "other.json").write_text(json.dumps(document))
        text = self.serve(self.dir / "other.json")
        self.assertIn("the proof was made with runc 1.1.5, this is runsc", text)
        self.assertIn("its list of calls is of another kernel", text)

    def serve(self, proof):
        port = run_test.free_port()
        words = (proof, "--runtime", "runsc", "--publish", port, "--no-seal")
        appliance = run_test.Appliance(self, *words)
        appliance.wait_for("pare: ready, not sealed")
        pid = run_test.servers_of(self.state)[0]
        self.assertIn("runsc", pathlib.Path(f"/proc/{pid}/cmdline").read_text())
        links = json.loads(run_test.inside(pid, "ip", "-j", "link"))
        self.assertEqual([link["ifname"] for link in links], ["lo"])
        self.assertEqual(json.loads(run_test.inside(pid, "ip", "-j", "route") or "[]"), [])
        body = json.dumps({"prompt": "a", "max_tokens": 4})
        status, answer = run_test.ask(port, "POST", "/v1/completions", body)
        self.assertEqual(status, 200, answer)
        self.assertTrue(json.loads(answer)["choices"][0]["text"])
        appliance.process.kill()
        appliance.process.wait()
        with self.assertRaises(OSError):
            run_test.ask(port, "GET", "/health", timeout=2)
        self.pare("clean")
        self.assertEqual(run_test.servers_of(self.state), [])
        return appliance.text()

    def test_what_it_cannot_give_is_said(self):
        run = self.pare(*self.command("observe"))
        self.assertEqual(run.code, 2, run)
        self.assertIn("a kernel of its own, which the recorder does not see", run.err)
        run = self.pare(*self.command("prove", "-o", self.dir / "out", "--network", "none"))
        self.assertEqual(run.code, 2, run)
        self.assertIn("--no-record proves by ablation alone", run.err)
        findings = {f["name"]: f for f in self.pare("doctor", "--json").json()["findings"]}
        self.assertTrue(findings["runsc"]["ok"], findings["runsc"])
        self.assertIn("--no-seal", findings["runsc"]["text"])


if __name__ == "__main__":
    sys.exit(unittest.main())
