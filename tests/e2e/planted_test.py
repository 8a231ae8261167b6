#!/usr/bin/python3
"""Every verdict of every planted server is exactly as planted (tests/planted/truth.json).

    planted_test.py [--all] [NAME[/PLATFORM]...]

NAME: only these servers. --all: every server for every platform; else a server is proved for Docker
too only where the platforms differ in what it touches (ports, tmpfs, limits).
"""
import collections
import concurrent.futures
import contextlib
import json
import os
import re
import sys
import tempfile
import unittest

import harness

TRUTH = json.loads((harness.SOURCE / "tests/planted/truth.json").read_text())
PLATFORMS = ("kubernetes", "docker")
# Judged for every server, whether truth.json names them or not.
ALWAYS = ["user/root", "escalation/new-privileges", "rootfs/write"] + [
    "capability/" + name
    for name in (
        "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW "
        "SYS_CHROOT MKNOD AUDIT_WRITE SETFCAP"
    ).split()
]
# Privileges on these axes are "unneeded" where truth.json does not say otherwise.
JUDGED = ("user", "group", "escalation", "capability", "rootfs", "volume-write", "egress")

# docker run's words for what a compose service asks for.
OPTION_OF = {
    "devices": "--device",
    "group_add": "--group-add",
    "ipc": "--ipc",
    "pid": "--pid",
    "shm_size": "--shm-size",
    "sysctls": "--sysctl",
}

Difference = collections.namedtuple("Difference", "what expected actual")


def expectation(server, platform, engine="oci"):
    """The server's row with what is different on `platform` laid over it."""
    row = {"exit": 0, "verdicts": {}, "policy": {}, **server}
    for over in (server.get(platform, {}), server.get(f"{platform} by {engine}", {})):
        for field in ("verdicts", "policy"):
            row[field] = {**row[field], **over.get(field, {})}
        row.update({k: v for k, v in over.items() if k not in ("verdicts", "policy")})
    return row


def as_row(expected):
    if isinstance(expected, dict):
        return expected
    return {"verdict": expected}


def any_of(value):
    return value if isinstance(value, list) else [value]


def needs(row, privilege):
    """True, False, or None where truth.json allows either."""
    kinds = set(any_of(as_row(row["verdicts"].get(privilege, "unneeded"))["verdict"]))
    return True if kinds == {"needed"} else None if "needed" in kinds else False


def by_name(verdicts):
    """{name: verdict}; "NAME@pull" where another verdict of that name is about serving."""
    serve = {v["privilege"]: v for v in verdicts if v["phase"] == "serve"}
    pull = {
        v["privilege"] + ("@pull" if v["privilege"] in serve else ""): v
        for v in verdicts
        if v["phase"] == "pull"
    }
    return {**serve, **pull}


def compare_verdicts(row, verdicts):
    found = by_name(verdicts)
    wanted = {name: as_row(v) for name, v in row["verdicts"].items()}
    always = [n for n in ALWAYS if n != "user/root" or "--user" not in row.get("options", [])]
    for name in always + [n for n, v in found.items() if v["axis"] in JUDGED]:
        wanted.setdefault(name, {"verdict": "unneeded"})
    for name, want in wanted.items():
        allowed = any_of(want["verdict"]) + (["unproven"] if row.get("flaky") else [])
        verdict = found.get(name)
        if verdict is None:
            yield Difference(name, "/".join(allowed), "no verdict")
            continue
        if verdict["verdict"] not in allowed:
            yield Difference(name, "/".join(allowed), f"{verdict['verdict']}: {verdict['because']}")
        for flag in ("used", "tolerated"):
            if flag in want and verdict[flag] != want[flag]:
                yield Difference(f"{name} {flag}", want[flag], verdict[flag])
        fix = json.dumps(verdict["fix"])
        if verdict["verdict"] == "fixable" and want.get("fix", "") not in fix:
            yield Difference(f"{name} fix", want["fix"], fix)


