"""Runs unittest's tests and prints the line of counts that tests/tally.py reads."""
import sys
import unittest


def count(names, absent=()):
    """Runs the tests of that name, prints skips and the counts; the exit status. `absent` are further
    reasons why something was not tested."""
    suite = unittest.defaultTestLoader.loadTestsFromNames(names)
    result = unittest.TextTestRunner(verbosity=1, stream=sys.stdout).run(suite)
    skips = [*absent, *(f"{test.id()}: {reason}" for test, reason in result.skipped)]
    for reason in skips:
        print(f"skipped {reason}")
    # Sub-tests that fail are counted one by one, beside the test that holds them.
    bad = {str(test) for test, _ in result.failures + result.errors}
    passed = max(0, result.testsRun - len(bad) - len(result.skipped))
    print(f"{passed} passed, {len(bad)} failed, {len(skips)} skipped")
    return 0 if result.wasSuccessful() else 1


def skip(suite, reason):
    """Nothing could be run; the exit status."""
    print(f"skipped {suite}: {reason}\n0 passed, 0 failed, 1 skipped")
    return 0
