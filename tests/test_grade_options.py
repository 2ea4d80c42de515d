"""Options of `mlcourse grade` that cannot be carried out: one sentence and exit code 2, at once."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from mlcourse.cli import main
from mlcourse.grading.course.seed import SeedError, read_seed
from mlcourse.grading.reports import ReportFileError, check_place
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


def test_a_seed_of_thousands_of_digits_is_refused(tmp_path):
    seed = tmp_path / "seed"
    seed.write_text("7" * 9000, encoding="ascii")
    done = grade("--course", str(tmp_path), "--assignment", ASSIGNMENT, "--seed-file", str(seed))
    assert done.exit_code == 2
    assert f"The seed file {seed} is longer than 1000 bytes." in words(done.output)
    seed.write_text("7" * 998 + "\n", encoding="ascii")
    assert read_seed(seed) == int("7" * 998)


def test_a_seed_file_that_never_ends_or_never_begins_is_refused(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero", tmp_path):
        code = "import sys; from mlcourse.cli import main; main(sys.argv[1:])"
        command = [sys.executable, "-c", code, "grade", "--course", str(tmp_path), "--assignment", ASSIGNMENT]
        done = subprocess.run([*command, "--seed-file", str(path)], capture_output=True, text=True, timeout=60)
        assert done.returncode == 2, done.stderr
        assert f"The seed file {path} is no regular file." in words(done.stderr)


def test_a_seed_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SeedError, match=r"cannot be read: .*No such file"):
        read_seed(tmp_path / "nowhere")


@pytest.mark.parametrize("option", ["--json", "--junit", "--markdown", "--csv"])
def test_a_report_to_a_pipe_is_refused_before_anything_is_graded(option, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = "import sys; from mlcourse.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "grade", "--course", str(tmp_path), "--assignment", ASSIGNMENT]
    done = subprocess.run([*command, option, str(pipe)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert f"written to {pipe}, but that is no regular file" in words(done.stderr)


def test_a_report_may_go_to_the_streams_of_the_command_and_to_nowhere(tmp_path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "not yet there")
    for path in (link, tmp_path / "new"):
        check_place(path)
    check_place(type(link)(os.devnull))
    code = (
        "from mlcourse.grading.reports.files import write_whole\n"
        "for name in ('/dev/stdout', '/dev/null', '/dev/fd/1'): write_whole(name, name.encode())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout == "/dev/stdout/dev/fd/1"


def test_a_report_whose_name_is_too_long_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ReportFileError, match="cannot be written: File name too long"):
        check_place(tmp_path / ("n" * 300))


@pytest.mark.parametrize("address", ["foo", "tcp://127.0.0.1:9", "tls://127.0.0.1:9"])
def test_the_command_ends_when_no_scheduler_answers(address, tmp_path):
    pytest.importorskip("distributed", reason="install Dask: pip install '.[cluster]'")
    code = (
        "import sys\n"
        "from mlcourse.cli import main\n"
        "from mlcourse.grading.course import cluster\n"
        "cluster.CONNECT_SECONDS = 1\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, "grade", "--course", str(tmp_path), "--assignment", ASSIGNMENT]
    done = subprocess.run([*command, "--scheduler", address], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2, done.stderr
    assert f"No Dask scheduler answers at {address}:" in words(done.stderr)
    assert "Traceback" not in done.stderr
