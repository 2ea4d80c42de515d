"""Runs the steps of .github/workflows/grade.yml on this machine, on a sample repository of a student.

    python -m tests.grade_workflow              from the root of the repository

The scripts are read out of the workflow: there is no second copy of them. Left out are the steps that fetch and
install, because what they install must be here already.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import yaml

from tools.release import ROOT, release
from tools.sample import ASSIGNMENT, SAMPLES, fill

WORKFLOW = ROOT / ".github" / "workflows" / "grade.yml"
# Steps that change the machine, by id, and what must be there instead.
NOT_HERE = {
    "packages": "bubblewrap is installed",
    "user-namespaces": "`mlcourse doctor` says whether namespaces are allowed",
    "environment": "the environment of this Python is used",
}
ALWAYS = "${{ !cancelled() }}"


@dataclass(frozen=True)
class Run:
    """One call of the workflow, as the runner knows it."""

    notebook: str = f"{ASSIGNMENT}.ipynb"
    assignment: str = ASSIGNMENT
    event: str = "pull_request"
    course: str = "university/course"
    student: str = "ada/homework"
    commit: str = "0123456789abcdef0123456789abcdef01234567"

    def value(self, text: str) -> str:
        """Return what an expression of the workflow stands for; a text that is no expression stands for itself."""
        if "${{" not in text:
            return text
        expression = text.removeprefix("${{").removesuffix("}}").strip()
        known = {
            "inputs.notebook": self.notebook,
            "inputs.assignment": self.assignment,
            "github.event_name": self.event,
            "github.repository": self.student,
            "fromJSON(toJSON(job)).workflow_repository": self.course,
            "inputs.course-ref || fromJSON(toJSON(job)).workflow_sha": self.commit,
        }
        if expression not in known:
            raise KeyError(f"The workflow uses the expression {expression!r}, which this script does not know yet.")
        return known[expression]


@dataclass
class Result:
    """What happened: the exit code of each step that ran, what was printed, and where the files are."""

    workspace: Path
    summary: Path
    codes: dict[str, int] = field(default_factory=dict)
    printed: dict[str, str] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether the job would be red."""
        return any(self.codes.values())

    @property
    def reports(self) -> list[Path]:
        """The files that the workflow keeps as an artifact, and the Markdown."""
        return sorted((self.workspace / "reports").glob("*"))


def job() -> dict[str, Any]:
    """Return the job of the workflow."""
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"]["grade"]


def scripts() -> list[dict[str, Any]]:
    """Return the steps that run a script."""
    return [step for step in job()["steps"] if "run" in step]


def sample_repository(folder: Path) -> Path:
    """Make the repository of a student who handed in the sample, and return its notebook."""
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as course:
        (released,) = release(Path(course), names=[ASSIGNMENT])
        notebook = fill(released, SAMPLES / f"{ASSIGNMENT}.py")
    (folder / "README.md").write_text("My work.\n", encoding="utf-8")
    nbformat.write(notebook, folder / f"{ASSIGNMENT}.ipynb")
    return folder / f"{ASSIGNMENT}.ipynb"


def run_workflow(workspace: Path, run: Run, only: set[str] | None = None, programs: Path | None = None) -> Result:
    """Run the scripts of the workflow in order, as the runner does.

    Parameters
    ----------
    workspace : Path
        Holds the student's checkout in ``student``.
    run : Run
        The call.
    only : set of str, optional
        The ids of the steps to run. Default: all that do not change the machine.
    programs : Path, optional
        A folder whose programs come first.
    """
    (workspace / "course").mkdir(exist_ok=True)
    runner = workspace / "runner"
    runner.mkdir(exist_ok=True)
    result = Result(workspace, runner / "summary.md")
    result.summary.touch()
    for step in scripts():
        name = step["id"]
        if name in NOT_HERE or (only is not None and name not in only):
            continue
        if result.failed and step.get("if") != ALWAYS:
            continue
        _run_step(step, run, result, programs)
    return result


def _run_step(step: dict[str, Any], run: Run, result: Result, programs: Path | None) -> None:
    script = result.workspace / "runner" / f"{step['id']}.sh"
    script.write_text(step["run"], encoding="utf-8")
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],  # how the runner calls `shell: bash`
        cwd=result.workspace / step.get("working-directory", "."),
        env=_environment(result, programs) | {key: run.value(text) for key, text in step.get("env", {}).items()},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60 * step.get("timeout-minutes", job()["timeout-minutes"]),
        check=False,
    )
    result.codes[step["id"]] = done.returncode
    result.printed[step["id"]] = done.stdout


def _environment(result: Result, programs: Path | None) -> dict[str, str]:
    """Return the little that a step may rely on, and nothing of this shell's own variables."""
    first = [str(folder) for folder in (programs, Path(sys.executable).parent) if folder is not None]
    return {
        "PATH": os.pathsep.join([*first, os.environ.get("PATH", os.defpath)]),
        "HOME": str(result.workspace / "runner"),
        "LANG": "C.UTF-8",
        "OMP_NUM_THREADS": "1",
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(result.workspace),
        "GITHUB_STEP_SUMMARY": str(result.summary),
        "RUNNER_TEMP": str(result.workspace / "runner"),
    }


def show(result: Result) -> None:
    """Print what each step said and what was written."""
    for step in scripts():
        name = step["id"]
        if name in NOT_HERE:
            print(f"== {step['name']}: left out, {NOT_HERE[name]}")
        elif name in result.codes:
            print(f"== {step['name']}: exit code {result.codes[name]}\n{result.printed[name]}".rstrip())
        else:
            print(f"== {step['name']}: not run, because a step before it failed")
    for report in result.reports:
        print(f"== {report.relative_to(result.workspace)}: {report.stat().st_size} bytes")
    print(f"== GITHUB_STEP_SUMMARY\n{result.summary.read_text(encoding='utf-8')}")


def main() -> None:
    """Run the workflow on a sample, or on a folder that is named, and show everything."""
    parser = argparse.ArgumentParser(description="Run the steps of grade.yml on this machine.")
    parser.add_argument("--student", type=Path, help="a checkout of a student's work (default: a sample is made)")
    parser.add_argument("--notebook", default=Run.notebook, help="the notebook or pattern (default: %(default)s)")
    parser.add_argument("--assignment", default="", help="what the notebook must be (default: what it says)")
    given = parser.parse_args()
    if shutil.which("bwrap") is None:
        sys.exit("grade_workflow: submissions are isolated by bubblewrap, which is missing: apt-get install bubblewrap")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Path(folder)
        if given.student:
            shutil.copytree(given.student, workspace / "student", symlinks=True)
        else:
            sample_repository(workspace / "student")
        result = run_workflow(workspace, Run(given.notebook, given.assignment))
        show(result)
    sys.exit(int(result.failed))


if __name__ == "__main__":
    main()
