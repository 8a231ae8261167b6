"""What the end-to-end tests share: runs of pare, root file systems, volumes, networks, leftovers.

Every test has a directory and a state directory (PARE_STATE_DIR) of its own, so that tests run
side by side.
"""
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("PARE_BUILD", SOURCE / "build"))
PARE = BUILD / "pare"
PLANTED = BUILD / "planted"
SUPPORT = SOURCE / "tests" / "support"
INFER = "http://:8000/infer;method=POST;body=x;match=forty-two"
MODEL_HOST = ("198.51.100.2", 7000)  # TEST-NET-2, inside a namespace of the test's own
SILENT_HOST = "198.51.100.9"  # nothing listens there: connections are refused


def cannot(test, why):
    """Skips, unless everything must run (PARE_MUST_RUN=1)."""
    if os.environ.get("PARE_MUST_RUN"):
        test.fail(f"must run, but: {why}")
    test.skipTest(why)


@dataclasses.dataclass
class Run:
    argv: list
    code: int
    out: str
    err: str
    seconds: float

    def json(self):
        return json.loads(self.out)

    def __str__(self):
        words = " ".join(map(str, self.argv))
        out = self.out if len(self.out) < 4000 else self.out[:4000] + "..."
        return f"$ {words}\n-> {self.code} after {self.seconds:.1f} s\n{out}\n{self.err}"


class Ground(unittest.TestCase):
    """A test with a directory, a state directory and pare."""

    maxDiff = None
    before = ()  # words before pare's own
    runtime = ()  # words that choose it, where it is not the default

    def take_crun(self):
        """The runtime is crun, in a mount namespace where cgroup2 has no controllers: with some
        beside v1 hierarchies crun does not start."""
        if shutil.which("crun") is None:
            cannot(self, "crun is not installed")
        self.runtime = ("--runtime", "crun")
        controllers = pathlib.Path("/sys/fs/cgroup/unified/cgroup.controllers")
        if controllers.exists() and controllers.read_text().strip():
            (self.dir / "none").write_text("")
            script = f"mount --bind {self.dir}/none {controllers} && exec \"$@\""
            self.before = ("unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh")

    def docker_daemon(self, tool="dockerd"):
        """A daemon ("dockerd" or "podman") of this test's own, stopped when the test ends."""
        if shutil.which(tool) is None:
            cannot(self, f"{tool} is not installed")
        daemon = DockerDaemon(tool)
        self.addCleanup(daemon.stop)
        if not daemon.runs:
            cannot(self, f"{tool} does not start (see above)")
        return daemon

    def setUp(self):
        if os.geteuid() != 0:
            cannot(self, "containers need root")
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="pare-e2e-"))
        self.state = self.dir / "state"
        self.addCleanup(self._tear_down_ground)

    def _tear_down_ground(self):
        if self.state.exists():
            self.pare("clean")
        for mount in sorted(mounts_below(self.dir), reverse=True):
            subprocess.run(["umount", "-l", mount], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def environment(self, **more):
        return {**os.environ, "PARE_STATE_DIR": str(self.state), "NO_COLOR": "1", **more}

    def pare(self, *args, timeout=300, env=None, cwd=None):
        argv = [*self.before, str(PARE), *map(str, args)]
        env = self.environment() if env is None else env
        start = time.monotonic()
        done = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.dir,
            env=env,
        )
        try:
            out, err = done.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            done.kill()
            out, err = done.communicate()
            err += f"still running after {timeout} s"
        return Run(argv, done.returncode, out, err, time.monotonic() - start)

    def prove(
        self,
        root,
        argv,
        *options,
        out=None,
        checks=(INFER,),
        platform="kubernetes",
        netns=None,
        timeout=300,
    ):
        """A proof with no network but `netns`; the Run, and proof.json (None if there is none)."""
        out = out or self.dir / "out"
        words = ["prove", "--rootfs", root, "--for", platform, "-o", out, "--json"]
        words += ["--ready-within", "20s", *self.runtime]
        words += ["--netns", netns] if netns else ["--network", "none"]
        for check in checks:
            words += ["--check", check]
        run = self.pare(*words, *options, "--", *argv, timeout=timeout)
        path = out / "proof.json"
        return run, json.loads(path.read_text()) if path.exists() else None

    def root(self, program, spec=None, name="root"):
        return make_root(self.dir / name, program, spec)


def make_root(root, program, spec=None):
    """A root file system with one static program, /PROGRAM, and what truth.json's "root" adds."""
    spec = spec or {}
    root.mkdir(parents=True)
    root.chmod(0o755)
    for path, mode in spec.get("dirs", {}).items():
        (root / path[1:]).mkdir(parents=True, exist_ok=True)
        (root / path[1:]).chmod(int(mode, 8))
    _put(root / program, PLANTED / program, "0755")
    for path, mode in spec.get("copies", {}).items():
        _put(root / path[1:], PLANTED / program, mode)
    write_files(root, {path[1:]: file for path, file in spec.get("files", {}).items()})
    return root


def _put(to, source, mode):
    shutil.copyfile(source, to)
    to.chmod(int(mode, 8))


def write_files(directory, files):
    for name, file in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(file["content"])
        os.chown(path, file.get("uid", 0), file.get("gid", 0))
        path.chmod(int(file.get("mode", "0644"), 8))


