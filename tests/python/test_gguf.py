"""The writer of GGUF files, read back by the tests' own reader, by moed, and bit by bit."""
import os
import subprocess
import tempfile
import unittest

import gguf as reader
import harness
import ml_dtypes
import numpy as np
from moed.gguf import FORMATS, Tensor, write

# A model of one layer: H 64, F 32, E 4.
SHAPES = {"ffn_norm": (64,), "ffn_gate_inp": (4, 64), "ffn_gate_exps": (4, 32, 64),
          "ffn_up_exps": (4, 32, 64), "ffn_down_exps": (4, 64, 32)}
KEYS = {"general.architecture": "qwen3moe", "general.name": "written", "qwen3moe.block_count": 1,
        "qwen3moe.embedding_length": 64, "qwen3moe.expert_used_count": 2,
        "qwen3moe.attention.layer_norm_rms_epsilon": 0.5, "qwen3moe.expert_weights_norm": False}


def arrays():
    random = np.random.default_rng(1)
    return {f"blk.0.{name}.weight": random.standard_normal(shape, np.float32)
            for name, shape in SHAPES.items()}


def tensors(values):
    return [Tensor(name, value.shape, lambda value=value: value, whole="exps" not in name)
            for name, value in values.items()]


def encoded(name, values):
    return FORMATS[name].encode(np.asarray(values, np.float32))


class Files(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = os.path.join(folder.name, "x.gguf")

    def test_read_back(self):
        values = arrays()
        write(self.path, KEYS, tensors(values), "f32")
        found = reader.Gguf(self.path)
        self.assertEqual(found.keys, KEYS)
        self.assertEqual(set(found.tensors), set(values))
        for name, value in values.items():
            self.assertEqual(found.tensors[name].tobytes(), value.tobytes(), name)

    def test_moed_computes_with_every_type(self):
        for name in FORMATS:
            with self.subTest(name):
                write(self.path, KEYS, tensors(arrays()), name)
                said = subprocess.run([harness.BIN, "inspect", "--json", self.path], check=True,
                                      capture_output=True, text=True).stdout
                self.assertIn('"written"', said)
                self.assertIn(f'"{name.upper()}"', said)
                subprocess.run([harness.BIN, "verify", self.path, "--rows", "2"], check=True,
                               capture_output=True)

    def test_tensors_are_aligned(self):
        """A first tensor of 5 numbers moves the second."""
        values = {"a.weight": np.arange(5, dtype=np.float32), "b.weight": np.ones(3, np.float32)}
        write(self.path, {"general.architecture": "x"}, tensors(values), "f32")
        found = reader.Gguf(self.path).tensors
        self.assertEqual(found["b.weight"].tolist(), [1, 1, 1])
        self.assertEqual(found["a.weight"].tolist(), [0, 1, 2, 3, 4])

    def test_what_does_not_fit_leaves_no_file(self):
        odd = [Tensor("odd.weight", (2, 33), lambda: np.zeros((2, 33), np.float32))]
        with self.assertRaisesRegex(ValueError, "odd.weight has rows of 33.*multiple of 32"):
            write(self.path, KEYS, odd, "q8_0")
        with self.assertRaisesRegex(ValueError, "'q9', expected one of f32, f16, q8_0, bf16"):
            write(self.path, KEYS, odd, "q9")
        self.assertFalse(os.path.exists(self.path))


class Numbers(unittest.TestCase):
    def test_bf16_is_rounded_to_nearest_even(self):
        values = np.random.default_rng(2).standard_normal(4096).astype(np.float32)
        halves = (np.arange(0x3F80, 0x3FC0, dtype=np.uint32) << 16 | 0x8000).view(np.float32)
        values = np.concatenate([values, halves, [0, -0.0, 3.4e38, 1e-40]]).astype(np.float32)
        self.assertEqual(encoded("bf16", values), values.astype(ml_dtypes.bfloat16).tobytes())

    def test_f16(self):
        self.assertEqual(encoded("f16", [1, -2, 65504]), np.array([1, -2, 65504], "<f2").tobytes())

    def test_q8_0(self):
        values = np.random.default_rng(3).standard_normal((3, 64)).astype(np.float32)
        values[1, 32:] = 0
        data = np.frombuffer(encoded("q8_0", values), np.uint8).reshape(6, 34)
        scales = data[:, :2].copy().view("<f2").astype(np.float32)
        codes = data[:, 2:].view(np.int8)
        found = (scales * codes).reshape(3, 64)
        self.assertTrue((np.abs(found - values) <= 0.5001 * scales.repeat(32).reshape(3, 64)).all())
        self.assertEqual(np.abs(codes).max(axis=1).tolist(), [127, 127, 127, 0, 127, 127])
