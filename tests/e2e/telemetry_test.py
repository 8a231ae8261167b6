#!/usr/bin/python3
"""pare telemetry on planted programs: which obey their opt-out, and which do not."""
import json
import time
import unittest

from harness import INFER, Ground


class TelemetryTest(Ground):
    def telemetry(self, program, argv, *options):
        root = self.root(program, name=f"root-{time.monotonic_ns()}")
        out = self.dir / "out"
        run = self.pare(
            "telemetry", "--rootfs", root, "--network", "none", "-o", out, "--json",
            *options, "--", f"/{program}", *argv,
        )
        return run, json.loads(run.out) if run.out else None, out

    def test_each_mode_is_judged_right(self):
        for mode, verdict, code in (
            ("obeys", "works", 0),
            ("half", "partial", 1),
            ("ignores", "unknown to this server", 1),
            ("quiet", "works", 0),
        ):
            with self.subTest(mode=mode):
                run, found, _ = self.telemetry(
                    "telemetry", [mode], "--idle", "1500ms", "--env", "X_OPTOUT=1"
                )
                self.assertEqual(run.code, code, run)
                (variable,) = found["variables"]
                self.assertEqual(variable["verdict"], verdict, found)
                self.assertTrue(found["lossless"])
                tried = variable["control"]["203.0.113.5"]
                self.assertTrue(10 <= tried <= 31, found)
                self.assertEqual("203.0.113.5" in variable["without"], mode != "quiet")
                stages = found["baselineStages"]
                self.assertEqual("203.0.113.7" in stages["shutdown"], mode != "quiet", found)
                self.assertNotIn("203.0.113.7", stages["start-up and idle"])
                if mode == "half":
                    self.assertEqual(set(variable["with"]), {"203.0.113.6"})

    def test_each_stage_is_counted(self):
        words = ("telemetry_stages", [], "--idle", "1s", "--check", INFER, "--env", "Y=1")
        _, found, _ = self.telemetry(*words)
        stages = {name: set(hosts) for name, hosts in found["baselineStages"].items()}
        self.assertEqual(stages, {
            "start-up": {"203.0.113.11"},
            "idle": {"203.0.113.12"},
            "inference": {"203.0.113.13"},
            "shutdown": {"203.0.113.14"},
        }, found)
        (variable,) = found["variables"]
        self.assertEqual(set(variable["stages"]["with"]), set(stages))
        for host in found["baseline"]:
            total = sum(hosts.get(host, 0) for hosts in found["baselineStages"].values())
            self.assertEqual(total, found["baseline"][host])

    def test_nothing_is_not_compared_with_nothing(self):
        run, found, out = self.telemetry("telemetry", ["obeys"], "--idle", "500ms", "--env", "Y=on")
        self.assertEqual(found["variables"][0]["verdict"], "unknown to this server")
        self.assertEqual(found["variables"][0]["on"], "off")
        report = (out / "vendor.md").read_text()
        self.assertIn("Y=on: unknown to this server", report)
        self.assertIn("--env Y=on", report)
        run, found, _ = self.telemetry("nothing", [], "--idle", "300ms", "--env", "Y=1")
        self.assertEqual(run.code, 1, run)
        self.assertEqual(found["variables"][0]["verdict"], "unproven")

    def test_which_refusal_breaks_it(self):
        run, found, _ = self.telemetry(
            "egress_hang", [], "--idle", "0s", "--breakage", "--ready-within", "6s",
            "--check", INFER,
        )
        rows = {row["egress"]: row["ready"] for row in found["breakage"]}
        self.assertEqual(rows, {"unreachable": True, "refused": True, "silent": False}, run)
        self.assertEqual(run.code, 0, run)
        self.assertRegex(found["advice"], r"never becomes ready; refused at once .* refuse")

    def test_usage(self):
        run, _, _ = self.telemetry("nothing", [])
        self.assertEqual(run.code, 2, run)
        self.assertIn("--env NAME=VALUE", run.err)
        run, _, _ = self.telemetry("nothing", [], "--idle", "0s", "--env", "Y=1", "--refusal", "loud")
        self.assertEqual(run.code, 2, run)
        self.assertIn("--refusal is", run.err)


if __name__ == "__main__":
    unittest.main()
