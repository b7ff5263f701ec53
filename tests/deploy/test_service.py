"""deploy/systemd: systemd finds the units sound and well confined, and moed understands them."""
import configparser
import pathlib
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import unittest

import harness
import model
import parts

UNIT = parts.DEPLOY / "systemd/moed.service"
SOCKET = UNIT.with_suffix(".socket")
MOST_EXPOSURE = 20  # tenths: 2.0 of 10, which systemd calls OK


class Many(dict):
    """A key that is given again has another line, as in a unit."""

    def __setitem__(self, key, value):
        if key in self and isinstance(value, list):
            value = self[key] + value
        super().__setitem__(key, value)


def section(unit):
    """{key: lines} of the section that is named like the kind of unit."""
    parser = configparser.RawConfigParser(dict_type=Many, strict=False, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str
    parser.read(unit)
    return {key: value.split("\n") for key, value in parser[unit.suffix[1:].title()].items()}


def arguments():
    """Those of ExecStart, without the program."""
    (start,) = section(UNIT)["ExecStart"]
    program, *rest = shlex.split(start)
    assert program == "/usr/bin/moed", program
    return rest


def seconds(text):
    value, unit = re.fullmatch(r"(\d+)(min|s)?", text).groups()
    return int(value) * (60 if unit == "min" else 1)


@unittest.skipUnless(shutil.which("systemd-analyze"), "systemd-analyze is not installed")
class Analyze(unittest.TestCase):
    def analyze(self, *command, unit=UNIT, text=None):
        """A unit, or another text in its place, as it would be where moed is installed: here it is the
        one under test. The other unit lies beside it."""
        with tempfile.TemporaryDirectory() as folder:
            for one in (UNIT, SOCKET):
                file = pathlib.Path(folder, one.name)
                file.write_text((text if text and one == unit else one.read_text())
                                .replace("/usr/bin/moed", harness.BIN))
            return subprocess.run(["systemd-analyze", *command, f"{folder}/{unit.name}"], capture_output=True,
                                  text=True)

    def test_verify(self):
        for unit in (UNIT, SOCKET):
            with self.subTest(unit=unit.name):
                done = self.analyze("verify", unit=unit)
                self.assertEqual((done.returncode, done.stdout + done.stderr), (0, ""))

    def test_verify_finds_a_mistake(self):
        for unit, right, wrong in ((UNIT, "Type=notify", "Type=notified"),
                                   (SOCKET, "ListenStream=127.0.0.1:", "ListenStream=127.0.0.1.1:")):
            with self.subTest(unit=unit.name):
                done = self.analyze("verify", unit=unit, text=unit.read_text().replace(right, wrong))
                self.assertRegex(done.stdout + done.stderr, "service type|address")

    def test_security(self):
        done = self.analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("Overall exposure level", done.stdout)

    def test_security_finds_a_service_without_confinement(self):
        plain = UNIT.read_text().replace("ProtectSystem=strict", "").replace("CapabilityBoundingSet=\n", "")
        done = self.analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE}", text=plain)
        self.assertNotEqual(done.returncode, 0)


class Settings(unittest.TestCase):
    def test_moed_understands_its_arguments(self):
        unit = section(UNIT)
        settings = parts.settings(arguments(), dict(line.split("=", 1) for line in unit["Environment"]))
        # No address of its own, which would beat the socket's.
        self.assertEqual(settings["listen"], ("127.0.0.1:8080", "default"))
        self.assertGreater(seconds(unit["TimeoutStopSec"][0]), int(settings["drain-timeout-ms"][0]) / 1000)

    def test_the_socket_is_where_the_service_would_listen(self):
        self.assertEqual(section(SOCKET)["ListenStream"], [parts.settings(arguments())["listen"][0]])

    def test_it_may_lock_its_weights(self):
        self.assertEqual(section(UNIT)["LimitMEMLOCK"], ["infinity"])


@unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd-socket-activate is not installed")
class Activation(unittest.TestCase):
    """systemd's own tool binds what the socket unit says, and starts moed for the first connection."""

    def setUp(self):
        self.port = harness.free_port()
        (address,), (self.name,) = (section(SOCKET)[key] for key in ("ListenStream", "FileDescriptorName"))
        self.address = f"{address.rpartition(':')[0]}:{self.port}"

    def connects(self):
        """Whether somebody listens, and be it one that has ended by now."""
        try:
            self.first = socket.create_connection(("127.0.0.1", self.port), timeout=harness.PATIENCE)
        except ConnectionRefusedError:
            return False
        except ConnectionResetError:
            pass
        return True

    def activated(self, listen):
        """A server that the unit's command starts, and that has a connection from before it was there."""
        command, _, *rest = arguments()
        self.assertEqual((command, rest), ("serve", []))
        self.first = None
        visitor = threading.Thread(target=harness.eventually, args=(self.connects,))
        visitor.start()
        try:
            return harness.Server(model.tiny(type(self)), listen=listen, prefix=(
                "systemd-socket-activate", f"--listen={self.address}", f"--fdname={self.name}"))
        finally:
            visitor.join()
            if self.first is not None:
                self.addCleanup(self.first.close)

    def test_the_socket_is_inherited(self):
        for listen in ((), ("--listen", f"fd:{self.name}")):
            with self.subTest(listen=listen), self.activated(listen) as server:
                self.assertEqual(server.port, self.port)
                self.first.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertEqual(harness.read_answer(self.first).status, 200)
                self.assertEqual(server.get("/readyz").status, 200)

    def test_no_socket_of_another_name(self):
        with self.assertRaises(harness.LoadError) as caught:
            self.activated(("--listen", "fd:other"))
        self.assertIn(f'no socket is named "other"; systemd passed 1, named "{self.name}"', str(caught.exception))
