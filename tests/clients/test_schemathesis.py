"""schemathesis: requests made out of openapi.json, the legal and the illegal, and every answer held
against what openapi.json says of it. The same requests each time; MOED_SCHEMATHESIS_SECONDS makes it
other ones, for so long."""
import os
import pathlib
import re
import sys
import tempfile
import unittest

import harness
from processes import run

SECONDS = os.environ.get("MOED_SCHEMATHESIS_SECONDS")

# Which layer and which model there are. What is left out: `positive_data_acceptance` wants every
# request that fits the schema to be taken, but a schema cannot say that rows have H numbers each or
# that some parameters belong to raw bodies only; such requests are refused, in the form that the other
# checks hold against the schema. A deadline of a millisecond is legal, and may pass: 504.
CONFIGURATION = """
[parameters]
"path.L" = 0
"path.M" = "{name}"
[checks]
positive_data_acceptance.enabled = false
negative_data_rejection.expected-statuses = ["4xx"]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "504"]
"""


def operations(document):
    """How many it should try: all but the one that it has the document from."""
    return sum(len(item) for path, item in document["paths"].items() if path != "/openapi.json")


class Schemathesis(unittest.TestCase):
    def test_answers_are_what_the_document_says(self):
        case = harness.case("f32-two-layers")
        with tempfile.TemporaryDirectory() as folder, harness.Server(case.model) as server:
            (_, served, *_) = server.request("POST", "/v2/repository/index", b"").json()
            configuration = pathlib.Path(folder, "schemathesis.toml")
            configuration.write_text(CONFIGURATION.format(name=served["name"]))
            budget = (("--max-time", SECONDS) if SECONDS else
                      ("--max-examples", "20", "--generation-deterministic"))
            said = run(pathlib.Path(sys.executable).parent / "st", "--config-file", configuration, "run",
                       f"http://127.0.0.1:{server.port}/openapi.json", "--phases", "coverage,fuzzing",
                       "--continue-on-failure", "--no-color", "--request-timeout", "30", *budget,
                       patience=10 * harness.PATIENCE, folder=folder).decode()
            document = server.get("/openapi.json").json()
            count = operations(document)
            self.assertEqual(re.findall(r"(?:Selected|Tested): (\S+)", said), [f"{count}/{count}", str(count)])
            # It got that far: rows of the layer's width it finds in JSON by their absence only, in KServe not.
            for route, code in (("/v1/moe/layers/{L}/forward", "200"), ("/v2/models/{M}/infer", "400")):
                self.assertGreater(server.metric("moed_http_requests_total", route=route, code=code), 0, route)
            self.assertEqual(server.get("/readyz").status, 200)
            self.assertEqual(server.metric("moed_http_requests_total", code="500"), 0)


if __name__ == "__main__":
    unittest.main()
