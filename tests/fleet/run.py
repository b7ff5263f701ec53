#!/usr/bin/env python3
"""Runs fleets of moed behind HAProxy and nginx: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

The proxies run the configurations of deploy/ as they are, but for addresses. Times are printed and
never asserted. Ends with a line "N passed, N failed, N skipped".
"""
import argparse
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
MODULES = ["test_shards", "test_routing", "test_retries", "test_failover"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get(
        "MOED_BIN", os.path.join(ROOT, "build/src/cli/moed")))
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    sys.path[:0] = [HERE, os.path.join(ROOT, "tests/e2e")]
    suite = unittest.defaultTestLoader.loadTestsFromNames(arguments.tests)
    result = unittest.TextTestRunner(verbosity=2, stream=sys.stdout).run(suite)
    for test, reason in result.skipped:
        print(f"skipped {test.id()}: {reason}")
    bad = {str(test) for test, _ in result.failures + result.errors}
    passed = max(0, result.testsRun - len(bad) - len(result.skipped))
    print(f"{passed} passed, {len(bad)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
