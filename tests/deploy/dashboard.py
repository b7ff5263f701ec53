"""deploy/grafana/dashboard.json, its queries as Prometheus gets them."""
import json

import parts

FILE = parts.DEPLOY / "grafana/dashboard.json"


def load():
    return json.loads(FILE.read_text())


def expressions(interval):
    """(panel, expression) of every query, Grafana's variables filled in."""
    for panel in load()["panels"]:
        for target in panel["targets"]:
            yield panel["title"], (target["expr"].replace("$__rate_interval", interval)
                                   .replace("$instance", ".*").replace("$job", "moed"))
