"""Settings of nbgrader for this course. nbgrader reads this file from the folder in which it is called."""

from nbconvert.preprocessors import ClearMetadataPreprocessor
from nbgrader import preprocessors as nb

from mlcourse.grading.marks import RequireMark

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "mlcourse"

# The stub raises only when it is called, so that a fresh notebook runs from top to bottom.
c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("not written yet")'}
c.ClearSolutions.text_stub = "*Write your answer here.*"
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"

# A check cell takes well under a second; a student's own cell may take longer.
c.Execute.timeout = 120
# Errors only: the kernel's start-up messages help nobody who reads a list of marks.
c.Execute.extra_arguments = ["--log-level=40", "--HistoryManager.hist_file=:memory:"]

# nbgrader's own list, and one more that makes sure that a check cell has a mark.
c.Autograde.autograde_preprocessors = [
    nb.Execute,
    RequireMark,
    nb.IgnorePattern,
    ClearMetadataPreprocessor,
    nb.LimitOutput,
    nb.SaveAutoGrades,
    nb.AssignLatePenalties,
    nb.CheckCellMetadata,
]
