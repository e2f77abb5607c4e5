# SPDX-License-Identifier: Apache-2.0
"""What the repository shows to its visitors agrees with itself: versions, forms, workflows."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest
import yaml
from check_jsonschema import main as check_jsonschema
from click.testing import CliRunner
from tree import ROOT

FORMS = sorted(path for path in (ROOT / ".github/ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCHEMAS = [
    *(("vendor.github-workflows", path) for path in WORKFLOWS),
    *(("vendor.github-issue-forms", path) for path in FORMS),
    ("vendor.github-issue-config", ROOT / ".github/ISSUE_TEMPLATE/config.yml"),
    ("vendor.citation-file-format", ROOT / "CITATION.cff"),
    ("vendor.compose-spec", ROOT / "compose.yaml"),
]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def load(path: Any) -> Any:
    # YAML 1.1 reads the key `on` as true
    return {str(key): value for key, value in yaml.safe_load(path.read_text()).items()}


def test_one_version_everywhere_and_it_has_a_date() -> None:
    cited = load(ROOT / "CITATION.cff")
    newest = re.findall(r"^## (\d+\.\d+\.\d+), (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[0] == (VERSION, str(cited["date-released"]))
    assert str(cited["version"]) == VERSION


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_for_the_doctor(path: Any) -> None:
    form = load(path)
    assert {"name", "description", "body"} <= set(form)
    ids = [field["id"] for field in form["body"]]
    assert len(set(ids)) == len(ids)
    assert all(field["type"] in {"textarea", "input", "dropdown", "checkboxes"} for field in form["body"])
    assert any("labkit doctor" in field["attributes"].get("description", "") for field in form["body"])


def test_the_pull_request_template_asks_for_a_failing_test_and_a_witness() -> None:
    asked = (ROOT / ".github/pull_request_template.md").read_text()
    assert "fails without the change" in asked and "witness" in asked and "labkit doctor" in asked


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_calls_the_make_targets_and_has_a_limit(path: Any) -> None:
    flow = load(path)
    assert {"name", "True", "permissions", "jobs"} <= set(flow)  # True: the key `on`
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for job in flow["jobs"].values():
        assert job["timeout-minutes"] and job["runs-on"]
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert commands and all(re.match(r"make ([a-z-]+)", command)[1] in targets for command in commands)  # type: ignore[index]


def test_the_workflows_run_tests_lessons_and_site() -> None:
    steps = [step for path in WORKFLOWS for job in load(path)["jobs"].values() for step in job["steps"]]
    called = {step["run"].split()[1] for step in steps if "run" in step}
    assert {"test", "lessons", "test-docs"} <= called  # test-docs builds the site with `make docs`


@pytest.mark.parametrize(("schema", "path"), SCHEMAS, ids=lambda value: getattr(value, "name", value))
def test_a_file_for_others_conforms_to_their_schema(schema: str, path: Any) -> None:
    done = CliRunner().invoke(check_jsonschema, ["--builtin-schema", schema, str(path)])
    assert done.exit_code == 0, done.output
