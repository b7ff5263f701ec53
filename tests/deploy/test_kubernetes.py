"""deploy/kubernetes: every overlay builds, fits the schemas, agrees with itself and with the program."""
import json
import unittest

import kubernetes_validate
import kustomize
import parts

FOLDER = parts.DEPLOY / "kubernetes"
VERSION = "1.31"
# Kinds of other people's API groups, which Kubernetes' own schemas do not have: the fields that they
# need and have, as far as they are used here.
CUSTOM = {
    "PodMonitor": {"selector": dict, "podTargetLabels": list, "podMetricsEndpoints": list},
    "HTTPRoute": {"parentRefs": list, "hostnames": list, "rules": list},
}
MOST_MATCHES = 64


def overlays():
    return sorted(path.parent for path in FOLDER.glob("overlays/*/kustomization.yaml"))


class Overlay(unittest.TestCase):
    """Each test looks at every overlay."""

    def setUp(self):
        self.built = {folder.name: kustomize.build(folder) for folder in overlays()}

    def each(self, kind):
        found = [(name, one) for name, objects in self.built.items() for one in objects if one["kind"] == kind]
        self.assertTrue(found, kind)
        for name, one in found:
            with self.subTest(overlay=name, kind=kind, name=one["metadata"]["name"]):
                yield name, one

    def container(self, one):
        (container,) = one["spec"]["template"]["spec"]["containers"]
        return container

    def test_there_are_those_that_the_readme_names(self):
        self.assertEqual(list(self.built), ["cuda", "layer-shards", "secured", "single"])
        self.assertEqual(len({json.dumps(objects) for objects in self.built.values()}), 4)

    def test_schemas(self):
        for name, objects in self.built.items():
            for one in objects:
                with self.subTest(overlay=name, kind=one["kind"], name=one["metadata"]["name"]):
                    if one["kind"] in CUSTOM:
                        fields = CUSTOM[one["kind"]]
                        for field, value in one["spec"].items():
                            self.assertIsInstance(value, fields[field])
                    else:
                        kubernetes_validate.validate(one, VERSION, strict=True)

    def test_schemas_refuse_a_mistake(self):
        (one,) = (one for one in self.built["single"] if one["kind"] == "StatefulSet")
        self.container(one)["resource"] = {}
        with self.assertRaises(kubernetes_validate.ValidationError):
            kubernetes_validate.validate(one, VERSION, strict=True)

    def test_names_are_unique(self):
        for name, objects in self.built.items():
            names = [(one["kind"], one["metadata"]["name"]) for one in objects]
            self.assertEqual(len(names), len(set(names)), name)

    def test_moed_understands_its_arguments(self):
        for _, one in self.each("StatefulSet"):
            container = self.container(one)
            environment = {item["name"]: "4" for item in container["env"]}
            self.assertEqual(set(environment), {"MOED_ARG_THREADS"})
            settings = parts.settings(container["args"], environment)
            self.assertEqual(settings["threads"], ("4", "variable"))
            (port,) = container["ports"]
            self.assertEqual(settings["listen"], (f"0.0.0.0:{port['containerPort']}", "flag"))
            model = container["args"][1]
            mounts = container["volumeMounts"]
            self.assertTrue(model.startswith(mounts[0]["mountPath"] + "/"))
            for mount in mounts:
                self.assertTrue(mount["readOnly"], mount)

    def test_ports_and_paths_exist(self):
        paths = parts.openapi()["paths"]
        for _, one in self.each("StatefulSet"):
            container = self.container(one)
            names = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                get = container[probe]["httpGet"]
                self.assertIn(get["path"], paths)
                self.assertIn(get["port"], names)
            self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/livez")
        for _, one in self.each("Service"):
            self.assertEqual([port["targetPort"] for port in one["spec"]["ports"]], ["http"])
        for _, one in self.each("PodMonitor"):
            (endpoint,) = one["spec"]["podMetricsEndpoints"]
            self.assertEqual(endpoint["port"], "http")
            self.assertIn(endpoint["path"], paths)

    def test_pods_may_do_nothing_but_serve(self):
        for _, one in self.each("StatefulSet"):
            pod = one["spec"]["template"]["spec"]
            container = self.container(one)
            self.assertFalse(pod["automountServiceAccountToken"])
            self.assertFalse(pod["enableServiceLinks"])
            self.assertEqual(pod["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
            self.assertTrue(pod["securityContext"]["runAsNonRoot"])
            self.assertEqual(str(pod["securityContext"]["runAsUser"]), parts.image_user())
            self.assertEqual(container["securityContext"], {
                "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}})
            self.assertEqual(container["resources"]["requests"], container["resources"]["limits"])
            models, *secrets = pod["volumes"]
            self.assertTrue(models["persistentVolumeClaim"]["readOnly"])
            self.assertLessEqual({kind for volume in secrets for kind in volume}, {"name", "secret"})

    def test_draining_fits_the_grace_period(self):
        for _, one in self.each("StatefulSet"):
            container = self.container(one)
            settings = parts.settings(container["args"])
            delay, timeout = (int(settings[f"drain-{part}-ms"][0]) for part in ("delay", "timeout"))
            self.assertLess((delay + timeout) / 1000, one["spec"]["template"]["spec"]["terminationGracePeriodSeconds"])
            readiness = container["readinessProbe"]
            unready = readiness["periodSeconds"] * readiness["failureThreshold"] + readiness["timeoutSeconds"]
            self.assertLess(unready, delay / 1000, "balancers have not noticed when serving ends")

    def test_selectors_find_their_pods_and_nobody_elses(self):
        for name, objects in self.built.items():
            pods = {one["metadata"]["name"]: one["spec"]["template"]["metadata"]["labels"]
                    for one in objects if one["kind"] == "StatefulSet"}
            for one in objects:
                spec = one["spec"]
                selector = {"Service": lambda: spec["selector"], "StatefulSet": lambda: spec["selector"]["matchLabels"],
                            "PodDisruptionBudget": lambda: spec["selector"]["matchLabels"],
                            "NetworkPolicy": lambda: spec["podSelector"]["matchLabels"],
                            "PodMonitor": lambda: spec["selector"]["matchLabels"]}.get(one["kind"])
                if selector is None:
                    continue
                found = [pod for pod, labels in pods.items() if selector().items() <= labels.items()]
                shared = one["kind"] in ("NetworkPolicy", "PodMonitor")
                with self.subTest(overlay=name, kind=one["kind"], name=one["metadata"]["name"]):
                    self.assertEqual(found, list(pods) if shared else [one["metadata"]["name"]])

    def test_autoscalers_scale_a_set_by_a_metric_that_exists(self):
        for name, one in self.each("HorizontalPodAutoscaler"):
            target = one["spec"]["scaleTargetRef"]
            self.assertIn((target["kind"], target["name"]),
                          [(other["kind"], other["metadata"]["name"]) for other in self.built[name]])
            (metric,) = one["spec"]["metrics"]
            self.assertIn(metric["pods"]["metric"]["name"], parts.metric_names())
        (rule,) = kustomize.load(FOLDER / "prometheus-adapter.yaml")[0]["rules"]["custom"]
        self.assertTrue(rule["seriesQuery"].startswith(metric["pods"]["metric"]["name"] + "{"))

    def test_shards_and_routes_cover_every_layer_once(self):
        objects = self.built["layer-shards"]
        served = {one["metadata"]["name"]: parts.layers(parts.settings(self.container(one)["args"])["layers"][0])
                  for one in objects if one["kind"] == "StatefulSet"}
        (route,) = (one for one in objects if one["kind"] == "HTTPRoute")
        services = {one["metadata"]["name"] for one in objects if one["kind"] == "Service"}
        routed = {}
        for rule in route["spec"]["rules"]:
            (backend,) = rule["backendRefs"]
            self.assertIn(backend["name"], services)
            self.assertLessEqual(len(rule["matches"]), MOST_MATCHES)
            routed[backend["name"]] = [int(match["path"]["value"].removeprefix("/v1/moe/layers/"))
                                       for match in rule["matches"]]
        self.assertEqual(routed, served)
        self.assertEqual(sorted(sum(served.values(), [])), list(range(48)))
