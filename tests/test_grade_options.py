"""Options of `mlcourse grade` that cannot be carried out: one sentence and exit code 2, at once."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from mlcourse.cli import main
from mlcourse.grading.sandbox.limits import Limits

ASSIGNMENT = "linear_regression"


def grade(*options: str):
    return CliRunner().invoke(main, ["grade", *options])


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("seconds", ["inf", "-inf", "nan", "1e10", "1e308", "86401", "0", "-1", "0.05"])
def test_a_time_that_no_clock_can_be_set_to_is_a_usage_error(seconds):
    done = grade("work.ipynb", "--cell-seconds", seconds)
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert "a number of seconds from 0.1 to 86400" in words(done.output)


@pytest.mark.parametrize("name", ["cell_seconds", "exercise_seconds", "submission_seconds", "processor_seconds"])
def test_limits_hold_only_times_that_a_clock_can_be_set_to(name):
    for seconds in (float("inf"), float("nan"), 1e10, 0.0):
        with pytest.raises(ValueError, match=f"{name} is .* but must be a number of seconds"):
            Limits(**{name: seconds})
    assert getattr(Limits(**{name: 86_400}), name) == 86_400


@pytest.mark.parametrize("jobs", ["0", "-1", "1e3", "inf", "nan", "100000", "9" * 9000])
def test_a_number_of_processes_that_no_machine_has_is_a_usage_error(jobs):
    done = grade("--course", ".", "--assignment", ASSIGNMENT, "--jobs", jobs)
    assert done.exit_code == 2
    assert "Invalid value for '--jobs'" in done.output
