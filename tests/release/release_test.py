#!/usr/bin/python3
"""The release binary asks nothing of the system but its kernel: it names no library and no symbol
version, and runs alone in an empty root and in that of an older distribution.

PARE_BUILD names the release build's directory (build/release)."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PARE = pathlib.Path(os.environ.get("PARE_BUILD", ROOT / "build/release")) / "pare"
COMPOSE = "services:\n  llm:\n    image: nvcr.io/nim/meta/llama:1\n    privileged: true\n"


def output(*command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          **options)


class Release(unittest.TestCase):
    def runs_in(self, root):
        """Every kind of work but containers: text in, text out, the recorder on this kernel."""
        shutil.copy2(PARE, root / "pare")
        (root / "compose.yaml").write_text(COMPOSE)
        version = output("chroot", root, "/pare", "--version")
        self.assertEqual(version.returncode, 0, version.stdout)
        audit = output("chroot", root, "/pare", "audit", "/compose.yaml", "--json")
        self.assertEqual(audit.returncode, 1, audit.stdout)
        self.assertIn("PARE", audit.stdout)
        # The host's kernel as the host itself sees it, with the pseudo file systems alone.
        for at in ("proc", "sys"):
            (root / at).mkdir(exist_ok=True)
        inside = output("unshare", "--mount", "sh", "-c",
                        'mount --rbind /proc "$0/proc" && mount --rbind /sys "$0/sys" && '
                        'exec chroot "$0" /pare doctor --recorder', root)
        outside = output(PARE, "doctor", "--recorder")
        self.assertEqual((inside.returncode, inside.stdout), (outside.returncode, outside.stdout))

    def test_it_names_no_library_and_no_interpreter(self):
        dynamic = output("readelf", "-d", PARE).stdout
        self.assertNotIn("NEEDED", dynamic)
        self.assertNotIn("INTERP", output("readelf", "-l", PARE).stdout)
        self.assertNotIn("GLIBC_", output("readelf", "-V", PARE).stdout)
        self.assertIn("DYN", output("readelf", "-h", PARE).stdout)  # position independent

    def test_it_runs_in_an_empty_root(self):
        with tempfile.TemporaryDirectory(prefix="pare-release-") as name:
            self.runs_in(pathlib.Path(name))

    def test_it_runs_beside_an_older_library(self):
        """Debian 11: glibc 2.31, older than RHEL 9's 2.34 and Ubuntu 22.04's 2.35."""
        with tempfile.TemporaryDirectory(prefix="pare-release-") as name:
            root = pathlib.Path(name) / "root"
            made = output("mmdebstrap", "--quiet", "--mode=root", "--format=directory",
                          "--variant=extract", "--include=libc6",
                          "--aptopt=Acquire::Check-Valid-Until \"false\"", "bullseye", root)
            self.assertEqual(made.returncode, 0, made.stdout)
            self.assertTrue(list(root.glob("lib/x86_64-linux-gnu/libc-2.31.so")))
            self.runs_in(root)


unittest.main()