def compare_policy(row, policy):
    def differ(what, expected, actual):
        if expected is not None and expected != actual:
            yield Difference(what, expected, actual)

    plan = row["policy"]
    uid = policy["user"]["uid"]
    if needs(row, "user/root") is not None:
        yield from differ("policy root", needs(row, "user/root"), uid == 0)
    yield from differ("policy uid", plan.get("uid"), uid)
    yield from differ("policy groups", plan.get("groups", []), policy["user"]["groups"])
    capabilities = {
        name.split("/")[1]: needs(row, name)
        for name in row["verdicts"]
        if name.startswith("capability/")
    }
    if None not in capabilities.values():
        yield from differ(
            "policy capabilities",
            sorted(n for n, need in capabilities.items() if need),
            sorted(policy["capabilities"]),
        )
    if needs(row, "escalation/new-privileges") is not None:
        yield from differ(
            "policy noNewPrivileges",
            not needs(row, "escalation/new-privileges"),
            policy["noNewPrivileges"],
        )
    yield from differ("policy rootfs", plan.get("rootfs", "ro"), policy["rootfs"])
    yield from differ(
        "policy writable", plan.get("writable", []), [w["path"] for w in policy["writable"]]
    )
    yield from differ("policy writable count", plan.get("writables"), len(policy["writable"]))
    if (least := plan.get("pidsAtLeast")) is not None:
        yield from differ("policy pids", True, (policy["pidsMax"] or 0) >= least)
    for path in plan.get("exec", []):
        yield from differ(
            f"policy exec {path}",
            True,
            any(w["path"] == path and w.get("exec") for w in policy["writable"]),
        )
    for path in plan.get("copyUp", []):
        yield from differ(
            f"policy copyUp {path}",
            True,
            any(w["path"] == path and w.get("copyUp") for w in policy["writable"]),
        )
    yield from differ(
        "policy ports", plan.get("ports", [8000]), [p["port"] for p in policy["ports"]]
    )
    yield from differ("policy egress", bool(plan.get("egress")), bool(policy["egress"]))
    for volume in policy["volumes"]:
        if (need := needs(row, "volume-write:" + volume["path"])) is not None:
            yield from differ("policy " + volume["path"], "rw" if need else "ro", volume["mode"])


def compare(row, run, proof):
    if run.code not in any_of(row["exit"]):
        yield Difference("exit code", row["exit"], f"{run.code}: {run.err.strip()[-300:]}")
        return
    if run.code in (2, 3, 4, 5):
        return
    if proof is None:
        yield Difference("proof.json", "written", "absent")
        return
    if run.code == 0:
        yield from (
            Difference(f, True, proof[f]) for f in ("confirmed", "minimal") if proof[f] is not True
        )
    yield from compare_verdicts(row, proof["verdicts"])
    if not row.get("flaky"):
        yield from compare_policy(row, proof["policy"])
    text = json.dumps(
        [proof["assumptions"], proof["findings"], [v["because"] for v in proof["verdicts"]]]
    )
    if not re.search(row.get("mentions", ""), text):
        yield Difference("mentions", row["mentions"], text[:300])
    for finding in row.get("findings", []):
        if not any(f["id"] == finding for f in proof["findings"]):
            yield Difference("finding", finding, [f["id"] for f in proof["findings"]])
    if proof["loss"] != {"events": 0, "maps": []}:
        yield Difference("loss", "none", proof["loss"])


class Prover(harness.Ground):
    """Proves one server; no test of its own."""

    def runTest(self):
        pass

    def prepare(self, server, row):
        """The root file system, [(host directory, path in the container)], argv."""
        volumes = [
            (harness.make_volume(self.dir / f"volume{n}", v), v["path"])
            for n, v in enumerate(row.get("volumes", []))
        ]
        return (
            self.root(server["name"], server.get("root")),
            volumes,
            ["/" + server["name"], *row.get("args", [])]
            + ([self.shared()] if row.get("shared") else []),
        )

    def shared(self):
        """A file in the host's own /dev/shm, for as long as the test runs."""
        file = tempfile.NamedTemporaryFile(prefix="pare-e2e-", dir="/dev/shm")
        self.addCleanup(file.close)
        os.chmod(file.name, 0o644)
        return file.name

    def compose(self, asked, argv):
        """A compose file of one service that asks for more than a command line can say."""
        service = {"image": "planted", "network_mode": "none", "command": argv, **asked}
        path = self.dir / "compose.yaml"
        path.write_text(f"services:\n  server: {json.dumps(service)}\n")
        return path

    def words(self, server, row):
        """The root file system, the words after --, options."""
        root, volumes, argv = self.prepare(server, row)
        if "compose" in row:
            argv = [self.compose(row["compose"], argv)]
        options = list(row.get("options", []))
        for source, path in volumes:
            options += ["--volume", f"{source}:{path}"]
        return root, argv, options

    def judge(self, server, platform):
        row = expectation(server, platform)
        root, argv, options = self.words(server, row)
        with harness.network(self.dir) if row.get("network") else contextlib.nullcontext() as netns:
            run, proof = self.prove(
                root,
                argv,
                *options,
                checks=row.get("checks", TRUTH["checks"]),
                platform=platform,
                netns=netns,
            )
        return list(compare(row, run, proof)), run, proof

    def judge_by_docker(self, server, platform, daemon):
        row = expectation(server, platform, "docker")
        root, volumes, argv = self.prepare(server, row)
        image = f"planted-{server['name'].replace('_', '-')}:{platform}"
        daemon.load(image, root)
        line, out = ["docker", "run", "--rm", "--network", "none"], self.dir / "out"
        for source, path in volumes:
            line += ["-v", f"{source}:{path}"]
        for key, asked in row.get("compose", {}).items():
            values = asked if isinstance(asked, list) else [asked]
            if isinstance(asked, dict):
                values = [f"{name}={value}" for name, value in asked.items()]
            for value in values:
                line += [OPTION_OF[key], value]
        words = ["prove", "--for", platform, "-o", out, "--json", "--ready-within", "20s"]
        for check in row.get("checks", TRUTH["checks"]):
            words += ["--check", check]
        run = self.pare(
            *words,
            *row.get("options", []),
            "--",
            *line,
            image,
            *argv,
            env=self.environment(DOCKER_HOST=f"unix://{daemon.socket}"),
        )
        path = out / "proof.json"
        return list(compare(row, run, json.loads(path.read_text()) if path.exists() else None)), run


