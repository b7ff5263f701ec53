"""What Prometheus' own tools, and OpenMetrics' parser, think of /metrics."""
import unittest

from prometheus_client.openmetrics import parser

import harness
from processes import needs, run


@needs("promtool")
class Promtool(unittest.TestCase):
    def check(self, server):
        answer = server.get("/metrics")
        self.assertEqual(run("promtool", "check", "metrics", data=answer.body), b"")

    def test_check_metrics(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--metrics-per-expert", "--name", 'a "name"\\') as server:
            self.check(server)
            server.post_raw("/v1/moe/layers/0/forward", case.bytes(0, "hidden.f32"))
            server.get("/nowhere")
            self.check(server)


class OpenMetrics(unittest.TestCase):
    NAME = "application/openmetrics-text"

    def test_for_those_who_ask(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model, "--metrics-per-expert", "--name", 'a "name"\\') as server:
            server.post_raw("/v1/moe/layers/0/forward", case.bytes(0, "hidden.f32"))
            answer = server.get("/metrics", {"Accept": f"{self.NAME};version=1.0.0;q=0.5,text/plain;q=0.3,*/*;q=0.1"})
            self.assertEqual(answer.headers["Content-Type"], f"{self.NAME}; version=1.0.0; charset=utf-8")
            self.assertEqual(answer.headers["Vary"], "Accept")
            families = {family.name: family for family in
                        parser.text_string_to_metric_families(answer.body.decode())}
            plain = server.get("/metrics").body.decode()
        self.assertEqual({name + ("_total" if family.type == "counter" else "") for name, family in families.items()},
                         {line.split()[2] for line in plain.splitlines() if line.startswith("# TYPE ")})
        self.assertEqual(families["moed_batch_rows"].type, "histogram")

    def test_for_nobody_else(self):
        case = harness.case("f32-two-layers")
        with harness.Server(case.model) as server:
            for accept in (None, "*/*", "text/plain", f"{self.NAME};q=0", f"{self.NAME};q=0.2, text/plain",
                           "application/openmetrics-textual", "text/plain;q=0.7," + self.NAME + ";version=1.0.0;q=0.5"):
                answer = server.get("/metrics", {"Accept": accept} if accept else {})
                self.assertEqual(answer.headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8", accept)
            for accept in (self.NAME, f"text/plain;q=0.1 , {self.NAME} ; q=0.2", "Application/OpenMetrics-Text;q=1.0"):
                answer = server.get("/metrics", {"Accept": accept})
                self.assertTrue(answer.headers["Content-Type"].startswith(self.NAME), accept)
                self.assertTrue(answer.body.endswith(b"\n# EOF\n"))


if __name__ == "__main__":
    unittest.main()
