#!/usr/bin/python3
"""./dev bench prove: starts and seconds of a proof beside one removal at a time, of the same privileges
on the same host and as often confirmed. One JSON object a line; a server's has the starts and seconds
of both, and the most starts that the search's bound allows.

    prove.py [BUILD] [--all] [--minutes N] [--jobs N] [NAME...]

NAME: planted servers, or llama-server; without, some of each. --all: every planted server that has a
proof. --minutes: none is begun after that long, and those that were not are named. --jobs: servers side
by side (as many as there are processors); their starts are the same, their seconds are not.
"""
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import statistics
import sys
import time

options = argparse.ArgumentParser()
options.add_argument("words", nargs="*")
options.add_argument("--all", action="store_true")
options.add_argument("--minutes", type=float, default=math.inf)
options.add_argument("--jobs", type=int, default=os.cpu_count())
OPTIONS = options.parse_args()
BUILD = next((w for w in OPTIONS.words if "/" in w), "build/release")
os.environ["PARE_BUILD"] = str(pathlib.Path(BUILD).resolve())
SOURCE = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(SOURCE / "tests/e2e"))
sys.dont_write_bytecode = True
import llama_test  # noqa: E402
import planted_test  # noqa: E402

SOME = (
    "llama-server nothing raw_infer raw_tolerated cache_third port80 drop_plain model_owner "
    "personality_start"
)
GOAL = 0.25


def say(case, value, unit, goal=None, ok=None, **more):
    row = {"bench": "prove", "case": case, "value": round(value, 3), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=ok)
    print(json.dumps({**row, **more}), flush=True)
    return ok is not False


def starts(proof):
    return sum(t["starts"] for t in proof["trials"])


def bound(proof):
    """Baselines, settings, confirmations, failures that repeat, and a bisection for each of the k
    privileges that stay among the n asked (and once more where nothing stays)."""
    asked = [v for v in proof["verdicts"] if v["axis"] != "port"]
    kept = [v for v in asked if v["verdict"] in ("needed", "fixable")]
    k, n = len(kept), max(len(asked), 2)
    return math.floor(2 + 3 + 4 + 4 * k + 2 * (k + 1) * math.log2(n))


class Llama(llama_test.Llama):
    def words(self):
        volume = f"{self.models}:/models"
        return self.llama, llama_test.ARGV, ["--volume", volume], llama_test.CHECKS


class Planted(planted_test.Prover):
    def __init__(self, server):
        super().__init__()
        self.server = server

    def words(self):
        row = planted_test.expectation(self.server, "kubernetes")
        return *super().words(self.server, row), row.get("checks", planted_test.TRUTH["checks"])


def contest(name, ground):
    """One row for `name`; (our starts, theirs, our seconds, theirs), None where there is no proof."""
    ground.setUp()
    try:
        root, argv, more, checks = ground.words()
        results = []
        for manner in ([], ["--one-by-one"]):
            out = ground.dir / f"out{len(manner)}"
            results.append(
                ground.prove(root, argv, *more, *manner, out=out, checks=checks, timeout=1200)
            )
        (ours, proof), (theirs, other) = results
        if proof is None or other is None:
            print(f"{name}: no proof\n{ours}\n{theirs}", file=sys.stderr)
            return None
        most, row = bound(proof), (starts(proof), starts(other), ours.seconds, theirs.seconds)
        say(
            name,
            row[0] / row[1],
            "ratio",
            starts=row[0],
            startsOneByOne=row[1],
            seconds=round(row[2], 1),
            secondsOneByOne=round(row[3], 1),
            bound=most,
            withinBound=row[0] <= most,
        )
        return row if row[0] <= most else None
    finally:
        ground.doCleanups()


def has_proof(server):
    row = planted_test.expectation(server, "kubernetes")
    return not row.get("flaky") and not row.get("network") and row["exit"] in (0, [0])


def grounds():
    """[(name, ground)]"""
    names = [w for w in OPTIONS.words if "/" not in w] or SOME.split()
    servers = {s["name"]: s for s in planted_test.TRUTH["servers"] if has_proof(s)}
    if OPTIONS.all:
        names = ["llama-server", *servers]
    return [(n, Llama("test_oci") if n == "llama-server" else Planted(servers[n])) for n in names]


def main():
    end = time.monotonic() + OPTIONS.minutes * 60
    left_out, rows = [], []

    def run(job):
        name, ground = job
        if time.monotonic() > end:
            left_out.append(name)
            return
        rows.append(contest(name, ground))

    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(OPTIONS.jobs) as pool:
        list(pool.map(run, grounds()))
    if left_out:
        print(f"no time was left for {', '.join(left_out)}", file=sys.stderr)
    good = [r for r in rows if r is not None]
    if not good:
        return 1
    ratio = sum(r[0] for r in good) / sum(r[1] for r in good)
    ratios = [r[0] / r[1] for r in good]
    fine = say("all: starts", ratio, "ratio", f"<= {GOAL}", ratio <= GOAL, servers=len(good))
    say("worst server: starts", max(ratios), "ratio")
    say("median server: starts", statistics.median(ratios), "ratio")
    say("all: seconds", sum(r[2] for r in good) / sum(r[3] for r in good), "ratio")
    say("wall time", time.monotonic() - began, "s")
    return 0 if fine and len(good) == len(rows) else 1


if __name__ == "__main__":
    sys.exit(main())
