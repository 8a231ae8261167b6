#!/usr/bin/python3
"""What cannot work is refused in one sentence, with the documented exit code; nothing is left."""
import pathlib
import shutil
import subprocess
import sys
import unittest

import harness

USAGE, HOST, BASELINE = 2, 3, 4


class Errors(harness.Ground):
    def setUp(self):
        super().setUp()
        self.traces = harness.Traces(self.dir)

    def refused(self, run, code, *words):
        """`run` ended with `code`, its last words a sentence with all of `words`; nothing is left."""
        self.assertEqual(run.code, code, run)
        lines = run.err.strip().splitlines()
        self.assertTrue(lines, run)
        self.assertTrue(lines[-1].startswith("pare: "), run)
        self.assertEqual(sum(line.startswith("pare: ") for line in lines), 1, run)
        for word in words:
            self.assertIn(word.lower(), lines[-1].lower(), run)
        self.assertLess(len(lines[-1]), 500, run)
        self.assertEqual(run.out.strip(), "", run)
        self.assertFalse((self.dir / "out/proof.json").exists(), run)
        self.assertEqual(self.traces.left(), [], run)

    def without_file(self, directory, *argv):
        """Runs pare in a mount namespace of its own where `directory` is empty."""
        script = 'mount -t tmpfs none "$1" && shift && exec "$@"'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-c", script, "sh", directory, harness.PARE, *argv],
            capture_output=True,
            text=True,
            timeout=120,
            env=self.environment(),
            check=False,
        )
        return harness.Run([*argv], done.returncode, done.stdout, done.stderr, 0)

    def words(self, root, *more, program="/nothing"):
        return [
            "prove",
            "--rootfs",
            str(root),
            "--network",
            "none",
            "-o",
            str(self.dir / "out"),
            "--check",
            harness.INFER,
            *more,
            "--",
            program,
        ]

    def test_not_root(self):
        # The copy: the tree above the build directory may be closed to others.
        shutil.copy(harness.PARE, self.dir / "pare")
        self.dir.chmod(0o755)
        root = self.root("nothing")
        for verb in (["doctor"], self.words(root)):
            done = subprocess.run(
                [
                    "setpriv",
                    "--reuid=65534",
                    "--regid=65534",
                    "--clear-groups",
                    self.dir / "pare",
                    *verb,
                ],
                capture_output=True,
                text=True,
                timeout=60,
                env=self.environment(),
                check=False,
            )
            run = harness.Run(verb, done.returncode, done.stdout, done.stderr, 0)
            if verb == ["doctor"]:
                self.assertEqual(run.code, HOST, run)
                self.assertIn("root", run.out, run)
            else:
                self.refused(run, HOST, "root")

    def test_no_btf(self):
        if not pathlib.Path("/sys/kernel/btf/vmlinux").exists():
            harness.cannot(self, "the kernel has no BTF that could be hidden")
        self.refused(
            self.without_file("/sys/kernel/btf", *self.words(self.root("nothing"))),
            HOST,
            "BTF",
            "--no-record",
        )
        doctor = self.without_file("/sys/kernel/btf", "doctor")
        self.assertEqual(doctor.code, HOST, doctor)
        self.assertIn("BTF", doctor.out, doctor)

    def test_no_runc(self):
        empty = self.dir / "bin"
        empty.mkdir()
        env = self.environment(PATH=str(empty))
        self.refused(self.pare(*self.words(self.root("nothing")), env=env), HOST, "runc", "install")
        doctor = self.pare("doctor", env=env)
        self.assertEqual(doctor.code, HOST, doctor)
        self.assertIn("runc", doctor.out, doctor)

    def test_no_docker(self):
        absent = self.dir / "absent.sock"
        env = self.environment(DOCKER_HOST=f"unix://{absent}")
        run = self.pare(
            "prove",
            "-o",
            self.dir / "out",
            "--check",
            harness.INFER,
            "--",
            "docker",
            "run",
            "server:1",
            env=env,
        )
        self.refused(run, HOST, "docker", str(absent))
        doctor = self.pare("doctor", env=env)
        self.assertIn(str(absent), doctor.out, doctor)

    def test_no_such_root(self):
        self.refused(self.pare(*self.words(self.dir / "absent")), USAGE, str(self.dir / "absent"))

    def test_no_such_program(self):
        root = self.root("nothing")
        self.refused(
            self.pare(*self.words(root, program="/bin/server")), USAGE, "/bin/server", str(root)
        )

    def test_program_that_cannot_run(self):
        root = self.root("nothing")
        (root / "data").write_text("no program")
        (root / "data").chmod(0o644)
        self.refused(self.pare(*self.words(root, program="/data")), USAGE, "/data")

    def test_baseline_fails_its_check(self):
        root = self.root("nothing")
        run = self.pare(
            *self.words(
                root,
                "--check",
                "http://:8000/infer;method=POST;body=x;match=forty-three;name=wrong;within=2s",
                "--ready-within",
                "5s",
            )
        )
        self.refused(run, BASELINE, "wrong", "forty-three")

    def test_baseline_ends_by_itself(self):
        self.refused(
            self.pare(*self.words(self.root("exits"), program="/exits")), BASELINE, "exit", "0"
        )

    def test_check_that_can_never_pass(self):
        root = self.root("nothing")
        run = self.pare(
            *self.words(
                root, "--check", "http://:9999/infer;within=2s;name=nobody", "--ready-within", "5s"
            )
        )
        self.refused(run, BASELINE, "nobody", "9999")

    def test_server_on_loopback_alone(self):
        run = self.pare(
            *self.words(
                self.root("loopback_only"), "--ready-within", "5s", program="/loopback_only"
            )
        )
        self.refused(run, BASELINE, "127.0.0.1")

    def test_key_that_is_unset(self):
        env = self.environment(DOCKER_HOST=f"unix://{self.dir}/absent.sock")
        env.pop("NGC_API_KEY", None)
        run = self.pare(
            "prove",
            "-o",
            self.dir / "out",
            "--",
            "docker",
            "run",
            "-e",
            "NGC_API_KEY",
            "server:1",
            env=env,
        )
        self.refused(run, USAGE, "NGC_API_KEY", "-e")

    def test_option_of_docker_that_is_unknown(self):
        env = self.environment(DOCKER_HOST=f"unix://{self.dir}/absent.sock")
        run = self.pare(
            "prove",
            "-o",
            self.dir / "out",
            "--",
            "docker",
            "run",
            "--frobnicate",
            "server:1",
            env=env,
        )
        self.refused(run, USAGE, "--frobnicate")

    def test_full_disk(self):
        full = self.dir / "full"
        full.mkdir()
        root = self.root("nothing")
        for size in ("4k", "12k", "28k"):
            with self.subTest(size=size):
                subprocess.run(
                    ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", full], check=True
                )
                self.traces = harness.Traces(self.dir)
                try:
                    words = self.words(root)
                    words[words.index("-o") + 1] = str(full / "out")
                    run = self.pare(
                        *words, env=self.environment(PARE_STATE_DIR=str(full / "state"))
                    )
                    self.refused(run, HOST, "space")
                    self.assertFalse((full / "out/proof.json").exists())
                finally:
                    subprocess.run(["umount", full], check=True)

    def test_network_namespace_that_is_none(self):
        root = self.root("nothing")
        words = self.words(root)
        at = words.index("--network")
        for path in (str(self.dir / "absent"), "/etc/passwd"):
            words[at : at + 2] = ["--netns", path]
            self.refused(self.pare(*words), USAGE, "--netns", path)

    def test_numbers_and_ports_that_no_proof_has(self):
        proof = sorted((harness.SOURCE / "tests/corpus/proofs").glob("raw_infer.k*"))[0]
        run = ["run", proof, "--unconfirmed", "--rootfs", self.root("nothing")]
        self.refused(self.pare(*run, "--memory", "-1"), USAGE, "--memory", "-1")
        self.refused(self.pare(*run, "--publish", "1:9999"), USAGE, "9999", "--side-gate")

    def test_unknown_option(self):
        self.refused(self.pare("doctor", "--jsno"), USAGE, "--jsno", "pare doctor --help")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            for words in (["explain", "PARE001"], ["--version"], ["doctor", "--json"]):
                done = subprocess.run(
                    [harness.PARE, *words], stdout=full, stderr=subprocess.PIPE, text=True,
                    env=self.environment(), check=False,
                )
                self.assertEqual(done.returncode, HOST, words)
                self.assertIn("space", done.stderr, words)

    def test_doctor_of_a_host_that_can(self):
        doctor = self.pare("doctor")
        self.assertEqual(doctor.code, 0, doctor)
        for word in ("BTF", "runc", "cgroup"):
            self.assertIn(word, doctor.out, doctor)


if __name__ == "__main__":
    sys.exit(unittest.main())
