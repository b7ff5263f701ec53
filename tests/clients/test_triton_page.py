"""deploy/clients/triton.md: its programs run."""
import pathlib
import re
import subprocess
import sys
import unittest

import harness

PAGE = pathlib.Path(__file__).resolve().parents[2] / "deploy/clients/triton.md"


class Page(unittest.TestCase):
    def test_programs(self):
        programs = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
        self.assertEqual(len(programs), 2)
        with harness.Server(harness.case("f32-two-layers").model) as server:
            for program, printed in zip(programs, (r"^\(4, 64\) \[\d+ \d+\]$", r"^float16 \(1, 64\)$")):
                program = program.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
                run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                                     timeout=harness.PATIENCE)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertRegex(run.stdout, printed)
