#!/usr/bin/python3
"""docs/pare.1 names every verb and every long option that --help names, and no other."""
import os
import pathlib
import re
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(__file__).resolve().parent.parent
PARE = pathlib.Path(os.environ["PARE_BUILD"]) / "pare"


def help_of(*words):
    return subprocess.run([PARE, *words, "--help"], capture_output=True, text=True, check=True).stdout


def sections():
    """{verb: its text} of the man page, with roff's escapes undone."""
    text = (SOURCE / "docs/pare.1").read_text().replace("\\-", "-")
    parts = re.split(r"^\.S[SH] ", text, flags=re.M)
    return {part.split()[1]: part for part in parts if part.startswith("pare ")}


class ManPage(unittest.TestCase):
    def test_verbs(self):
        listed = help_of().split("Subcommands:")[1].split("\n\n")[0]
        verbs = re.findall(r"^  (\w+)", listed, flags=re.M)
        self.assertIn("prove", verbs)
        self.assertEqual(set(sections()), set(verbs))

    def test_options(self):
        pages = sections()
        for verb, page in pages.items():
            helped = set(re.findall(r"(--[a-z][a-z-]+)", help_of(verb).split("Options:")[1])) - {"--help"}
            named = set(re.findall(r"^\.B (--[a-z][a-z-]+)", page, flags=re.M))
            if verb in ("observe", "telemetry"):  # "the target options of prove"
                named |= set(re.findall(r"^\.B (--[a-z][a-z-]+)", pages["prove"], flags=re.M)) & helped
            for option in re.findall(r"(--[a-z][a-z-]+)", page):
                self.assertIn(option, helped | {"--"} | named, f"{verb}: the page names {option}")
            own = {o for o in helped if re.search(rf"^  (?:-\w,)?{o}\b", help_of(verb), flags=re.M)}
            self.assertEqual(named, own, verb)


if __name__ == "__main__":
    sys.exit(unittest.main())
