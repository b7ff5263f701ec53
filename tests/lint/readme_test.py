#!/usr/bin/env python3
"""README.md and the pages that it leads to are true: every command block runs, in order, against the
quickstart's server, and the settings in deploy/SETTINGS.md are what `moed serve --print-config` prints."""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "tests/e2e"))

import certificates  # noqa: E402
import harness  # noqa: E402

README = (ROOT / "README.md").read_text()
PAGES = {name: (ROOT / name).read_text()
         for name in ("README.md", "deploy/README.md", "deploy/OPERATING.md", "deploy/SECURING.md")}
SETTINGS = (ROOT / "deploy/SETTINGS.md").read_text()
MOED = ROOT / "build/src/cli/moed"
PATIENCE = 600  # seconds, for installing and building


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.M | re.S)


def settings(text):
    """The flags and defaults of the tables in a page."""
    rows = re.findall(r"^\| `--([a-z-]+)` \| ([^|]*?) \|", text, re.M)
    table = dict(rows)
    assert len(table) == len(rows), "a setting stands there twice"
    return table


class Quickstart(unittest.TestCase):
    """Its own words, and the variables that it says apply; what it builds is the README's too."""

    MODEL = "tests/golden/f32-two-layers/model.gguf"

    def quickstart(self, *words, **variables):
        return subprocess.run(["./deploy/quickstart.sh", *words], cwd=ROOT, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE, env={**os.environ, **variables})

    def assert_answers(self, **variables):
        result = self.quickstart("--once", self.MODEL, **variables)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertRegex(result.stdout, r'"shape": ?\[2, ?\d+\]')

    def test_help(self):
        result = self.quickstart("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertIn("quickstart.sh [--once] [MODEL.gguf]", result.stdout)
        self.assertIn("MOED_ARG_LISTEN", result.stdout)
        self.assertEqual(self.quickstart("--nonsense").returncode, 2)

    def test_a_unix_socket_and_a_key(self):
        with tempfile.TemporaryDirectory() as folder:
            keys = pathlib.Path(folder, "keys")
            keys.write_text("# of a test\n0123456789abcdef0123456789abcdef\n")
            keys.chmod(0o600)
            self.assert_answers(MOED_ARG_LISTEN=f"unix:{folder}/moed.sock")
            self.assert_answers(MOED_ARG_LISTEN=f"unix:{folder}/moed.sock", MOED_ARG_API_KEY_FILE=str(keys))

    def test_tls(self):
        with tempfile.TemporaryDirectory() as folder:
            certificate, key = certificates.Authority(folder, "authority").sign("server")
            self.assert_answers(MOED_ARG_LISTEN=f"127.0.0.1:{harness.free_port()}",
                                MOED_ARG_TLS_CERT=str(certificate), MOED_ARG_TLS_KEY=str(key))

    def test_what_cannot_be_asked_is_refused(self):
        for variables in ({"MOED_ARG_LISTEN": "fd:3"}, {"MOED_ARG_LISTEN": "127.0.0.1:0"},
                          {"MOED_ARG_TLS_CLIENT_CA": "ca.pem"}):
            result = self.quickstart("--once", self.MODEL, **variables)
            self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
            self.assertIn(next(iter(variables)), result.stderr)


class Readme(unittest.TestCase):
    """The README's own port may be taken, so the commands run with another in its place."""

    @classmethod
    def setUpClass(cls):
        cls.address = f"127.0.0.1:{harness.free_port()}"
        cls.log = tempfile.TemporaryFile()
        cls.addClassCleanup(cls.log.close)
        cls.quickstart = subprocess.Popen(
            [*harness.DEFAULT_SIGNALS, "./deploy/quickstart.sh"], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=cls.log,
            stderr=cls.log, start_new_session=True,
            env={**os.environ, "MOED_ARG_LISTEN": cls.address})
        cls.addClassCleanup(cls.stop)
        end = time.monotonic() + PATIENCE
        while b"Ctrl-C stops the server" not in cls.printed():
            if cls.quickstart.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"the quickstart did not come up:\n{cls.printed().decode()}")
            time.sleep(0.2)

    @classmethod
    def printed(cls):
        return os.pread(cls.log.fileno(), 1 << 20, 0)

    @classmethod
    def stop(cls):
        if cls.quickstart.poll() is None:
            os.killpg(cls.quickstart.pid, signal.SIGINT)
            cls.quickstart.wait(60)

    def run_block(self, command, text):
        text = text.replace("127.0.0.1:8080", self.address)
        result = subprocess.run([*command, text], cwd=ROOT, capture_output=True, text=True,
                                timeout=PATIENCE)
        self.assertEqual(result.returncode, 0, f"{text}\n{result.stdout[-2000:]}{result.stderr}")
        return result.stdout

    def test_quickstart_prints_an_answer(self):
        self.assertRegex(self.printed().decode(), r'"shape": ?\[2, ?2048\]')

    def test_shell_blocks(self):
        for page, text in ((page, text) for page in PAGES for text in blocks("sh", PAGES[page])):
            words = text.split()
            with self.subTest(page=page, block=text.splitlines()[0]):
                if words[0] in ("./deploy/quickstart.sh", "./tests/run.sh"):
                    self.assertTrue(os.access(ROOT / words[0], os.X_OK))
                elif words[0] == "docker":
                    self.skipTest("needs Docker's daemon; tests/container runs the image without")
                else:
                    self.assertTrue(self.run_block(["bash", "-euo", "pipefail", "-c"], text))

    def test_the_curl_is_answered_with_a_row(self):
        text = next(text for text in blocks("sh") if "hidden_states" in text)
        answer = self.run_block(["bash", "-euo", "pipefail", "-c"], text)
        self.assertIn('"expert_ids"', answer)
        self.assertRegex(answer, r'"shape": ?\[1, ?2048\]')

    def test_python_block_in_ten_lines(self):
        (text,) = blocks("python")
        self.assertLessEqual(len([line for line in text.splitlines() if line.strip()]), 10)
        self.assertRegex(self.run_block([sys.executable, "-c"], text), r"^4, ?2048 ")

    def test_settings_are_those_of_the_program(self):
        printed = subprocess.run([MOED, "serve", "model.gguf", "--print-config"], check=True,
                                 capture_output=True, text=True).stdout
        lines = (line.split(None, 1) for line in printed.splitlines())
        actual = {name: rest.rsplit(None, 1)[0].strip() for name, rest in lines}
        actual.pop("print-config")
        self.assertEqual(settings(SETTINGS), actual)

    def test_the_landing_page_is_short_and_its_links_lead_somewhere(self):
        self.assertLessEqual(README.count("\n"), 130)
        pages = {**PAGES, "deploy/API.md": (ROOT / "deploy/API.md").read_text()}
        for name, page in pages.items():
            for target in re.findall(r"\]\(([^)#]+)\)", page):
                with self.subTest(page=name, target=target):
                    self.assertTrue((ROOT / name).parent.joinpath(target).exists())

    def test_commands_are_those_of_the_program(self):
        overview = subprocess.run([MOED, "--help"], check=True, capture_output=True, text=True).stdout
        commands = re.findall(r"^  ([a-z]+)  ", overview, re.M)
        self.assertEqual(sorted(set(re.findall(r"^\| `moed ([a-z]+)", README, re.M))), sorted(commands))

    @classmethod
    def tearDownClass(cls):
        cls.stop()
        if cls.quickstart.returncode != 0:
            raise AssertionError(f"the interrupted quickstart exited with {cls.quickstart.returncode}")


if __name__ == "__main__":
    unittest.main()
