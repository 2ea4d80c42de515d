"""The command `mlcourse`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from tabulate import tabulate

from mlcourse import __version__
from mlcourse.cli_grade import doctor, grade
from mlcourse.grading.notebook import NotebookError, NotebookReport, check_notebook
from mlcourse.grading.report import points

USAGE_ERROR = 2


@click.group()
@click.version_option(__version__, package_name="mlcourse")
def main() -> None:
    """Work with the course's exercises from a shell."""


main.add_command(grade)
main.add_command(doctor)


@main.command()
@click.argument("notebook", type=click.Path(path_type=Path))
@click.option("--assignment", help="The assignment that the notebook must be. Default: what its checks and name say.")
def check(notebook: Path, assignment: str | None) -> None:
    """Run every check of NOTEBOOK and say what is right and what is wrong.

    The notebook runs in a fresh kernel on this machine: for your own work. The file is not changed. Exit code 0 when
    everything passes, 1 when a check fails, 2 when the file cannot be checked.
    """
    try:
        result = check_notebook(notebook, assignment)
    except NotebookError as error:
        click.echo(f"mlcourse check: {error}", err=True)
        sys.exit(USAGE_ERROR)
    for report in result.reports:
        click.echo(report.feedback + "\n")
    click.echo(score_table(result))
    sys.exit(0 if result.passed else 1)


def score_table(result: NotebookReport) -> str:
    """Return the scores of a notebook as a table, and below it what no check can grade."""
    rows = [
        [report.name, report.status, points(report.score), points(report.max_score), report.misconception or ""]
        for report in result.reports
    ]
    rows.append(["total", "", points(result.score), points(result.max_score), ""])
    table = tabulate(rows, headers=["exercise", "status", "points", "of", "known mistake"], disable_numparse=True)
    return f"{table}\n\n{result.by_hand.sentence}" if result.by_hand.sentence else table


if __name__ == "__main__":
    main()
