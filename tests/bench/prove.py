#!/usr/bin/python3
"""./dev bench prove: starts and seconds of a proof beside one removal at a time, of the same privileges
on the same host and as often confirmed; planted servers (all of them with --all) and llama-server.
One JSON object a line."""
import json
import math
import os
import pathlib
import statistics
import sys

BUILD = pathlib.Path(next((w for w in sys.argv[1:] if not w.startswith("-")), "build/release"))
os.environ["PARE_BUILD"] = str(BUILD.resolve())
SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
sys.dont_write_bytecode = True
import llama_test  # noqa: E402
import planted_test  # noqa: E402

SOME = "nothing raw_infer raw_tolerated cache_third port80 drop_plain model_owner personality_start"
GOAL = 0.25


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "prove", "case": case, "value": round(value, 3), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=ok)
    print(json.dumps(row), flush=True)
    return ok is not False


def starts(proof):
    return sum(t["starts"] for t in proof["trials"])


def bound(proof):
    """Baselines, settings, confirmations, failures that repeat, and a bisection for each of the k
    privileges that stay among the n asked (and once more where nothing stays)."""
    asked = [v for v in proof["verdicts"] if v["axis"] != "port"]
    kept = [v for v in asked if v["verdict"] in ("needed", "fixable")]
    k, n = len(kept), max(len(asked), 2)
    return 2 + 3 + 4 + 4 * k + 2 * (k + 1) * math.log2(n)


class Contest:
    def __init__(self):
        self.rows, self.fine = [], True

    def hold(self, name, prove):
        """prove(*options) -> (Run, proof)"""
        ours, proof = prove()
        theirs, other = prove("--one-by-one")
        if proof is None or other is None:
            print(f"{name}: no proof\n{ours}\n{theirs}", file=sys.stderr)
            self.fine = False
            return
        row = (starts(proof), starts(other), ours.seconds, theirs.seconds)
        self.rows.append(row)
        say(f"{name}: starts", row[0], "starts")
        say(f"{name}: starts, one by one", row[1], "starts")
        say(f"{name}: seconds", row[2], "s")
        say(f"{name}: seconds, one by one", row[3], "s")
        limit = bound(proof)
        self.fine &= say(f"{name}: trials of the bound", row[0] / limit, "ratio", "<= 1", row[0] <= limit)

    def end(self):
        ours, theirs = sum(r[0] for r in self.rows), sum(r[1] for r in self.rows)
        self.fine &= say("all: starts", ours / theirs, "ratio", f"<= {GOAL}", ours <= GOAL * theirs)
        worst = max(r[0] / r[1] for r in self.rows)
        say("worst server: starts", worst, "ratio")
        say("median server: starts", statistics.median(r[0] / r[1] for r in self.rows), "ratio")
        say("all: seconds", sum(r[2] for r in self.rows) / sum(r[3] for r in self.rows), "ratio")


def planted(contest, name):
    server = next(s for s in planted_test.TRUTH["servers"] if s["name"] == name)
    row = planted_test.expectation(server, "kubernetes")
    if row.get("flaky") or row.get("network") or row["exit"] not in (0, [0]):
        return
    ground = planted_test.Prover()
    ground.setUp()
    try:
        root, volumes, argv = ground.prepare(server, row)
        options = list(row.get("options", []))
        for source, path in volumes:
            options += ["--volume", f"{source}:{path}"]
        contest.hold(
            name,
            lambda *more: ground.prove(
                root,
                argv,
                *options,
                *more,
                out=ground.dir / f"out{len(more)}",
                checks=row.get("checks", planted_test.TRUTH["checks"]),
                timeout=1200,
            ),
        )
    finally:
        ground.doCleanups()


def llama(contest):
    ground = llama_test.Llama("test_oci")
    ground.setUp()
    try:
        contest.hold(
            "llama-server",
            lambda *more: ground.prove(
                ground.llama,
                llama_test.ARGV,
                "--volume",
                f"{ground.models}:/models",
                *more,
                out=ground.dir / f"out{len(more)}",
                checks=llama_test.CHECKS,
                timeout=1200,
            ),
        )
    finally:
        ground.doCleanups()


def main():
    names = [s["name"] for s in planted_test.TRUTH["servers"]] if "--all" in sys.argv else SOME.split()
    contest = Contest()
    llama(contest)
    for name in names:
        planted(contest, name)
    contest.end()
    return 0 if contest.fine else 1


if __name__ == "__main__":
    sys.exit(main())
