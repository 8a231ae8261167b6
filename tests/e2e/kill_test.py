#!/usr/bin/python3
"""pare killed at random moments: nothing is left, no trial is repeated, the verdicts are the same."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

import harness

# Kills wanted in all and in one proof; a proof that ends before its kill is tried again.
WANTED, KILLS, MOST_SERIES = 15, 4, 20


class Kill(harness.Ground):
    def words(self, root, out, *more):
        return [
            "prove",
            "--rootfs",
            root,
            "--network",
            "none",
            "-o",
            out,
            "--check",
            harness.INFER + ";repeat=3",
            "--json",
            *more,
            "--",
            "/cache_third",
        ]

    def killed(self, words, after):
        """Runs pare, SIGKILLs it `after` seconds; False when it had ended before."""
        child = subprocess.Popen(
            [harness.PARE, *map(str, words)],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            child.wait(after)
            return False
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            return child.wait() == -signal.SIGKILL

    def finished(self, out):
        """{trial: what identifies its outcome file} of the trials that journal.jsonl has finished."""
        path = out / "journal.jsonl"
        if not path.exists():
            return {}
        # The last line may be torn: its writer was killed.
        lines = [line for line in path.read_text().splitlines(True) if line.endswith("\n")]
        ids = [e["finished"] for e in map(json.loads, lines) if "finished" in e]
        self.assertEqual(len(ids), len(set(ids)), "the journal names a trial twice")
        files = {i: (out / f"trials/{i}/outcome.json").stat() for i in ids}
        return {i: (f.st_ino, f.st_mtime_ns) for i, f in files.items()}

    def test_kill_and_resume(self):
        seed = int(os.environ.get("PARE_SEED", time.time_ns() % 100000))
        print(f"PARE_SEED={seed}")
        rng = random.Random(seed)
        self.root_fs = self.root("cache_third", {"dirs": {"/cache": "0755"}})
        self.traces = harness.Traces(self.dir)
        whole = self.pare(*self.words(self.root_fs, self.dir / "whole"))
        self.assertEqual(whole.code, 0, whole)
        wanted = verdicts(self.dir / "whole")
        kills = series = 0
        while kills < WANTED and series < MOST_SERIES:
            with self.subTest(seed=seed, series=series):
                kills += self.series(rng, self.dir / f"out{series}", whole.seconds, wanted)
            series += 1
        self.assertGreaterEqual(kills, WANTED, "too few runs were killed in time")

    def test_every_gap_between_two_lines(self):
        """The journal as a kill leaves it after each line, and in the middle of each."""
        self.root_fs = self.root("cache_third", {"dirs": {"/cache": "0755"}})
        whole = self.dir / "whole"
        run = self.pare(*self.words(self.root_fs, whole))
        self.assertEqual(run.code, 0, run)
        wanted = verdicts(whole)
        lines = (whole / "journal.jsonl").read_text().splitlines(True)
        self.assertGreater(len(lines), 6)
        for kept in range(len(lines)):
            with self.subTest(lines=kept):
                out = self.dir / f"cut{kept}"
                shutil.copytree(whole, out, copy_function=shutil.copy2)
                (out / "proof.json").unlink()
                torn = lines[kept][: len(lines[kept]) // 2]
                (out / "journal.jsonl").write_text("".join(lines[:kept]) + torn)
                before = self.finished(out)
                resumed = self.pare(*self.words(self.root_fs, out, "--resume"))
                self.assertEqual(resumed.code, 0, resumed)
                after = self.finished(out)
                self.assertEqual({i: after.get(i) for i in before}, before, "a trial was repeated")
                self.assertEqual(verdicts(out), wanted)

    def series(self, rng, out, seconds, wanted):
        """Kills one proof up to KILLS times, then lets it end; how often it was killed in time."""
        done, kills = {}, 0
        while kills < KILLS and not (out / "proof.json").exists():
            # What is done already takes no time again.
            left = seconds * (1 - len(done) / max(self.trials_of_whole(), 1))
            after = rng.uniform(0.01, max(left, 0.5))
            if not self.killed(
                self.words(self.root_fs, out, *(["--resume"] if kills else [])), after
            ):
                break
            kills += 1
            now = self.finished(out)
            self.assertEqual({i: now.get(i) for i in done}, done, "a finished trial was repeated")
            done = now
            if rng.random() < 0.5:
                clean = self.pare("clean")
                self.assertEqual(clean.code, 0, clean)
                self.assertEqual(self.traces.left(), [], f"after a kill at {after:.2f} s")
        if not (out / "proof.json").exists():
            last = self.pare(*self.words(self.root_fs, out, "--resume"))
            self.assertEqual(last.code, 0, last)
        now = self.finished(out)
        self.assertEqual({i: now.get(i) for i in done}, done, "a finished trial was repeated")
        self.assertEqual(verdicts(out), wanted)
        self.assertEqual(self.traces.left(), [])
        return kills

    def trials_of_whole(self):
        return len(self.finished(self.dir / "whole"))


def verdicts(out):
    return {
        v["privilege"]: v["verdict"]
        for v in json.loads((out / "proof.json").read_text())["verdicts"]
    }


if __name__ == "__main__":
    sys.exit(unittest.main())
