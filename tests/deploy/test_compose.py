"""deploy/compose.yaml: fits the compose specification, and names files, ports and flags that exist."""
import re
import unittest

import compose_spec
import parts
import yaml

FILE = parts.DEPLOY / "compose.yaml"


def text():
    """With its variables filled in, as compose does before it reads on."""
    return re.sub(r"\$\{(\w+):\?[^}]*\}", lambda match: "/" + match[1].lower(), FILE.read_text())


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml.safe_load(text())["services"]

    def test_specification(self):
        self.assertEqual(sorted(compose_spec.PyCompose.from_yaml(text()).service_names()),
                         ["grafana", "moed", "prometheus"])

    def test_specification_refuses_a_mistake(self):
        for right, wrong in (("cap_drop: [ALL]", "cap_drop: 3"), ("read_only: true", "read_onely: true")):
            with self.assertRaises(ValueError):
                compose_spec.PyCompose.from_yaml(text().replace(right, wrong))

    def test_moed_understands_its_arguments(self):
        moed = self.services["moed"]
        settings = parts.settings(moed["command"])
        (port,) = moed["ports"]
        self.assertEqual(settings["listen"][0], f"0.0.0.0:{port.rsplit(':', 1)[1]}")
        self.assertGreater(int(moed["stop_grace_period"].rstrip("s")), int(settings["drain-timeout-ms"][0]) / 1000)
        (volume,) = moed["volumes"]
        self.assertEqual(volume.split(":")[1:], ["/models", "ro"])

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
