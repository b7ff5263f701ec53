"""deploy/kubernetes/overlays/secured: moed gets its keys and certificates as it wants to have them."""
import os
import pathlib
import ssl
import tempfile
import unittest

import harness
import kustomize
import model
import parts
from certificates import Authority
from test_tls import TlsServer

KEY = "a-key-of-this-test-alone"


def project(folder, mode, **files):
    """What a kubelet makes of a secret: links to files of a folder that it can exchange as a whole."""
    data = pathlib.Path(folder, "..data_1")
    data.mkdir(parents=True)
    os.symlink(data.name, f"{folder}/..data")
    for name, content in files.items():
        name = name.replace("_", ".")
        (data / name).write_bytes(content)
        (data / name).chmod(mode)
        os.symlink(f"..data/{name}", f"{folder}/{name}")


class Secured(unittest.TestCase):
    def setUp(self):
        objects = {one["kind"]: one for one in kustomize.build(parts.DEPLOY / "kubernetes/overlays/secured")}
        self.pod = objects["StatefulSet"]["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        self.monitor, self.service = objects["PodMonitor"]["spec"], objects["Service"]["spec"]
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.authority = Authority(self.folder, "authority")

    def mounted(self, mode=None):
        """The pod's secret volumes in our folder, with the modes that it asks for."""
        cert, key = (pathlib.Path(path).read_bytes() for path in self.authority.sign("moed"))
        files = {"moed-keys": {"keys": f"{KEY}\n".encode()}, "moed-tls": {"tls_crt": cert, "tls_key": key}}
        paths = {mount["name"]: mount["mountPath"] for mount in self.container["volumeMounts"]}
        for volume in self.pod["volumes"]:
            if "secret" in volume:
                project(self.folder + paths[volume["name"]], mode or volume["secret"]["defaultMode"],
                        **files.pop(volume["secret"]["secretName"]))
        self.assertEqual(files, {})

    def served(self):
        """Started as the pod's container is, with the folder before its paths."""
        _, _, *flags = self.container["args"]
        flags = [flag.replace("=/secrets", f"={self.folder}/secrets") for flag in flags
                 if not flag.startswith(("--listen", "--drain"))]
        return TlsServer(model.tiny(type(self)), ssl.create_default_context(cafile=self.authority.cert), *flags)

    def test_only_moed_may_read_them(self):
        secrets = [volume["secret"] for volume in self.pod["volumes"] if "secret" in volume]
        self.assertEqual([secret["defaultMode"] for secret in secrets], [0o440, 0o440])
        context = self.pod["securityContext"]
        self.assertEqual(context["fsGroup"], context["runAsGroup"])

    def test_they_are_used(self):
        self.mounted()
        with self.served() as server:
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = self.container[probe]["httpGet"]
                self.assertEqual((get["scheme"], server.get(get["path"]).status), ("HTTPS", 200))
            self.assertEqual(server.get("/v1/moe/info").status, 401)
            self.assertEqual(server.get("/v1/moe/info", {"X-API-Key": KEY}).status, 200)
            (scrape,) = self.monitor["podMetricsEndpoints"]
            self.assertEqual((scrape["scheme"], server.get(scrape["path"]).status), ("https", 200))
            self.assertEqual(self.service["ports"][0]["appProtocol"], "https")

    def test_with_kubernetes_own_mode_they_are_refused(self):
        self.mounted(mode=0o644)
        with self.assertRaises(harness.LoadError) as caught:
            self.served()
        self.assertIn("found mode 0644", str(caught.exception))
