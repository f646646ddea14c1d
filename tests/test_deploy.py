"""The recipes for containers, as far as a machine without an engine can hold them to the repository."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from prometheus_client import REGISTRY
from typer.testing import CliRunner

from data.settings import Settings
from pipelines import cli
from serving.running import metrics

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
DASK = yaml.safe_load((DEPLOY / "dask.yaml").read_text())
SECRETS = {"./secrets/analyst.key"}  # made where it runs


def commands():
    for file in (COMPOSE, DASK):
        for name, service in file["services"].items():
            command = service.get("command", [])
            if command[:2] == ["sh", "-c"]:
                yield from ((name, shlex.split(part)) for part in command[2].split(";") if "leadmatch " in part)
            elif command:
                yield name, command
    line = next(one for one in (DEPLOY / "Containerfile").read_text().splitlines() if one.startswith("CMD"))
    yield "Containerfile", json.loads(line.removeprefix("CMD "))


@pytest.mark.parametrize(("where", "command"), list(commands()))
def test_every_command_parses(where, command):
    command = command[1:] if command[0] == "do" else command
    if command[0] == "leadmatch":
        name, *options = command[1:]
        help_text = CliRunner().invoke(cli.app, [name, "--help"]).stdout
        assert all(option in help_text for option in options if option.startswith("--")), where
    else:
        assert command[0] in ("mlflow", "dask"), where
        assert (Path(__import__("sys").executable).parent / command[0]).exists()


def test_every_path_exists():
    for service in COMPOSE["services"].values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source.startswith("."):
                assert source in SECRETS or (DEPLOY / source).is_file(), source
            else:
                assert source in COMPOSE["volumes"], source
    build = COMPOSE["services"]["service"]["build"]
    context = (DEPLOY / build["context"]).resolve()
    assert context == ROOT
    recipe = (context / build["dockerfile"]).read_text()
    for line in re.findall(r"^COPY (.+) \S+$", recipe, flags=re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source


def test_every_setting_is_one():
    known = {f"LEADMATCH_{name.upper()}" for name in Settings.model_fields}
    for file in (COMPOSE, DASK):
        for service in file["services"].values():
            ours = {name for name in service.get("environment", {}) if name.startswith("LEADMATCH_")}
            assert ours <= known


def test_every_metric_asked_for_is_one_that_the_service_gives():
    counted = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    counted |= {f"{family.name}_total" for family in REGISTRY.collect() if family.type == "counter"}
    counted |= {f"{family.name}_bucket" for family in REGISTRY.collect() if family.type == "histogram"}
    gauges = set(re.findall(r'"(leadmatch_\w+)"', (ROOT / "serving" / "running" / "gauges.py").read_text()))
    board = json.loads((DEPLOY / "grafana" / "leadmatch.json").read_text())
    asked = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alarms.yaml").read_text())
    asked += [rule["expr"] for group in rules["groups"] for rule in group["rules"]]
    names = {name for expression in asked for name in re.findall(r"\bleadmatch_\w+", expression)}
    assert names <= counted | gauges
    assert metrics.DECISIONS is not None
    assert len(names) > 10


def test_other_files_read_and_fit_together():
    scrape = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yaml").read_text())
    (target,) = scrape["scrape_configs"][0]["static_configs"][0]["targets"]
    assert target.split(":")[0] in COMPOSE["services"]
    source = yaml.safe_load((DEPLOY / "grafana" / "datasource.yaml").read_text())["datasources"][0]
    board = json.loads((DEPLOY / "grafana" / "leadmatch.json").read_text())
    assert {panel["datasource"]["uid"] for panel in board["panels"]} == {source["uid"]}
    bento = yaml.safe_load((ROOT / "bentofile.yaml").read_text())
    assert bento["python"]["lock_packages"] is False
    module, name = bento["service"].split(":")
    assert f"class {name}" in (ROOT / f"{module.replace('.', '/')}.py").read_text()
