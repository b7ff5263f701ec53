"""Runs unittest's tests and prints the line of counts that tests/tally.py reads."""
import sys
import unittest


def count(names):
    """Runs the tests of that name, prints skips and the counts; the exit status."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(verbosity=1, stream=sys.stdout).run(suite)
    for test, reason in result.skipped:
        print(f"skipped {test.id()}: {reason}")
    # Sub-tests that fail are counted one by one, beside the test that holds them.
    bad = {str(test) for test, _ in result.failures + result.errors}
    passed = max(0, result.testsRun - len(bad) - len(result.skipped))
    print(f"{passed} passed, {len(bad)} failed, {len(result.skipped)} skipped")
    return 0 if result.wasSuccessful() else 1
