#!/usr/bin/python3
"""What is emitted runs as written and answers; with one privilege less it does not."""
import json
import shlex
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
            [daemon.TOOL, "netns", daemon.directory], stdout=subprocess.PIPE, text=True, check=True
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


if __name__ == "__main__":
    sys.exit(unittest.main())
