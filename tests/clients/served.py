"""A server of two layers for a class of tests, and a folder for what its clients read."""
import os
import tempfile
import unittest

import harness

FORWARD = "/v1/moe/layers/0/forward"


class Served(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.case = harness.case("f32-two-layers")
        cls.server = harness.Server(cls.case.model)
        cls.addClassCleanup(cls.server.__exit__, None, None, None)
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.url = cls.server.url
        cls.data = cls.case.bytes(0, "hidden.f32")
        cls.output = cls.server.post_raw(FORWARD, cls.data).body

    @classmethod
    def file(cls, name, data):
        path = os.path.join(cls.folder.name, name)
        with open(path, "wb") as file:
            file.write(data)
        return path
