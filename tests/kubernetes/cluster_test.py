#!/usr/bin/python3
"""What is emitted for Kubernetes, on a real API server and kubelet: Pods get ready and answer, with
one privilege less they do not, the pull Job fills the volume, the Localhost profile is enforced."""
import contextlib
import copy
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

import cluster

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
import llama_test  # noqa: E402
import planted_test  # noqa: E402

PROOFS = HERE.parent / "corpus/proofs"
KUBELET_SECCOMP = "/var/lib/kubelet/seccomp/pare"  # as the head of deployment.yaml names it


def server(deployment):
    return deployment["spec"]["template"]["spec"]["containers"][0]


def without_capability(name):
    return lambda d: server(d)["securityContext"]["capabilities"]["add"].remove(name)


def without_mount(path):
    def take(deployment):
        mounts = server(deployment)["volumeMounts"]
        mounts[:] = [m for m in mounts if m["mountPath"] != path]
    return take


def as_other_user(deployment):
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    context.update(runAsUser=54321, runAsGroup=54321, runAsNonRoot=True)


def without_sysctls(deployment):
    deployment["spec"]["template"]["spec"]["securityContext"].pop("sysctls")


def read_only_volume(path):
    def take(deployment):
        for mount in server(deployment)["volumeMounts"]:
            if mount["mountPath"] == path:
                mount["readOnly"] = True
    return take


def no_escalation(deployment):
    server(deployment)["securityContext"]["allowPrivilegeEscalation"] = False


def runtime_default(deployment):
    context = deployment["spec"]["template"]["spec"]["securityContext"]
    context["seccompProfile"] = {"type": "RuntimeDefault"}


# Planted server -> what one privilege less is; None: it needs none.
SERVERS = {
    "nothing": None,
    "raw_infer": without_capability("NET_RAW"),
    "cache_third": without_mount("/cache"),
    "exec_cache": without_mount("/cache"),
    "hidden_by_tmpfs": without_mount("/app/cache"),
    "port80": without_sysctls,
    "model_owner": as_other_user,
    "two_owners": without_capability("DAC_OVERRIDE"),
    "volume_log": read_only_volume("/data"),
    "suid_helper": no_escalation,
    "personality_start": runtime_default,
}


def one_less(policy):
    """What takes one privilege of the policy away; None: it has none that this knows to take."""
    if policy["capabilities"]:
        return without_capability(policy["capabilities"][0])
    if policy["writable"]:
        return without_mount(policy["writable"][0]["path"])
    for volume in policy["volumes"]:
        if volume["mode"] == "rw":
            return read_only_volume(volume["path"])
    return no_escalation if not policy["noNewPrivileges"] else None


