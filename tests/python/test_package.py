"""The package as it is installed: typed, and importable with numpy alone."""
import importlib.metadata
import importlib.util
import pathlib
import re
import subprocess
import sys
import unittest

import harness
import packages

PACKAGE = pathlib.Path(importlib.util.find_spec("moed").origin).parent


class Package(unittest.TestCase):
    def test_it_is_the_installed_one(self):
        self.assertIn("site-packages", PACKAGE.parts)
        self.assertTrue((PACKAGE / "py.typed").exists())

    def test_numpy_is_its_only_need(self):
        needs = [need for need in importlib.metadata.requires("moed") if "extra ==" not in need]
        self.assertEqual([need.split(">")[0] for need in needs], ["numpy"])
        # What an interpreter brings of its own (Debian's has a sitecustomize) is there before.
        code = ("import sys; before = set(sys.modules); import moed; "
                "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before} - "
                "set(sys.stdlib_module_names) - {'moed'}))")
        loaded = subprocess.run([sys.executable, "-I", "-c", code], check=True, capture_output=True,
                                text=True).stdout.split()
        self.assertEqual([name for name in loaded if not name.startswith("_")], ["numpy"])

    def test_mypy_strict(self):
        found = subprocess.run([sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"],
                               cwd=packages.CLIENT, capture_output=True, text=True,
                               env={"MYPYPATH": "src", "MYPY_CACHE_DIR": str(packages.WORK / "mypy")})
        self.assertEqual(found.returncode, 0, found.stdout + found.stderr)
        self.assertIn("no issues found", found.stdout)

    def test_what_is_exported_exists(self):
        import moed
        for name in moed.__all__:
            self.assertTrue(hasattr(moed, name), name)

    def test_readme_s_programs(self):
        text = (packages.CLIENT / "README.md").read_text()
        programs = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
        # That with a model of transformers is run by tests/transformers.
        programs = [program for program in programs if "torch" not in program]
        self.assertEqual(len(programs), 3)
        with harness.Server(harness.case("f32-two-layers").model) as server:
            for program in programs:
                program = program.replace("127.0.0.1:8080", f"127.0.0.1:{server.port}")
                run = subprocess.run([sys.executable, "-W", "error", "-c", program],
                                     capture_output=True, text=True, timeout=harness.PATIENCE)
                self.assertEqual(run.returncode, 0, run.stderr)
                self.assertTrue(run.stdout)
