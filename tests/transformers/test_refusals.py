"""What cannot work is said before anything is changed."""
import os
import tempfile
import unittest

import harness
import models
import moed
import torch
from models import attached, exported, served
from moed.transformers import attach, export
from moed.transformers.remote import RemoteBlock


def has_its_experts(model):
    return not any(isinstance(module, RemoteBlock) for module in model.modules())


class Attach(unittest.TestCase):
    def refusal(self, model, *arguments, kind=ValueError, **options):
        with self.assertRaises(kind) as caught:
            attach(model, *arguments, **options)
        self.assertTrue(has_its_experts(model))
        return str(caught.exception)

    def test_servers_of_another_model(self):
        with served(models.make("Qwen3Moe")) as server:
            for family, changes, words in (
                    ("Mixtral", {}, "architecture qwen3moe, MixtralSparseMoeBlock needs llama"),
                    ("Qwen3Moe", {"num_experts": 16}, "has experts 16, the servers say 8"),
                    ("Qwen3Moe", {"num_experts_per_tok": 2}, "experts_used 2, the servers say 3"),
                    ("Qwen3Moe", {"hidden_size": 32}, "hidden 32, the servers say 64"),
                    ("Qwen3Moe", {"num_hidden_layers": 3}, "layer 2 is an MoE block")):
                with self.subTest(words):
                    self.assertIn(words, self.refusal(models.make(family, **changes), server.url))

    def test_a_layer_that_no_shard_serves(self):
        model = models.make("Qwen3Moe")
        with exported(model) as path, harness.Server(path, "--layers", "0") as server:
            self.assertIn("layer 1 is an MoE block of the model, the servers have layers [0]",
                          self.refusal(model, server.url))

    def test_nobody_there(self):
        settings = moed.Settings(retry=moed.Retry(attempts=1))
        self.refusal(models.make("Qwen3Moe"), "http://127.0.0.1:1", settings=settings,
                     kind=moed.ConnectionFailed)

    def test_arguments(self):
        self.assertIn("'remote'", self.refusal(models.make("Olmoe"), "http://x", router="remote"))
        plain = torch.nn.Sequential(torch.nn.Linear(2, 2))
        self.assertIn("Sequential has no MoE block", self.refusal(plain, "http://x"))
        alone = models.make("Olmoe").model.layers[0].mlp
        self.assertIn("outside of a numbered layer", self.refusal(alone, "http://x"))

    def test_a_second_time(self):
        model = models.make("Qwen3Moe")
        with served(model) as server, attached(model, server.url):
            with self.assertRaisesRegex(ValueError, "attached already"):
                attach(model, server.url)

    def test_gradients(self):
        model = models.make("Qwen3Moe")
        with served(model) as server, attached(model, server.url):
            with self.assertRaisesRegex(RuntimeError, "moed computes no gradients"):
                model(models.prompt())
            with torch.no_grad():
                model(models.prompt())

    def test_long_prompts_go_in_parts(self):
        model = models.make("Qwen3Moe")
        ids = models.prompt(3, 50)
        before = models.logits(model, ids)
        row = 64 * 4 + 3 * 8
        for flags in (("--max-request-rows", "7"), ("--max-body-bytes", str(11 * row))):
            with self.subTest(flags):
                model = models.make("Qwen3Moe")
                with served(model, *flags) as server, attached(model, server.url):
                    after = models.logits(model, ids)
                    self.assertGreater(server.metric("moed_http_requests_total"), 2 * 150 / 11)
                self.assertLess((after - before).abs().max().item(), 1e-4)


class Export(unittest.TestCase):
    def refusal(self, model, **options):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "x.gguf")
            with self.assertRaises(ValueError) as caught:
                export(model, path, **options)
            self.assertFalse(os.path.exists(path))
        return str(caught.exception)

    def test_what_a_file_cannot_say(self):
        for family, changes, words in (
                ("Olmoe", {"norm_topk_prob": True}, "norm_topk_prob is True"),
                ("Qwen2Moe", {"norm_topk_prob": True}, "architecture qwen2moe can only mean False"),
                ("GptOss", {"swiglu_limit": 5.0}, "swiglu_limit is 5.0"),
                ("Mixtral", {"hidden_act": "gelu"}, "hidden_act is 'gelu'")):
            with self.subTest(words):
                self.assertIn(words, self.refusal(models.make(family, **changes)))

    def test_types(self):
        model = models.make("Qwen3Moe", moe_intermediate_size=40)
        self.assertIn("'q4_k', expected one of f32, f16", self.refusal(model, type="q4_k"))
        self.assertRegex(self.refusal(model, type="q8_0"), "ffn_down_exps.weight has rows of 40")

    def test_qwen3_says_whether_it_renormalises(self):
        model = models.make("Qwen3Moe", norm_topk_prob=False)
        before = models.logits(model, models.prompt())
        with served(model) as server, attached(model, server.url):
            after = models.logits(model, models.prompt())
        self.assertLess((after - before).abs().max().item(), 1e-5 * before.abs().max().item())
