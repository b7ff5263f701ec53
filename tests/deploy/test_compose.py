"""deploy/compose.yaml: compose takes it, and it names files, ports and flags that exist."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import parts
import yaml

FILE = parts.DEPLOY / "compose.yaml"
MODELS = "/where/models/are"


def config(text, **variables):
    """`docker-compose config` of a file with this text in deploy's place."""
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, FILE.name)
        path.write_text(text)
        return subprocess.run(["docker-compose", "-f", path, "--project-directory", FILE.parent, "config"],
                              capture_output=True, text=True, env={"PATH": os.environ["PATH"], **variables})


@unittest.skipUnless(shutil.which("docker-compose"), "docker-compose is not installed")
class Config(unittest.TestCase):
    def test_it_is_taken(self):
        done = config(FILE.read_text(), MODELS=MODELS)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        services = yaml.safe_load(done.stdout)["services"]
        self.assertEqual(sorted(services), ["grafana", "moed", "prometheus"])
        self.assertEqual(services["moed"]["volumes"], [f"{MODELS}:/models:ro"])

    def test_the_models_have_to_be_named(self):
        done = config(FILE.read_text())
        self.assertIn("the folder where model.gguf is", done.stderr)
        self.assertNotEqual(done.returncode, 0)

    def test_mistakes_are_found(self):
        for right, wrong in (("cap_drop: [ALL]", "cap_drop: 3"), ("read_only: true", "read_onely: true")):
            done = config(FILE.read_text().replace(right, wrong), MODELS=MODELS)
            self.assertIn(wrong.split(":")[0], done.stderr)


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load(FILE.read_text())["services"]

    def test_moed_understands_its_arguments(self):
        moed = self.services["moed"]
        settings = parts.settings(moed["command"])
        (port,) = moed["ports"]
        self.assertEqual(settings["listen"][0], f"0.0.0.0:{port.rsplit(':', 1)[1]}")
        self.assertGreater(int(moed["stop_grace_period"].rstrip("s")), int(settings["drain-timeout-ms"][0]) / 1000)
        self.assertEqual(moed["command"][1], "/models/model.gguf")

    def test_mounted_files_exist(self):
        mounted = [volume.split(":")[0] for service in self.services.values() for volume in service["volumes"]]
        self.assertTrue((FILE.parent / self.services["moed"]["build"] / "Dockerfile").exists())
        for path in mounted:
            if path.startswith("."):
                self.assertTrue((FILE.parent / path).exists(), path)

    def test_each_finds_the_next(self):
        scraped = yaml.safe_load((parts.DEPLOY / "prometheus/prometheus.yml").read_text())
        self.assertEqual(scraped["scrape_configs"][0]["static_configs"], [{"targets": ["moed:8080"]}])
        provisioning = parts.DEPLOY / "grafana/provisioning"
        (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())["datasources"]
        self.assertEqual(source["url"], "http://prometheus:9090")
        (provider,) = yaml.safe_load((provisioning / "dashboards/moed.yml").read_text())["providers"]
        self.assertIn(f"./grafana/dashboard.json:{provider['options']['path']}/moed.json:ro",
                      self.services["grafana"]["volumes"])
