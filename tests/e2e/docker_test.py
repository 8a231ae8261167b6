#!/usr/bin/python3
"""The same verdicts through the Docker Engine API: planted servers as images of docker run lines.

    docker_test.py [-v] [NAME...]      NAME: only these servers
"""
import sys
import unittest

import harness
import planted_test

SERVERS = (
    "nothing",
    "raw_infer",
    "raw_tolerated",
    "port80",
    "batch_spool",
    "cache_third",
    "drop_self",
    "model_owner",
    "exec_cache",
    "admin_port",
    "numa_start",
)


class Docker(harness.Ground):
    names = SERVERS

    def test_planted_servers(self):
        daemon = self.docker_daemon()
        rows = {s["name"]: s for s in planted_test.TRUTH["servers"]}
        for name in self.names:
            for platform in planted_test.PLATFORMS:
                with self.subTest(server=name, platform=platform):
                    differences, run = planted_test.judge(rows[name], platform, daemon)
                    print(
                        f"{name:20} {platform:10} exit {run.code} {run.seconds:5.1f} s  "
                        + ("NOT as planted" if differences else "as planted"),
                        flush=True,
                    )
                    self.assertFalse(differences, f"\n{planted_test.table(differences)}\n{run}")
                    self.assertEqual(daemon.containers(), [])


if __name__ == "__main__":
    Docker.names = [w for w in sys.argv[1:] if w != "-v"] or SERVERS
    sys.exit(unittest.main(defaultTest="Docker", argv=sys.argv[:1] + ["-v"] * ("-v" in sys.argv)))
