#!/usr/bin/python3
"""Every Kubernetes object that is emitted, for real proofs: valid against the published types
(unknown and doubled keys fail), and admitted by Pod Security exactly where its head says so."""
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

import cilium
import schema

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARE = pathlib.Path(os.environ["PARE_BUILD"]) / "pare"
PROOFS = sorted((ROOT / "tests/corpus/proofs").glob("*.kubernetes.json")) + sorted(
    (ROOT / "tests/golden/emit").glob("*/proof.json"))
OPTIONS = (
    (),
    ("--localhost-seccomp", "--runtime-class", "gvisor", "--no-host-users"),
    ("--cluster-version", "1.20"),
)


def pare(*words, codes=(0,)):
    done = subprocess.run([PARE, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode in codes, f"{words}: {done.returncode}\n{done.stderr}"
    return done.stdout


class Schemas(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.schema = schema.Schema()
        cls.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-schema-"))
        cls.addClassCleanup(shutil.rmtree, cls.dir)

    def emitted(self):
        """(proof, options, directory) of every proof under every set of options."""
        for proof in PROOFS:
            for options in OPTIONS:
                out = self.dir / f"{proof.parent.name}-{proof.name}{len(options)}"
                if not out.exists():
                    pare("emit", proof, "--to", "kubernetes", *options, "-o", out)
                yield proof, options, out

    def test_every_object_is_what_the_api_takes(self):
        kinds = set()
        for _, _, out in self.emitted():
            for file in sorted(out.rglob("*.yaml")):
                for document in schema.documents(file.read_text()):
                    kinds.add(document["kind"])
                    self.assertEqual(self.schema.errors(document), [], file)
        self.assertEqual(kinds, {"Deployment", "Service", "NetworkPolicy", "Job"})

    def test_what_a_closing_window_writes(self):
        """The egress window's policies; confine_test writes them."""
        files = sorted((ROOT / "tests/golden/egress").glob("*/networkpolicy.yaml"))
        self.assertEqual(len(files), 3)
        for file in files:
            (document,) = schema.documents(file.read_text())
            self.assertEqual(self.schema.errors(document), [], file)

    def test_policies_of_cilium(self):
        files = sorted((ROOT / "tests/golden/egress").glob("*/cilium.yaml"))
        for proof in PROOFS:
            out = self.dir / f"cilium-{proof.parent.name}-{proof.name}"
            pare("emit", proof, "--to", "cilium", "-o", out)
            files += sorted(out.rglob("*.yaml"))
        for file in files:
            for document in schema.documents(file.read_text()):
                self.assertEqual(cilium.errors(document), [], file)
        broken = schema.documents(files[1].read_text())[0]
        broken["spec"]["egress"][1]["toCIDR"] = ["203.0.113.0/33"]
        broken["spec"]["egress"][1]["toPorts"][0]["ports"][0]["port"] = 443
        broken["spec"]["egres"] = []
        found = "\n".join(cilium.errors(broken))
        for what in ("'203.0.113.0/33'", "443 is not", "egres: there is no", "in one rule"):
            self.assertIn(what, found)

    def test_the_schema_refuses(self):
        out = next(self.emitted())[2]
        text = (out / "deployment.yaml").read_text()
        document = schema.documents(text)[0]
        container = document["spec"]["template"]["spec"]["containers"][0]
        container["securityContext"]["readonlyRootFilesystem"] = True
        del container["name"]
        document["spec"]["replicas"] = "1"
        found = "\n".join(self.schema.errors(document))
        self.assertIn("readonlyRootFilesystem: V1SecurityContext has no such field", found)
        self.assertIn("V1Container needs name", found)
        self.assertIn(".spec.replicas: '1' is not a number", found)
        twice = text.replace("  replicas: 1", "  replicas: 1\n  replicas: 1")
        with self.assertRaisesRegex(yaml.YAMLError, "stands twice"):
            schema.documents(twice)

    def test_pod_security_is_as_the_head_says(self):
        """The judge is audit's evaluator, which shares no code with the emitter."""
        seen = set()
        for proof, options, out in self.emitted():
            text = (out / "deployment.yaml").read_text()
            says = re.search(r"^# Pod Security: restricted\.$", text, re.M) is not None
            refused = re.search(r"^# Pod Security restricted refuses it: (.*)$", text, re.M)
            self.assertNotEqual(says, refused is not None, out)
            audit = json.loads(
                pare("audit", out / "deployment.yaml", "--format", "json", codes=(0, 1)))
            level = audit["workloads"][0]["podSecurity"]
            self.assertEqual(level == "restricted", says, (proof, options, level))
            seen.add(says)
            if refused:
                policy = json.loads(proof.read_text())["policy"]
                for name in policy["capabilities"]:
                    self.assertIn(f"capabilities.add {name}", refused.group(1))
                if policy["user"]["uid"] == 0:
                    self.assertIn("runAsUser: 0", refused.group(1))
        self.assertEqual(seen, {True, False})


if __name__ == "__main__":
    sys.exit(unittest.main())
