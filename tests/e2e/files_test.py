#!/usr/bin/python3
"""A server from a Kubernetes file, a compose file, pare.yaml or an image file: the verdicts are those
that the same server gets by flags."""
import hashlib
import json
import shutil
import subprocess
import sys
import unittest

import harness

SERVER = "raw_infer"  # needs NET_RAW
CONFIGURED = "volume_log"  # needs its volume writable


def said(proof):
    """What a proof says, without what differs from run to run."""
    keys = ("privilege", "phase", "verdict", "asked")
    verdicts = sorted(tuple(str(v[key]) for key in keys) for v in proof["verdicts"])
    policy = {key: proof["policy"][key] for key in ("user", "capabilities", "rootfs", "volumes")}
    return proof["platform"], proof["minimal"], verdicts, policy


class Files(harness.Ground):
    def file(self, name, text):
        path = self.dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def proved(self, *words, env=None, code=0):
        out = self.dir / f"out-{len(list(self.dir.glob('out-*')))}"
        run = self.pare("prove", "-o", out, "--repeat", "1", *words, env=env)
        self.assertEqual(run.code, code, run)
        return json.loads((out / "proof.json").read_text()), run

    flags = {}  # by platform: what the server gets on a command line

    def by_flags(self, platform):
        if platform not in self.flags:
            root = self.root(SERVER, name=f"root-{platform}")
            words = ["--rootfs", root, "--network", "none", "--for", platform]
            proof, _ = self.proved(*words, "--check", harness.INFER, "--", "/" + SERVER)
            self.flags[platform] = said(proof)
        return self.flags[platform]

    def test_kubernetes(self):
        root = self.root(SERVER)
        pod = self.file(
            "deploy.yaml",
            f"""apiVersion: v1
kind: Service
metadata: {{name: llm}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: llm}}
spec:
  template:
    spec:
      automountServiceAccountToken: false
      shareProcessNamespace: true
      containers:
      - name: server
        image: registry.test/llm:1
        command: [/{SERVER}]
        resources: {{limits: {{memory: 1Gi}}}}
      - {{name: other, image: registry.test/other:1}}
""",
        )
        words = ["--rootfs", root, "--network", "none", "--check", harness.INFER]
        proof, run = self.proved(pod, "--container", "server", *words)
        self.assertEqual(said(proof), self.by_flags("kubernetes"))
        assumed = "\n".join(proof["assumptions"])
        self.assertIn("deploy.yaml:12: shareProcessNamespace is not modelled", assumed)
        self.assertIn("container other of the same Pod does not run", assumed)
        self.assertIn("memory 1073741824 is not applied by the oci engine", assumed)
        self.assertIn("note: ", run.err)

    def test_kubernetes_volumes(self):
        root = self.root(CONFIGURED, {"dirs": {"/data": "0755", "/etc/app": "0755"}})
        data = harness.make_volume(self.dir / "data", {"mode": "0777"})
        pod = self.file(
            "pod.yaml",
            f"""apiVersion: v1
kind: Pod
metadata: {{name: llm}}
spec:
  automountServiceAccountToken: false
  containers:
  - name: server
    image: registry.test/llm:1
    args: [/{CONFIGURED}]
    volumeMounts:
    - {{name: data, mountPath: /data}}
    - {{name: conf, mountPath: /etc/app}}
  volumes:
  - {{name: data, persistentVolumeClaim: {{claimName: models}}}}
  - {{name: conf, configMap: {{name: settings}}}}
---
apiVersion: v1
kind: ConfigMap
metadata: {{name: settings}}
data: {{app.conf: "x=1"}}
""",
        )
        words = ["--rootfs", root, "--network", "none", "--check", harness.INFER]
        words += ["--bind", f"pvc/models={data}"]
        proof, _ = self.proved(pod, *words)
        verdicts = {v["privilege"]: v["verdict"] for v in proof["verdicts"]}
        self.assertEqual(verdicts["volume-write:/data"], "needed")
        self.assertNotIn("volume-write:/etc/app", verdicts)
        self.assertEqual(list(data.iterdir()), [])  # trials see an overlay of it

    def test_compose(self):
        root = self.root(SERVER)
        project = self.file(
            "project/compose.yaml",
            """services:
  llm:
    extends: {file: base.yaml, service: base}
    image: registry.test/llm:${TAG:?which}
""",
        )
        self.file("project/base.yaml", f"services: {{base: {{command: [/{SERVER}]}}}}\n")
        self.file("project/.env", "TAG=1\n")
        words = ["--rootfs", root, "--network", "none", "--check", harness.INFER]
        proof, _ = self.proved(project, *words)
        self.assertEqual(said(proof), self.by_flags("docker"))

    def test_compose_secrets_from_pipes(self):
        root = self.root(SERVER)
        project = self.file(
            "compose.yaml",
            f"""services:
  llm:
    image: registry.test/llm:1
    command: [/{SERVER}]
    secrets: [key]
secrets: {{key: {{external: true}}}}
""",
        )
        words = ["prove", project, "--rootfs", root, "--network", "none", "--check", harness.INFER]
        words += ["--repeat", "1", "-o", self.dir / "out"]
        pipes = '"$@" --secret key=<(printf filed) --secret TOKEN=<(printf hidden)'
        run = subprocess.run(
            ["bash", "-c", pipes, "bash", harness.PARE, *words],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
        )
        proof = json.loads((self.dir / "out" / "proof.json").read_text())
        self.assertEqual(run.returncode, 0, run)
        env = {e["name"]: e["secretSha256"] for e in proof["target"]["env"]}
        self.assertEqual(env, {"TOKEN": hashlib.sha256(b"hidden").hexdigest()})
        self.assertIn("/run/secrets/key", [v["path"] for v in proof["target"]["volumes"]])

    def test_pare_file(self):
        root = self.root(SERVER)
        full = self.file(
            "pare.yaml",
            f"""pare: v1
rootfs: ./{root.name}
command: [/{SERVER}]
network: none
for: kubernetes
repeat: 5
checks:
- check: http://:8000/infer
  method: POST
  body: x
  match: forty-two
""",
        )
        proof, _ = self.proved(full)
        self.assertEqual(said(proof), self.by_flags("kubernetes"))

    def test_wrong_files(self):
        wrong = self.file("wrong.yaml", "pare: v1\nrootfs: r\ncommand: [/x]\nchecks:\n- ftp://:1/\n")
        typo = self.file("typo.yaml", "services:\n  a:\n    image: i\n    privilegd: true\n")
        for path, words in ((wrong, f"{wrong}:5: "), (typo, f"{typo}:4: unknown key 'privilegd'")):
            run = self.pare("prove", path, "-o", self.dir / "out")
            self.assertEqual(run.code, 2, run)
            self.assertIn(words, run.err)

    def test_image_files(self):
        for tool in ("umoci", "skopeo"):
            if shutil.which(tool) is None:
                harness.cannot(self, f"{tool} is not installed")
        layout = self.dir / "layout"
        image = ["--image", f"{layout}:v1"]
        for words in (
            ["init", "--layout", layout],
            ["new", *image],
            ["insert", *image, harness.PLANTED / SERVER, "/" + SERVER],
            ["config", *image, "--config.entrypoint", "/" + SERVER, "--config.env", "A=b"],
        ):
            subprocess.run(["umoci", *words], check=True)
        archive = self.dir / "image.tar"
        subprocess.run(
            ["skopeo", "--insecure-policy", "copy", "-q", f"oci:{layout}:v1", f"docker-archive:{archive}:x/y:1"],
            check=True,
        )
        flags = self.by_flags("kubernetes")
        for reference in (f"oci:{layout}:v1", f"docker-archive:{archive}"):
            with self.subTest(image=reference):
                words = ["--image", reference, "--network", "none", "--check", harness.INFER]
                proof, _ = self.proved(*words)
                self.assertEqual(said(proof), flags)
                self.assertTrue(proof["target"]["digest"].startswith("sha256:"))
        run = self.pare("prove", "--image", "oci:/nowhere:v1", "--check", harness.INFER)
        self.assertEqual(run.code, 2, run)
        self.assertIn("image oci:/nowhere:v1: skopeo: ", run.err)

    def test_dockerd(self):
        daemon = self.docker_daemon()
        daemon.load("planted-files:1", self.root(SERVER))
        env = self.environment(DOCKER_HOST=f"unix://{daemon.socket}")
        compose = self.file(
            "c/compose.yaml",
            f"services: {{llm: {{image: 'planted-files:1', command: /{SERVER}, network_mode: none}}}}\n",
        )
        pod = self.file(
            "pod.yaml",
            "apiVersion: v1\nkind: Pod\nmetadata: {name: llm}\nspec:\n"
            "  automountServiceAccountToken: false\n"
            f"  containers: [{{name: c, image: 'planted-files:1', args: [/{SERVER}]}}]\n",
        )
        check = ["--check", harness.INFER]
        line = ["--", "docker", "run", "--network", "none", "planted-files:1", "/" + SERVER]
        for path, platform in ((compose, "docker"), (pod, "kubernetes")):
            with self.subTest(file=path.name):
                proof, _ = self.proved(path, "--network", "none", *check, env=env)
                flags, _ = self.proved("--for", platform, *check, *line, env=env)
                self.assertEqual(said(proof), said(flags))
        self.assertEqual(daemon.containers(), [])


if __name__ == "__main__":
    sys.exit(unittest.main())