def make_volume(directory, spec):
    """The host side of one of truth.json's "volumes"."""
    directory.mkdir(parents=True)
    write_files(directory, spec.get("files", {}))
    os.chown(directory, spec.get("uid", 0), spec.get("gid", 0))
    directory.chmod(int(spec.get("mode", "0755"), 8))
    return directory


@contextlib.contextmanager
def network(directory):
    """Two network namespaces joined by a veth: yields the path of the one for --netns; in the other
    runs the planted model host. Nothing in it reaches the host's own network."""
    tag = f"pare-e2e-{os.getpid()}-{time.monotonic_ns() % 1000000}"
    near, far = tag + "-near", tag + "-far"
    host = None

    def ip(*words):
        subprocess.run(["ip", *words], check=True)

    try:
        for namespace in (near, far):
            ip("netns", "add", namespace)
            ip("-n", namespace, "link", "set", "lo", "up")
        ip("-n", near, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", far)
        ip("-n", near, "address", "add", "198.51.100.1/24", "dev", "eth0")
        for address in (MODEL_HOST[0], SILENT_HOST):
            ip("-n", far, "address", "add", address + "/24", "dev", "eth0")
        for namespace in (near, far):
            ip("-n", namespace, "link", "set", "eth0", "up")
        with open(directory / "model-host.log", "wb") as log:
            host = subprocess.Popen(
                ["ip", "netns", "exec", far, PLANTED / "model_host", *map(str, MODEL_HOST)],
                stdout=log,
                stderr=log,
            )
        yield f"/run/netns/{near}"
    finally:
        if host is not None:
            host.kill()
            host.wait()
        for namespace in (near, far):
            subprocess.run(
                ["ip", "netns", "del", namespace], check=False, stderr=subprocess.DEVNULL
            )


class DockerDaemon:
    """A Docker daemon (or Podman's service) on its own root and socket, for all tests of a class."""

    def __init__(self, tool="dockerd"):
        self.tool = SUPPORT / tool
        # Short: its sockets have to fit into sun_path.
        self.directory = tempfile.mkdtemp(prefix="pare-d-")
        started = subprocess.run(
            [self.tool, "start", self.directory], stdout=subprocess.PIPE, text=True, check=False
        )
        self.socket = started.stdout.strip()
        self.runs = started.returncode == 0

    def stop(self):
        subprocess.run([self.tool, "stop", self.directory], check=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    def load(self, name, root, *changes):
        subprocess.run([self.tool, "import", self.directory, name, root, *changes], check=True)

    def containers(self):
        listed = subprocess.run(
            ["docker", "-H", f"unix://{self.socket}", "ps", "-aq"],
            capture_output=True,
            text=True,
            check=True,
        )
        return listed.stdout.split()


def mounts_below(directory):
    found = []
    with open("/proc/self/mountinfo") as lines:
        for line in lines:
            point = line.split()[4].encode().decode("unicode_escape")
            if pathlib.Path(point).is_relative_to(directory):
                found.append(point)
    return found


def processes_of(directory):
    """{pid: command line} of processes with `directory` in it or in their root, cwd or mounts."""
    found = {}
    needle = str(directory)
    for entry in pathlib.Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            places = [os.readlink(entry / "root"), os.readlink(entry / "cwd")]
            with contextlib.suppress(OSError):
                # A private mount namespace shows what the host's does not.
                if os.readlink(entry / "ns/mnt") != os.readlink("/proc/self/ns/mnt"):
                    places.append((entry / "mountinfo").read_text())
            if command and (needle in command or any(needle in place for place in places)):
                found[int(entry.name)] = command.strip()
    return found


def sessions_of_others(state):
    """Ids of the sessions of every running pare whose state directory is not `state`."""
    found = set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (entry / "comm").read_text() != "pare\n":
                continue
            variables = (entry / "environ").read_bytes().decode(errors="replace").split("\0")
            where = dict(v.split("=", 1) for v in variables if "=" in v).get("PARE_STATE_DIR")
            if where != str(state):
                found |= set(os.listdir(where or "/var/lib/pare"))
    return found - {"lock"}


class Traces:
    """What there is on the host before a run; left(): what a run left behind."""

    def __init__(self, directory):
        self.directory = directory
        self.state = directory / "state"
        self.before = self._now()

    def _now(self):
        now = {("mount", point) for point in mounts_below(self.directory)}
        now |= {("process", f"{pid} {what}") for pid, what in processes_of(self.directory).items()}
        for path, directories, _ in os.walk("/sys/fs/cgroup"):
            now |= {
                ("cgroup", os.path.join(path, name))
                for name in directories
                if name.startswith("pare-") and not name.startswith("pare-dockerd-")
            }
        for place, prefix in (
            ("/run/netns", "pare"),
            ("/run/runc", "pare-"),
            (self.state, ""),
        ):
            with contextlib.suppress(OSError):
                now |= {
                    (str(place), name)
                    for name in os.listdir(place)
                    if name.startswith(prefix) and name != "lock"
                }
        return now

    def left(self, patience=5.0):
        """Sorted. Not what other tests make meanwhile: theirs has another session, or goes away."""
        end = time.monotonic() + patience
        left = self._now() - self.before
        others = sessions_of_others(self.state)
        while left and time.monotonic() < end:
            time.sleep(0.1)
            left &= self._now()
            others |= sessions_of_others(self.state)
        return sorted(l for l in left if not any(id in l[1] for id in others))


@contextlib.contextmanager
def process(*argv, **options):
    """A child in a process group of its own that is gone afterwards."""
    child = subprocess.Popen(list(map(str, argv)), start_new_session=True, **options)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
