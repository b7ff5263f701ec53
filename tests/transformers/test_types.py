"""Types of weights in the file and of numbers in the model."""
import unittest

import models
import numpy as np
import torch
from models import attached, relative, served

# Relative error of the logits, two layers after: what rounding each weight once costs.
COST = {"f16": 5e-3, "bf16": 5e-2, "q8_0": 5e-2}


def q8_0(weight):
    """Blocks of 32 numbers, each the nearest multiple of its largest over 127, which is a float16."""
    blocks = weight.numpy().reshape(-1, 32)
    scale = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype(np.float16).astype(np.float32)
    return torch.from_numpy((np.rint(blocks / scale).clip(-127, 127) * scale).reshape(weight.shape))


ROUND = {"f16": lambda weight: weight.half().float(), "bf16": lambda weight: weight.bfloat16().float(),
         "q8_0": q8_0}


def rounded(model, name):
    """The model with its experts' weights as a file of that type has them."""
    with torch.no_grad():
        for block in model.model.layers:
            for weight in (block.mlp.experts.gate_up_proj, block.mlp.experts.down_proj):
                weight.copy_(ROUND[name](weight))
    return model


class Weights(unittest.TestCase):
    def test_types_of_the_file(self):
        ids = models.prompt()
        for name, cost in COST.items():
            with self.subTest(name), served(models.make("Qwen3Moe"), type=name) as server:
                model = models.make("Qwen3Moe")
                exact = models.logits(model, ids)
                expected = models.logits(rounded(model, name), ids)
                with attached(model, server.url) as it:
                    types = it.client.info().layers[0].types
                    found = models.logits(model, ids)
                self.assertEqual((types["down"], types["router"]), (name.upper(), "F32"))
                self.assertLess((found - expected).abs().max().item(),
                                1e-5 * expected.abs().max().item())
                self.assertTrue(1e-5 < relative(found, exact) < cost, relative(found, exact))

    def test_a_family_with_transposed_weights(self):
        model = models.make("GptOss")
        exact = models.logits(model, models.prompt())
        with served(model, type="q8_0") as server, attached(model, server.url):
            error = relative(models.logits(model, models.prompt()), exact)
        self.assertTrue(1e-5 < error < COST["q8_0"], error)

    def test_weights_that_the_type_can_say_are_kept(self):
        """A bf16 model in a bf16 file is the same model."""
        model = models.make("Olmoe").bfloat16().float()
        before = models.logits(model, models.prompt())
        with served(model, type="bf16") as server, attached(model, server.url):
            after = models.logits(model, models.prompt())
        self.assertLess((after - before).abs().max().item(), 1e-5 * before.abs().max().item())


class Numbers(unittest.TestCase):
    def test_models_in_half_precision(self):
        for dtype, tolerance in ((torch.bfloat16, 3e-2), (torch.float16, 4e-3)):
            with self.subTest(dtype):
                model = models.make("Qwen3Moe").to(dtype)
                block = model.model.layers[0].mlp
                rows = torch.randn(2, 5, 64, dtype=dtype)
                with torch.inference_mode():
                    before = block(rows)
                with served(model, type="f32") as server, attached(model, server.url):
                    with torch.inference_mode():
                        after = model.model.layers[0].mlp(rows)
                self.assertEqual(after.dtype, dtype)
                self.assertLess(relative(after.float(), before.float()), tolerance)
