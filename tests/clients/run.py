#!/usr/bin/env python3
"""Other people's clients against a running server: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]

Makes a virtual environment with the clients in it, unmodified, and goes on there. Ends with a line
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

MODULES = sorted(path.stem for path in HERE.glob("test_*.py"))
PACKAGES = ["tritonclient==2.73.0", "numpy==2.3.5", "ml-dtypes==0.5.4", "python-rapidjson==1.25",
            "urllib3==2.8.0", "geventhttpclient==2.6.1", "gevent==26.9.0", "aiohttp==3.14.5",
            "requests==2.34.2", "prometheus-client==0.26.0",
            "openapi-python-client==0.29.1", "ruff", "schemathesis==4.32.5", "hypothesis==6.170.15", "jsonschema-rs==0.60.3"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=ROOT / "build/src/cli/moed")
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    missing = packages.enter("clients", *PACKAGES)
    if missing:
        return counting.skip("clients", missing)

    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)
    os.environ["MOED_GOLDEN"] = str(ROOT / "tests/golden")
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
