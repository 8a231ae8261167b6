"""What kustomize and Helm make of the overlays: kubectl and helm themselves, no cluster."""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARE = pathlib.Path(os.environ["PARE_BUILD"]) / "pare"
CHART = ROOT / "tests/kubernetes/chart"


def run(*words, **kwargs):
    done = subprocess.run([str(w) for w in words], text=True, capture_output=True, **kwargs)
    if done.returncode != 0:
        raise AssertionError(f"{words}: {done.stderr}")
    return done.stdout


def named(items, name):
    return next(item for item in items if item.get("name") == name)


class Overlay(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        tools = run(ROOT / "tests/support/kubernetes_tools").strip()
        cls.env = dict(os.environ, PATH=f"{tools}:{os.environ['PATH']}")

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-overlay-"))
        self.addCleanup(shutil.rmtree, self.dir)
        helm = self.dir / "helm-home"
        self.env = dict(self.env, HELM_DATA_HOME=str(helm), HELM_CONFIG_HOME=str(helm),
                        HELM_CACHE_HOME=str(helm))

    def emit(self, to):
        out = self.dir / to
        run(PARE, "emit", ROOT / "tests/golden/emit/image/proof.json", "--to", to, "-o", out)
        return out

    def documents(self, text):
        """A YAML stream as JSON, by way of kubectl: it reads what the API server would read."""
        found = []
        for part in text.split("\n---\n"):
            if not part.strip():
                continue
            out = run("kubectl", "patch", "--local", "--type=merge", "-p", "{}", "-o", "json", "-f",
                      "-", input=part, env=self.env)
            found.append(json.loads(out))
        return found

    def judge(self, text):
        documents = self.documents(text)
        workload = next(d for d in documents if d["kind"] == "StatefulSet")
        pod = workload["spec"]["template"]["spec"]
        self.assertFalse(pod.get("hostNetwork", False))
        self.assertIs(pod["automountServiceAccountToken"], False)
        server = named(pod["containers"], "embed")
        self.assertEqual(server["image"], "other:1")
        self.assertEqual(
            server["securityContext"],
            {
                "privileged": False,
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "runAsNonRoot": True,
                "runAsUser": 1000,
                "runAsGroup": 1001,
                "capabilities": {"drop": ["ALL"], "add": ["SYS_NICE"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        )
        self.assertEqual(named(server["env"], "OWN")["value"], "kept")
        self.assertEqual(named(server["env"], "HOME")["value"], "/tmp")
        mounts = server["volumeMounts"]
        self.assertEqual(named(mounts, "m"),
                         {"name": "m", "mountPath": "/models", "readOnly": True})
        self.assertEqual(named(mounts, "pare-tmp")["mountPath"], "/tmp")
        self.assertEqual(named(pod["volumes"], "pare-tmp")["emptyDir"]["medium"], "Memory")
        sidecar = named(pod["containers"], "sidecar")
        self.assertNotIn("securityContext", sidecar)
        labels = workload["spec"]["template"]["metadata"]["labels"]
        policy = next(d for d in documents if d["kind"] == "NetworkPolicy")
        selector = policy["spec"]["podSelector"]["matchLabels"]
        self.assertTrue(selector.items() <= labels.items(), (selector, labels))
        self.assertEqual(labels["app"], "embed")

    def test_kustomize_puts_the_proof_over_the_workload(self):
        out = self.emit("kustomize")
        shutil.copy(CHART / "templates/statefulset.yaml", out / "base.yaml")
        file = out / "kustomization.yaml"
        file.write_text(file.read_text().replace('"../base"', "base.yaml"))
        self.judge(run("kubectl", "kustomize", out, env=self.env))

    def test_the_script_is_a_filter(self):
        out = self.emit("helm")
        rendered = run("helm", "template", "r", CHART, env=self.env)
        self.judge(run(out / "post-render.sh", input=rendered, env=self.env))

    def test_helm_runs_it_as_a_plugin(self):
        out = self.emit("helm")
        run("helm", "plugin", "install", out, env=self.env)
        self.judge(run("helm", "template", "r", CHART, "--post-renderer", "pare-embed",
                       env=self.env))


if __name__ == "__main__":
    unittest.main()
