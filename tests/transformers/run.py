#!/usr/bin/env python3
"""Tests moed.transformers with models of transformers and running servers:
run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

Makes a virtual environment with torch (1.3 GB) and goes on there. Ends with a line
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
import without_cuda  # noqa: E402

MODULES = ["test_blocks", "test_types", "test_refusals", "test_generate", "test_readme"]
PACKAGES = ["numpy==2.3.5", "transformers==5.23.0", "setuptools==80.9.0", "typing-extensions==4.16.0",
            "sympy==1.14.0", "networkx==3.6.1", "jinja2==3.1.6"]
TORCH = ["torch==2.15.0"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=ROOT / "build/src/cli/moed")
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    missing = packages.enter("transformers", *PACKAGES, bare=TORCH, finish=without_cuda.stub, client=True)
    if missing:
        return counting.skip("transformers", missing)

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    os.environ["HF_HUB_OFFLINE"] = "1"
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
