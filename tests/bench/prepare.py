#!/usr/bin/python3
"""./dev bench prepare: 100,000 files owned, beside chown -R; a tree verified, beside sha256sum, in
one run. PARE_BENCH_MIB (2048) is the tree's size. One JSON object a line."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

BUILD = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else "build/release")
ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES, ROUNDS = 100_000, 5
MIB = int(os.environ.get("PARE_BENCH_MIB", "2048"))
PARTS = 16


def say(case, value, unit, goal=None, ok=None):
    row = {"bench": "prepare", "case": case, "value": round(value, 3), "unit": unit}
    if goal is not None:
        row.update(goal=goal, ok=ok)
    print(json.dumps(row), flush=True)


def timed(*command, cwd=None):
    start = time.monotonic()
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, cwd=cwd)
    return time.monotonic() - start


def own(program, work):
    tree = work / "files"
    for directory in range(100):
        (tree / str(directory)).mkdir(parents=True)
        for name in range(FILES // 100):
            (tree / str(directory) / str(name)).touch()
    ours, theirs = [], []
    for turn in range(ROUNDS):  # interleaved: a busy host slows both
        ours.append(timed(program, "--volume", tree, "--own", f"{1000 + turn}:1000"))
        theirs.append(timed("chown", "-R", f"{2000 + turn}:2000", tree))
    say("100,000 files owned", min(ours), "s")
    say("100,000 files, chown -R", min(theirs), "s")
    say("owned, beside chown -R", min(ours) / min(theirs), "ratio", "<= 1", min(ours) <= min(theirs))
    again = timed(program, "--volume", tree, "--own", f"{1000}:1000") and timed(
        program, "--volume", tree, "--own", f"{1000}:1000"
    )
    say("100,000 files that are right already", again, "s")


def verify(program, work):
    tree = work / "tree"
    tree.mkdir()
    block = os.urandom(1 << 20)
    for part in range(PARTS):
        with open(tree / str(part), "wb") as out:
            for _ in range(MIB // PARTS):
                out.write(block)
    subprocess.run([program, "--volume", tree, "--manifest", "m"], check=True, stdout=subprocess.DEVNULL)
    ours, theirs = [], []
    for _ in range(3):
        ours.append(timed(program, "--volume", tree, "--verify", "m"))
        theirs.append(timed("sha256sum", "--quiet", "-c", "m", cwd=tree))
    say(f"{MIB} MiB verified", min(ours), "s")
    say(f"{MIB} MiB, sha256sum", min(theirs), "s")
    say("verified, beside sha256sum", min(ours) / min(theirs), "ratio", "<= 1", min(ours) <= min(theirs))


def main():
    found = [p for p in (BUILD / "pare-prepare", ROOT / "build" / "pare-prepare") if p.exists()]
    if not found or os.geteuid() != 0:
        sys.exit("bench prepare: needs root and pare-prepare (./dev build release)")
    work = pathlib.Path(tempfile.mkdtemp(prefix="pare-bench-"))
    try:
        own(found[0].resolve(), work)
        verify(found[0].resolve(), work)
    finally:
        shutil.rmtree(work, ignore_errors=True)


main()
