"""The tests' own patience: it follows the machine."""
import types
import unittest
from unittest import mock

import harness


class Clock:
    """A machine on which each look at the process takes ten minutes."""

    def __init__(self):
        self.now = 0

    def monotonic(self):
        return self.now

    def sleep(self, _):
        self.now += 600


class Patience(unittest.TestCase):
    def setUp(self):
        self.clock = Clock()
        patch = mock.patch.object(harness, "time", types.SimpleNamespace(
            monotonic=self.clock.monotonic, sleep=self.clock.sleep))
        patch.start()
        self.addCleanup(patch.stop)

    def test_who_works_is_waited_for(self):
        """Hours, if that is what it takes: processor time or the log goes on."""
        self.assertTrue(harness.gets_on(lambda: self.clock.now, lambda: self.clock.now > 36000))

    def test_who_stands_still_is_given_up(self):
        self.assertFalse(harness.gets_on(lambda: "still", lambda: False))

    def test_who_has_ended_is_given_up(self):
        self.assertFalse(harness.gets_on(lambda: None, lambda: False))
        self.assertEqual(self.clock.now, 0)
