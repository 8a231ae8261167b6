#!/usr/bin/python3
"""Debian's llama-server, proved as in the demo, by runc and by Docker; then run as emitted."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

import harness

ARGV = [
    "/usr/bin/llama-server",
    "-m",
    "/models/tiny.gguf",
    "--host",
    "0.0.0.0",
    "--port",
    "8000",
    "-c",
    "2048",
    "-t",
    "2",
    "--parallel",
    "4",
    "--no-warmup",
    "--no-webui",
]
CHECKS = ("openai://:8000", "openai://:8000;batch=4;name=batch")
DEFAULT_CAPABILITIES = sorted(
    "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
    "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP".split()
)


class Llama(harness.Ground):
    def setUp(self):
        super().setUp()
        made = subprocess.run(
            [harness.SUPPORT / "make_root"], stdout=subprocess.PIPE, text=True, check=False
        )
        if made.returncode != 0:
            harness.cannot(self, "no root file system with llama-server could be made (see above)")
        self.llama = pathlib.Path(made.stdout.strip())
        self.models = self.dir / "models"
        self.models.mkdir()
        subprocess.run([harness.SUPPORT / "make_gguf.py", self.models / "tiny.gguf"], check=True)

    def assert_locked_down(self, proof):
        """What the demo promises of llama-server."""
        self.assertTrue(proof["confirmed"])
        self.assertTrue(proof["minimal"])
        verdicts = {v["privilege"]: v["verdict"] for v in proof["verdicts"]}
        capabilities = sorted(v["value"] for v in proof["verdicts"] if v["axis"] == "capability")
        self.assertEqual(capabilities, DEFAULT_CAPABILITIES)
        for privilege in ["user/root", "escalation/new-privileges", "rootfs/write"] + [
            "capability/" + c for c in capabilities
        ]:
            self.assertEqual(verdicts[privilege], "unneeded", privilege)
        policy = proof["policy"]
        self.assertNotEqual(policy["user"]["uid"], 0)
        self.assertEqual(policy["capabilities"], [])
        self.assertTrue(policy["noNewPrivileges"])
        self.assertEqual(policy["rootfs"], "ro")
        self.assertEqual(policy["writable"], [])
        self.assertEqual(policy["volumes"], [{"path": "/models", "mode": "ro"}])
        self.assertEqual(policy["egress"], [])
        self.assertEqual([p["port"] for p in policy["ports"]], [8000])
        self.assertLess(len(policy["seccomp"]["syscalls"]), 80)
        self.assertIn("read", policy["seccomp"]["syscalls"])
        # Other callers' slots are closed by the server's own switch; nothing closes its settings.
        endpoints = {v["value"]: v for v in proof["verdicts"] if v["axis"] == "endpoint"}
        self.assertEqual(endpoints["GET /slots"]["verdict"], "unneeded")
        self.assertEqual(endpoints["GET /slots"]["fix"]["change"], "argument=--no-slots")
        self.assertEqual(policy["arguments"][-1], "--no-slots")
        self.assertIsNone(endpoints["GET /props"]["fix"])
        self.assertNotIn("GET /metrics", endpoints)
        self.assertTrue(any("GET /props" in a for a in proof["assumptions"]))
        self.assertTrue(any("llama.cpp" in f["text"] for f in proof["findings"]))
        starts = sum(t["starts"] for t in proof["trials"])
        self.assertLessEqual(starts, 12)
        return verdicts

    def test_oci(self):
        run, proof = self.prove(
            self.llama, ARGV, "--volume", f"{self.models}:/models", checks=CHECKS
        )
        self.assertEqual(run.code, 0, run)
        self.assert_locked_down(proof)
        print(f"{run.seconds:.1f} s, {sum(t['starts'] for t in proof['trials'])} starts")
        self.assertLess(run.seconds, 60)
        self.serve_as_emitted()

    def serve_as_emitted(self):
        """The emitted OCI bundle under runc, nothing of pare in between, completes a prompt."""
        bundle = self.dir / "bundle"
        emitted = self.pare("emit", self.dir / "out/proof.json", "--to", "oci", "-o", bundle)
        self.assertEqual(emitted.code, 0, emitted)
        name = f"pare-e2e-{os.getpid()}"
        with open(self.dir / "log", "wb") as log, harness.process(
            "runc",
            "run",
            "--bundle",
            bundle,
            name,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        ):
            try:
                reply = self.complete(name)
            finally:
                subprocess.run(
                    ["runc", "delete", "--force", name], check=False, stderr=subprocess.DEVNULL
                )
        text = (self.dir / "log").read_text(errors="replace")
        self.assertIsNotNone(reply, text)
        self.assertRegex(json.loads(reply)["choices"][0]["text"], r"\w+ \w+", text)

    def complete(self, name):
        """The answer to a completion request made in the container's network; None after 20 s."""
        body = '{"prompt": "the people", "max_tokens": 8}'
        end = time.monotonic() + 20
        while time.monotonic() < end:
            state = subprocess.run(
                ["runc", "state", name], capture_output=True, text=True, check=False
            )
            pid = json.loads(state.stdout)["pid"] if state.returncode == 0 else 0
            if pid:
                enter = ["nsenter", "--target", str(pid), "--net"]
                subprocess.run(
                    [*enter, "ip", "link", "set", "lo", "up"],
                    check=False,
                    stderr=subprocess.DEVNULL,
                )
                reply = subprocess.run(
                    [*enter, "curl", "-sf", "http://127.0.0.1:8000/v1/completions", "-d", body],
                    capture_output=True,
                    text=True,
                    check=False,
                )
                if reply.returncode == 0:
                    return reply.stdout
            time.sleep(0.1)
        return None

    def test_docker(self):
        daemon = self.docker_daemon()
        daemon.load("llama:e2e", self.llama)
        words = ["prove", "--json"]
        for check in CHECKS:
            words += ["--check", check]
        line = [
            "docker",
            "run",
            "--rm",
            "-d",
            "--name",
            "llama",
            "-p",
            "8000:8000",
            "-v",
            f"{self.models}:/models",
            "llama:e2e",
            *ARGV,
        ]
        by_docker = self.pare(
            *words,
            "-o",
            self.dir / "docker",
            "--",
            *line,
            env=self.environment(DOCKER_HOST=f"unix://{daemon.socket}"),
        )
        self.assertEqual(by_docker.code, 0, by_docker)
        proof = json.loads((self.dir / "docker/proof.json").read_text())
        verdicts = self.assert_locked_down(proof)
        self.assertEqual(proof["host"]["engine"], "docker")

        by_runc, other = self.prove(
            self.llama, ARGV, "--volume", f"{self.models}:/models", checks=CHECKS
        )
        self.assertEqual(by_runc.code, 0, by_runc)
        judged = {v["privilege"]: v["verdict"] for v in other["verdicts"]}
        for privilege in set(verdicts) & set(judged):
            self.assertEqual(verdicts[privilege], judged[privilege], privilege)
        # docker run gives a network, --network none does not: the one difference in what is asked.
        self.assertLessEqual(set(verdicts) ^ set(judged), {"egress/any"})
        self.assertEqual(daemon.containers(), [])


if __name__ == "__main__":
    sys.exit(unittest.main())