def judge(server, platform, daemon=None):
    prover = Prover()
    try:
        prover.setUp()
        return (
            prover.judge_by_docker(server, platform, daemon)
            if daemon
            else prover.judge(server, platform)
        )
    finally:
        prover.doCleanups()


def score(judged):
    """(precision, recall) of "needed or fixable", where the truth is one or the other."""
    right = claimed = true = 0
    for row, proof in judged:
        for name, verdict in by_name((proof or {}).get("verdicts", [])).items():
            kinds = set(any_of(as_row(row["verdicts"].get(name, "unneeded"))["verdict"]))
            if verdict["axis"] not in JUDGED or (kinds & {"unneeded"} and len(kinds) > 1):
                continue
            need, claim = not kinds & {"unneeded"}, verdict["verdict"] in ("needed", "fixable")
            right, claimed, true = right + (need and claim), claimed + claim, true + need
    return right / max(claimed, 1), right / max(true, 1)


def jobs(words):
    """[(server, platform)] that the command line asks for."""
    names = {w for w in words if not w.startswith("-")}

    def wanted(server, platform):
        if names:
            return bool(names & {server["name"], f"{server['name']}/{platform}"})
        differs = "docker" in server or "rootfs/write" in server.get("verdicts", {})
        return platform == "kubernetes" or differs or "--all" in words

    return [(s, p) for s in TRUTH["servers"] for p in PLATFORMS if wanted(s, p)]


class Planted(unittest.TestCase):
    words = []

    def test_every_verdict_is_as_planted(self):
        if os.geteuid() != 0:
            harness.cannot(self, "containers need root")
        chosen = jobs(self.words)
        self.assertTrue(chosen, f"no planted server is named {self.words}")
        judged = []
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for (server, platform), outcome in zip(
                chosen, pool.map(lambda job: judge(*job), chosen)
            ):
                with self.subTest(server=server["name"], platform=platform):
                    differences, run, proof = outcome
                    row = expectation(server, platform)
                    judged.append((row, proof))
                    starts = sum(t["starts"] for t in (proof or {}).get("trials", []))
                    print(
                        f"{server['name']:20} {platform:10} exit {run.code} {starts:3} starts "
                        f"{run.seconds:5.1f} s  "
                        + ("NOT as planted" if differences else "as planted"),
                        flush=True,
                    )
                    self.assertFalse(differences, f"\n{table(differences)}\n{run}")
        precision, recall = score(judged)
        print(f"{len(chosen)} proofs: precision {precision:.3f}, recall {recall:.3f}")


def table(differences):
    rows = [("what", "expected", "actual")] + [tuple(map(str, d)) for d in differences]
    widths = [max(len(r[i]) for r in rows) for i in range(2)]
    return "\n".join(f"  {r[0]:{widths[0]}}  {r[1]:{widths[1]}}  {r[2]}" for r in rows)


if __name__ == "__main__":
    Planted.words = [w for w in sys.argv[1:] if w != "-v"]
    sys.exit(unittest.main(defaultTest="Planted", argv=sys.argv[:1] + ["-v"] * ("-v" in sys.argv)))
