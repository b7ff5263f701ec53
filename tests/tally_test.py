#!/usr/bin/env python3
"""A miscounted failure would be a silent one: the counting itself is tested."""
import json
import pathlib
import tempfile
import unittest

import tally


def program(result, text):
    return tally.of_program({"name": "x", "result": result, "stdout": "", "stderr": text})


class Counts(unittest.TestCase):
    def assert_counts(self, found, passed, failed, skipped=0):
        self.assertEqual((found.passed, found.failed, found.skipped), (passed, failed, skipped))

    def test_last_line(self):
        found = tally.by_last_line("skip  x: no tool\n1 passed, 1 failed\n3 passed, 0 failed, 1 skipped\n", 0)
        self.assert_counts(found, 3, 0, 1)
        self.assertEqual(found.reasons, ["x: no tool"])
        self.assert_counts(tally.by_last_line("3 passed, 2 failed\n", 1), 3, 2)

    def test_silence_is_a_failure(self):
        self.assert_counts(tally.by_last_line("", 0), 0, 1)
        self.assert_counts(tally.by_unittest("", 0), 0, 1)

    def test_a_crash_after_good_counts_is_a_failure(self):
        self.assert_counts(tally.by_last_line("3 passed, 0 failed\n", 139), 3, 1)
        self.assert_counts(program("FAIL", "[  PASSED  ] 8 test(s).\n"), 8, 1)

    def test_skipped_suite(self):
        count = tally.unless_skipped(tally.by_status)
        found = count("skip  x: no tool\n", 77)
        self.assert_counts(found, 0, 0, 1)
        self.assertEqual(found.reasons, ["x: no tool"])
        self.assert_counts(count("skip  x: no tool\n", 1), 0, 1)
        self.assert_counts(count("", 0), 1, 0)

    def test_unittest(self):
        found = tally.by_unittest("test_a (x.Y.test_a) ... skipped 'no tool'\nRan 5 tests in 1s\nOK (skipped=1)\n", 0)
        self.assert_counts(found, 4, 0, 1)
        self.assertEqual(found.reasons, ["test_a: no tool"])
        self.assert_counts(tally.by_unittest("Ran 5 tests in 1s\nFAILED (failures=1, errors=2)\n", 1), 2, 3)

    def test_cmocka(self):
        self.assert_counts(program("OK", "[  PASSED  ] 8 test(s).\n"), 8, 0)
        self.assert_counts(program("FAIL", "[  PASSED  ] 7 test(s).\n[  FAILED  ] 1 test(s), listed below:\n"
                                           "[  FAILED  ] test_a\n\n 1 FAILED TEST(S)\n"), 7, 1)
        self.assert_counts(program("OK", "no counts\n"), 1, 0)
        self.assert_counts(program("TIMEOUT", ""), 0, 1)
        self.assert_counts(program("SKIP", ""), 0, 0, 1)

    def test_meson(self):
        with tempfile.TemporaryDirectory() as folder:
            count = tally.by_meson(folder)
            self.assert_counts(count("", 1), 0, 1)
            self.assert_counts(count("No suitable tests defined.", 0), 0, 1)
            log = pathlib.Path(folder, "meson-logs", "testlog.json")
            log.parent.mkdir()
            log.write_text("".join(json.dumps({"name": name, "result": "OK", "stderr": "[  PASSED  ] 2 test(s).\n"})
                                   + "\n" for name in "ab"))
            self.assert_counts(count("", 0), 4, 0)


if __name__ == "__main__":
    unittest.main()
