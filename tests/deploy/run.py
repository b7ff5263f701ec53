#!/usr/bin/env python3
"""Tests what is in deploy/ against the program: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

Packages come from PyPI. Ends with a line "N passed, N failed, N skipped"."""
import argparse
import os
import pathlib
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ["test_kubernetes", "test_service", "test_prometheus", "test_grafana", "test_compose"]
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "tests/e2e")]

import packages  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get("MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    missing = packages.enter("deploy", "kubernetes-validate==1.35.0", "PyYAML==6.0.3", "compose-spec==0.2.1")
    if missing:
        print(f"skip  deploy: {missing}\n0 passed, 0 failed, 1 skipped")
        return 0
    suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.tests)
    result = unittest.TextTestRunner(verbosity=1, stream=sys.stdout).run(suite)
    for test, reason in result.skipped:
        print(f"skip  {test.id()}: {reason}")
    bad = {str(test) for test, _ in result.failures + result.errors}
    passed = result.testsRun - len(bad) - len(result.skipped)
    print(f"{max(0, passed)} passed, {len(bad)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
