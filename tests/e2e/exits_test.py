#!/usr/bin/python3
"""A static program that only exits: no capability, and exactly the system calls strace shows."""
import json
import re
import shutil
import subprocess
import sys
import unittest

import harness

CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)(?:\(| resumed>)")


class Exits(harness.Ground):
    def test_evidence_is_what_strace_shows(self):
        if shutil.which("strace") is None:
            harness.cannot(self, "strace is not installed")
        root = self.root("exits")
        trace, out = self.dir / "trace", self.dir / "out"
        # strace follows pare, the runtime and the container: one run, seen by both.
        subprocess.run(
            [
                "strace",
                "-f",
                "-o",
                trace,
                harness.PARE,
                "observe",
                "--rootfs",
                root,
                "--network",
                "none",
                "-o",
                out,
                "--",
                "/exits",
            ],
            env=self.environment(),
            timeout=300,
            check=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        evidence = json.loads((out / "evidence.json").read_text())
        self.assertEqual(evidence["coverage"], "entry")
        self.assertEqual(evidence["capabilities"], [])
        self.assertEqual(evidence["loss"], {"events": 0, "maps": []})
        seen = calls_since_execve(trace, "/exits")
        self.assertGreater(len(seen), 3, "strace saw too little to compare with")
        self.assertEqual({s["name"]: s["count"] for s in evidence["syscalls"]}, seen)


def calls_since_execve(trace, program):
    """{system call: count} of the process that executed `program`, its execve included."""
    counts, pid = {}, None
    for line in trace.read_text(errors="replace").splitlines():
        match = CALL.match(line)
        if not match:
            continue
        if pid is None and f'execve("{program}"' in line:
            pid = match[1]
        # "resumed" is the second half of a call that was counted at its first.
        if match[1] == pid and "resumed>" not in line:
            counts[match[2]] = counts.get(match[2], 0) + 1
    return counts


if __name__ == "__main__":
    sys.exit(unittest.main())
