#!/usr/bin/python3
"""truth.json itself is true: each planted server under runc alone, with and without its needs.

pare has no part in this; what planted_test.py expects of pare is shown here by other means.

    truth_test.py [NAME...]
"""
import concurrent.futures
import contextlib
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
import unittest

import harness
import planted_test
from planted_test import any_of, as_row

DEFAULT = [name.split("/")[1] for name in planted_test.ALWAYS if name.startswith("capability/")]
NOBODY = 65532
NO_ANSWER = {"ignores_term", "flaky_fifth", "flaky_raw", "loopback_only"}
# What only a compose file asks for is not modelled here.
NO_ANSWER |= {s["name"] for s in planted_test.TRUTH["servers"] if "compose" in s}
PATIENCE = 5.0


@dataclasses.dataclass
class Variant:
    what: str
    passes: bool
    uid: int = 0
    gid: int = 0
    capabilities: list = dataclasses.field(default_factory=list)
    writable: bool = True  # root file system and volumes
    tmpfs: list = dataclasses.field(default_factory=list)


def verdict(server, privilege):
    kinds = set(any_of(as_row(server.get("verdicts", {}).get(privilege, "unneeded"))["verdict"]))
    return kinds.pop() if len(kinds) == 1 else None


def option(server, name):
    options = server.get("options", [])
    return options[options.index(name) + 1] if name in options else None


def variants(server):
    """What truth.json says of Kubernetes, as runs whose outcome is known."""
    asked = (option(server, "--asked") or ",".join(DEFAULT)).split(",")
    uid = int(option(server, "--user") or 0)
    needed = [c for c in asked if verdict(server, "capability/" + c) == "needed"]
    open_to_doubt = [c for c in asked if verdict(server, "capability/" + c) in (None, "fixable")]
    yield Variant("as asked", True, uid, uid, asked)
    yield Variant("without what is unneeded", True, uid, uid, needed + open_to_doubt)
    for capability in needed:
        away = {capability, *server.get("either", [])}
        yield Variant(
            "without " + " ".join(sorted(away)),
            False,
            uid,
            uid,
            [c for c in asked if c not in away],
        )
    root = server.get("verdicts", {}).get("user/root", "unneeded")
    if uid == 0 and verdict(server, "user/root") in ("needed", "fixable"):
        yield Variant("as nobody", False, NOBODY, NOBODY, asked)
    if isinstance(root, dict) and root.get("fix", "").isdigit():
        fix = int(root["fix"])
        by_group = "uid" not in server.get("policy", {})
        yield Variant(f"as {fix}", True, NOBODY if by_group else fix, fix, [])
    paths = server.get("policy", {}).get("writable", [])
    if verdict(server, "rootfs/write") == "fixable" and paths is not None:
        yield Variant("read-only", False, uid, uid, asked, writable=False)
        if "copyUp" not in server["policy"]:
            yield Variant(
                "read-only with tmpfs", True, uid, uid, asked, writable=False, tmpfs=paths
            )


