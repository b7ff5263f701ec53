#!/usr/bin/env python3
"""Tests of run.py: what the exit status says, and of packages.py: why something is skipped."""
import contextlib
import io
import pathlib
import signal
import sys
import tempfile
import unittest
from unittest import mock

import packages
import run
import tally


def main(result, *words):
    """(exit status, what was printed) of a run whose only suite ends so."""
    suite = run.Suite("only", [], None, fast=True)
    printed = io.StringIO()
    with mock.patch.object(run, "SUITES", [suite]), mock.patch.object(run, "run", lambda _: result), \
            mock.patch.object(sys, "argv", ["run.py", *words]), contextlib.redirect_stdout(printed):
        return int(run.main()), printed.getvalue()


class Status(unittest.TestCase):
    def test_what_failed_fails(self):
        self.assertEqual(main(tally.Tally(passed=3))[0], 0)
        self.assertEqual(main(tally.Tally(passed=3, skipped=1))[0], 0)
        self.assertEqual(main(tally.Tally(passed=3, failed=1))[0], 1)

    def test_nothing_but_skips_is_no_success(self):
        status, printed = main(tally.Tally(skipped=2), "only")
        self.assertEqual(status, 1)
        self.assertIn("no check has run", printed)
        self.assertTrue(printed.endswith("\n0 passed, 0 failed, 2 skipped\n"), printed)


class Hanging(unittest.TestCase):
    def end(self, command, seconds):
        """(status, log) of a command that has so much time."""
        suite = run.Suite("hangs", [command], tally.by_status)
        with tempfile.TemporaryDirectory() as folder, mock.patch.object(run, "HANGS_AFTER_S", seconds):
            path = pathlib.Path(folder, "log")
            with path.open("w") as log:
                status, _ = run.execute(command, suite, log)
            return status, path.read_text()

    def test_what_hangs_is_ended_and_named(self):
        """With what it has started: a grandchild would hold up who waits for its output."""
        command = ["sh", "-c", f"sleep 1234 & {sys.executable} -c 'import time; time.sleep(4321)'"]
        words = ("sleep 1234", "sleep(4321)", 'File "<string>", line 1 in <module>')
        for seconds in (1, 10, 100):  # until Python has begun to sleep, on a slow machine too
            status, text = self.end(command, seconds)
            self.assertEqual(status, -signal.SIGABRT)
            if all(word in text for word in words):
                break
        else:
            self.fail(text)
        self.assertEqual(run.RUNNING, set())


class Reasons(unittest.TestCase):
    LAST = "ERROR: No matching distribution found for numpy\n"

    def test_a_missing_authority(self):
        said = ("WARNING: Retrying (Retry(total=0)) after connection broken by 'SSLError(SSLCertVerificationError("
                "1, '[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed'))': /simple/numpy/\n"
                "ERROR: Could not find a version that satisfies the requirement numpy (from versions: none)\n")
        self.assertIn("certificate verify failed", packages.reason(said + self.LAST))

    def test_what_is_not_there(self):
        self.assertEqual(packages.reason(self.LAST), self.LAST.strip())
        self.assertEqual(packages.reason("", ""), "no word of why")


if __name__ == "__main__":
    unittest.main()
