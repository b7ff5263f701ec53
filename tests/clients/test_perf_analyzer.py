"""Triton's perf_analyzer, with the command lines that its users type first. Its package is built for a
newer C library than Debian 12's: there MOED_PERF_ANALYZER may name a command that runs it. What it makes
up by itself has numbers up to 1e38, whose products are not finite: those rows are refused, rightly."""
import os
import shutil
import subprocess
import unittest

import harness
from processes import run

COMMAND = os.environ.get("MOED_PERF_ANALYZER") or shutil.which("perf_analyzer")


def runs():
    """Whether there is one that starts here."""
    return COMMAND is not None and subprocess.run([COMMAND, "--version"], capture_output=True).returncode == 0


@unittest.skipUnless(runs(), "perf_analyzer does not run here")
class PerfAnalyzer(unittest.TestCase):
    def test_natural_command_lines(self):
        case = harness.case("f32-two-layers")
        width = case.hidden
        with harness.Server(case.model, "--name", "two") as server:
            for words in (("-m", "two.layer0"), ("-m", "two.layer1", "-b", "8"),
                          ("-m", "two.layer0", "--shape", f"hidden_states:{width}"),
                          ("-m", "two.layer0", "-b", "4", "--shape", f"hidden_states:{width}", "--concurrency-range", "1:2"),
                          ("-m", "two.layer0", "--async")):
                before = server.metric("moed_rows_total")
                said = run(COMMAND, "-u", f"127.0.0.1:{server.port}", "--measurement-mode", "count_windows",
                           "--measurement-request-count", "20", "-s", "10000", "--max-trials", "10", "--input-data", "zero", *words).decode()
                self.assertIn("Inferences/Second", said)
                self.assertGreater(server.metric("moed_rows_total"), before)
            self.assertEqual(server.metric("moed_http_requests_total", code="400"), 0)


if __name__ == "__main__":
    unittest.main()
