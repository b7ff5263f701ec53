#!/usr/bin/env python3
"""Checks the rules of the house (rules.py) over the repository, a line a rule.
Usage: lint.py [RULE ...]"""
import pathlib
import sys

import rules
from source import Tree


def main(names):
    tree = Tree.of_repository(pathlib.Path(__file__).resolve().parents[2])
    passed = failed = skipped = 0
    for rule in rules.RULES:
        if names and rule.__name__ not in names:
            continue
        reason = rules.NEEDS.get(rule, lambda: None)()
        if reason:
            print(f"skip  {rule.__name__}: {reason}")
            skipped += 1
            continue
        complaints = list(rule(tree))
        print(f"{'FAIL' if complaints else 'ok'}  {rule.__name__}: {rule.__doc__}")
        for complaint in complaints:
            print(f"      {complaint}")
        passed += not complaints
        failed += bool(complaints)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
