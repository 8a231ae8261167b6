#!/usr/bin/python3
"""Every #include "..." in src/ keeps to the folder table in ARCHITECTURE.md."""
import pathlib
import re
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
NOUNS = ["privilege", "target", "evidence", "verdict"]
ROW = re.compile(r"^\|\s*`(\w+)/`\s*\|.*\|([^|]*)\|\s*$")
INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"')
SOURCES = {".cc", ".c", ".h"}


def read_table(text):
    """{folder: the set of folders that it may include, itself among them}"""
    rows = {m[1]: m[2] for m in map(ROW.match, text.splitlines()) if m}
    table = {}
    for folder, cell in rows.items():
        words = re.findall(r"\w+", cell)
        allowed = {folder, "base"}
        for word in words:
            allowed |= set(rows) if word == "all" else set(NOUNS) if word == "nouns" else {word}
        unknown = allowed - set(rows)
        if unknown:
            raise ValueError(f"the row of {folder}/ names {sorted(unknown)}, which have no row")
        table[folder] = allowed
    return table


def violations(root):
    """["src/a/b.cc:3: why"], and how many includes were checked."""
    table = read_table((root / "ARCHITECTURE.md").read_text())
    found, checked = [], 0
    for path in sorted((root / "src").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        name = path.relative_to(root)
        folder = name.parts[1]
        if folder not in table:
            found.append(f"{name}:1: {folder}/ has no row in ARCHITECTURE.md's table")
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            checked += 1
            why = refused(root, table, path, folder, match[1])
            if why:
                found.append(f'{name}:{number}: "{match[1]}": {why}')
    return found, checked


def refused(root, table, path, folder, included):
    """Why `path`, of `folder`, may not include `included`; None when it may."""
    parts = pathlib.PurePosixPath(included).parts
    if ".." in parts:
        return "write the path from src/ on"
    if len(parts) == 1:
        return (
            None
            if (path.parent / included).exists()
            else "no such file beside it; write folder/file.h"
        )
    if parts[0] not in table:
        return f"{parts[0]}/ has no row in ARCHITECTURE.md's table"
    if parts[0] not in table[folder]:
        return f"{folder}/ may not use {parts[0]}/"
    in_kernel = path.is_relative_to(root / "src/record/bpf")
    if in_kernel and included != "record/wire.h" and parts[:2] != ("record", "bpf"):
        return "the kernel side shares record/wire.h alone"
    return None


class Tree(unittest.TestCase):
    def test_every_include_keeps_to_the_table(self):
        found, checked = violations(ROOT)
        self.assertFalse(found, "\n" + "\n".join(found))
        self.assertGreater(checked, 50)


class Rule(unittest.TestCase):
    """The rule on a small tree, so that it is known to fail where it should."""

    TABLE = (
        "| folder | purpose | may use |\n|---|---|---|\n"
        "| `base/` | x | - |\n| `sys/` | x | base |\n"
        "| `privilege/` | x | base |\n| `target/` | x | privilege |\n"
        "| `evidence/` | x | privilege |\n"
        "| `verdict/` | x | nouns |\n| `prove/` | a, b | nouns |\n"
        "| `record/` | x | nouns, sys |\n| `cli/` | x | all |\n"
    )

    def judge(self, path, line):
        with tempfile.TemporaryDirectory() as directory:
            root = pathlib.Path(directory)
            (root / "ARCHITECTURE.md").write_text(self.TABLE)
            (root / path).parent.mkdir(parents=True)
            (root / path).write_text(f"// a comment\n{line}\n")
            return violations(root)[0]

    def test_allowed(self):
        for path, included in [
            ("src/prove/a.cc", "verdict/v.h"),
            ("src/prove/a.cc", "base/r.h"),
            ("src/prove/a.cc", "prove/a.h"),
            ("src/cli/a.cc", "record/r.h"),
            ("src/record/bpf/a.bpf.c", "record/wire.h"),
        ]:
            self.assertEqual(self.judge(path, f'#include "{included}"'), [], (path, included))

    def test_refused_with_file_and_line(self):
        for path, included, why in [
            ("src/prove/a.cc", "sys/pid.h", "prove/ may not use sys/"),
            ("src/base/a.cc", "privilege/p.h", "base/ may not use privilege/"),
            ("src/prove/a.cc", "novel/n.h", "novel/ has no row"),
            ("src/prove/a.cc", "absent.h", "no such file beside it"),
            ("src/prove/a.cc", "../sys/pid.h", "write the path from src/"),
            ("src/record/bpf/a.bpf.c", "record/recorder.h", "record/wire.h alone"),
        ]:
            found = self.judge(path, f'  # include "{included}"')
            self.assertEqual(len(found), 1, (path, included))
            self.assertTrue(found[0].startswith(f"{path}:2: "), found)
            self.assertIn(why, found[0])
        self.assertIn("novel/ has no row", self.judge("src/novel/a.cc", "")[0])


if __name__ == "__main__":
    sys.exit(unittest.main())
