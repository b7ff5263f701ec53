"""What `kustomize build` makes of a folder, for the fields that deploy/kubernetes uses; any other is
an error here, so that nothing is tested that was only half understood."""
import copy

import yaml

FIELDS = {"apiVersion", "kind", "resources", "nameSuffix", "labels", "images", "patches"}

# Where a suffixed name is referred to: (kind that refers, path, kind referred to).
REFERENCES = [("StatefulSet", ("spec", "serviceName"), "Service"),
              ("HorizontalPodAutoscaler", ("spec", "scaleTargetRef", "name"), "StatefulSet")]

# Where selectors and templates have labels. A NetworkPolicy's selectors would get them too, also
# those of the clients, which is never what is meant: none may be labelled.
SELECTORS = {"StatefulSet": [("spec", "selector", "matchLabels"), ("spec", "template", "metadata", "labels")],
             "Service": [("spec", "selector")],
             "PodDisruptionBudget": [("spec", "selector", "matchLabels")],
             "HorizontalPodAutoscaler": []}


class Unknown(Exception):
    """A kustomization that this cannot build."""


def at(value, path):
    for key in path:
        value = value[key]
    return value


def load(path):
    with open(path, encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def suffix(objects, text):
    named = {(one["kind"], one["metadata"]["name"]) for one in objects}
    for one in objects:
        one["metadata"]["name"] += text
        for kind, path, target in REFERENCES:
            if one["kind"] == kind and (target, at(one, path)) in named:
                at(one, path[:-1])[path[-1]] += text


def label(objects, entry):
    if set(entry) != {"includeSelectors", "pairs"} or not entry["includeSelectors"]:
        raise Unknown(f"labels: {entry}")
    for one in objects:
        if one["kind"] not in SELECTORS:
            raise Unknown(f"labels on a {one['kind']}")
        one["metadata"].setdefault("labels", {}).update(entry["pairs"])
        for path in SELECTORS[one["kind"]]:
            at(one, path).update(entry["pairs"])


def retag(objects, entry):
    if set(entry) - {"name", "newName", "newTag"}:
        raise Unknown(f"images: {entry}")
    for one in objects:
        for container in one["spec"].get("template", {}).get("spec", {}).get("containers", []):
            if container["image"] == entry["name"]:
                container["image"] = f"{entry.get('newName', entry['name'])}:{entry['newTag']}"


def edit(one, operation):
    """One step of a JSON patch (RFC 6902)."""
    *parents, last = [part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:]]
    place = one
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if operation["op"] == "replace" and last not in place:
        raise Unknown(f"replace of {operation['path']}, which is not there")
    if operation["op"] not in ("add", "replace"):
        raise Unknown(f"patch: {operation}")
    if last == "-":
        place.append(operation["value"])
    elif isinstance(place, list):
        raise Unknown(f"patch in the middle of a list: {operation}")
    else:
        place[last] = operation["value"]


def patch(objects, entry):
    if set(entry) != {"target", "patch"} or set(entry["target"]) != {"kind"}:
        raise Unknown(f"patches: {entry}")
    chosen = [one for one in objects if one["kind"] == entry["target"]["kind"]]
    if not chosen:
        raise Unknown(f"a patch of no object: {entry['target']}")
    for one in chosen:
        for operation in yaml.safe_load(entry["patch"]):
            edit(one, operation)


def build(folder):
    """The objects, as a list of dictionaries."""
    (rules,) = load(folder / "kustomization.yaml")
    if set(rules) - FIELDS:
        raise Unknown(f"{folder}: {set(rules) - FIELDS}")
    objects = []
    for resource in rules["resources"]:
        path = folder / resource
        objects += build(path) if path.is_dir() else load(path)
    objects = copy.deepcopy(objects)
    for entry in rules.get("patches", []):
        patch(objects, entry)
    suffix(objects, rules.get("nameSuffix", ""))
    for entry in rules.get("labels", []):
        label(objects, entry)
    for entry in rules.get("images", []):
        retag(objects, entry)
    return objects
