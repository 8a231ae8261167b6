#!/usr/bin/python3
"""pare run by crun instead of runc: gate, seal, sweep; and what a policy does under it."""
import os
import subprocess
import sys
import unittest

import harness
import run_test

# These expect runc's words and exit codes.
RUNCS_OWN = (
    "WhatThePolicyItselfPreventsIsAnExit",
    "WhatTheHostLacksIsAnErrorAndLeavesNothing",
    "ARuntimeThatIsUnknownOrCannotWorkHereIsSaid",
)


class Crun(run_test.Planted):
    test_restarted_after_a_crash_and_health = test_paths = None
    test_beacon_gets_nothing_out = test_what_is_refused_beforehand = None

    def setUp(self):
        super().setUp()
        self.take_crun()

    def test_policies(self):
        names = ":".join("OciTest." + name for name in RUNCS_OWN)
        done = subprocess.run(
            [*self.before, harness.BUILD / "bin/engine_test", f"--gtest_filter=OciTest.*-{names}"],
            env={**os.environ, "PARE_TEST_RUNTIME": "crun"},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_doctor(self):
        self.assertRegex(self.pare("doctor").out, r"ok +crun +crun 1\.")


if __name__ == "__main__":
    sys.exit(unittest.main())
