"""A real single-node Kubernetes for tests: API server, controllers, scheduler, kubelet, kube-proxy,
containerd and etcd in PID, mount and network namespaces of their own.

Ending the namespaces' first process ends every process and mount in them; the cgroups are removed
by name. The host's sysctls are never written: the kubelet finds files of our own over them.
"""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

SUPPORT = pathlib.Path(__file__).resolve().parents[1] / "support"
NODE = "192.0.2.1"  # TEST-NET-1, on one end of a veth pair
API = f"https://{NODE}:6443"
PODS = "10.88.0.0/16"
SERVICES = "10.96.0.0/24"
DNS = "10.96.0.10"
TOKEN = "pare-cluster-token"

# What the kubelet wants (pkg/kubelet/cm/container_manager_linux.go, setupKernelTunables).
SYSCTLS = {
    "vm/overcommit_memory": "1",
    "vm/panic_on_oom": "0",
    "kernel/panic": "10",
    "kernel/panic_on_oops": "1",
    "kernel/keys/root_maxkeys": "1000000",
    "kernel/keys/root_maxbytes": "25000000",
}

CONTAINERD = """\
version = 2
root = "{dir}/containerd"
state = "/run/containerd"
oom_score = 0
[grpc]
  address = "/run/containerd/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  disable_tcp_service = true
  sandbox_image = "registry.invalid/pause:1"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{dir}/cni-bin"
  conf_dir = "{dir}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
"""

CNI = {
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",  # routed, so that services and packet filters see every packet
            "ipam": {
                "type": "host-local",
                "subnet": PODS,
                "dataDir": "/run/cni-ipam",
                "routes": [{"dst": "0.0.0.0/0"}],
            },
        }
    ],
}
POLICIES = {"type": "policy_plugin.py", "api": API, "token": TOKEN}

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "c", "cluster": {"server": API, "insecure-skip-tls-verify": True}}],
    "users": [{"name": "u", "user": {"token": TOKEN}}],
    "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
    "current-context": "c",
}

KUBELET = {
    "apiVersion": "kubelet.config.k8s.io/v1beta1",
    "kind": "KubeletConfiguration",
    "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
    "authorization": {"mode": "AlwaysAllow"},
    "cgroupDriver": "cgroupfs",
    "clusterDNS": [DNS],
    "clusterDomain": "cluster.local",
    "failSwapOn": False,
    "evictionHard": {"memory.available": "1Mi", "nodefs.available": "0%"},
    "imageGCHighThresholdPercent": 100,
    "syncFrequency": "10s",
    "fileCheckFrequency": "10m",
    # Safe by itself since 1.22; the head of deployment.yaml says so.
    "allowedUnsafeSysctls": ["net.ipv4.ip_unprivileged_port_start"],
    "volumePluginDir": "/run/volume-plugins",
}


class Failed(Exception):
    pass


