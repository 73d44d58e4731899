"""deploy/kubernetes against the published schemas, and against the code: settings, ports, secrets, who reaches whom."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import jsonschema_rs
import pytest
import yaml

from deploy.setup.container_setup import LOADER_UID, SERVER_UID, SERVICE_UIDS
from deploy.setup.kubernetes_secrets import RABBITMQ_HOSTS, REDIS_HOSTS, SENTINEL_HOSTS, make
from shared import config
from shared.config import SECRETS, Settings
from shared.servers.url import AMQP_PORTS, REDIS_PORTS, parse_server_url
from tests.unit.deploy.kustomize import Resource, containers, identity, pods, render

ROOT = Path(__file__).resolve().parents[3]
KUBERNETES = ROOT / "deploy" / "kubernetes"
FOLDERS = ("base", "overlays/production")
SCHEMAS = "kubernetes-validate==1.37.0"
SCHEMAS_SHA256 = "85136d018a27b50ec7fc049d902bfa5193f5976807e6c0f408e3ab6fe078cad9"
VERSIONS = ("1.29", "1.37")
"""The oldest and the newest Kubernetes whose schemas the resources are compared with."""


@pytest.fixture(params=FOLDERS)
def resources(request) -> list[Resource]:
    return render(KUBERNETES / request.param)


@pytest.fixture(scope="session")
def schemas() -> zipfile.ZipFile:
    """The wheel with the published schemas of every version, fetched once; it is not installed."""
    folder = ROOT / ".cache" / "kubernetes-schemas"
    path = folder / "kubernetes_validate-1.37.0-py3-none-any.whl"
    if not path.exists():
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as draft:  # other workers of this run fetch it as well
            done = subprocess.run([*command, "-d", draft, SCHEMAS], capture_output=True, text=True, check=False)
            if done.returncode:
                if os.environ.get("CI"):
                    pytest.fail(f"cannot fetch {SCHEMAS}: {done.stderr}")
                pytest.skip(f"cannot fetch {SCHEMAS}")
            Path(draft, path.name).replace(path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SCHEMAS_SHA256
    return zipfile.ZipFile(path)


def schema_problems(schemas: zipfile.ZipFile, version: str, resource: Resource) -> list[str]:
    folder = f"kubernetes_validate/kubernetes-json-schema/v{version}.0-local-strict"

    @functools.cache
    def load(name: str) -> object:
        return json.loads(schemas.read(f"{folder}/{name}"))

    group, _, api = resource["apiVersion"].rpartition("/")
    kind = "-".join([resource["kind"], *([group.split(".")[0]] if group else []), api]).lower()
    validator = jsonschema_rs.validator_for(
        load(f"{kind}.json"), retriever=lambda uri: load(uri.rpartition("/")[2]), base_uri="memory:///schemas/"
    )
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(resource)]


@pytest.mark.parametrize("version", VERSIONS)
def test_every_resource_is_as_kubernetes_publishes_it(schemas, resources, version):
    for resource in resources:
        assert schema_problems(schemas, version, resource) == [], identity(resource)


def test_the_schemas_notice_a_misspelt_field(schemas, resources):
    [wallet] = [r for r in resources if identity(r) == ("Deployment", "wallet")]
    wallet["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    assert schema_problems(schemas, VERSIONS[0], wallet)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_tests_render_as_kubectl_does(folder):
    if shutil.which("kubectl") is None:
        pytest.skip("no kubectl on PATH")  # it is in no registry of CI's; the renderer of the tests is
    text = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / folder)], capture_output=True, text=True, check=True
    ).stdout
    theirs = {identity(resource): resource for resource in yaml.safe_load_all(text)}
    ours = {identity(resource): resource for resource in render(KUBERNETES / folder)}
    assert ours == theirs


def test_services_get_settings_that_they_understand(resources, tmp_path):
    maps = {r["metadata"]["name"]: r["data"] for r in resources if r["kind"] == "ConfigMap"}
    (tmp_path / "secret").write_text("redis://user:password@host/0")
    seen = set()
    for resource in resources:
        for container in containers(resource):
            environ: dict[str, str] = {}
            for source in container.get("envFrom", ()):
                environ |= maps[source["configMapRef"]["name"]]
            environ |= {entry["name"]: entry.get("value", "") for entry in container.get("env", ())}
            ours = {name: value for name, value in environ.items() if name.startswith("WARREN_")}
            assert bool(ours) == (
                container["image"].partition(":")[0].endswith(("warren", "warren-miner")) and "envFrom" in container
            )
            for name in [name for name in ours if name.endswith("_FILE")]:
                assert name.removeprefix("WARREN_").removesuffix("_FILE").lower() in SECRETS
                ours[name] = str(tmp_path / "secret")
            seen |= ours.keys()
            if container in pods(resource)[0]["containers"] and ours:
                settings = config.load(ours)
                assert settings.broker == "rabbitmq"
                assert settings.host == "0.0.0.0" or resource["metadata"]["name"] == "topology"
    assert {"WARREN_REDIS_REPLICAS", "WARREN_DRAIN_SECONDS", "WARREN_METRICS_PORT"} <= seen


@pytest.fixture
def secrets(tmp_path, monkeypatch) -> dict[str, dict[str, str]]:
    """The generated secrets, by name."""
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # as on a laptop: nobody is given a file
    return {secret["metadata"]["name"]: secret["stringData"] for secret in make(tmp_path / "made")["items"]}


def test_every_secret_that_a_pod_mounts_is_made_with_the_files_that_it_reads(schemas, resources, secrets):
    [scripts] = [r["data"].values() for r in resources if identity(r) == ("ConfigMap", "cluster")]
    read: set[tuple[str, str]] = set()
    for resource in resources:
        for pod in pods(resource):
            volumes = {v["name"]: v["secret"]["secretName"] for v in pod.get("volumes", ()) if "secret" in v}
            mounted = {
                mount["mountPath"]: volumes[mount["name"]]
                for container in (*pod.get("initContainers", ()), *pod["containers"])
                for mount in container["volumeMounts"]
                if mount["name"] in volumes
            }
            texts = [json.dumps(pod), *scripts]
            for folder, name in re.findall(r"/run/warren/(\w+)/([\w.-]+)", " ".join(texts)):
                if f"/run/warren/{folder}" in mounted:
                    read.add((mounted[f"/run/warren/{folder}"], name))
    assert len(read) >= 12
    for secret, name in read:
        assert secrets[secret][name].strip(), f"{secret} has no {name}"
    others = {"warren-passwords", "warren-operator", "warren-access"}  # for people, and for a program that knows them
    assert set(secrets) - {secret for secret, _ in read} == others


def test_the_urls_of_the_secrets_name_the_pods_of_the_stateful_sets(resources, secrets):
    replicas = {r["metadata"]["name"]: r["spec"]["replicas"] for r in resources if r["kind"] == "StatefulSet"}
    for name, hosts in (("redis", REDIS_HOSTS), ("rabbitmq", RABBITMQ_HOSTS), ("sentinel", SENTINEL_HOSTS)):
        assert hosts.split(",") == [f"{name}-{number}.{name}" for number in range(replicas[name])]
    for service in ("mempool", "wallet", "explorer"):
        redis = parse_server_url(secrets[f"warren-{service}"]["redis-url"].strip(), REDIS_PORTS)
        assert redis.addresses == tuple((host, 26379) for host in SENTINEL_HOSTS.split(","))
        assert redis.path == "primary/0"
    assert "sentinel monitor primary " in (KUBERNETES / "base" / "sentinel.sh").read_text()
    amqp = parse_server_url(secrets["warren-miner"]["amqp-url"].strip(), AMQP_PORTS)
    assert amqp.addresses == tuple((host, 5672) for host in RABBITMQ_HOSTS.split(","))
    assert "redis-url" not in secrets["warren-miner"]
    for number, host in enumerate(RABBITMQ_HOSTS.split(","), 1):
        line = f"cluster_formation.classic_config.nodes.{number} = rabbit@{host}"
        assert line in (KUBERNETES / "base" / "rabbitmq.conf").read_text().splitlines()


def test_secrets_are_new_each_time_unless_the_former_passwords_are_kept(tmp_path, monkeypatch, secrets):
    def all_of(secret_list: dict) -> dict[str, dict[str, str]]:
        return {secret["metadata"]["name"]: secret["stringData"] for secret in secret_list["items"]}

    assert all_of(make(tmp_path / "other")).keys() == secrets.keys()
    assert all_of(make(tmp_path / "other two"))["warren-mempool"] != secrets["warren-mempool"]
    stored = {name: base64.b64encode(text.encode()).decode() for name, text in secrets["warren-passwords"].items()}
    again = all_of(make(tmp_path / "again", {"data": stored}))
    for name in set(secrets) - {"warren-access", "warren-rabbitmq"}:  # hashes of RabbitMQ's have a salt
        assert again[name] == secrets[name]


def test_ports_are_those_of_the_services(resources):
    settings = Settings()
    ports = {"wallet": settings.wallet_port, "explorer": settings.explorer_port, "mempool": settings.rpc_port}
    for name, port in ports.items():
        [service] = [r for r in resources if identity(r) == ("Service", name)]
        [deployment] = [r for r in resources if identity(r) == ("Deployment", name)]
        assert [(p["name"], p["containerPort"]) for p in pods(deployment)[0]["containers"][0]["ports"]] == [
            ("http", port)
        ]
        assert [(p["port"], p["targetPort"]) for p in service["spec"]["ports"]] == [(port, "http")]


def test_selectors_find_their_pods_and_names_lead_somewhere(resources):
    labels = {r["metadata"]["name"]: r["spec"]["template"]["metadata"]["labels"] for r in resources if pods(r)}
    names = {identity(r) for r in resources}
    for resource in resources:
        kind, name = identity(resource)
        spec = resource.get("spec", {})
        match kind:
            case "Service":
                assert spec["selector"] == labels[name]
            case "Deployment" | "StatefulSet":
                assert spec["selector"]["matchLabels"] == labels[name]
                if kind == "StatefulSet":
                    assert ("Service", spec["serviceName"]) in names
            case "PodDisruptionBudget":
                assert spec["selector"]["matchLabels"] == labels[name]
            case "HorizontalPodAutoscaler":
                assert (spec["scaleTargetRef"]["kind"], spec["scaleTargetRef"]["name"]) in names
                [target] = [r for r in resources if identity(r) == ("Deployment", name)]
                assert "replicas" not in target["spec"], "the autoscaler says how many"
            case "Ingress":
                for rule in spec["rules"]:
                    for path in rule["http"]["paths"]:
                        assert ("Service", path["backend"]["service"]["name"]) in names
        for pod in pods(resource):
            volumes = {volume["name"] for volume in pod.get("volumes", ())}
            volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", ())}
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
            for volume in pod.get("volumes", ()):
                if "configMap" in volume:
                    assert ("ConfigMap", volume["configMap"]["name"]) in names
    for budget in ("redis", "sentinel", "rabbitmq", "mempool", "wallet", "explorer", "miner"):
        assert ("PodDisruptionBudget", budget) in names


def test_every_container_is_hardened(resources):
    uids = {**SERVICE_UIDS, "access": LOADER_UID}
    for resource in resources:
        for pod in pods(resource):
            context = pod["securityContext"]
            name = resource["metadata"]["name"]
            assert context["runAsUser"] == context["fsGroup"] == uids.get(name, SERVER_UID)
            assert context["runAsNonRoot"] is True
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False, "WARREN_… of a service's link would be taken for a setting"
            for container in (*pod.get("initContainers", ()), *pod["containers"]):
                assert container["securityContext"] == {
                    "allowPrivilegeEscalation": False,
                    "readOnlyRootFilesystem": True,
                    "capabilities": {"drop": ["ALL"]},
                }
                assert "memory" in container["resources"]["limits"]
                assert {"cpu", "memory"} <= container["resources"]["requests"].keys()


def test_services_are_replaced_without_a_gap(resources):
    [web] = [r["data"] for r in resources if identity(r) == ("ConfigMap", "web")]
    for resource in (r for r in resources if r["kind"] == "Deployment"):
        [container] = pods(resource)[0]["containers"]
        assert resource["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        if resource["metadata"]["name"] in ("miner", "topology"):
            continue
        assert resource["spec"]["replicas"] >= 2
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        ready = container["readinessProbe"]
        assert ready["httpGet"]["path"] == "/readyz"
        for probe in (container["livenessProbe"], container["startupProbe"], ready):
            assert probe["httpGet"]["httpHeaders"] == [{"name": "Host", "value": "localhost"}], "an address is refused"
        assert float(web["WARREN_DRAIN_SECONDS"]) > ready["periodSeconds"]
        assert pods(resource)[0]["terminationGracePeriodSeconds"] >= 2 * float(web["WARREN_DRAIN_SECONDS"]) + 30


def test_every_pod_is_reached_by_those_alone_who_need_it(resources):
    policies = {name: r["spec"] for r in resources for kind, name in [identity(r)] if kind == "NetworkPolicy"}
    assert policies["nothing-by-default"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}

    def apps(selector: dict) -> set[str]:
        if "matchLabels" in selector:
            return {selector["matchLabels"]["app"]}
        [expression] = selector["matchExpressions"]
        assert (expression["key"], expression["operator"]) == ("app", "In")
        return set(expression["values"])

    leaving, arriving = set(), set()
    for policy in policies.values():
        for rule in policy.get("egress", ()):
            for peer in rule.get("to", ()):
                servers = apps(peer["podSelector"])
                leaving |= {
                    (a, b, p["port"]) for a in apps(policy["podSelector"]) for b in servers for p in rule["ports"]
                }
        for rule in policy.get("ingress", ()):
            for peer in (peer for peer in rule["from"] if "podSelector" in peer):
                clients = apps(peer["podSelector"])
                arriving |= {
                    (a, b, p["port"]) for a in clients for b in apps(policy["podSelector"]) for p in rule["ports"]
                }
    assert leaving == arriving
    assert {(b, port) for a, b, port in leaving if a == "miner"} == {("rabbitmq", 5672)}
    assert {(b, port) for a, b, port in leaving if a == "explorer"} == {
        ("rabbitmq", 5672),
        ("redis", 6379),
        ("sentinel", 26379),
    }


def test_images_are_four_and_the_example_pins_them():
    names = {container["image"] for r in render(KUBERNETES / "base") for container in containers(r)}
    assert names == {"warren", "warren-miner", "redis", "rabbitmq"}
    for resource in render(KUBERNETES / "overlays/production"):
        for container in containers(resource):
            assert re.fullmatch(r"[\w./-]+:[\w.-]+", container["image"])


def test_configuration_is_that_of_the_other_deployments(resources):
    """Files of deploy/ come out of the image, so that they stand in one place."""
    commands = " ".join(" ".join(c["command"]) for r in resources for c in containers(r))
    for path in re.findall(r"/app/(deploy/[\w./-]+)", commands):
        assert (ROOT / path).is_file()
    assert commands.count("/app/deploy/") == 2
