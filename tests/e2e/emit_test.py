#!/usr/bin/python3
"""What is emitted runs as written and answers; with one privilege less it does not."""
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import unittest

import harness
import planted_test

# Server -> what to take out of run.sh's lines, and how config.json loses the same.
SERVERS = {
    "nothing": None,
    "raw_infer": ("--cap-add NET_RAW", lambda config: take_capability(config, "CAP_NET_RAW")),
    "cache_third": ("--tmpfs /cache:", lambda config: take_mount(config, "/cache")),
    "exec_cache": ("--tmpfs /cache:", lambda config: take_mount(config, "/cache")),
}
INFERENCES = 3


def take_capability(config, name):
    for names in config["process"]["capabilities"].values():
        if name in names:
            names.remove(name)


def take_mount(config, path):
    config["mounts"] = [m for m in config["mounts"] if m["destination"] != path]


def answers(namespace, address, patience=10.0):
    """Whether INFERENCES requests in a row are answered, once the server listens."""
    curl = ["curl", "-s", "--noproxy", "*", "-m", "5", "-d", "x", f"http://{address}:8000/infer"]
    end = time.monotonic() + patience
    while time.monotonic() < end:
        done = subprocess.run(
            ["nsenter", f"--net={namespace}", *curl], capture_output=True, text=True, check=False
        )
        if done.returncode != 7:  # refused: it does not listen yet, or no more
            break
        time.sleep(0.1)
    bodies = [done.stdout]
    for _ in range(INFERENCES - 1):
        done = subprocess.run(
            ["nsenter", f"--net={namespace}", *curl], capture_output=True, text=True, check=False
        )
        bodies.append(done.stdout)
    return all("forty-two" in body for body in bodies)


