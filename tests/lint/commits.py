#!/usr/bin/env python3
"""Commits since the rule came: `area: verb object`, at most 72 columns, one topic, the why in the body
(CONTRIBUTING.md). Prints complaints and a count."""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SINCE = "9539505"  # the last commit before the rule
SUBJECT = re.compile(r"[a-z0-9][\w./, -]*: [a-z]\S* .*\S")


def complaints(subject):
    if len(subject) > 72:
        yield f"{len(subject)} columns, the limit is 72"
    if not SUBJECT.fullmatch(subject):
        yield 'expected "area: verb object"'
    if ";" in subject:
        yield "a semicolon: one topic a commit"
    if subject.endswith("."):
        yield "ends in a full stop"


def subjects():
    """The new commits' subjects; None where history does not reach back (a shallow clone)."""
    found = subprocess.run(["git", "log", "--no-merges", "--format=%h %s", f"{SINCE}..HEAD"], cwd=ROOT,
                           capture_output=True, text=True)
    return found.stdout.splitlines() if found.returncode == 0 else None


def main():
    lines = subjects()
    if lines is None:
        print("skip  commits: the history is not here\n0 passed, 0 failed, 1 skipped")
        return 0
    found = [(line, complaint) for line in lines for complaint in complaints(line.split(" ", 1)[1])]
    for line, complaint in found:
        print(f"{line}: {complaint}")
    print(f"{int(not found)} passed, {int(bool(found))} failed")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
