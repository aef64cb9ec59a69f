"""The workflow files that people copy parse, and every `edgerig` line in them is one that the command line takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from tests.test_documentation import ROOT, parse

FOLDER = ROOT / "docs" / "ci"
WORKFLOWS = sorted(FOLDER.glob("*.yml"))


def steps(path: Path) -> list[dict[str, Any]]:
    jobs = yaml.safe_load(path.read_text())["jobs"]
    return [step for job in jobs.values() for step in job["steps"]]


def commands() -> Iterator[tuple[str, str]]:
    """Yield file and command of every line that runs edgerig."""
    lines = [(path.name, line) for path in WORKFLOWS for step in steps(path) for line in _lines(step.get("run", ""))]
    lines += [("Jenkinsfile", line) for line in re.findall(r"sh '([^']*)'", (FOLDER / "Jenkinsfile").read_text())]
    for name, line in lines:
        if found := re.search(r"(?:exec )?edgerig [^&|>]*", line):
            yield name, found.group(0).strip()


def _lines(script: str) -> list[str]:
    return [line for line in script.splitlines() if "edgerig " in line and not line.startswith("pip ")]


FOUND = list(commands())


def test_every_file_runs_edgerig() -> None:
    assert {name for name, _ in FOUND} == {"pull-request.yml", "nightly.yml", "Jenkinsfile"}


@pytest.mark.parametrize(("name", "line"), FOUND)
def test_the_command_line_takes_it(name: str, line: str) -> None:
    assert name
    parse(line.removeprefix("exec "))


@pytest.mark.parametrize(("name", "line"), FOUND)
def test_what_measures_devices_is_the_steps_own_process(name: str, line: str) -> None:
    measures = line.removeprefix("exec ").split()[1] in ("run", "nightly")
    assert name
    assert line.startswith("exec ") is measures


def test_a_line_that_is_wrong_would_be_found() -> None:
    with pytest.raises(click.UsageError):
        parse("edgerig run --basline base/models")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_has_what_github_asks_for(path: Path) -> None:
    content = yaml.safe_load(path.read_text())
    assert True in content or "on" in content  # YAML 1.1 reads "on" as true
    assert all("runs-on" in job and "timeout-minutes" in job for job in content["jobs"].values())
    assert content["permissions"] == {"contents": "read"}