class Container:
    """One run under runc; a context manager."""

    def __init__(self, directory, server, variant, root, volumes, netns):
        self.name = f"pare-e2e-{os.getpid()}-{server['name']}-{directory.name}"
        self.directory = directory
        check = server.get("checks", planted_test.TRUTH["checks"])[0]
        self.port = int(re.search(r"://:(\d+)/", check)[1])
        directory.mkdir()
        subprocess.run(["runc", "spec", "--bundle", directory], check=True)
        config = json.loads((directory / "config.json").read_text())
        environment = option(server, "--env")
        held = ["CAP_" + c for c in variant.capabilities]
        config["process"].update(
            terminal=False,
            args=["/" + server["name"], *server.get("args", [])],
            noNewPrivileges=False,
            env=["PATH=/"] + ([environment] if environment else []),
            user={"uid": variant.uid, "gid": variant.gid},
            # No ambient set, as on Docker and Kubernetes: a non-root process holds none of them.
            capabilities={
                "bounding": held,
                "effective": held if variant.uid == 0 else [],
                "permitted": held if variant.uid == 0 else [],
            },
        )
        config["root"] = {"path": str(root), "readonly": not variant.writable}
        mode = "rw" if variant.writable else "ro"
        config["mounts"] += [
            {"destination": path, "source": str(source), "type": "bind", "options": ["bind", mode]}
            for path, source in volumes
        ]
        config["mounts"] += [
            {"destination": path, "source": "tmpfs", "type": "tmpfs", "options": ["mode=1777"]}
            for path in variant.tmpfs
        ]
        namespaces = [n for n in config["linux"]["namespaces"] if n["type"] != "network"]
        config["linux"]["namespaces"] = namespaces + [
            {"type": "network", **({"path": netns} if netns else {})}
        ]
        config["linux"]["sysctl"] = {"net.ipv4.ip_unprivileged_port_start": "1024"}
        (directory / "config.json").write_text(json.dumps(config))

    def __enter__(self):
        log = open(self.directory / "log", "wb")
        self.child = subprocess.Popen(
            ["runc", "run", "--bundle", self.directory, self.name],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        log.close()
        return self

    def __exit__(self, *_):
        subprocess.run(
            ["runc", "delete", "--force", self.name], check=False, stderr=subprocess.DEVNULL
        )
        self.child.wait()

    def pid(self):
        while self.child.poll() is None:
            state = subprocess.run(
                ["runc", "state", self.name], capture_output=True, text=True, check=False
            )
            if state.returncode == 0 and json.loads(state.stdout)["pid"]:
                return json.loads(state.stdout)["pid"]
            time.sleep(0.02)
        return 0

    def works(self):
        """Ready, three inferences, four at once, and a clean stop."""
        pid = self.pid()
        if not pid:
            return False
        enter = ["nsenter", "--target", str(pid), "--net"]
        for words in ("link set lo up", "address add 192.0.2.1/32 dev lo"):
            subprocess.run([*enter, "ip", *words.split()], check=False, stderr=subprocess.DEVNULL)

        def curl(path, *options):
            return subprocess.Popen(
                [*enter, "curl", "-sf", "-m", "5", *options, f"http://192.0.2.1:{self.port}{path}"],
                stdout=subprocess.PIPE,
                text=True,
            )

        end = time.monotonic() + PATIENCE
        while curl("/health").communicate()[0] != "ok":
            if self.child.poll() is not None or time.monotonic() > end:
                return False
            time.sleep(0.02)
        replies = [curl("/infer", "-d", "x").communicate()[0] for _ in range(3)]
        at_once = [curl("/infer", "-d", "x") for _ in range(4)]
        replies += [request.communicate()[0] for request in at_once]
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 15)
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self.child.wait(PATIENCE) == 0 and all("forty-two" in r for r in replies)
        return False


class Truth(harness.Ground):
    only = []

    def test_servers_are_as_planted(self):
        if shutil.which("runc") is None:
            harness.cannot(self, "runc is not installed")
        servers = [
            s
            for s in planted_test.TRUTH["servers"]
            if s["name"] not in NO_ANSWER and (not self.only or s["name"] in self.only)
        ]
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for server, wrong in zip(servers, pool.map(self.wrong, servers)):
                with self.subTest(server=server["name"]):
                    self.assertEqual(wrong, [])

    def wrong(self, server):
        """["as nobody: passed", ...]: the variants that came out other than truth.json says."""
        home = self.dir / server["name"]
        home.mkdir()
        volumes = [
            (v["path"], harness.make_volume(home / f"volume{n}", v))
            for n, v in enumerate(server.get("volumes", []))
        ]
        found = []
        with harness.network(home) if server.get("network") else contextlib.nullcontext() as netns:
            for number, variant in enumerate(variants(server)):
                root = harness.make_root(home / f"root{number}", server["name"], server.get("root"))
                with Container(
                    home / str(number), server, variant, root, volumes, netns
                ) as container:
                    if container.works() != variant.passes:
                        log = (container.directory / "log").read_text(errors="replace").strip()
                        found.append(
                            f"{variant.what}: {'failed: ' + log if variant.passes else 'passed'}"
                        )
        return found

    def test_egress_kinds(self):
        """egress_hang survives a refusal at once and hangs on silence."""
        server = next(s for s in planted_test.TRUTH["servers"] if s["name"] == "egress_hang")
        variant = Variant("silence", False, capabilities=DEFAULT)
        root = self.root("egress_hang")
        with harness.network(self.dir) as netns:
            inside = ["ip", "-n", netns.rsplit("/", 1)[1]]
            subprocess.run([*inside, "route", "del", "198.51.100.0/24"], check=True)
            subprocess.run([*inside, "route", "add", "default", "dev", "lo"], check=True)
            with Container(self.dir / "silence", server, variant, root, [], netns) as container:
                self.assertFalse(container.works())


if __name__ == "__main__":
    Truth.only = [a for a in sys.argv[1:] if not a.startswith("-")]
    sys.exit(
        unittest.main(
            defaultTest="Truth", argv=[sys.argv[0]] + [a for a in sys.argv[1:] if a.startswith("-")]
        )
    )
