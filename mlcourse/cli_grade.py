"""The commands `mlcourse grade` and `mlcourse doctor`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from mlcourse.grading.results import CourseResult
from mlcourse.grading.sandbox.limits import checked_seconds

USAGE_ERROR = 2
MOST_JOBS = 1024


def _seconds(context: click.Context, option: click.Parameter, value: float) -> float:
    """Refuse what is no time: `click.FloatRange` lets through what is not a number."""
    try:
        return checked_seconds("It", value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from error


@click.command()
@click.argument("notebook", type=click.Path(path_type=Path), required=False)
@click.option("--course", type=click.Path(path_type=Path), help="A course folder in nbgrader's layout.")
@click.option("--assignment", help="The assignment; for one notebook, what its checks and name say is the default.")
@click.option("--student", "students", default="*", show_default=True, help="Only students whose names match.")
@click.option(
    "--jobs",
    type=click.IntRange(1, MOST_JOBS),
    default=min(os.cpu_count() or 1, MOST_JOBS),
    help="Processes. Default: one a core.",
)
@click.option("--scheduler", help="Address of a Dask scheduler, to grade on its workers.")
@click.option("--seed-file", type=click.Path(path_type=Path), help="A file with the secret seed.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the results as JSON.")
@click.option("--junit", "junit_file", type=click.Path(path_type=Path), help="Write the results as JUnit XML.")
@click.option("--markdown", "markdown_file", type=click.Path(path_type=Path), help="Write a summary for CI.")
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), help="Write one row a student.")
@click.option(
    "--isolation",
    type=click.Choice(["auto", "none"]),
    default="auto",
    show_default=True,
    help="none runs the code without protection: for your own work only.",
)
@click.option(
    "--cell-seconds",
    type=float,
    callback=_seconds,
    default=60.0,
    show_default=True,
    help="Seconds of the processor for one cell: 0.1 to 86400.",
)
@click.option("--again", is_flag=True, help="Grade also what has been graded as it is now.")
@click.option("--quiet", is_flag=True, help="No progress bar.")
def grade(**options: Any) -> None:
    """Grade NOTEBOOK, or all submissions of an assignment in a course folder, isolated from this machine.

    Exit code 0 when everything was graded, whatever the marks; 1 when something could not be graded; 2 when the
    command cannot be carried out.
    """
    # Imported here: `mlcourse check` needs none of it.
    from mlcourse.grading.course.command import GradeError, carry_out

    try:
        result = carry_out(**options)
    except GradeError as error:
        click.echo(f"mlcourse grade: {error}", err=True)
        sys.exit(USAGE_ERROR)
    except KeyboardInterrupt:
        click.echo("mlcourse grade: interrupted. What was graded is saved; the same command goes on.", err=True)
        sys.exit(130)
    show(result)
    sys.exit(0 if result.complete else 1)


def show(result: CourseResult) -> None:
    """Print the summary."""
    from mlcourse.grading.reports import summary_table

    click.echo(summary_table(result))


@click.command()
def doctor() -> None:
    """Say whether submissions can be isolated on this machine, and what is missing.

    Exit code 0 when they can, 1 when they cannot.
    """
    from mlcourse.grading.sandbox.doctor import examine

    found = examine()
    click.echo(str(found))
    sys.exit(0 if found.sound else 1)
