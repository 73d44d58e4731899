"""deploy/observe: rules and queries are valid, and every metric that they name exists in a service or in RabbitMQ."""

from __future__ import annotations

import importlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from services.mempool.chain_metrics import GAUGES
from shared import metrics

ROOT = Path(__file__).resolve().parents[3]
OBSERVE = ROOT / "deploy" / "observe"
WITH_METRICS = ("explorer.handlers", "explorer.live.stream_slots", "miner.grind")
RABBITMQ = {
    "rabbitmq_detailed_queue_messages",
    "rabbitmq_alarms_memory_used_watermark",
    "rabbitmq_alarms_free_disk_space_watermark",
}
"""Compared with a running RabbitMQ in tests/integration/deploy/test_observe.py."""
LABELS_OF_PROMETHEUS = {"job", "instance", "le"}
LABELS_OF_RABBITMQ = {"queue", "vhost"}


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("no promtool on PATH: install prometheus")
        pytest.skip("no promtool on PATH: install prometheus")
    return found


def check(promtool: str, *arguments: str) -> None:
    done = subprocess.run([promtool, *arguments], cwd=OBSERVE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> list[str]:
    """All queries of the dashboard and of the alerts."""
    board = json.loads((OBSERVE / "grafana" / "dashboards" / "warren.json").read_text())
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    text = (OBSERVE / "alerts.yaml").read_text()
    parts = [part.split("\n        labels:")[0].split("\n        for:")[0] for part in text.split("expr: ")[1:]]
    return found + [part.removeprefix(">-") for part in parts]


def metrics_of_services() -> dict[str, set[str]]:
    """Name → labels of everything that services show, as it is scraped."""
    for name in WITH_METRICS:
        importlib.import_module(f"services.{name}")
    found: dict[str, set[str]] = {name: set() for name in GAUGES}
    for family in metrics.REGISTRY.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
        owner = metrics.REGISTRY._names_to_collectors.get(family.name)
        labels = set(getattr(owner, "_labelnames", ()))
        found.update((family.name + suffix, labels) for suffix in suffixes)
    return found


def test_the_configuration_of_prometheus_is_valid(promtool):
    check(promtool, "check", "config", "prometheus.yaml")


def test_every_alert_rings_when_it_should_and_is_tested(promtool):
    check(promtool, "test", "rules", "alerts.test.yaml")
    alerts = re.findall(r"- alert: (\w+)", (OBSERVE / "alerts.yaml").read_text())
    tested = (OBSERVE / "alerts.test.yaml").read_text()
    assert len(alerts) == len(set(alerts)) >= 11
    for alert in alerts:
        cases = re.findall(rf"alertname: {alert}\n        exp_alerts:", tested)
        assert cases, f"no test in which {alert} rings"


def test_the_queries_of_the_dashboard_are_valid(promtool, tmp_path):
    rules = [{"record": f"panel:query{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "queries.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    check(promtool, "check", "rules", str(tmp_path / "queries.yaml"))


def test_every_metric_and_label_that_a_query_names_exists():
    known = metrics_of_services()
    assert len(queries()) > 30
    for query in queries():
        names = set(re.findall(r"\b(?:warren|rabbitmq|process)_\w+|\bup\b", query))
        assert names, query
        labels = set(LABELS_OF_PROMETHEUS)
        for name in names - {"up"}:
            assert name in known or name in RABBITMQ, f"nothing shows {name}"
            labels |= known.get(name, LABELS_OF_RABBITMQ)
        used = {label.strip() for group in re.findall(r"\bby \(([^)]*)\)", query) for label in group.split(",")}
        used |= set(re.findall(r"[{,]\s*(\w+)\s*(?:=|!)", query))
        assert used <= labels, f"{query}: no label {used - labels}"


def test_every_metric_of_a_service_is_documented():
    text = (ROOT / "docs" / "operations.md").read_text()
    for name in metrics_of_services():
        if name.startswith("warren_") and not name.endswith(("_sum", "_count")):
            assert f"`{name.removesuffix('_bucket')}`" in text, f"docs/operations.md does not name {name}"


def test_prometheus_asks_every_service_of_the_compose_file():
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    jobs = re.findall(r"job_name: (\S+)", (OBSERVE / "prometheus.yaml").read_text())
    assert {"mempool", "wallet", "explorer", "miner", "rabbitmq"} <= set(jobs)
    for name in re.findall(r"names: \[(\w+)\]", (OBSERVE / "prometheus.yaml").read_text()):
        assert f"\n  {name}:\n" in compose
