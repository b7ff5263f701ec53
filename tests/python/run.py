#!/usr/bin/env python3
"""Tests the Python client against running servers: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

Makes a virtual environment with the client in it, and goes on there. Ends with a line
"N passed, N failed, N skipped".
"""
import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path += [str(ROOT / "tests"), str(ROOT / "tests/e2e")]

import counting  # noqa: E402
import packages  # noqa: E402

MODULES = ["test_calls", "test_submit", "test_lane", "test_failures", "test_retry", "test_shards", "test_gguf", "test_package"]
PACKAGES = ["numpy==2.3.5", "ml-dtypes==0.5.4", "mypy==1.19.0", "setuptools==80.9.0"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=ROOT / "build/src/cli/moed")
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    missing = packages.enter("python", *PACKAGES, client=True)
    if missing:
        return counting.skip("python", missing)

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    os.environ["MOED_CLIENT_LIBRARY"] = os.path.join(os.path.dirname(os.environ["MOED_BIN"]), "../libmoed-client.so")
    os.environ["MOED_GOLDEN"] = str(ROOT / "tests/golden")
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
