"""Text from a model whose experts are on two layer shards, two replicas each, behind HAProxy."""
import unittest

import fleet
import models
import torch
from models import attached, exported, relative
from test_types import rounded

TOKENS = 64
LAYERS = 4
COST = 0.1  # relative error of the logits, four layers after, of rounding to q8_0


def generate(model, ids, at_token=lambda count: None):
    """Greedy, TOKENS of them whatever they are; `at_token` is called after each."""
    def watch(tokens, _scores, **_):
        at_token(tokens.shape[1] - ids.shape[1])
        return torch.zeros(tokens.shape[0], dtype=torch.bool)

    return model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False,
                          min_new_tokens=TOKENS, max_new_tokens=TOKENS,
                          stopping_criteria=[watch], pad_token_id=0).tolist()


class Generation(unittest.TestCase):
    def check(self, family):
        model = models.make(family, num_hidden_layers=LAYERS)
        ids = models.prompt(2, 12)
        logits, tokens = models.logits(model, ids), generate(model, ids)
        self.assertEqual(len(tokens[0]), 12 + TOKENS)
        with exported(model) as path, fleet.behind_haproxy(path) as (url, servers):
            with attached(model, url) as result:
                self.assertEqual(result.layers, tuple(range(LAYERS)))
                found = models.logits(model, ids)
                self.assertLess((found - logits).abs().max().item(),
                                1e-5 * logits.abs().max().item())
                self.assertEqual(generate(model, ids), tokens)
                self.check_with_a_death(model, ids, tokens, servers)

    def check_with_a_death(self, model, ids, tokens, servers):
        """One replica of each shard is killed, the second while the proxy still mourns the first."""
        killed = []

        def kill(count):
            if count in (20, 22):
                server = servers[len(killed)][0]
                server.kill()
                killed.append(server)

        self.assertEqual(generate(model, ids, kill), tokens)
        self.assertEqual([server.process.returncode for server in killed], [-9, -9])

    def test_qwen3(self):
        self.check("Qwen3Moe")

    def test_mixtral(self):
        self.check("Mixtral")

    def test_rounded_weights(self):
        """As the model whose weights are rounded says it, and near the one whose are not."""
        model = models.make("Qwen3Moe", num_hidden_layers=LAYERS)
        ids = models.prompt(2, 12)
        exact = models.logits(model, ids)
        with exported(model, type="q8_0") as path, fleet.behind_haproxy(path) as (url, _):
            expected = models.logits(rounded(model, "q8_0"), ids)
            with attached(model, url):
                found = models.logits(model, ids)
        self.assertLess((found - expected).abs().max().item(), 1e-5 * expected.abs().max().item())
        self.assertLess(relative(found, exact), COST)
