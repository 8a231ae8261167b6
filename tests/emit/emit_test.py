#!/usr/bin/python3
"""pare emit --patch: the policy over files that stand; comments, order and everything else stay."""
import difflib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARE = pathlib.Path(os.environ["PARE_BUILD"]) / "pare"
PROOFS = ROOT / "tests/corpus/proofs"

DEPLOYMENT = """\
# Our own notes stay.
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {MODE: "fast"}   # flow style
---
apiVersion: apps/v1
kind: Deployment
metadata:
    name: llm   # indented by four
spec:
    replicas: 2
    selector: {matchLabels: {app: llm}}
    template:
        metadata:
            labels:
                app: llm
        spec:
            hostIPC: true
            containers:
            # the server
            - name: server
              image: registry.example/llm:1
              env:
              - name: MODE
                value: 'fast'
              securityContext:
                  runAsUser: 0     # for now
                  privileged: true
                  capabilities:
                      add: [SYS_ADMIN, NET_RAW]
              volumeMounts:
              - {name: m, mountPath: /data}
            - name: sidecar
              image: registry.example/proxy:2
            volumes:
            - name: m
              persistentVolumeClaim: {claimName: models}
"""

COMPOSE = """\
# before
services:
  web:
    image: registry.example/web:3
  llm:
    image: registry.example/llm:1   # pinned later
    privileged: true
    cap_add:
      - SYS_ADMIN   # why?
      - NET_RAW
    environment:
      - MODE=fast
    tmpfs:
      - /run
    volumes:
      - ./data:/data   # the state
    restart: always
# after
"""


