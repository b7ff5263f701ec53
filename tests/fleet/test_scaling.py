"""deploy/scaling.py: its arithmetic by hand, its reading of what moed prints, and how it fails."""
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

import harness
from fleet import ROOT

SCRIPT = os.path.join(ROOT, "deploy/scaling.py")


def load():
    spec = importlib.util.spec_from_file_location("scaling", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["scaling"] = module
    spec.loader.exec_module(module)
    return module


scaling = load()
GIB = scaling.GIB
MODEL = scaling.Model(layers=48, hidden=2048, bytes=48 * GIB)
MACHINE = scaling.Machine([(1, 1.0), (8, 7.0), (64, 21.0)])


class Arithmetic(unittest.TestCase):
    def target(self, **fields):
        return scaling.Target(**{"tokens": 100, "rows": 8, "memory": 18 * GIB, **fields})

    def test_times_between_and_beyond(self):
        for rows, ms in ((1, 1.0), (8, 7.0), (36, 14.0), (64, 21.0), (128, 42.0)):
            self.assertAlmostEqual(MACHINE.ms(rows), ms)

    def test_memory_asks_for_shards(self):
        # 16 GiB for weights, a layer is 1 GiB: 3 shards of 16. 100 / 8 batches x 16 layers x 7 ms is
        # 1.4 s in a second: 2 machines that may be busy for 0.7 s, and one to spare.
        found = scaling.plan(MODEL, MACHINE, self.target())
        self.assertEqual((found.shards, found.layers, found.replicas), (3, 16, 3))
        self.assertEqual(found.weights, 16 * GIB)
        # 100 tokens x 16 layers over 2 machines, 2048 values of 2 bytes each way
        self.assertAlmostEqual(found.network, 800 * 2048 * 4)
        self.assertAlmostEqual(found.token_ms, 48 * 7.15)

    def test_speed_asks_for_machines(self):
        slow, fast = (scaling.plan(MODEL, MACHINE, self.target(tokens=tokens, spare=0))
                      for tokens in (10, 1000))
        self.assertEqual(slow.machines, 3)
        # 1000 / 8 x 48 x 7 ms = 42 s of computing in a second at 0.7: 60 machines at the least
        self.assertEqual(fast.machines, 60)

    def test_spares_are_a_replica_of_each_shard(self):
        machines = [scaling.plan(MODEL, MACHINE, self.target(tokens=1, spare=spare)).machines
                    for spare in (0, 1, 2)]
        self.assertEqual(machines, [3, 6, 9])

    def test_a_layer_that_does_not_fit(self):
        with self.assertRaisesRegex(ValueError, "--experts"):
            scaling.plan(MODEL, MACHINE, self.target(memory=2.5 * GIB))


class Program(unittest.TestCase):
    def run_script(self, *words):
        return subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True,
                              check=False, timeout=harness.PATIENCE)

    def test_on_what_moed_prints(self):
        with tempfile.TemporaryDirectory() as folder:
            gguf, model, machine = (os.path.join(folder, name) for name in ("m.gguf", "m.json", "b.jsonl"))
            subprocess.run([harness.BIN, "synth", gguf, "--preset", "tiny", "--layers", "4"], check=True,
                           stdout=subprocess.DEVNULL)
            for path, words in ((model, ["inspect", gguf, "--json"]),
                                (machine, ["bench", gguf, "--rows", "1,4", "--seconds", "0.05", "--json"])):
                with open(path, "w", encoding="utf-8") as file:
                    subprocess.run([harness.BIN, *words], check=True, stdout=file)
            result = self.run_script(model, machine, "--memory", "4", "--tokens", "1")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("model      4 MoE layers, rows of 256", result.stdout)
            self.assertIn("shards     1 of up to 4 layers", result.stdout)
            result = self.run_script(machine, model, "--memory", "4", "--tokens", "1")
            self.assertEqual(result.returncode, 1)
            self.assertIn("scaling.py: ", result.stderr)


if __name__ == "__main__":
    unittest.main()
