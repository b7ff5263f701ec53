"""The client's README about transformers is true."""
import os
import re
import tempfile
import unittest

import models
import packages


class Readme(unittest.TestCase):
    def test_the_program(self):
        text = (packages.CLIENT / "README.md").read_text()
        (program,) = (program for program in re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
                      if "torch" in program)
        model = models.make("Mixtral")
        tokens = {"input_ids": models.prompt(1, 4)}
        home = os.getcwd()
        with tempfile.TemporaryDirectory() as folder, models.served(models.make("Mixtral")) as server:
            os.chdir(folder)
            self.addCleanup(os.chdir, home)
            program = program.replace("http://127.0.0.1:8080", server.url)
            names = {"model": model, "tokens": tokens}
            exec(compile(program, "README.md", "exec"), names)  # it is ours
            self.assertTrue(os.path.getsize("experts.gguf"))
            self.assertEqual(names["attached"].layers, (0, 1))
            names["attached"].client.close()
            os.chdir(home)
