"""Renders a kustomization as `kubectl kustomize` does: the part of it that deploy/kubernetes uses, and no more.

An unknown field is an error, so that nothing is left out unnoticed; where kubectl is installed, a test compares both.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Resource = dict[str, Any]

KNOWN = {
    "apiVersion",
    "kind",
    "namespace",
    "resources",
    "images",
    "replicas",
    "patches",
    "configMapGenerator",
    "generatorOptions",
}
CLUSTER_WIDE = {"Namespace"}


def render(folder: Path) -> list[Resource]:
    """Return all resources of a kustomization."""
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert set(spec) <= KNOWN, f"{folder}: the renderer of the tests does not know {set(spec) - KNOWN}"
    found: list[Resource] = []
    for name in spec.get("resources", ()):
        path = folder / name
        found += render(path) if path.is_dir() else [r for r in yaml.safe_load_all(path.read_text()) if r]
    found += [_config_map(folder, entry) for entry in spec.get("configMapGenerator", ())]
    assert not spec.get("configMapGenerator") or spec["generatorOptions"] == {"disableNameSuffixHash": True}
    for patch in spec.get("patches", ()):
        assert set(patch) == {"path"}
        change = yaml.safe_load((folder / patch["path"]).read_text())
        [target] = [r for r in found if identity(r)[:2] == identity(change)[:2]]
        _merge(target, change)
    for entry in spec.get("replicas", ()):
        [target] = [r for r in found if r["metadata"]["name"] == entry["name"] and r["kind"] in _WITH_REPLICAS]
        target["spec"]["replicas"] = entry["count"]
    images = {entry["name"]: f"{entry['newName']}:{entry['newTag']}" for entry in spec.get("images", ())}
    for container in (container for r in found for container in containers(r)):
        container["image"] = images.get(container["image"], container["image"])
    for resource in found:
        if resource["kind"] not in CLUSTER_WIDE and "namespace" in spec:
            resource["metadata"]["namespace"] = spec["namespace"]
    return found


_WITH_REPLICAS = {"Deployment", "StatefulSet"}
_MERGED_BY = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name"}
"""Lists that a patch changes entry by entry, and the field by which it finds an entry."""


def identity(resource: Resource) -> tuple[str, str]:
    return resource["kind"], resource["metadata"]["name"]


def pods(resource: Resource) -> list[dict[str, Any]]:
    """Return the specification of the pods that a resource makes, if it makes any."""
    return [resource["spec"]["template"]["spec"]] if resource["kind"] in (*_WITH_REPLICAS, "Job") else []


def containers(resource: Resource) -> list[dict[str, Any]]:
    return [c for pod in pods(resource) for c in (*pod.get("initContainers", ()), *pod["containers"])]


def _config_map(folder: Path, entry: dict[str, Any]) -> Resource:
    data = dict(literal.split("=", 1) for literal in entry.get("literals", ()))
    data |= {name: (folder / name).read_text() for name in entry.get("files", ())}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": entry["name"]}, "data": data}


def _merge(target: dict[str, Any], change: dict[str, Any]) -> None:
    """Strategic merge: maps field by field, the lists above entry by entry, anything else as a whole."""
    for name, value in change.items():
        if isinstance(value, dict) and isinstance(target.get(name), dict):
            _merge(target[name], value)
        elif isinstance(value, list) and name in _MERGED_BY and name in target:
            key = _MERGED_BY[name]
            for entry in value:
                known = [each for each in target[name] if each[key] == entry[key]]
                if known:
                    _merge(known[0], entry)
                else:
                    target[name].append(entry)
        else:
            target[name] = value
