"""What Prometheus' own tools think of /metrics."""
import unittest

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


if __name__ == "__main__":
    unittest.main()