class Cluster:
    """enforce: NetworkPolicies hold; else they are accepted and ignored, as many clusters do."""

    def __init__(self, enforce=False):
        self.enforce = enforce
        self.servers = pathlib.Path(
            subprocess.run([SUPPORT / "kubernetes_server"], stdout=subprocess.PIPE, text=True,
                           check=True).stdout.strip())
        self.tools = subprocess.run([SUPPORT / "kubernetes_tools"], stdout=subprocess.PIPE,
                                    text=True, check=True).stdout.strip()
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-k8s-"))
        self.cgroup = self.dir.name
        self.init = None
        self.children = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    # ---- life

    def _start(self):
        self._write_files()
        self._make_cgroups()
        # A shell as process 1: it reaps what containers leave behind.
        self.init = subprocess.Popen(
            ["unshare", "--net", "--mount", "--pid", "--ipc", "--fork", "--kill-child",
             "--propagation", "private", "--mount-proc", "sh", "-c",
             "while :; do sleep 3600 & wait $!; done"], stdin=subprocess.DEVNULL)
        self.pid = self._first_process()
        self.run("sh", "-euc", self._set_up_script())
        self._daemon("etcd", "etcd", "--data-dir=/run/etcd")
        self._daemon("containerd", "containerd", "--config", self.dir / "containerd.toml",
                     "--log-level=warn")
        self._daemon(
            "apiserver", self.servers / "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
            "--cert-dir=/run/kubernetes", f"--advertise-address={NODE}", "--secure-port=6443",
            f"--service-cluster-ip-range={SERVICES}", f"--token-auth-file={self.dir}/tokens",
            "--authorization-mode=AlwaysAllow", "--allow-privileged=true",
            "--kubelet-preferred-address-types=InternalIP",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self.dir}/key",
            f"--service-account-key-file={self.dir}/key")
        self.wait("the API server", lambda: self.kubectl("get", "--raw=/readyz", check=False)
                  .stdout == "ok", 120)
        config = f"--kubeconfig={self.dir}/kubeconfig"
        self._daemon("controllers", self.servers / "kube-controller-manager", config,
                     "--leader-elect=false", "--cert-dir=/run/kubernetes",
                     f"--service-account-private-key-file={self.dir}/key")
        self._daemon("scheduler", self.servers / "kube-scheduler", config, "--leader-elect=false",
                     "--cert-dir=/run/kubernetes")
        self.load_images()
        self._daemon(
            "kubelet", self.servers / "kubelet", config, f"--config={self.dir}/kubelet.json",
            "--container-runtime=remote",
            "--container-runtime-endpoint=unix:///run/containerd/containerd.sock",
            "--hostname-override=node", f"--node-ip={NODE}", f"--cgroup-root=/{self.cgroup}",
            "--cert-dir=/run/kubernetes/kubelet")
        self._daemon("proxy", self.servers / "kube-proxy", config, "--hostname-override=node",
                     "--proxy-mode=iptables", f"--cluster-cidr={PODS}",
                     "--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0s",
                     "--conntrack-tcp-timeout-close-wait=0s")
        self._daemon("dns", "/usr/bin/python3", "-B", pathlib.Path(__file__).parent / "dns.py", DNS,
                     API, TOKEN)
        self.wait("the node", lambda: "True" in self.kubectl(
            "get", "node", "node", "-o",
            'jsonpath={.status.conditions[?(@.type=="Ready")].status}', check=False).stdout, 120)
        self.wait("the default service account", lambda: self.kubectl(
            "get", "serviceaccount", "default", check=False).returncode == 0, 60)

    def _write_files(self):
        (self.dir / "cni").mkdir()
        chain = {**CNI, "plugins": CNI["plugins"] + [POLICIES] * self.enforce}
        (self.dir / "cni/pods.conflist").write_text(json.dumps(chain))
        (self.dir / "cni-bin").mkdir()
        own = pathlib.Path(__file__).parent / "policy_plugin.py"
        for plugin in [*pathlib.Path("/usr/lib/cni").iterdir(), own]:
            (self.dir / "cni-bin" / plugin.name).symlink_to(plugin)
        (self.dir / "containerd.toml").write_text(CONTAINERD.format(dir=self.dir))
        (self.dir / "kubeconfig").write_text(json.dumps(KUBECONFIG))
        (self.dir / "kubelet.json").write_text(json.dumps(KUBELET))
        (self.dir / "resolv.conf").write_text(f"nameserver {DNS}\n")
        (self.dir / "tokens").write_text(f"{TOKEN},admin,admin,system:masters\n")
        subprocess.run(["openssl", "genrsa", "-out", self.dir / "key", "2048"], check=True,
                       stderr=subprocess.DEVNULL)
        for name, value in SYSCTLS.items():
            file = self.dir / "sysctl" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(value + "\n")
        (self.dir / "kubelet").mkdir()
        (self.dir / "log").mkdir()

    def _set_up_script(self):
        lines = [
            "mount -t tmpfs none /run",
            "mkdir /run/lib /run/work",
            # Directories that daemons name by themselves, /var/lib/kubelet and /var/lib/cni.
            "mount -t overlay -o lowerdir=/var/lib,upperdir=/run/lib,workdir=/run/work none "
            "/var/lib",
            f"mkdir -p /var/lib/kubelet && mount --bind {self.dir}/kubelet /var/lib/kubelet",
            "mount --make-shared /var/lib/kubelet",
            "mount -t tmpfs none /var/log",
            f"mount --bind {self.dir}/resolv.conf /etc/resolv.conf",
            "ip link set lo up",
            "ip link add node0 type veth peer name outside",
            "ip link set outside up",
            f"ip address add {NODE}/24 dev node0",
            f"ip address add {DNS}/32 dev node0",
            "ip link set node0 up",
            "ip route add default via 192.0.2.254",
            "echo 1 >/proc/sys/net/ipv4/ip_forward",
            # Where the plugin puts its rules.
            "iptables -N PARE",
            "iptables -I FORWARD -j PARE",
            "iptables -I INPUT -j PARE",
        ]
        for name in SYSCTLS:
            lines.append(f"mount --bind {self.dir}/sysctl/{name} /proc/sys/{name}")
        return "\n".join(lines)

    def _first_process(self):
        children = pathlib.Path(f"/proc/{self.init.pid}/task/{self.init.pid}/children")

        def mounted(pid):
            """Whether it has its own /proc: the namespaces are as they will be."""
            mine = os.readlink("/proc/self/ns/mnt")
            return os.readlink(f"/proc/{pid}/ns/mnt") != mine and (
                pathlib.Path(f"/proc/{pid}/comm").read_text() == "sh\n")

        found = []

        def look():
            found[:] = children.read_text().split()
            return found and mounted(found[0])

        self.wait("the namespaces", look, 10)
        return found[0]

    def _hierarchies(self):
        """Mount points of every cgroup hierarchy."""
        for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
            fields, _, rest = line.partition(" - ")
            if rest.split()[0] in ("cgroup", "cgroup2"):
                yield pathlib.Path(fields.split()[4])

    def _make_cgroups(self):
        for top in self._hierarchies():
            group = top / self.cgroup
            group.mkdir()
            # cpuset (v1) starts empty, and an empty one takes no task.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (top / name).exists() and (group / name).exists():
                    with contextlib.suppress(OSError):
                        (group / name).write_text((top / name).read_text())

    def _remove_cgroups(self):
        for _ in range(50):
            left = []
            for top in self._hierarchies():
                for path, _, _ in os.walk(top / self.cgroup, topdown=False):
                    try:
                        os.rmdir(path)
                    except OSError:
                        left.append(path)
            if not left:
                return
            time.sleep(0.1)
        raise Failed(f"cgroups are left: {left}")

    def _daemon(self, name, *words):
        with open(self.dir / "log" / name, "wb") as log:
            self.children.append((name, subprocess.Popen(
                self.inside(*words), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True)))

    def stop(self):
        if self.init is not None:
            with contextlib.suppress(ProcessLookupError):
                self.init.kill()  # --kill-child takes process 1 with it, and that all others
            self.init.wait()
            for _, child in self.children:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(20)
            self.init = None
        self._remove_cgroups()
        shutil.rmtree(self.dir, ignore_errors=True)

    # ---- use

    def inside(self, *words):
        """The words of a command that runs in the namespaces."""
        return ["nsenter", "--target", self.pid, "--net", "--mount", "--pid", "--ipc", "--",
                *map(str, words)]

    def run(self, *words, check=True, **options):
        done = subprocess.run(self.inside(*words), text=True, capture_output=True, check=False,
                              **options)
        if check and done.returncode != 0:
            raise Failed(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
        return done

    def environment(self):
        return {**os.environ, "KUBECONFIG": str(self.dir / "kubeconfig"), "HOME": str(self.dir),
                "PATH": f"{self.tools}:{os.environ['PATH']}"}

    def kubectl(self, *words, **options):
        return self.run("kubectl", *words, env=self.environment(), **options)

    def get(self, *words):
        return json.loads(self.kubectl("get", *words, "-o", "json").stdout)

    def wait(self, what, done, seconds=60):
        end = time.monotonic() + seconds
        while not done():
            for name, child in self.children:
                if child.poll() is not None:
                    raise Failed(f"{name} ended\n{self.log(name)}")
            if time.monotonic() > end:
                raise Failed(f"{what}: not in {seconds} s\n{self.report()}")
            time.sleep(0.2)

    def log(self, name, lines=15):
        text = (self.dir / "log" / name).read_text(errors="replace").splitlines()
        return f"---- {name}\n" + "\n".join(text[-lines:])

    def report(self):
        """What a person would look at first."""
        if not (self.dir / "kubeconfig").exists() or self.init is None:
            return ""
        pods = self.kubectl("get", "pods", "-o", "wide", check=False).stdout
        events = self.kubectl("get", "events", "--sort-by=.lastTimestamp", check=False).stdout
        return "\n".join([*pods.splitlines()[:10], *events.splitlines()[-10:],
                          self.log("kubelet", 5)])

    # ---- images

    def load_images(self):
        """What every Pod needs, and the image of the Jobs that verify."""
        root = self.dir / "busybox"
        shutil.copytree(self.servers / "busybox", root)
        listed = subprocess.run([root / "bin/busybox", "--list"], stdout=subprocess.PIPE, text=True,
                                check=True)
        for applet in listed.stdout.split():
            if applet != "busybox":
                os.symlink("busybox", root / "bin" / applet)
        self.wait("containerd", lambda: self.run("ctr", "version", check=False).returncode == 0, 30)
        self.load("registry.invalid/pause:1", root, ["/bin/sleep", "2147483647"])
        self.load("docker.io/library/busybox:1.36", root, ["/bin/sh"])

    def load(self, name, root, command):
        """An image of one layer, made from a directory."""
        archive = image_archive(self.dir, name, root, command)
        try:
            self.run("ctr", "--namespace", "k8s.io", "images", "import", archive)
        finally:
            archive.unlink()


def image_archive(directory, name, root, command):
    """What `docker save` would write (moby image spec 1.2): manifest.json, a config, a layer."""
    work = pathlib.Path(tempfile.mkdtemp(dir=directory))
    subprocess.run(["tar", "-C", root, "--numeric-owner", "--sort=name", "-cf", work / "layer.tar",
                    "."], check=True)
    digest = subprocess.run(["sha256sum", work / "layer.tar"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split()[0]
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": command, "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
    }
    (work / "config.json").write_text(json.dumps(config))
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    (work / "manifest.json").write_text(json.dumps(manifest))
    archive = directory / f"{work.name}.tar"
    subprocess.run(["tar", "-C", work, "-cf", archive, "manifest.json", "config.json", "layer.tar"],
                   check=True)
    shutil.rmtree(work)
    return archive