def pare(*words, codes=(0,)):
    done = subprocess.run([PARE, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode not in codes:
        raise AssertionError(f"{words}: {done.returncode}\n{done.stderr}")
    return done


class Patch(unittest.TestCase):
    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-patch-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def patched(self, proof, to, text, *options):
        file = self.dir / "file.yaml"
        file.write_text(text)
        return pare("emit", PROOFS / f"{proof}.json", "--to", to, "--patch", file, *options).stdout

    def policy(self, proof):
        return json.loads((PROOFS / f"{proof}.json").read_text())["policy"]

    def test_deployment(self):
        proof = "raw_infer.kubernetes"
        after = self.patched(proof, "kubernetes", DEPLOYMENT, "--container", "server")
        for comment in re.findall(r"#.*", DEPLOYMENT):
            if comment != "# for now":  # its value changed; the comment may stay
                self.assertIn(comment, after)
        settings, deployment = yaml.safe_load_all(after)
        self.assertEqual(settings, next(yaml.safe_load_all(DEPLOYMENT)))
        pod = deployment["spec"]["template"]["spec"]
        server, sidecar = pod["containers"]
        policy = self.policy(proof)
        self.assertEqual(server["securityContext"]["runAsUser"], policy["user"]["uid"])
        self.assertEqual(server["securityContext"]["seccompProfile"]["type"], "RuntimeDefault")
        # The sidecar's as well: not the proof's to say.
        self.assertNotIn("runAsUser", pod.get("securityContext", {}))
        self.assertEqual(server["securityContext"]["capabilities"],
                         {"drop": ["ALL"], "add": ["NET_RAW"]})
        self.assertIs(server["securityContext"]["privileged"], False)
        self.assertIs(server["securityContext"]["readOnlyRootFilesystem"], True)
        self.assertFalse(pod["hostIPC"])
        self.assertEqual(server["image"], "registry.example/llm:1")
        self.assertEqual(server["env"], [{"name": "MODE", "value": "fast"}])
        self.assertNotIn("securityContext", sidecar)
        self.assertEqual(deployment["spec"]["replicas"], 2)
        # Lines that say nothing of privileges stand as they stood, in their order.
        kept = [l for l in DEPLOYMENT.splitlines()
                if not re.search("hostIPC|runAsUser|privileged|add:", l)]
        lines = after.splitlines()
        matcher = difflib.SequenceMatcher(a=kept, b=lines, autojunk=False)
        self.assertEqual(sum(block.size for block in matcher.get_matching_blocks()), len(kept))

    def test_patched_twice_is_patched_once(self):
        once = self.patched("cache_third.kubernetes", "kubernetes", DEPLOYMENT, "--container",
                            "server")
        self.assertIn("mountPath: /cache", once)
        twice = self.patched("cache_third.kubernetes", "kubernetes", once, "--container", "server")
        self.assertEqual(once, twice)

    def test_other_kinds(self):
        pod = ("apiVersion: v1\nkind: Pod\nmetadata: {name: llm}\nspec:\n  containers:\n"
               "  - name: llm\n    image: x\n")
        after = yaml.safe_load(self.patched("nothing.kubernetes", "kubernetes", pod))
        self.assertIs(after["spec"]["automountServiceAccountToken"], False)
        cron = ("apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: llm}\nspec:\n"
                "  schedule: '@daily'\n  jobTemplate:\n    spec:\n      template:\n        spec:\n"
                "          restartPolicy: Never\n          containers:\n          - name: llm\n"
                "            image: x\n")
        after = yaml.safe_load(self.patched("nothing.kubernetes", "kubernetes", cron))
        inner = after["spec"]["jobTemplate"]["spec"]["template"]["spec"]
        self.assertEqual(inner["containers"][0]["securityContext"]["capabilities"]["drop"], ["ALL"])

    def test_unconfirmed_is_written_into_every_file(self):
        proof = json.loads((PROOFS / "nothing.kubernetes.json").read_text())
        proof["confirmed"] = False
        own = self.dir / "proof.json"
        own.write_text(json.dumps(proof))
        bare = ("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: llm}\nspec:\n  template:\n"
                "    spec:\n      containers:\n      - name: llm\n        image: x\n")
        file = self.dir / "file.yaml"
        file.write_text(bare)
        words = ("emit", own, "--to", "kubernetes", "--patch", file)
        pare(*words, codes=(1, 2))
        after = yaml.safe_load(pare(*words, "--unconfirmed").stdout)
        self.assertIn("unconfirmed", json.dumps(after["spec"]["template"]["metadata"]))
        proof["platform"] = "docker"
        docker = json.loads((PROOFS / "nothing.docker.json").read_text())
        docker["confirmed"] = False
        own.write_text(json.dumps(docker))
        file.write_text("services:\n  llm:\n    image: x\n")
        after = yaml.safe_load(pare("emit", own, "--to", "compose", "--patch", file,
                                    "--unconfirmed").stdout)
        self.assertEqual(after["services"]["llm"]["labels"]["pare.unconfirmed"], "true")

    def test_compose_keeps_what_it_does_not_mean(self):
        proof = json.loads((PROOFS / "nothing.docker.json").read_text())
        proof["policy"]["volumes"] = [{"path": "/a", "mode": "ro"}, {"path": "/b", "mode": "ro"}]
        proof["policy"]["writable"] = [{"path": "/tmp", "as": "tmpfs", "peakBytes": 1}]
        proof["target"]["volumes"] = [{"source": v, "path": v, "mode": "rw"} for v in ("/a", "/b")]
        own = self.dir / "proof.json"
        own.write_text(json.dumps(proof))
        file = self.dir / "file.yaml"
        file.write_text("services:\n  llm:\n    image: x\n    tmpfs: /run\n    volumes:\n"
                        "    - ./a:/a:z\n    - ${B:-./b}:/b\n")
        out = self.dir / "out"
        pare("emit", own, "--to", "compose", "--patch", file, "-o", out)
        llm = yaml.safe_load((out / "file.yaml").read_text())["services"]["llm"]
        self.assertEqual(llm["volumes"], ["./a:/a:ro,z", "${B:-./b}:/b:ro"])
        self.assertEqual([path.split(":")[0] for path in llm["tmpfs"]], ["/run", "/tmp"])
        profile = next(o for o in llm["security_opt"] if o.startswith("seccomp"))
        self.assertTrue((out / profile[len("seccomp:./"):]).is_file(), profile)

    def test_compose(self):
        proof = "raw_infer.docker"
        after = self.patched(proof, "compose", COMPOSE, "--workload", "llm")
        for comment in ("# before", "# pinned later", "# the state", "# after"):
            self.assertIn(comment, after)
        services = yaml.safe_load(after)["services"]
        self.assertEqual(services["web"], {"image": "registry.example/web:3"})
        llm = services["llm"]
        self.assertEqual(llm["cap_drop"], ["ALL"])
        self.assertEqual(llm["cap_add"], ["NET_RAW"])
        self.assertIs(llm["privileged"], False)
        self.assertIs(llm["read_only"], True)
        self.assertEqual(llm["restart"], "always")
        self.assertEqual(llm["environment"], ["MODE=fast"])
        self.assertEqual(llm["volumes"], ["./data:/data"])
        self.assertIs(yaml.safe_load(after)["networks"]["closed"]["internal"], True)

    def test_choices_are_named(self):
        file = self.dir / "file.yaml"
        file.write_text(DEPLOYMENT)
        proof = PROOFS / "nothing.kubernetes.json"
        done = pare("emit", proof, "--to", "kubernetes", "--patch", file, codes=(2,))
        self.assertIn("containers server, sidecar: choose with --container", done.stderr)
        done = pare("emit", proof, "--to", "kubernetes", "--patch", file, "--workload", "x",
                    codes=(2,))
        self.assertIn("llm", done.stderr)
        done = pare("emit", proof, "--to", "seccomp", "--patch", file, codes=(2,))
        self.assertIn("--patch edits the files of kubernetes and compose", done.stderr)

    def test_what_cannot_be_edited_safely_is_refused(self):
        file = self.dir / "file.yaml"
        file.write_text(
            "apiVersion: v1\nkind: Pod\nmetadata: {name: llm}\nspec:\n"
            "  securityContext: &shared {runAsUser: 0}\n  containers:\n  - name: llm\n"
            "    image: x\n    securityContext: *shared\n")
        done = pare("emit", PROOFS / "nothing.kubernetes.json", "--to", "kubernetes", "--patch",
                    file, codes=(5,))
        self.assertRegex(done.stderr, r"file\.yaml:\d+: ")


class Check(unittest.TestCase):
    """pare emit --check as a user meets it."""

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-check-"))
        self.addCleanup(shutil.rmtree, self.dir)

    def test_every_emitter(self):
        for to, platform in (("kubernetes", "kubernetes"), ("kustomize", "kubernetes"),
                             ("helm", "kubernetes"), ("docker", "docker"), ("compose", "docker"),
                             ("dockerfile", "docker"), ("oci", "docker"), ("seccomp", "docker")):
            with self.subTest(to=to):
                proof = PROOFS / f"cache_third.{platform}.json"
                out = self.dir / to
                words = ("emit", proof, "--to", to, "-o", out)
                pare(*words)
                said = pare(*words, "--check").stdout
                self.assertIn("these files grant what was proved", said)
                self.assertNotIn("DRIFT", said)
                rows = json.loads(pare(*words, "--check", "--json").stdout)
                self.assertIs(rows["drift"], False)
                self.assertTrue(all(r["why"] for r in rows["rows"]
                                    if r["state"] == "inexpressible"))

    def test_an_edit_by_hand_is_exit_code_1(self):
        proof = PROOFS / "raw_infer.kubernetes.json"
        words = ("emit", proof, "--to", "kubernetes", "-o", self.dir)
        pare(*words)
        file = self.dir / "deployment.yaml"
        file.write_text(file.read_text().replace("- NET_RAW", "- NET_RAW\n            - SYS_ADMIN"))
        said = pare(*words, "--check", codes=(1,)).stdout
        self.assertIn("DRIFT", said)
        self.assertIn("NET_RAW, SYS_ADMIN, the proof needs NET_RAW", said)
        (self.dir / "networkpolicy.yaml").unlink()
        gone = pare(*words, "--check", codes=(5,))
        self.assertIn("networkpolicy.yaml: it is not there", gone.stderr)


if __name__ == "__main__":
    sys.exit(unittest.main())
