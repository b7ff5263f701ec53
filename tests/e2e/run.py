#!/usr/bin/env python3
"""Runs the end-to-end tests: run.py [--moed BINARY] [--golden DIR] [MODULE[.CLASS[.TEST]] ...]

Prints failures and skips by name and ends with a line "N passed, N failed, N skipped".
"""
import argparse
import os
import sys

import counting

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULES = sorted(name[:-3] for name in os.listdir(HERE) if name.startswith("test_") and name.endswith(".py"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get(
        "MOED_BIN", os.path.join(ROOT, "build/src/cli/moed")))
    parser.add_argument("--golden", default=os.environ.get(
        "MOED_GOLDEN", os.path.join(ROOT, "tests/golden")))
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    os.environ["MOED_GOLDEN"] = os.path.abspath(arguments.golden)
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