class Emitted(harness.Ground):
    def proved(self, name):
        row = next(s for s in planted_test.TRUTH["servers"] if s["name"] == name)
        root = self.root(name, row.get("root"), name=f"root-{name}")
        run, proof = self.prove(
            root,
            ["/" + name],
            out=self.dir / f"proof-{name}",
            checks=row.get("checks", [harness.INFER]),
            platform="docker",
        )
        self.assertEqual(run.code, 0, run)
        return root, proof

    def emit(self, name, to):
        out = self.dir / f"{to}-{name}"
        run = self.pare("emit", self.dir / f"proof-{name}", "--to", to, "-o", out)
        self.assertEqual(run.code, 0, run)
        return out

    # ---- the bundle for runc

    def bundle_answers(self, bundle):
        name = f"{self.dir.name}-{time.monotonic_ns()}"
        config = json.loads((bundle / "config.json").read_text())
        config["linux"]["cgroupsPath"] = "/pare/" + name
        (bundle / "config.json").write_text(json.dumps(config))
        script = (bundle / "run.sh").read_text()
        words = shlex.split(script.splitlines()[-1])
        self.assertEqual(words[:3], ["exec", "runc", "run"])
        words[-1] = name  # other tests run other containers
        with open(bundle / "log", "w") as log:
            with harness.process(*words[1:], cwd=bundle, stdout=log, stderr=log) as runc:
                try:
                    pid = self.pid_of(name, runc)
                    return pid is not None and answers(f"/proc/{pid}/ns/net", "127.0.0.1")
                finally:
                    subprocess.run(["runc", "delete", "--force", name], check=False)

    def pid_of(self, name, runc):
        end = time.monotonic() + 10
        while time.monotonic() < end and runc.poll() is None:
            done = subprocess.run(["runc", "state", name], capture_output=True, check=False)
            if done.returncode == 0:
                state = json.loads(done.stdout)
                if state["status"] == "running":
                    return state["pid"]
            time.sleep(0.05)
        return None

    def test_bundle(self):
        for name, less in SERVERS.items():
            with self.subTest(server=name):
                self.proved(name)
                bundle = self.emit(name, "oci")
                self.assertTrue(self.bundle_answers(bundle), (bundle / "log").read_text())
                if less is None:
                    continue
                config = json.loads((bundle / "config.json").read_text())
                before = json.dumps(config)
                less[1](config)
                self.assertNotEqual(json.dumps(config), before)
                (bundle / "config.json").write_text(json.dumps(config))
                self.assertFalse(self.bundle_answers(bundle))

    # ---- the docker line

    def docker(self, *words):
        return subprocess.run(
            ["docker", *map(str, words)], env=self.client, capture_output=True, text=True, check=False
        )

    def script_answers(self, directory, name):
        ran = subprocess.run(
            ["sh", directory / "run.sh"], env=self.client, capture_output=True, text=True, check=False
        )
        try:
            self.assertEqual(ran.returncode, 0, ran.stderr)
            form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
            address = self.docker("inspect", "--format", form, name).stdout.strip()
            return bool(address) and answers(self.netns, address)
        finally:
            self.docker("rm", "--force", name)

    def test_docker_line(self):
        daemon = self.docker_daemon()
        self.client = self.environment(DOCKER_HOST=f"unix://{daemon.socket}")
        self.netns = subprocess.run(
            [daemon.tool, "netns", daemon.directory], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        for server, less in SERVERS.items():
            with self.subTest(server=server):
                root, _ = self.proved(server)
                directory = self.emit(server, "docker")
                name = server.replace("_", "-")
                daemon.load(f"registry.invalid/{name}:proved", root)
                self.assertTrue(self.script_answers(directory, name))
                if less is None:
                    continue
                script = directory / "run.sh"
                lines = script.read_text().splitlines()
                kept = [line for line in lines if not line.strip().startswith(less[0])]
                self.assertEqual(len(kept), len(lines) - 1, less[0])
                script.write_text("\n".join(kept) + "\n")
                self.assertFalse(self.script_answers(directory, name))

    # ---- what else Docker takes; proofs of tests/corpus/proofs, emitted for it

    PROOFS = harness.SOURCE / "tests/corpus/proofs"

    def engine(self):
        daemon = self.docker_daemon()
        self.client = self.environment(DOCKER_HOST=f"unix://{daemon.socket}", DOCKER_BUILDKIT="0")
        self.netns = subprocess.run(
            [daemon.tool, "netns", daemon.directory], stdout=subprocess.PIPE, text=True, check=True
        ).stdout.strip()
        return daemon

    def kept_proof(self, server, to, proof=None):
        """A server's root file system, and what is emitted from its kept proof."""
        row = next(s for s in planted_test.TRUTH["servers"] if s["name"] == server)
        root = self.root(server, row.get("root"), name=f"root-{server}-{to}")
        out = self.dir / f"{to}-of-{server}"
        run = self.pare("emit", proof or self.PROOFS / f"{server}.docker.json", "--to", to, "-o",
                        out)
        self.assertEqual(run.code, 0, run)
        return root, out

    def address_of(self, container):
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return self.docker("inspect", "--format", form, container).stdout.strip()

    def compose(self, directory, *words):
        return subprocess.run(["docker-compose", *words], cwd=directory, env=self.client,
                              capture_output=True, text=True, check=False)

    def compose_answers(self, directory, container):
        up = self.compose(directory, "up", "-d")
        try:
            self.assertEqual(up.returncode, 0, up.stderr)
            address = self.address_of(container)
            return bool(address) and answers(self.netns, address)
        finally:
            self.compose(directory, "down", "-v", "-t", "1")

    def test_compose(self):
        if shutil.which("docker-compose") is None:
            harness.cannot(self, "docker-compose is not installed")
        daemon = self.engine()
        less = {"nothing": None, "raw_infer": "    cap_add:\n    - NET_RAW\n",
                "cache_third": "    tmpfs:\n"}
        for server, taken in less.items():
            with self.subTest(server=server):
                root, directory = self.kept_proof(server, "compose")
                name = server.replace("_", "-")
                daemon.load(f"registry.invalid/{name}:proved", root)
                file = directory / "compose.yaml"
                # Compose 1.29, Debian 12's, knows no name for a project in the file.
                lines = file.read_text().splitlines(keepends=True)
                file.write_text("".join(l for l in lines if not l.startswith("name: ")))
                self.assertTrue(self.compose_answers(directory, name))
                if taken is None:
                    continue
                text = file.read_text()
                self.assertIn(taken, text)
                if server == "cache_third":
                    start = text.index(taken)
                    end = text.index("\n", start + len(taken)) + 1
                    text = text[:start] + text[end:]
                file.write_text(text.replace(taken, ""))
                self.assertFalse(self.compose_answers(directory, name))

    def test_dockerfile(self):
        """Built, and run under the docker emitter's line: the proof's user without being told."""
        daemon = self.engine()
        for server in ("nothing", "cache_third"):
            with self.subTest(server=server):
                root, context = self.kept_proof(server, "dockerfile")
                (root / "bin").mkdir(exist_ok=True)
                shutil.copy("/bin/busybox", root / "bin/sh")
                for applet in ("mkdir", "chown"):
                    os.symlink("sh", root / "bin" / applet)
                # As the head of the Dockerfile says.
                tar = ["tar", "-C", root, "--numeric-owner", "-cf", context / "rootfs.tar", "."]
                subprocess.run(tar, check=True)
                name = server.replace("_", "-")
                tag = f"registry.invalid/{name}:proved"
                built = self.docker("build", "--network=none", "--tag", tag, context)
                self.assertEqual(built.returncode, 0, built.stdout + built.stderr)
                policy = json.loads((self.PROOFS / f"{server}.docker.json").read_text())["policy"]
                user = f"{policy['user']['uid']}:{policy['user']['gid']}"
                self.assertEqual(
                    self.docker("image", "inspect", "--format", "{{.Config.User}}", tag)
                    .stdout.strip(), user)
                _, directory = self.kept_proof_of_docker(server)
                script = directory / "run.sh"
                lines = script.read_text().splitlines()
                kept = [l for l in lines if not l.strip().startswith(("--user ", "--entrypoint "))]
                self.assertEqual(len(kept), len(lines) - 2)
                script.write_text("\n".join(kept) + "\n")
                self.assertTrue(self.script_answers(directory, name))
                self.docker("image", "rm", "--force", tag)

    def kept_proof_of_docker(self, server):
        out = self.dir / f"docker-of-{server}"
        run = self.pare("emit", self.PROOFS / f"{server}.docker.json", "--to", "docker", "-o", out)
        self.assertEqual(run.code, 0, run)
        return None, out

    # ---- libc's ways back

    NEW_CALLS = ("clone3", "faccessat2", "openat2", "close_range")
    OLD_CALLS = ("clone", "faccessat", "openat")

    def fallback_proof(self, enosys):
        """A proof whose list of calls has what libc falls back to, and not what it tries first."""
        proof = json.loads((self.PROOFS / "nothing.docker.json").read_text())
        profile = proof["policy"]["seccomp"]
        # runc answers ENOSYS by itself to what is newer than the newest call of the list; the last
        # one is newer than all of those that are missing.
        more = ("mprotect", "madvise", "munmap", "rseq", "set_robust_list", "geteuid", "getuid",
                "getegid", "getgid", "mmap", "futex", "newfstatat", "epoll_pwait2")
        profile["syscalls"] = sorted(
            (set(profile["syscalls"]) | set(self.OLD_CALLS) | set(more)) - set(self.NEW_CALLS))
        profile["arguments"] = []
        kept = set(profile["enosys"]) | set(self.NEW_CALLS) if enosys else set()
        profile["enosys"] = sorted(kept)
        proof["target"]["argv"] = proof["target"]["command"] = ["/fallbacks"]
        path = self.dir / f"fallbacks-{enosys}.json"
        path.write_text(json.dumps(proof))
        return path

    def test_calls_answer_enosys_where_libc_falls_back(self):
        daemon = self.engine()
        root = self.root("fallbacks", name="root-fallbacks")
        daemon.load("registry.invalid/nothing:proved", root)
        for enosys in (True, False):
            with self.subTest(enosys=enosys):
                proof = self.fallback_proof(enosys)
                out = self.dir / f"docker-{enosys}"
                run = self.pare("emit", proof, "--to", "docker", "-o", out)
                self.assertEqual(run.code, 0, run)
                self.assertEqual(self.script_answers(out, "nothing"), enosys)
                # The same under runc alone.
                data = json.loads(proof.read_text())
                data["target"]["rootfs"] = str(root)
                proof.write_text(json.dumps(data))
                bundle = self.dir / f"oci-{enosys}"
                run = self.pare("emit", proof, "--to", "oci", "-o", bundle)
                self.assertEqual(run.code, 0, run)
                self.assertEqual(self.bundle_answers(bundle), enosys)


if __name__ == "__main__":
    sys.exit(unittest.main())
