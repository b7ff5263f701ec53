#!/usr/bin/env python3
"""Tests the page at "/" in headless Chromium: run.py [--moed BINARY] [MODULE[.CLASS[.TEST]] ...]
run.py --screenshot FILE.png takes the README's picture instead, run.py --measure prints what the page
costs.

Playwright comes from PyPI. Ends with a line "N passed, N failed, N skipped"."""
import argparse
import os
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MODULES = ["test_resource", "test_page", "test_access"]
sys.path[:0] = [str(HERE), str(ROOT / "tests"), str(ROOT / "tests/e2e")]

import counting  # noqa: E402
import packages  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--moed", default=os.environ.get("MOED_BIN", ROOT / "build/src/cli/moed"))
    parser.add_argument("--screenshot", metavar="FILE")
    parser.add_argument("--measure", action="store_true")
    parser.add_argument("tests", nargs="*", default=MODULES)
    arguments = parser.parse_args()
    os.environ["MOED_BIN"] = os.path.abspath(arguments.moed)

    missing = packages.enter("page", "playwright==1.65.2")
    if not missing:
        import browser  # noqa: PLC0415: needs playwright
        missing = browser.missing()
    if missing:
        return counting.skip("page", missing)
    if arguments.screenshot:
        import screenshot
        return screenshot.take(arguments.screenshot)
    if arguments.measure:
        import measure
        return measure.measure()
    return counting.count(arguments.tests)


if __name__ == "__main__":
    sys.exit(main())
