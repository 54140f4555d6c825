"""The dashboard and the alert rules name what there is, and their expressions are PromQL."""

import json
import re

import promql_parser
import pytest
import yaml
from ray_metrics import RAYS

from serve_app.observe.metrics import DEFINITIONS, EXPORT_PREFIX, exported_names

OF_RAY = {"application", "deployment", "replica", "status_code", "le"}


@pytest.fixture(scope="module")
def dashboard(repository):
    return json.loads((repository / "configs/grafana/nbmf.json").read_text())


@pytest.fixture(scope="module")
def rules(repository):
    groups = yaml.safe_load((repository / "configs/prometheus/alerts.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def expressions(dashboard, rules):
    """With the dashboard's variables put in, as Grafana does."""
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    for variable, value in (("$__rate_interval", "1m"), ("$__range", "1h"), ("$application", ".*")):
        found = [expression.replace(variable, value) for expression in found]
    return found + [rule["expr"] for rule in rules]


def selectors(node):
    """All vector selectors of an expression."""
    if isinstance(node, promql_parser.VectorSelector):
        return [node]
    children = []
    for name in ("expr", "lhs", "rhs", "vector_selector", "param"):
        child = getattr(node, name, None)
        if isinstance(child, promql_parser.Expr):
            children.append(child)
    children += list(getattr(node, "args", []) or [])
    return [selector for child in children for selector in selectors(child)]


def definition_of(name):
    bare = name.removeprefix(EXPORT_PREFIX)
    return DEFINITIONS.get(bare) or DEFINITIONS[re.sub("_(bucket|sum|count)$", "", bare)]


def test_every_expression_names_what_there_is(expressions):
    seen = set()
    for expression in expressions:
        found = selectors(promql_parser.parse(expression))
        assert found or "vector" in expression, expression
        assert len(found) == len(re.findall(r"\bray_\w+", expression)), expression
        for selector in found:
            seen.add(selector.name)
            assert selector.name in exported_names() | RAYS, expression
            if selector.name in RAYS:
                continue
            labels = {matcher.name for matcher in selector.matchers.matchers}
            assert labels <= {*definition_of(selector.name).labels, *OF_RAY}, expression
    assert seen >= RAYS


def test_labels_that_are_grouped_by_exist(expressions):
    known = {label for definition in DEFINITIONS.values() for label in definition.labels} | OF_RAY
    for expression in expressions:
        for group in re.findall(r"\bby \(([^)]*)\)", expression):
            assert {label.strip() for label in group.split(",")} <= known, expression


def test_everything_that_is_counted_is_shown(expressions):
    shown = " ".join(expressions)
    assert [name for name in DEFINITIONS if EXPORT_PREFIX + name not in shown] == []


def test_the_dashboard(dashboard):
    assert (dashboard["title"], dashboard["uid"]) == ("nbmf", "nbmf")
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"timeseries", "stat", "state-timeline", "heatmap"}
        assert panel["datasource"]["uid"] == "${datasource}"
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z_]+)", json.dumps(dashboard))) - {"__rate_interval", "__range", "__all"}
    assert used == variables


def test_the_alert_rules(rules):
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule.keys() - {"for"} == {"alert", "expr", "labels", "annotations"}
        assert re.fullmatch("Nbmf[A-Za-z]+", rule["alert"])
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert re.fullmatch(r"\d+[smh]", rule.get("for", "0s"))


def test_each_alert_and_metric_is_explained(rules, repository):
    manual = (repository / "docs/operations.md").read_text()
    assert [name for name in DEFINITIONS if f"`{name}`" not in manual] == []
    assert [rule["alert"] for rule in rules if f"`{rule['alert']}`" not in manual] == []


def test_names_follow_the_conventions():
    for name, definition in DEFINITIONS.items():
        assert re.fullmatch("nbmf_[a-z_]+", name)
        assert name.endswith("_total") == (definition.kind == "counter")
        assert bool(definition.boundaries) == (definition.kind == "histogram")
        assert list(definition.boundaries) == sorted(set(definition.boundaries))
        for word, unit in (("duration", "_seconds"), ("bytes", "_bytes"), ("share", "_percent")):
            if word in name:
                assert unit in name
        assert not {"key", "request_id", "payload", "path", "replica", "application"} & set(definition.labels)