class OnCluster(unittest.TestCase):
    maxDiff = None
    ENFORCE = False

    @classmethod
    def setUpClass(cls):
        start = time.monotonic()
        cls.cluster = cluster.Cluster(cls.ENFORCE)
        cls.addClassCleanup(cls.cluster.stop)
        print(f"cluster up in {time.monotonic() - start:.0f} s", file=sys.stderr)

    def setUp(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-k8s-test-"))
        self.addCleanup(shutil.rmtree, self.dir)
        self.addCleanup(self.clear)
        self.made = []  # directories behind claims

    def clear(self):
        kinds = "deployments,jobs,services,networkpolicies,pvc,pods"
        self.cluster.kubectl("delete", kinds, "--all", "--wait=true", "--grace-period=0", "--force",
                             "--timeout=60s", check=False)
        self.cluster.kubectl("delete", "pv", "--all", "--timeout=30s", check=False)

    # ---- what is there before

    def emit(self, name, *options, proof=None):
        out = self.dir / "emitted"
        shutil.rmtree(out, ignore_errors=True)
        done = subprocess.run(
            [harness.PARE, "emit", proof or PROOFS / f"{name}.kubernetes.json", "--to", "kubernetes",
             "--cluster-version", "1.20", *options, "-o", out], capture_output=True, text=True,
            check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def image(self, name):
        row = next(s for s in planted_test.TRUTH["servers"] if s["name"] == name)
        root = harness.make_root(self.dir / f"root-{name}", name, row.get("root"))
        # "The image has cp", as deployment.yaml assumes where it copies.
        shutil.copytree(self.cluster.servers / "busybox", root, dirs_exist_ok=True)
        os.symlink("busybox", root / "bin/cp")
        self.cluster.load(f"registry.invalid/{name.replace('_', '-')}:proved", root,
                          ["/" + name, *row.get("args", [])])
        return row

    def claims(self, name, row):
        """A volume of the host behind each claim that the proof's volumes became."""
        first = len(self.made)
        for volume in row.get("volumes", []):
            place = self.cluster.dir / f"{self.dir.name}-{name}-{len(self.made)}"
            path = harness.make_volume(place, volume)
            self.made.append(path)
            self.claim(f"{name}-{volume['path'].strip('/')}".replace("_", "-").replace("/", "-"),
                       path)
        return self.made[first:]

    def claim(self, name, path):
        size = {"storage": "1Gi"}
        self.apply({
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name},
            "spec": {"capacity": size, "accessModes": ["ReadWriteMany"],
                     "storageClassName": "", "hostPath": {"path": str(path)}}})
        self.apply({
            "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name},
            "spec": {"accessModes": ["ReadWriteMany"], "storageClassName": "",
                     "volumeName": name, "resources": {"requests": size}}})

    def apply(self, *objects):
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        return self.cluster.kubectl("apply", "--validate=strict", "-f", "-", input=text)

    def deployment(self, out):
        text = self.cluster.kubectl("create", "--dry-run=client", "-o", "json", "-f",
                                    out / "deployment.yaml").stdout
        return json.loads(text)

    # ---- whether it works

    def pod_address(self, selector, patience=60):
        """Of the ready Pod; None when none gets ready."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            for pod in self.cluster.get("pods", "-l", selector)["items"]:
                conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
                gone = "deletionTimestamp" in pod["metadata"]
                if conditions.get("Ready") == "True" and not gone:
                    return pod["status"]["podIP"]
                for status in pod["status"].get("containerStatuses", []):
                    reason = status["state"].get("waiting", {}).get("reason", "")
                    if not gone and (status["restartCount"] > 0 or reason.endswith("Error")):
                        return None  # it ended, or was never made: it will not get better
            time.sleep(0.3)
        return None

    def answers(self, name, port=8000, patience=60, at_once=1):
        """Whether three inferences in a row are answered, or so many at once, three times."""
        address = self.pod_address(f"app.kubernetes.io/name={name.replace('_', '-')}", patience)
        if address is None:
            return False
        for _ in range(3):
            ask = f"curl -s --noproxy '*' -m 5 -d x http://{address}:{port}/infer"
            done = self.cluster.run("sh", "-c", f"{ask} & " * at_once + "wait", check=False)
            if done.stdout.count("forty-two") != at_once:
                return False
        return True

    def gone(self, name):
        self.cluster.kubectl("delete", "deployment", name.replace("_", "-"), "--wait=true",
                             "--cascade=foreground", "--timeout=180s")

    def install_profile(self, out):
        """On the node, where the head of deployment.yaml says."""
        for file in (out / "seccomp").iterdir():
            self.cluster.run("install", "-D", "-m", "644", file, f"{KUBELET_SECCOMP}/{file.name}")

    # ---- the Jobs in verify/

    def verified(self):
        name = "nothing"
        self.image(name)
        out = self.emit(name)
        for file in ("deployment.yaml", "service.yaml", "networkpolicy.yaml"):
            self.cluster.kubectl("apply", "--validate=strict", "-f", out / file)
        self.assertTrue(self.answers(name), self.cluster.report())
        self.cluster.kubectl("apply", "--validate=strict", "-f", out / "verify")
        outcomes = {}

        def settled():
            for job in self.cluster.get("jobs")["items"]:
                for condition in job["status"].get("conditions", []):
                    outcomes[job["metadata"]["name"]] = condition["type"]
            return len(outcomes) == 3

        self.cluster.wait("the Jobs", settled, 120)
        return outcomes


class Emitted(OnCluster):
    def works_and_with_less_does_not(self, name, less, proof=None, owner=None):
        self.clear()
        row = self.image(name)
        volumes = self.claims(name, row)
        out = self.emit(name, proof=proof)
        self.install_profile(out)
        deployment = self.deployment(out)
        if owner is not None:  # "... and uid N may read and write it", the head assumes
            for volume in volumes:
                os.chown(volume, owner, owner)
        port = server(deployment)["ports"][0]["containerPort"]
        at_once = 4 if any("batch=4" in check for check in row.get("checks", [])) else 1
        self.apply(deployment)
        self.assertTrue(self.answers(name, port, at_once=at_once), self.cluster.report())
        self.gone(name)
        if less is not None:
            changed = copy.deepcopy(deployment)
            less(changed)
            self.assertNotEqual(changed, deployment)
            self.apply(changed)
            self.assertFalse(self.answers(name, port, 15, at_once), "with one less")

    def test_servers(self):
        for name, less in SERVERS.items():
            with self.subTest(server=name):
                self.works_and_with_less_does_not(name, less)

    def test_the_rest_of_the_zoo(self):
        """Proved here and now. Without those that need a host to pull from (test_pull_job...), that
        end without a policy, or that want more than a Pod can say."""
        for row in planted_test.TRUTH["servers"]:
            name = row["name"]
            elsewhere = any(row.get(field) for field in ("network", "flaky", "compose"))
            if name in SERVERS or elsewhere:
                continue
            with self.subTest(server=name):
                prover = planted_test.Prover()
                prover.setUp()
                try:
                    _, run, proof = prover.judge(row, "kubernetes")
                    if run.code != 0:
                        print(f"{name}: no proof to emit, exit {run.code}", file=sys.stderr)
                        continue
                    # What is needed when it stops, no request shows.
                    less = None if row["when"] == "shutdown" else one_less(proof["policy"])
                    self.works_and_with_less_does_not(name, less, prover.dir / "out",
                                                      proof["policy"]["user"]["uid"])
                    print(f"{name}: ok", file=sys.stderr)
                finally:
                    prover.doCleanups()

    def test_localhost_profile_is_enforced(self):
        name = "nothing"
        self.image(name)
        out = self.emit(name, "--localhost-seccomp")
        deployment = self.deployment(out)
        context = deployment["spec"]["template"]["spec"]["securityContext"]
        self.assertEqual(context["seccompProfile"]["type"], "Localhost")
        # A profile that is on no node: the container is never made.
        self.apply(deployment)
        self.cluster.wait("an event", lambda: "seccomp" in self.cluster.kubectl(
            "get", "events", "--field-selector=reason=Failed", "-o",
            "jsonpath={.items[*].message}").stdout)
        self.assertFalse(self.answers(name, patience=5))
        self.gone(name)
        self.install_profile(out)
        self.apply(deployment)
        self.assertTrue(self.answers(name), self.cluster.report())
        self.assertEqual(self.seccomp_mode("/" + name), "2")
        self.gone(name)
        # One call less.
        profile = json.loads((out / "seccomp/nothing.json").read_text())
        for rule in profile["syscalls"]:
            if rule["action"] == "SCMP_ACT_ALLOW":
                rule["names"] = [n for n in rule["names"] if n not in ("accept", "accept4")]
        (out / "seccomp/nothing.json").write_text(json.dumps(profile))
        self.install_profile(out)
        self.apply(deployment)
        self.assertFalse(self.answers(name, patience=15))

    def seccomp_mode(self, program):
        """proc(5): 2 is a filter."""
        script = ("for p in /proc/[0-9]*; do "
                  f"[ \"$(tr '\\0' ' ' <$p/cmdline)\" = '{program} ' ] && "
                  "sed -n 's/^Seccomp:[^0-9]*//p' $p/status; done; true")
        return self.cluster.run("sh", "-c", script).stdout.strip()

    def test_pull_job_fills_the_volume(self):
        name = "pull_cold"
        row = self.image(name)
        (volume,) = self.claims(name, row)
        out = self.emit(name)
        with self.model_host():
            self.cluster.kubectl("apply", "--validate=strict", "-f", out / "pull")
            # As the head of pull/job.yaml says for a cluster without sidecars.
            ready = self.pod_address("job-name=pull-cold-pull")
            self.assertIsNotNone(ready, self.cluster.report())
            self.cluster.kubectl("delete", "job", "pull-cold-pull", "--timeout=60s")
        filled = sorted(p.name for p in volume.rglob("*") if p.is_file())
        self.assertTrue(filled, "the Job left nothing in the volume")
        # The server mounts it read-only and has nowhere to pull from.
        deployment = self.deployment(out)
        mount = next(m for m in server(deployment)["volumeMounts"] if m["mountPath"] == "/models")
        self.assertTrue(mount["readOnly"])
        self.apply(deployment)
        self.assertTrue(self.answers(name), self.cluster.report())
        self.gone(name)
        for file in volume.rglob("*"):
            file.unlink()
        self.apply(deployment)
        self.assertFalse(self.answers(name, patience=15), "with an empty volume")

    def test_what_an_old_cluster_makes_of_sidecars(self):
        """Why --cluster-version: 1.20 knows no sidecars, and no probes on init containers."""
        name = "pull_cold"
        row = self.image(name)
        self.claims(name, row)
        out = self.dir / "sidecar"
        subprocess.run([harness.PARE, "emit", PROOFS / f"{name}.kubernetes.json", "--to",
                        "kubernetes", "-o", out], check=True, capture_output=True)
        refused = self.cluster.kubectl("apply", "--validate=strict", "-f", out / "pull/job.yaml",
                                       check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertRegex(refused.stderr, "unknown field.*restartPolicy")
        # Without kubectl's own check the field would be dropped; the probes are not.
        refused = self.cluster.kubectl("apply", "--validate=false", "-f", out / "pull/job.yaml",
                                       check=False)
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("initContainers[0].startupProbe: Invalid value", refused.stderr)

    @contextlib.contextmanager
    def model_host(self):
        """The planted model host at the address that the proof knows, outside of every Pod."""
        address, port = harness.MODEL_HOST
        self.cluster.run("ip", "address", "add", f"{address}/32", "dev", "node0")
        host = subprocess.Popen(self.cluster.inside(harness.PLANTED / "model_host", address, port),
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield
        finally:
            host.kill()
            host.wait()
            self.cluster.run("ip", "address", "del", f"{address}/32", "dev", "node0")

    def test_verification_jobs(self):
        """A cluster that ignores NetworkPolicy fails those that it has to."""
        self.assertEqual(self.verified(), {"nothing-verify-inference": "Complete",
                                           "nothing-verify-others": "Failed",
                                           "nothing-verify-egress": "Failed"})

    def test_llama_server(self):
        """Proved here and now, and run under its own list of calls."""
        prover = llama_test.Llama("test_oci")
        prover.setUp()
        self.addCleanup(prover.doCleanups)
        run, _ = prover.prove(prover.llama, llama_test.ARGV, "--volume",
                              f"{prover.models}:/models", checks=llama_test.CHECKS)
        self.assertEqual(run.code, 0, run)
        out = self.dir / "llama"
        subprocess.run([harness.PARE, "emit", prover.dir / "out", "--to", "kubernetes",
                        "--cluster-version", "1.20", "--localhost-seccomp", "-o", out], check=True,
                       capture_output=True)
        self.install_profile(out)
        deployment = self.deployment(out)
        self.cluster.load(server(deployment)["image"], prover.llama, llama_test.ARGV)
        claim = deployment["spec"]["template"]["spec"]["volumes"][0]["persistentVolumeClaim"]
        self.claim(claim["claimName"], prover.models)
        name = deployment["metadata"]["name"]
        self.apply(deployment)
        address = self.pod_address(f"app.kubernetes.io/name={name}")
        self.assertIsNotNone(address, self.cluster.report())
        body = json.dumps({"prompt": "a", "max_tokens": 4})
        done = self.cluster.run("curl", "-s", "--noproxy", "*", "-m", "30", "-d", body, "-H",
                                "Content-Type: application/json",
                                f"http://{address}:8000/v1/completions")
        self.assertEqual(json.loads(done.stdout)["usage"]["completion_tokens"], 4, done.stdout)
        self.gone(name)
        without_mount("/models")(deployment)
        self.apply(deployment)
        self.assertIsNone(self.pod_address(f"app.kubernetes.io/name={name}", 15))

    CHART = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      hostIPC: true
      containers:
        - name: server
          image: registry.invalid/raw-infer:proved
          command: [/raw_infer]
          securityContext:
            privileged: true
            capabilities: {add: [SYS_ADMIN]}
            seccompProfile: {type: Unconfined}
"""

    def test_helm_chart(self):
        """A chart that asks for everything, rendered, post-rendered, and installed."""
        name = "raw_infer"
        self.image(name)
        chart = self.dir / "chart"
        (chart / "templates").mkdir(parents=True)
        (chart / "Chart.yaml").write_text("apiVersion: v2\nname: demo\nversion: 0.1.0\n")
        (chart / "templates/deployment.yaml").write_text(self.CHART)
        out = self.dir / "post"
        subprocess.run([harness.PARE, "emit", PROOFS / f"{name}.kubernetes.json", "--to", "helm",
                        "--workload", "demo", "--container", "server", "-o", out], check=True,
                       capture_output=True)
        helm = self.cluster.environment() | {
            f"HELM_{what}_HOME": str(self.dir / "helm") for what in ("DATA", "CONFIG", "CACHE")}
        self.cluster.run("helm", "plugin", "install", out, env=helm)
        try:
            self.cluster.run("helm", "install", "demo", chart, "--post-renderer", "pare-raw-infer",
                             env=helm)
            address = self.pod_address("app=demo")
            self.assertIsNotNone(address, self.cluster.report())
            pod = self.cluster.get("pods", "-l", "app=demo")["items"][0]["spec"]
            self.assertFalse(pod.get("hostIPC", False))
            self.assertEqual(pod["containers"][0]["securityContext"]["capabilities"],
                             {"drop": ["ALL"], "add": ["NET_RAW"]})
            self.assertFalse(pod["containers"][0]["securityContext"]["privileged"])
            done = self.cluster.run("curl", "-s", "--noproxy", "*", "-m", "5", "-d", "x",
                                    f"http://{address}:8000/infer")
            self.assertIn("forty-two", done.stdout)
            self.assertIn("raw-infer", self.cluster.kubectl("get", "networkpolicies").stdout)
        finally:
            self.cluster.run("helm", "uninstall", "demo", env=helm, check=False)


class Enforced(OnCluster):
    """On a cluster where NetworkPolicies hold."""

    ENFORCE = True

    def test_verification_jobs(self):
        self.assertEqual(self.verified(), {"nothing-verify-inference": "Complete",
                                           "nothing-verify-others": "Complete",
                                           "nothing-verify-egress": "Complete"})


if __name__ == "__main__":
    unittest.main()
