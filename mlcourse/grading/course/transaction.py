"""nbgrader's own steps of autograding, on a gradebook that is open already, and all in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbgrader.api import Comment, Grade, Gradebook
from nbgrader.preprocessors import AssignLatePenalties, SaveAutoGrades
from sqlalchemy.orm import joinedload


class WithoutCommit:
    """A session of a gradebook that writes what is changed, and commits nothing."""

    def __init__(self, session: Any) -> None:
        self.session = session

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def commit(self) -> None:
        """Write what is changed, within the transaction."""
        self.session.flush()


class OneTransaction:
    """A gradebook whose commits wait until the whole submission is written."""

    def __init__(self, gradebook: Gradebook) -> None:
        self.gradebook = gradebook
        self.db = self
        self.rows: dict[Any, dict[str, Any]] = {Grade: {}, Comment: {}}

    def __getattr__(self, name: str) -> Any:
        return getattr(self.gradebook, name)

    def commit(self) -> None:
        """Do nothing: what has changed is written by `together`."""

    @contextmanager
    def together(self, notebook: str, assignment: str, student: str) -> Iterator[None]:
        """Read all grades and comments of a submission in one go, and write what is changed within in one go."""
        place = self.gradebook.find_submission_notebook(notebook, assignment, student).id
        for table in self.rows:
            found = self.gradebook.db.query(table).options(joinedload(table.cell)).filter(table.notebook_id == place)
            self.rows[table] = {row.name: row for row in found}
        with self.gradebook.db.no_autoflush:
            yield
        self.gradebook.db.flush()
        self.gradebook.db.expire_all()  # scores that were read before are sums of old marks

    def find_grade(self, cell: str, *where: str) -> Grade:
        """Return the grade of one cell."""
        return self.rows[Grade].get(cell) or self.gradebook.find_grade(cell, *where)

    def find_comment(self, cell: str, *where: str) -> Comment:
        """Return the comment on one cell."""
        return self.rows[Comment].get(cell) or self.gradebook.find_comment(cell, *where)

    def __enter__(self) -> OneTransaction:
        return self

    def __exit__(self, *error: object) -> None:
        """Leave the gradebook open for the next submission."""


class Save(SaveAutoGrades):
    """nbgrader's step, with a gradebook that is open already."""

    def __init__(self, gradebook: OneTransaction, **settings: Any) -> None:
        super().__init__(**settings)
        self.gradebook = gradebook

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Save the grades of every cell."""
        about = resources["nbgrader"]
        self.notebook_id, self.assignment_id = about["notebook"], about["assignment"]
        self.student_id = about["student"]
        with self.gradebook.together(self.notebook_id, self.assignment_id, self.student_id):
            for index, cell in enumerate(nb.cells):
                nb.cells[index], resources = self.preprocess_cell(cell, resources, index)
        return nb, resources


class Penalties(AssignLatePenalties):
    """nbgrader's step, with a gradebook that is open already."""

    def __init__(self, gradebook: OneTransaction, **settings: Any) -> None:
        super().__init__(**settings)
        self.shared = gradebook

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Set the penalty of a submission that came late."""
        about = resources["nbgrader"]
        self.init_plugin()
        submission = self.shared.find_submission(about["assignment"], about["student"])
        notebook = self.shared.find_submission_notebook(about["notebook"], about["assignment"], about["student"])
        notebook.late_submission_penalty = None
        if submission.total_seconds_late > 0:
            penalty = self.plugin_inst.late_submission_penalty(
                about["student"], notebook.score, submission.total_seconds_late
            )
            if penalty is not None:
                notebook.late_submission_penalty = self._check_late_penalty(notebook, penalty)
        return nb, resources
