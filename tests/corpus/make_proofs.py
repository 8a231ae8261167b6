#!/usr/bin/python3
"""Proves planted servers and writes tests/corpus/proofs/NAME.PLATFORM.json: real proofs for the
tests of what is emitted. Run it again where a proof's form changes. Directories of the run are
named /srv/pare.

    PARE_BUILD=$PWD/build tests/corpus/make_proofs.py [NAME...]
"""
import contextlib
import json
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
import harness  # noqa: E402
import planted_test  # noqa: E402

# One for each thing that an emitter has to say: nothing, a capability, scratch space (one that is
# filled from the image, one that is executed), a low port, owners, volumes, a pull, egress, a
# privileged call, new privileges.
NAMES = ("nothing raw_infer cache_third hidden_by_tmpfs exec_cache port80 model_owner two_owners "
         "volume_log pull_cold egress_infer personality_start suid_helper mknod_ready").split()


class Proofs(harness.Ground):
    def test_all(self):
        for name in sys.argv[1:] or NAMES:
            for platform in planted_test.PLATFORMS:
                self.make(name, platform)

    def make(self, name, platform):
        row = planted_test.expectation(
            next(s for s in planted_test.TRUTH["servers"] if s["name"] == name), platform)
        place = self.dir / f"{name}-{platform}"
        root = harness.make_root(place / "root", name, row.get("root"))
        options = list(row.get("options", []))
        for i, volume in enumerate(row.get("volumes", [])):
            source = harness.make_volume(place / f"volume{i}", volume)
            options += ["--volume", f"{source}:{volume['path']}"]
        with contextlib.ExitStack() as stack:
            netns = stack.enter_context(harness.network(place)) if row.get("network") else None
            run, proof = self.prove(
                root, ["/" + name, *row.get("args", [])], *options, out=place / "out",
                checks=row.get("checks", [harness.INFER]), platform=platform, netns=netns)
        self.assertEqual(run.code, 0, run)
        text = json.dumps(proof, indent=1).replace(str(place), f"/srv/pare/{name}") + "\n"
        (HERE / "proofs").mkdir(exist_ok=True)
        (HERE / "proofs" / f"{name}.{platform}.json").write_text(text)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
