"""What tests of calls stand on: a server with a golden case, and a client of it."""
import unittest

import harness
import numpy as np


class Served(unittest.TestCase):
    """A server of the golden case f32-two-layers."""

    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model)
        cls.server.__enter__()
        cls.hidden = cls.golden("hidden.f32").reshape(-1, cls.case.hidden)
        cls.expected = cls.golden("output.f32").reshape(-1, cls.case.hidden)

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    @classmethod
    def golden(cls, what, dtype="<f4"):
        return np.frombuffer(cls.case.bytes(0, what), dtype)

    def setUp(self):
        self.client = self.make(self.server.url)
        self.client.__enter__()
        self.addCleanup(self.client.__exit__, None, None, None)

    def assert_close(self, found, expected, tolerance):
        found = np.asarray(found, np.float32)
        self.assertEqual(found.shape, expected.shape)
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        self.assertLess(error, tolerance)
