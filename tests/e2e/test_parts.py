"""Shards of experts over HTTP: each holds some, and what they answer adds up to the whole."""
import contextlib
import json
import random
import struct
import unittest

import harness
from harness import f32, flat, floats


def ranges(experts):
    return ",".join(str(e) for e in sorted(experts))


def splits(count, seed):
    """Ways to share out the experts 0..count-1."""
    chance = random.Random(seed)
    yield [range(count // 2), range(count // 2, count)]
    mixed = chance.sample(range(count), count)
    cut = chance.randrange(1, count - 1)
    yield [mixed[:cut], mixed[cut:-1], mixed[-1:]]


class Fleet:
    """The whole model on one server, and its experts on several."""

    def __init__(self, stack, name, seed):
        self.case = harness.case(name)
        self.layer = self.case.layers[0]
        self.path = f"/v1/moe/layers/{self.layer}/forward"
        self.rows, self.raw = self.case.rows(self.layer), self.case.bytes(self.layer, "hidden.f32")
        self.whole = stack.enter_context(harness.Server(self.case.model))
        self.splits = list(splits(self.case.info["experts"], seed))
        self.stack = stack

    def shards(self, split):
        return [self.stack.enter_context(harness.Server(self.case.model, "--experts", ranges(part)))
                for part in split]


@contextlib.contextmanager
def fleet(name, seed=1):
    with contextlib.ExitStack() as stack:
        yield Fleet(stack, name, seed)


def total(answers):
    return f32(sum(values) for values in zip(*answers))


class Sums(unittest.TestCase):
    def near(self, found, expected):
        self.assertEqual(len(found), len(expected))
        self.assertLess(harness.relative_l2(found, expected), 1e-6)

    def check_json(self, f, shards, **fields):
        body = {"hidden_states": f.rows, **fields}
        whole = f.whole.post(f.path, body)
        self.assertEqual(whole.status, 200, whole)
        parts = [shard.post(f.path, {**body, "on_missing_expert": "skip"}) for shard in shards]
        for part in parts:
            self.assertEqual(part.status, 200, part)
            self.assertEqual(part.headers["X-MoE-Missing-Slots"], str(part.json()["missing_slots"]))
        self.near(total(flat(part.json()["output"]) for part in parts), flat(whole.json()["output"]))
        self.assertNotIn("missing_slots", whole.json())
        return parts

    def check_raw(self, f, shards, query):
        whole = f.whole.post_raw(f"{f.path}?{query}", f.raw)
        parts = [shard.post_raw(f"{f.path}?{query}&on_missing_expert=skip", f.raw)
                 for shard in shards]
        self.near(total(floats(part.body) for part in parts), floats(whole.body))
        missing = sum(int(part.headers["X-MoE-Missing-Slots"]) for part in parts)
        # Every slot is missing everywhere but in one place.
        self.assertEqual(missing, (len(shards) - 1) * len(f.rows) * f.case.k)

    def test_every_split_adds_up(self):
        # plain; quantised; a shared expert; one behind a gate, biases on everything
        for name in ("f32-two-layers", "q4_k", "arch/deepseek2-v3", "arch/qwen2moe", "arch/gpt-oss"):
            with fleet(name) as f:
                for split in f.splits:
                    with self.subTest(name, split=split):
                        shards = f.shards(split)
                        self.check_json(f, shards)
                        self.check_raw(f, shards, "dtype=f32")

    def test_blocks_and_supplied_routing(self):
        with fleet("arch/qwen2moe") as f:
            shards = f.shards(f.splits[1])
            self.check_json(f, shards, block="norm_ffn_residual")
            for mode in ("exclude", "only"):
                self.check_json(f, shards, block="norm_ffn", shared_experts=mode)
            experts = f.case.info["experts"]
            routing = {"expert_ids": [[t % experts, -1, (t + 1) % experts] for t in range(len(f.rows))],
                       "weights": [[0.5, 9.0, 0.25]] * len(f.rows)}
            parts = self.check_json(f, shards, routing=routing)
            self.assertEqual(sum(part.json()["missing_slots"] for part in parts),
                             (len(shards) - 1) * 2 * len(f.rows))

    def test_skip_on_a_whole_server(self):
        with fleet("f32-two-layers") as f:
            plain = f.whole.post_raw(f.path, f.raw)
            skip = f.whole.post_raw(f.path, f.raw, {"X-MoE-On-Missing-Expert": "skip"})
            self.assertEqual((skip.body, skip.headers["X-MoE-Missing-Slots"]), (plain.body, "0"))
            self.assertEqual(plain.headers["X-MoE-Missing-Slots"], "")


class Refusals(unittest.TestCase):
    def test_a_row_needs_an_expert_elsewhere(self):
        with fleet("f32-two-layers") as f:
            split = f.splits[0]
            first, second = f.shards(split)
            ids = f.whole.post(f.path.replace("forward", "route"), {"hidden_states": f.rows})
            ids = ids.json()["routing"]["expert_ids"]
            held = f"0-{len(split[0]) - 1}"
            row = next(t for t, chosen in enumerate(ids) if any(e not in split[0] for e in chosen))
            expert = next(e for e in ids[row] if e not in split[0])
            answer = first.post_raw(f.path, f.raw)
            self.assertEqual((answer.status, answer.json()["code"]), (421, "expert_not_served"))
            self.assertIn(f"layer {f.layer}, row {row}: expert {expert} is not served here; "
                          f"served: {held}", answer.json()["detail"])
            # The router is whole everywhere, and a row that fits is answered as by the whole.
            routed = second.post(f.path.replace("forward", "route"), {"hidden_states": f.rows})
            self.assertEqual(routed.json()["routing"]["expert_ids"], ids)
            fits = {"hidden_states": f.rows[:1],
                    "routing": {"expert_ids": [[split[1][0], split[1][-1]]], "weights": [[0.5, 0.5]]}}
            self.assertEqual(second.post(f.path, fits).json(), f.whole.post(f.path, fits).json())

    def test_the_shared_expert_is_elsewhere(self):
        with fleet("arch/deepseek2-v3") as f:
            lead, other = f.shards(f.splits[0])
            body = {"hidden_states": f.rows[:1],
                    "routing": {"expert_ids": [[f.splits[0][1][0]]], "weights": [[1]]}}
            answer = other.post(f.path, body)
            self.assertEqual((answer.status, answer.json()["code"]), (421, "expert_not_served"))
            self.assertIn("shared expert", answer.json()["detail"])
            self.assertEqual(other.post(f.path, {**body, "shared_experts": "exclude"}).status, 200)
            self.assertEqual(lead.post(f.path, {**body, "shared_experts": "only"}).status, 200)

    def test_bad_choices_do_not_start(self):
        model = harness.case("f32-two-layers").model
        for text, words in (("0-999", "found expert 999, but layer 0 has"), ("x", "expected expert")):
            with self.assertRaises(harness.LoadError) as caught:
                harness.Server(model, "--experts", text)
            self.assertIn(words, str(caught.exception))


class Info(unittest.TestCase):
    def test_what_a_shard_says_of_itself(self):
        with fleet("f32-two-layers") as f:
            count = f.case.info["experts"]
            whole = f.whole.get("/v1/moe/info").json()
            shards = [shard.get("/v1/moe/info").json() for shard in f.shards([[0, 1, 3], [2]])]
            for at, layer in enumerate(whole["layers"]):
                self.assertEqual((layer["experts_held"], layer["primary"]), ([[0, count - 1]], True))
                self.assertRegex(layer["fingerprint"], "^sha256-sampled:[0-9a-f]{64}$")
                first, second = (shard["layers"][at] for shard in shards)
                self.assertEqual((first["experts_held"], first["primary"]), ([[0, 1], [3, 3]], True))
                self.assertEqual((second["experts_held"], second["primary"]), ([[2, 2]], False))
                for part in (first, second):
                    self.assertEqual(part["fingerprint"], layer["fingerprint"])
                    self.assertLess(part["bytes"], layer["bytes"])
                    self.assertLess(part["experts"] * part["bytes"], count * layer["bytes"])
            self.assertNotEqual(whole["layers"][0]["fingerprint"], whole["layers"][1]["fingerprint"])
            self.assertLess(shards[1]["backend"]["resident_bytes"],
                            whole["backend"]["resident_bytes"])

    def test_load_counts_what_was_computed_here(self):
        with fleet("f32-two-layers") as f:
            shard, _ = f.shards(f.splits[0])
            shard.post_raw(f"{f.path}?on_missing_expert=skip", f.raw)
            f.whole.post_raw(f.path, f.raw)
            mine, all_of_it = ({layer["layer"]: layer for layer in server.get("/v1/moe/experts").json()
                                ["layers"]}[f.layer]["tokens"] for server in (shard, f.whole))
            half = len(f.splits[0][0])
            self.assertEqual(mine[:half], all_of_it[:half])
            self.assertEqual(set(mine[half:]), {0})


if __name__ == "__main__":
    unittest.main()
