"""The files that operators use: alert rules, Prometheus set-up, systemd unit, and `docs/operating.md`."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from beaver_actors.config.catalogue import CATALOGUE, SECTIONS
from beaver_actors.core.job import DEAD_REASONS
from beaver_actors.observe.metrics import OUTCOME_NAMES
from tests.observe.scrapes import busy_metrics, full_gauges, read

ROOT = Path(__file__).parents[2]
RULES = ROOT / "configs" / "prometheus" / "alerts.yml"
GUIDE = (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")
HISTOGRAM_ENDS = ("_bucket", "_count", "_sum")


def run_tool(name: str, *arguments: str | Path, stdin: bytes | None = None) -> str:
    """Run a tool that may be missing on a laptop and may not in CI."""
    if shutil.which(name) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed (Debian: apt-get install prometheus)")
    done = subprocess.run([name, *map(str, arguments)], input=stdin, capture_output=True, check=False)
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output


def sample_names() -> set[str]:
    """Every name that a query may use."""
    return {name for name, _ in read(busy_metrics().render(full_gauges())[0])}


def families() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of each of our metrics, by the name under which the guide lists it."""
    scrape = busy_metrics().render(full_gauges())[0].decode()
    kinds = dict(re.findall(r"^# TYPE (beaver_\w+) (\w+)$", scrape, re.MULTILINE))
    labels: dict[str, set[str]] = {name: set() for name in kinds}
    for sample, given in re.findall(r"^(beaver_\w+)\{(.*)\} ", scrape, re.MULTILINE):
        name = sample if sample in kinds else re.sub("_(bucket|count|sum)$", "", sample)
        labels[name] |= set(re.findall(r"(\w+)=", given)) - {"le"}
    return {name: (kind, labels[name]) for name, kind in kinds.items()}


def test_prometheus_finds_no_fault_with_a_scrape() -> None:
    """With Prometheus' own checker, on a scrape that has a value for everything."""
    assert run_tool("promtool", "check", "metrics", stdin=busy_metrics().render(full_gauges())[0]) == ""


def test_prometheus_accepts_the_alert_rules() -> None:
    """With Prometheus' own checker: the rules, and the set-up that loads them."""
    run_tool("promtool", "check", "rules", RULES)
    run_tool("promtool", "check", "config", RULES.with_name("prometheus.yml"))


def test_every_alert_fires_when_it_should_and_none_on_a_healthy_server() -> None:
    """With Prometheus' own evaluation of the rules over made-up histories."""
    run_tool("promtool", "test", "rules", Path(__file__).with_name("alerts_test.yml"))


def test_prometheus_understands_every_query_of_the_guide(tmp_path: Path) -> None:
    """With Prometheus' own checker: each query becomes a recording rule."""
    queries = re.findall(r"```promql\n(.*?)```", GUIDE, re.DOTALL)
    assert len(queries) > 10
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    file = tmp_path / "queries.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    run_tool("promtool", "check", "rules", file)


def test_rules_and_guide_name_only_metrics_that_exist() -> None:
    """By comparison with a scrape: rules, their tests, and all of the guide."""
    names = sample_names() | set(families())
    tests = Path(__file__).with_name("alerts_test.yml")
    for text in (RULES.read_text(), tests.read_text(), GUIDE):
        named = set(re.findall(r"\b(?:beaver_(?!actors\b|raft_\W)|process_)\w+", text))
        assert named <= names, named - names


def test_label_values_of_rules_and_guide_exist() -> None:
    """By comparison: a rule on a misspelt reason would never fire."""
    for text in (RULES.read_text(), GUIDE):
        for values in re.findall(r'reason=~?"([^"]+)"', text):
            assert set(values.split("|")) <= set(DEAD_REASONS)
        for value in re.findall(r'outcome="([^"]+)"', text):
            assert value in OUTCOME_NAMES.values()


def test_the_guide_lists_every_metric_with_its_type_and_labels() -> None:
    """By comparison with a scrape."""
    rows = re.findall(r"^\| `(beaver_\w+)` \| (\w+) \|([^|]*)\|", GUIDE, re.MULTILINE)
    listed = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert listed == families()
    assert len(rows) == len(listed)


def test_the_guide_lists_every_alert_with_its_severity_and_the_runbook_has_its_place() -> None:
    """By comparison with the rules."""
    rules = yaml.safe_load(RULES.read_text())["groups"][0]["rules"]
    listed = dict(re.findall(r"^\| `(Beaver\w+)` \| (\w+) \|", GUIDE, re.MULTILINE))
    assert listed == {rule["alert"]: rule["labels"]["severity"] for rule in rules}
    anchors = headings()
    for rule in rules:
        file, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert (file, anchor in anchors) == ("operating.md", True), rule["alert"]


def test_the_guides_own_links_lead_somewhere() -> None:
    """By comparison with its headings."""
    assert set(re.findall(r"\]\(#([^)]+)\)", GUIDE)) <= headings()


def test_the_guide_names_only_settings_that_exist() -> None:
    """By comparison with the catalogue, for everything in backquotes that begins like a section."""
    named = set(re.findall(rf"`((?:{'|'.join(SECTIONS)})\.\w+)\b", GUIDE))
    assert len(named) > 10
    assert named <= set(CATALOGUE), named - set(CATALOGUE)


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """With systemd's own checker; program and user are replaced by ones that exist everywhere."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "configs" / "beaver.service").read_text()
    text = text.replace("/opt/beaver/venv/bin/python", "/bin/true")
    text = re.sub(r"^(User|Group)=beaver$", r"\1=root", text, flags=re.MULTILINE)
    unit = tmp_path / "beaver.service"
    unit.write_text(text)
    assert run_tool("systemd-analyze", "verify", unit) == ""


def test_the_unit_sets_only_settings_that_exist() -> None:
    """By comparison with the catalogue."""
    text = (ROOT / "configs" / "beaver.service").read_text()
    variables = re.findall(r"BEAVER_(\w+)=", text)
    assert len(variables) >= 3
    assert {name.lower().replace("__", ".") for name in variables} <= set(CATALOGUE)


def headings() -> set[str]:
    """Anchors as Markdown renderers make them."""
    titles = re.findall(r"^#+ (.+)$", GUIDE, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
