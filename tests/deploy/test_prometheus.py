"""deploy/prometheus: configuration and alerts are sound, and a real Prometheus scrapes a real server."""
import re
import shutil
import subprocess
import unittest

import dashboard
import harness
import model
import parts
import yaml
from monitor import Prometheus

FOLDER = parts.DEPLOY / "prometheus"
INSTALLED = shutil.which("prometheus") and shutil.which("promtool")


def alerts():
    (group,) = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return group["rules"]


@unittest.skipUnless(INSTALLED, "prometheus is not installed")
class Promtool(unittest.TestCase):
    def promtool(self, *command):
        done = subprocess.run(["promtool", *command], cwd=FOLDER, capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_configuration(self):
        self.promtool("check", "config", "prometheus.yml")

    def test_alerts_fire_when_they_should(self):
        self.promtool("test", "rules", "alerts_test.yml")

    def test_the_adapter_asks_for_a_series(self):
        (rule,) = yaml.safe_load((parts.DEPLOY / "kubernetes/prometheus-adapter.yaml").read_text())["rules"]["custom"]
        self.assertIn(rule["seriesQuery"].split("{")[0], parts.metric_names())


class Alerts(unittest.TestCase):
    def test_every_one_is_tested(self):
        tested = re.findall(r"alertname: (\w+)", (FOLDER / "alerts_test.yml").read_text())
        self.assertEqual(set(tested), {rule["alert"] for rule in alerts()})

    def test_they_watch_metrics_and_labels_that_exist(self):
        text = parts.exposition()
        for rule in alerts():
            names = parts.metrics_in(rule["expr"])
            self.assertTrue(names or "up{" in rule["expr"], rule["alert"])
            self.assertLessEqual(names, parts.metric_names(), rule["alert"])
            for values in re.findall(r'reason=~"([^"]+)"', rule["expr"]):
                for value in values.split("|"):
                    self.assertIn(f'reason="{value}"', text)


@unittest.skipUnless(INSTALLED, "prometheus is not installed")
class Scrape(unittest.TestCase):
    """One server, one Prometheus, some work."""

    @classmethod
    def setUpClass(cls):
        cls.server = harness.Server(model.tiny(cls))
        cls.addClassCleanup(cls.server.stop)
        cls.prometheus = cls.enterClassContext(Prometheus(f"127.0.0.1:{cls.server.port}"))
        # A rate needs two scrapes with work between them, and the work goes on until it shows.
        cls.worked = harness.eventually(cls.work)

    @classmethod
    def work(cls):
        for layer in range(model.LAYERS):
            cls.server.post_raw(f"/v1/moe/layers/{layer}/forward", bytes(4 * model.HIDDEN * 8))
        found = cls.prometheus.query("sum(rate(moed_rows_total[15s])) > 0")
        return bool(found)

    def test_it_scrapes(self):
        self.assertTrue(self.worked)
        (target,) = self.prometheus.api("targets", state="active")["activeTargets"]
        self.assertEqual((target["health"], target["lastError"]), ("up", ""))
        self.assertEqual(self.prometheus.query("moed_ready")[0][1], 1)

    def test_it_knows_what_every_metric_is(self):
        known = self.prometheus.api("metadata")
        for name in parts.metric_names():
            # OpenMetrics, which Prometheus asks for, names a counter's family without "_total".
            base = re.sub(r"_(bucket|sum|count|total)$", "", name)
            self.assertTrue(name in known or base in known, name)

    def test_every_panel_has_something_to_show(self):
        for panel, expression in dashboard.expressions("15s"):
            with self.subTest(panel=panel, expression=expression):
                self.assertTrue(self.prometheus.query(expression))

    def test_no_alert_fires_over_a_server_that_is_well(self):
        (group,) = self.prometheus.api("rules")["groups"]
        self.assertEqual({rule["name"]: rule["state"] for rule in group["rules"]},
                         {rule["alert"]: "inactive" for rule in alerts()})
        self.assertEqual([rule["health"] for rule in group["rules"]], ["ok"] * len(alerts()))
