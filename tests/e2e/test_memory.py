"""Documents without memory: 503 and a time to come back, never a document with fields missing."""
import os
import pathlib
import subprocess
import tempfile
import unittest

import harness

SOURCE = pathlib.Path(__file__).with_name("no_memory.c")


class Documents(unittest.TestCase):
    def test_every_allocation_of_a_document(self):
        if harness.is_sanitized():
            self.skipTest("a sanitizer has a malloc of its own")
        with tempfile.TemporaryDirectory() as folder:
            library, number = os.path.join(folder, "no_memory.so"), os.path.join(folder, "number")
            subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library, SOURCE], check=True)
            case = harness.case("f32-two-layers")
            with harness.Server(case.model, env={**os.environ, "LD_PRELOAD": library, "NO_MEMORY": number}) as server:
                name = server.get("/v1/moe/info").json()["name"]
                for method, path in (("POST", "/v2/repository/index"), ("GET", f"/v2/models/{name}"),
                                     ("GET", f"/v2/models/{name}/config"), ("GET", "/v1/moe/experts"),
                                     ("GET", "/v2")):
                    with self.subTest(path=path):
                        self.sweep(server, number, method, path)

    def sweep(self, server, number, method, path):
        """Fails the first allocation, the second, and so on until none is left to fail."""
        whole = server.request(method, path).body
        for n in range(1, 500):
            with open(number, "w", encoding="ascii") as file:
                file.write(str(n))
            answer = server.request(method, path)
            os.unlink(number)
            if answer.status == 200:
                self.assertEqual(answer.body, whole)
                return
            self.assertEqual((answer.status, answer.json()["code"]), (503, "out_of_memory"))
            self.assertEqual(answer.headers["retry-after"], "1")
        self.fail("never whole")
