"""deploy/systemd: systemd finds the unit sound and well confined, and moed understands it."""
import configparser
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest

import harness
import parts

UNIT = parts.DEPLOY / "systemd/moed.service"
MOST_EXPOSURE = 20  # tenths: 2.0 of 10, which systemd calls OK


class Many(dict):
    """A key that is given again has another line, as in a unit."""

    def __setitem__(self, key, value):
        if key in self and isinstance(value, list):
            value = self[key] + value
        super().__setitem__(key, value)


def service():
    parser = configparser.RawConfigParser(dict_type=Many, strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(UNIT)
    return {key: value.split("\n") for key, value in parser["Service"].items()}


def seconds(text):
    value, unit = re.fullmatch(r"(\d+)(min|s)?", text).groups()
    return int(value) * (60 if unit == "min" else 1)


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Analyze(unittest.TestCase):
    def analyze(self, *command, unit=None):
        """The unit as it would be where moed is installed: here it is the one under test."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "moed.service")
            path.write_text((unit or UNIT.read_text()).replace("/usr/bin/moed", harness.BIN))
            return subprocess.run(["systemd-analyze", *command, str(path)], capture_output=True, text=True)

    def test_verify(self):
        done = self.analyze("verify")
        self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_verify_finds_a_mistake(self):
        done = self.analyze("verify", unit=UNIT.read_text().replace("Type=notify", "Type=notified"))
        self.assertIn("service type", done.stdout + done.stderr)

    def test_security(self):
        done = self.analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Overall exposure level", done.stdout)

    def test_security_finds_a_service_without_confinement(self):
        plain = UNIT.read_text().replace("ProtectSystem=strict", "").replace("CapabilityBoundingSet=\n", "")
        done = self.analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit=plain)
        self.assertNotEqual(done.returncode, 0)


class Settings(unittest.TestCase):
    def test_moed_understands_its_arguments(self):
        unit = service()
        (start,) = unit["ExecStart"]
        program, *args = shlex.split(start)
        self.assertEqual(program, "/usr/bin/moed")
        settings = parts.settings(args, dict(line.split("=", 1) for line in unit["Environment"]))
        self.assertEqual(settings["listen"], ("127.0.0.1:8080", "variable"))
        self.assertGreater(seconds(unit["TimeoutStopSec"][0]), int(settings["drain-timeout-ms"][0]) / 1000)

    def test_it_may_lock_its_weights(self):
        self.assertEqual(service()["LimitMEMLOCK"], ["infinity"])
