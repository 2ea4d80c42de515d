"""The step of nbgrader's autograding that runs a notebook: in the sandbox, with the marks computed outside of it."""

from __future__ import annotations

import atexit
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook
from nbgrader.preprocessors import NbGraderPreprocessor
from traitlets import Enum, Float

from mlcourse.grading.companions import files_beside
from mlcourse.grading.course.copied import remove_others
from mlcourse.grading.course.job import points_of
from mlcourse.grading.course.restore import drop_linked, released_cells
from mlcourse.grading.course.seed import course_seed
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.submission import Graded, Grader

_GRADERS: dict[tuple[Any, ...], Grader] = {}


class IsolatedExecute(NbGraderPreprocessor):
    """Takes the place of nbgrader's ``Execute``, with the same marks as ``mlcourse grade``."""

    isolation = Enum(
        ["auto", "none"],
        default_value="auto",
        help="auto isolates submissions, or stops with what is missing; none is for one's own work only",
    ).tag(config=True)
    cell_seconds = Float(60.0, help="seconds of the processor for one cell").tag(config=True)

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Run the notebook, write the outputs, and keep the result in the resources."""
        about = resources["nbgrader"]
        course = Path(about["db_url"].removeprefix("sqlite:///")).resolve().parent
        handed = course / "submitted" / about["student"] / about["assignment"]  # where a link still is a link
        drop_linked(handed, Path(resources["metadata"]["path"]))  # nbgrader has copied again since they were dropped
        remove_others(Path(resources["metadata"]["path"]), lambda path: path.suffix == ".ipynb")
        files, left_out = files_beside(handed)
        for note in left_out:
            self.log.warning("%s: %s", about["student"], note)
        with Gradebook(about["db_url"]) as gradebook:
            points = points_of(released_cells(gradebook, about["notebook"], about["assignment"]))
        resources["mlcourse"] = self.grade(nb, about["assignment"], course, files, points)
        return nb, resources

    def grade(
        self, notebook: Any, assignment: str, course: Path, files: dict[str, bytes], points: dict[str, float]
    ) -> Graded:
        """Grade with a warm parent that lives as long as this process."""
        key = (assignment, course, self.isolation, self.cell_seconds)
        if key not in _GRADERS:
            limits = Limits(cell_seconds=self.cell_seconds)
            grader = Grader(assignment, course_seed(course), limits, self.isolation, [course])
            atexit.register(grader.close)
            _GRADERS[key] = grader
        return _GRADERS[key].grade(notebook, files, points)
