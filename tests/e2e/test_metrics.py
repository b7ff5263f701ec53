"""The metrics that dashboards and alerts are written against: names, kinds, labels, buckets."""
import re
import unittest

import harness

SECONDS = [50e-6, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
           float("inf")]
COUNTS = [2.0 ** i for i in range(17)] + [float("inf")]

# name: kind and labels (and the buckets of a histogram)
CONTRACT = {
    "moed_build_info": ("gauge", {"version"}),
    "moed_model_info": ("gauge", {"name", "architecture", "fingerprint", "backend", "isa"}),
    "moed_http_requests_total": ("counter", {"route", "method", "code"}),
    "moed_http_request_duration_seconds": ("histogram", {"route"}, SECONDS),
    "moed_connections": ("gauge", set()),
    "moed_queue_rows": ("gauge", set()),
    "moed_queue_requests": ("gauge", set()),
    "moed_queue_wait_seconds": ("histogram", set(), SECONDS),
    "moed_rejected_total": ("counter", {"reason"}),
    "moed_batches_total": ("counter", {"layer"}),
    "moed_rows_total": ("counter", {"layer"}),
    "moed_batches_cut_total": ("counter", set()),
    "moed_batch_rows": ("histogram", set(), COUNTS),
    "moed_batch_requests": ("histogram", set(), COUNTS),
    "moed_batch_active_experts": ("histogram", set(), COUNTS),
    "moed_batch_compute_seconds": ("histogram", {"layer"}, SECONDS),
    "moed_expert_weight_bytes_total": ("counter", set()),
    "moed_worker_busy_seconds_total": ("counter", {"worker"}),
    "moed_expert_load_imbalance_ratio": ("gauge", {"layer"}),
    "moed_expert_rows_total": ("counter", {"layer", "expert"}),
    "moed_weights_bytes": ("gauge", {"device"}),
    "moed_ready": ("gauge", set()),
    "process_cpu_seconds_total": ("counter", set()),
    "process_resident_memory_bytes": ("gauge", set()),
    "process_virtual_memory_bytes": ("gauge", set()),
    "process_start_time_seconds": ("gauge", set()),
    "process_open_fds": ("gauge", set()),
    "process_max_fds": ("gauge", set()),
}


class Contract(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        case = harness.case("f32-two-layers")
        cls.case = case
        with harness.Server(case.model, "--metrics-per-expert", "--workers", "2") as server:
            for layer in case.layers:
                data = case.bytes(layer, "hidden.f32")
                server.post_raw(f"/v1/moe/layers/{layer}/forward", data)
            server.get("/nowhere")
            cls.text = server.get("/metrics").body.decode()
        cls.samples = harness.parse_metrics(cls.text)
        cls.kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", cls.text, re.M))

    def of(self, name):
        """Labels and values of a family, the parts of a histogram included."""
        return [(sample, labels, value) for sample, labels, value in self.samples
                if sample == name or (self.kinds[name] == "histogram" and
                                      sample in (f"{name}_bucket", f"{name}_sum", f"{name}_count"))]

    def test_kinds_and_labels(self):
        for name, (kind, labels, *_) in CONTRACT.items():
            with self.subTest(name=name):
                self.assertEqual(self.kinds.get(name), kind)
                self.assertGreater(len(self.of(name)), 0)
                for _, found, _ in self.of(name):
                    self.assertEqual(set(found) - {"le"}, labels)

    def test_every_family_is_described_once(self):
        for word in ("HELP", "TYPE"):
            names = re.findall(rf"^# {word} (\S+) \S", self.text, re.M)
            self.assertEqual(sorted(names), sorted(set(names)))
            self.assertLessEqual(set(CONTRACT), set(names))

    def test_names_say_what_they_are(self):
        for name, kind in self.kinds.items():
            self.assertEqual(name.endswith("_total"), kind == "counter", name)
            self.assertNotRegex(name, r"_(ms|us|kb|mb|percent|milliseconds)(_|$)")

    def test_buckets(self):
        for name, (kind, _, *buckets) in CONTRACT.items():
            if kind != "histogram":
                continue
            series = {}
            for sample, labels, value in self.of(name):
                key = tuple(sorted((k, v) for k, v in labels.items() if k != "le"))
                series.setdefault(key, {}).setdefault(sample[len(name):], []).append((labels.get("le"), value))
            for parts in series.values():
                bounds = [float(le) for le, _ in parts["_bucket"]]
                counts = [value for _, value in parts["_bucket"]]
                self.assertEqual(bounds, buckets[0], name)
                self.assertEqual(counts, sorted(counts), name)
                self.assertEqual(parts["_count"][0][1], counts[-1], name)

    def test_values(self):
        rows = {layer: len(self.case.rows(layer)) for layer in self.case.layers}
        value = {(name, *sorted(labels.items())): value for name, labels, value in self.samples}
        for layer, count in rows.items():
            self.assertEqual(value["moed_rows_total", ("layer", str(layer))], count)
            of_experts = [found for name, labels, found in self.samples
                          if name == "moed_expert_rows_total" and labels["layer"] == str(layer)]
            self.assertEqual(len(of_experts), self.case.info["experts"])
            self.assertEqual(sum(of_experts), count * self.case.k)
            self.assertAlmostEqual(value["moed_expert_load_imbalance_ratio", ("layer", str(layer))],
                                   max(of_experts) * len(of_experts) / sum(of_experts))
        self.assertEqual(value["moed_batch_rows_sum",], sum(rows.values()))
        self.assertGreater(value["moed_expert_weight_bytes_total",], 0)
        self.assertEqual(value["moed_connections",], 1)
        self.assertEqual({labels["worker"] for name, labels, _ in self.samples
                          if name == "moed_worker_busy_seconds_total"}, {"0", "1"})


if __name__ == "__main__":
    unittest.main()
