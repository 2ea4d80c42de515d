"""The one writer of the gradebook: takes results and does with them what nbgrader's autograding does."""

from __future__ import annotations

import errno
import json
import os
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

import nbformat
from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader.api import Grade, Gradebook, MissingEntry
from nbgrader.plugins import LateSubmissionPlugin
from nbgrader.preprocessors import AssignLatePenalties, LimitOutput
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError, SAWarning
from sqlalchemy.orm import joinedload
from traitlets.config import Config, PyFileConfigLoader

from mlcourse.grading.course.copied import is_harmless
from mlcourse.grading.course.earlier import result_from, source_of
from mlcourse.grading.course.layout import Handed
from mlcourse.grading.course.lock import CourseError, locked
from mlcourse.grading.course.restore import released_cells
from mlcourse.grading.course.tasks import Done, ReleasedCell
from mlcourse.grading.course.transaction import OneTransaction, Penalties, Save, WithoutCommit
from mlcourse.grading.results import SubmissionResult

CONFIG = "nbgrader_config.py"
RECORD = ".mlcourse-result.json"


class Writer:
    """Writes one course's gradebook and its folder ``autograded``; the only one who does, in one connection."""

    def __init__(self, course: Path, assignment: str, config: Any = None) -> None:
        self.course = course
        self.assignment = assignment
        self.config = config
        path = course / "gradebook.db"
        if not path.exists():
            raise CourseError(f"There is no gradebook in {course}. Release the assignments first: make release.")
        warnings.filterwarnings("ignore", category=SAWarning)  # nbgrader's own use of its database
        self.lock = locked(course)
        try:
            self.gradebook = Gradebook(f"sqlite:///{path}")
            self.released: tuple[ReleasedCell, ...] = self._released()
        except DatabaseError as error:
            self.lock.release()
            raise out_of_reach(course, error) from error
        except BaseException:
            self.lock.release()
            raise

    def _released(self) -> tuple[ReleasedCell, ...]:
        try:
            return tuple(released_cells(self.gradebook, self.assignment, self.assignment))
        except MissingEntry as error:
            self.gradebook.close()
            raise CourseError(
                f"The gradebook of {self.course} has no assignment {self.assignment!r} with a notebook of that name. "
                "Release the assignments first: make release."
            ) from error

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.gradebook.close()
        self.lock.release()
        if isinstance(error, DatabaseError):
            raise out_of_reach(self.course, error) from error

    def save(self, handed: Handed, done: Done, fingerprint: str) -> None:
        """Save one result: marks and late penalty in the gradebook, the notebook in ``autograded``.

        Manual marks and comments stay. All of it is written, or nothing.
        """
        student = handed.student
        notebook = self._shortened(done.notebook, student)
        draft = self._draft(handed, notebook) if notebook else None
        try:
            with self._exchanged(student, draft) as there, self._at_once():
                self.gradebook.update_or_create_student(student)
                late = {"timestamp": handed.stamp} if handed.stamp else {}
                self.gradebook.update_or_create_submission(self.assignment, student, **late)
                if draft:
                    self._save_marks(student, notebook)
                    record = {
                        "fingerprint": fingerprint,
                        "result": done.result.as_dict(),
                        "gradebook": self._in_gradebook(student),
                    }
                    (draft / RECORD).write_text(json.dumps(record), encoding="utf-8")
                else:
                    self._save_nothing(student, there)
        finally:
            if draft:
                shutil.rmtree(draft, ignore_errors=True)  # where something failed

    @contextmanager
    def _at_once(self) -> Iterator[None]:
        """Commit at the end what nbgrader commits in between, and take everything back after an error."""
        session = self.gradebook.db
        session.execute(text("BEGIN IMMEDIATE"))  # where another program writes, this is said before anything is done
        self.gradebook.db = WithoutCommit(session)
        try:
            yield
            session.commit()
        except BaseException:
            session.rollback()
            raise
        finally:
            self.gradebook.db = session

    def knows(self, student: str) -> bool:
        """Return whether the gradebook holds marks of a student for this assignment."""
        try:
            found = self.gradebook.find_submission_notebook(self.assignment, self.assignment, student)
            return any(grade.auto_score is not None or grade.manual_score is not None for grade in found.grades)
        except (MissingEntry, UnicodeEncodeError):
            return False

    def _about(self, student: str) -> dict[str, Any]:
        """Return what nbgrader's steps want to know."""
        return {
            "nbgrader": {
                "student": student,
                "assignment": self.assignment,
                "notebook": self.assignment,
                "db_url": "",
            }
        }

    def _shortened(self, graded: str, student: str) -> Any:
        """Return a graded notebook without what nbgrader leaves out; None where there is none."""
        if not graded:
            return None
        notebook, resources = nbformat.from_dict(json.loads(graded)), self._about(student)
        for step in (ClearMetadataPreprocessor, LimitOutput):
            notebook, resources = step(config=self.config)(notebook, resources)
        return notebook

    def _save_marks(self, student: str, notebook: Any) -> None:
        shared = OneTransaction(self.gradebook)
        notebook, resources = Save(shared, config=self.config).preprocess(notebook, self._about(student))
        Penalties(shared, config=self.config).preprocess(notebook, resources)

    def _save_nothing(self, student: str, news: bool) -> None:
        """Give no marks where nothing could be graded, as nbgrader does for a notebook that is missing.

        What a person has given stays, and a person is asked to look at it again; once, not each time it is graded. The
        late penalty is that of this submission, not of the one before.
        """
        submission = self.gradebook.find_submission_notebook(self.assignment, self.assignment, student)
        news = news or any(grade.auto_score != 0 for grade in submission.grades)
        for grade in submission.grades:
            grade.auto_score = 0
            asked = news or grade.needs_manual_grade
            grade.needs_manual_grade = grade.manual_score is not None and asked
        self.gradebook.db.flush()
        self.gradebook.db.expire_all()  # the penalty depends on the score, which is a sum of old marks until then
        Penalties(OneTransaction(self.gradebook), config=self.config).preprocess(None, self._about(student))

    def _target(self, student: str) -> Path:
        return self.course / "autograded" / student / self.assignment

    def _draft(self, handed: Handed, notebook: Any) -> Path:
        """Write what belongs into the folder ``autograded`` beside its place, and return where."""
        target = self._target(handed.student)
        draft = target.with_name(f".{target.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)
        try:
            draft.mkdir(parents=True)
            for name, content in handed.files()[0].items():
                if is_harmless(name) and name.partition("/")[0] != RECORD:
                    _copy(content, draft / name)
            written = draft / f"{self.assignment}.ipynb"
            written.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
            written.chmod(0o444)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)  # the disk may be full
            raise
        return draft

    @contextmanager
    def _exchanged(self, student: str, draft: Path | None) -> Iterator[bool]:
        """Put the draft, if any, in the place of what was there before; after an error everything is as it was.

        What was there is moved aside first: where that cannot be done, nothing is written into the gradebook either.
        Gives whether there was something.
        """
        target = self._target(student)
        aside = target.with_name(f".{target.name}.before")
        shutil.rmtree(aside, ignore_errors=True)
        there = target.exists()
        if there:
            os.replace(target, aside)
        try:
            yield there
            if draft:
                os.replace(draft, target)
        except BaseException:
            if there:
                os.replace(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    def already(self, student: str, fingerprint: str) -> SubmissionResult | None:
        """Return the result of an earlier run, if it is of the same notebook, seed and course.

        The gradebook has the last word: an older one may have been put back, or another program may have written it.
        """
        if not fingerprint:
            return None
        try:
            record = json.loads((self._target(student) / RECORD).read_text(encoding="utf-8"))
            if record["fingerprint"] != fingerprint or record["gradebook"] != self._in_gradebook(student):
                return None
            there = (self._target(student) / f"{self.assignment}.ipynb").is_file()
            return result_from(record["result"]) if there else None
        except (OSError, ValueError, KeyError, TypeError, MissingEntry):
            return None

    def lateness(self, handed: Handed) -> str:
        """Return what decides the late penalty of a submission: nothing where it has none, whatever the due date is."""
        seconds = self._seconds_late(handed)
        if seconds <= 0:
            return ""
        step = AssignLatePenalties(config=self.config)
        step.init_plugin()
        plugin = step.plugin_inst
        if type(plugin) is LateSubmissionPlugin:  # how late it was makes no difference to it
            return "" if plugin.penalty_method == "none" else str(plugin.penalty_method)
        settings = sorted((name, repr(getattr(plugin, name))) for name in plugin.trait_names(config=True))
        return repr((seconds, settings, source_of(type(plugin))))

    def _seconds_late(self, handed: Handed) -> float:
        """Return how late a submission is as the gradebook will see it once this one is saved."""
        due = self.gradebook.find_assignment(self.assignment).duedate
        stamp, extension = handed.stamp, None
        with suppress(MissingEntry):
            earlier = self.gradebook.find_submission(self.assignment, handed.student)
            stamp, extension = stamp or earlier.timestamp, earlier.extension
        if due is None or stamp is None:
            return 0
        return float((stamp - due - (extension or timedelta())).total_seconds())

    def _in_gradebook(self, student: str) -> dict[str, Any]:
        """Return what grading has written into the gradebook: of all that stands there, what no person changes."""
        place = self.gradebook.find_submission_notebook(self.assignment, self.assignment, student)
        rows = self.gradebook.db.query(Grade).options(joinedload(Grade.cell)).filter(Grade.notebook_id == place.id)
        return {
            "marks": {row.name: row.auto_score for row in rows},
            "penalty": place.late_submission_penalty,
            "handed in": str(place.assignment.timestamp),
        }


def _copy(content: bytes, path: Path) -> None:
    """Write a file that was handed in, unless its path is too long here: it was not where it was handed in."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise


def out_of_reach(course: Path, error: DatabaseError) -> CourseError:
    """Return the error where the gradebook itself cannot be read or written."""
    return CourseError(
        f"The gradebook {course / 'gradebook.db'} cannot be used: {error.orig}. If another program holds it, such as "
        "the page for grading by hand, end that program, and grade again. What was graded before is saved."
    )


def course_config(course: Path) -> Config:
    """Return what the course's own nbgrader_config.py says, such as how late submissions are penalized.

    Raises
    ------
    CourseError
        If it cannot be read.
    """
    if not (course / CONFIG).is_file():
        return Config()
    try:
        return PyFileConfigLoader(CONFIG, path=str(course)).load_config()
    except Exception as error:  # it is Python, and may fail in any way
        raise CourseError(
            f"The file {course / CONFIG} could not be read ({type(error).__name__}: {error}). Mend it and grade again."
        ) from error
