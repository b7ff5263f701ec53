"""Each family's block against itself, served: numbers, routing, memory."""
import gc
import unittest
import weakref

import models
import moed
import torch
from models import attached, relative, served
from moed.transformers.families import FAMILIES, blocks_of
from moed.transformers.remote import RemoteBlock


def outputs(model, rows):
    """Of each MoE block for the same rows."""
    with torch.inference_mode():
        found = [module(rows) for module in model.modules()
                 if type(module).__name__ in FAMILIES or isinstance(module, RemoteBlock)]
    return [output[0] if isinstance(output, tuple) else output for output in found]


class OfEachFamily(unittest.TestCase):
    """One test a family is added below."""

    def check(self, family):
        model = models.make(family)
        ids, rows = models.prompt(), torch.randn(2, 9, 64)
        before, blocks = models.logits(model, ids), outputs(model, rows)
        with served(model) as server:
            self.check_norm(model, rows, server.url)
            with attached(model, server.url) as result:
                self.assertEqual(len(result.layers), len(blocks))
                for output, block in zip(outputs(model, rows), blocks, strict=True):
                    self.assertLess(relative(output, block), 1e-6)
                after = models.logits(model, ids)
        # The logits are about 10.
        self.assertLess((after - before).abs().max().item(), 1e-5 * before.abs().max().item())

    def check_norm(self, model, rows, url):
        """The norm is in the file as well: the server may apply it."""
        with moed.Client(url) as client, torch.inference_mode():
            for block in blocks_of(model):
                output = block.module(block.parent.post_attention_layernorm(rows))
                output = output[0] if isinstance(output, tuple) else output
                found = client.forward(rows.numpy(), block.layer, block="norm_ffn").output
                self.assertLess(relative(torch.from_numpy(found), output), 1e-6)

    def check_local_router(self, family):
        model = models.make(family)
        ids = models.prompt()
        before = models.logits(model, ids)
        with served(model) as server, attached(model, server.url, router="local"):
            after = models.logits(model, ids)
            # It is the model's own router that chooses: silence it, and the answer changes.
            remote = next(block for block in model.modules() if isinstance(block, RemoteBlock))
            with torch.no_grad():
                remote.router.weight.zero_()
            self.assertGreater(relative(models.logits(model, ids), before), 1e-3)
        self.assertLess((after - before).abs().max().item(), 1e-5 * before.abs().max().item())


def add(family):
    setattr(OfEachFamily, f"test_{family.lower()}", lambda self: self.check(family))
    setattr(OfEachFamily, f"test_{family.lower()}_with_its_own_router",
            lambda self: self.check_local_router(family))


for each in models.FAMILIES:
    add(each)


class Table(unittest.TestCase):
    def test_every_family_is_tested(self):
        tested = {block.family.block for family in models.FAMILIES
                  for block in blocks_of(models.make(family))}
        self.assertEqual(tested, set(FAMILIES))


class Memory(unittest.TestCase):
    def test_the_weights_are_let_go(self):
        model = models.make("Mixtral")
        block = next(blocks_of(model))
        weights = [weakref.ref(weight) for weight in block.module.parameters()]
        expected = 2 * sum(weight().nbytes for weight in weights)
        del block
        with served(model) as server, attached(model, server.url) as result:
            gc.collect()
            self.assertEqual([weight() for weight in weights], [None] * len(weights))
            self.assertEqual(result.freed_bytes, expected)
            self.assertFalse([name for name, _ in model.named_parameters() if "experts" in name])
            self.assertIn("RemoteBlock(layer=1, experts elsewhere)", repr(model))
