"""`moed shards` before real servers: a whole fleet, and fleets with something wrong."""
import contextlib
import subprocess
import unittest

import harness

MODEL = harness.case("f32-two-layers").model
OTHER = harness.case("f32-odd-dims").model


@contextlib.contextmanager
def servers(*flags):
    """One for each list of words after `moed serve`; their URLs."""
    with contextlib.ExitStack() as stack:
        started = [stack.enter_context(harness.Server(*words)) for words in flags]
        yield [server.url for server in started]


def shards(*words):
    return subprocess.run([harness.BIN, "shards", *words], capture_output=True, text=True, check=False,
                          timeout=harness.PATIENCE)


class Shards(unittest.TestCase):
    def test_a_whole_fleet(self):
        with servers((MODEL, "--layers", "0"), (MODEL, "--layers", "0"),
                     (MODEL, "--layers", "1", "--experts", "0-2"),
                     (MODEL, "--layers", "1", "--experts", "3-7")) as urls:
            result = shards(*urls)
            self.assertEqual((result.returncode, result.stderr), (0, ""), result.stdout)
            self.assertIn(f"layer 0\n  all 8 experts: {urls[0]}, {urls[1]}\n"
                          f"layer 1\n  experts 0-2: {urls[2]}\n  experts 3-7: {urls[3]}\n",
                          result.stdout)
            self.assertTrue(result.stdout.endswith("4 servers, no faults\n"))
            # Without one of them the model is not whole.
            result = shards(*urls[:3])
            self.assertEqual((result.returncode, result.stderr),
                             (1, "moed: 1 fault in a fleet of 3\n"))
            self.assertIn("  FAULT: nobody serves experts 3-7\n", result.stdout)
            result = shards(urls[0], "http://127.0.0.1:1")
            self.assertEqual(result.returncode, 1)
            self.assertIn("FAULT: ", result.stdout)
            self.assertIn("127.0.0.1:1", result.stdout)

    def test_another_model(self):
        with servers((MODEL,), (OTHER,)) as urls:
            result = shards(*urls)
            self.assertEqual(result.returncode, 1)
            self.assertIn("FAULT: different models", result.stdout)
            self.assertIn("FAULT: different numbers of experts", result.stdout)
            self.assertNotIn("overlap", result.stdout)

    def test_what_is_no_server(self):
        result = shards("ftp://x")
        self.assertEqual(result.returncode, 2)
        result = shards("http://127.0.0.1:1", "--header", "no colon")
        self.assertEqual(result.returncode, 2)
        self.assertIn("expected one line like", result.stderr)
        result = shards()
        self.assertEqual(result.returncode, 2)
        self.assertIn("expected URL", result.stderr)
