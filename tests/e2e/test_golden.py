"""Every golden case through HTTP, as JSON, as base64 and as raw bytes."""
import unittest

import harness
from harness import floats, ints

# Relative L2 against the golden output, by the type of the expert weights.
TOLERANCE = {"f32": 1e-6, "f16": 4e-4, "bf16": 3e-3}
QUANTISED = 1.25e-2
WEIGHT_TOLERANCE = 1e-6


def tolerance(info):
    return max(TOLERANCE.get(info.get(name, "f32"), QUANTISED) for name in ("gate", "up", "down"))


class Golden(unittest.TestCase):
    """One test a case is added below."""

    def check_case(self, case):
        with harness.Server(case.model) as server:
            for layer in case.layers:
                self.check_layer(server, case, layer)

    def check_layer(self, server, case, layer):
        rows = case.rows(layer)
        path = f"/v1/moe/layers/{layer}/forward"
        wanted = {"return": ["output", "routing", "logits"]}

        plain = server.post(path, {"hidden_states": rows, **wanted})
        self.assertEqual(plain.status, 200, plain)
        plain = plain.json()
        output = harness.f32(harness.flat(plain["output"]))
        self.assertEqual(plain["shape"], [len(rows), case.hidden])
        self.check_routing(case, layer, plain["routing"])
        logits = harness.f32(harness.flat(plain["logits"]))
        expected = floats(case.bytes(layer, "logits.f32"))
        self.assertLess(harness.relative_l2(logits, expected), 1e-5)

        expected = floats(case.bytes(layer, "output.f32"))
        self.assertEqual(len(output), len(expected))
        self.assertLess(harness.relative_l2(output, expected), tolerance(case.info))

        coded = server.post(path, {
            "hidden_states": harness.encode(case.bytes(layer, "hidden.f32"), case.hidden),
            "encoding": "base64", **wanted})
        self.assertEqual(coded.status, 200, coded)
        self.assertEqual(floats(harness.decode(coded.json()["output"])), output)
        self.assertEqual(coded.json()["routing"], plain["routing"])

        raw = server.post_raw(path + "?return=output,routing", case.bytes(layer, "hidden.f32"))
        self.assertEqual(raw.status, 200, raw)
        self.assertEqual(raw.headers["X-MoE-Shape"], f"{len(rows)},{case.hidden}")
        size, ids = 4 * len(output), 4 * len(rows) * case.k
        self.assertEqual(len(raw.body), size + 2 * ids)
        self.assertEqual(floats(raw.body[:size]), output)
        self.assertEqual(ints(raw.body[size:size + ids]),
                         ints(case.bytes(layer, "expert_ids.i32")))

    def check_routing(self, case, layer, routing):
        ids = ints(case.bytes(layer, "expert_ids.i32"))
        weights = floats(case.bytes(layer, "expert_weights.f32"))
        self.assertEqual(harness.flat(routing["expert_ids"]), list(ids))
        for found, expected in zip(harness.flat(routing["weights"]), weights):
            self.assertAlmostEqual(found, expected, delta=WEIGHT_TOLERANCE * max(1, abs(expected)))


def add_cases():
    for case in harness.cases():
        name = "test_" + case.name.replace("/", "_").replace("-", "_")
        setattr(Golden, name, lambda self, case=case: self.check_case(case))


add_cases()

if __name__ == "__main__":
    unittest.main()
