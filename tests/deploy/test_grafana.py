"""deploy/grafana: every panel asks for metrics that exist, of a data source that can be chosen."""
import re
import unittest

import dashboard
import parts


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.dashboard = dashboard.load()
        self.variables = {one["name"]: one for one in self.dashboard["templating"]["list"]}

    def test_metrics_exist(self):
        for panel, expression in dashboard.expressions("1m"):
            with self.subTest(panel=panel, expression=expression):
                names = parts.metrics_in(expression)
                self.assertTrue(names)
                self.assertLessEqual(names, parts.metric_names())

    def test_variables_are_declared(self):
        used = set(re.findall(r"\$\{?(\w+)", dashboard.FILE.read_text()))
        self.assertEqual({name for name in used if not name.startswith("__")}, set(self.variables))
        self.assertEqual(self.variables["DS_PROMETHEUS"]["type"], "datasource")

    def test_every_panel_asks_the_chosen_source(self):
        for panel in self.dashboard["panels"]:
            for asked in (panel, *panel["targets"]):
                self.assertEqual(asked["datasource"], {"type": "prometheus", "uid": "${DS_PROMETHEUS}"})

    def test_panels_have_ids_of_their_own_and_do_not_overlap(self):
        panels = self.dashboard["panels"]
        self.assertEqual(len({panel["id"] for panel in panels}), len(panels))
        cells = [(x, y) for panel in panels for place in [panel["gridPos"]]
                 for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])]
        self.assertEqual(len(cells), len(set(cells)))
        self.assertLess(max(x for x, _ in cells), 24)
