"""Settings of nbgrader for this course. nbgrader reads this file from the folder in which it is called."""

from nbconvert.preprocessors import ClearMetadataPreprocessor, CSSHTMLHeaderPreprocessor
from nbgrader import preprocessors as nb

from mlcourse.grading.course.alone import OneAtATime
from mlcourse.grading.course.copied import HarmlessFeedback
from mlcourse.grading.course.execute import IsolatedExecute
from mlcourse.grading.course.export import SafeCsvExport
from mlcourse.grading.course.feedback import ReadableReports, markdown_of_cell
from mlcourse.grading.course.restore import RestoreCells

c = get_config()  # noqa: F821

c.CourseDirectory.course_id = "mlcourse"

# What the grader remembers of a submission is no part of the feedback, and neither is a page that a student handed in.
# These patterns know one spelling only: HarmlessFeedback removes every other kind of file that a browser could run.
c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", ".mlcourse-result.json", "*.html"]

# The stub raises only when it is called, so that a fresh notebook runs from top to bottom.
c.ClearSolutions.code_stub = {"python": 'raise NotImplementedError("not written yet")'}
c.ClearSolutions.text_stub = "*Write your answer here.*"
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"

# One run at a time grades a course, be it of nbgrader or of mlcourse.
c.Autograde.exporter_class = OneAtATime
# Gives a notebook back the cells with which it was released, before nbgrader's own sanitizing.
c.Autograde.sanitize_preprocessors = [
    RestoreCells,
    nb.ClearOutput,
    nb.DeduplicateIds,
    nb.OverwriteKernelspec,
    nb.OverwriteCells,
    nb.CheckCellMetadata,
]
# nbgrader's own list, with a sandbox in place of Execute.
c.Autograde.autograde_preprocessors = [
    IsolatedExecute,
    nb.IgnorePattern,
    ClearMetadataPreprocessor,
    nb.LimitOutput,
    nb.SaveAutoGrades,
    nb.AssignLatePenalties,
    nb.CheckCellMetadata,
]
# Marks change, by hand or when a student hands in again: a page of before is written anew.
c.GenerateFeedback.force = True
c.GenerateFeedback.preprocessors = [nb.GetGrades, CSSHTMLHeaderPreprocessor, ReadableReports, HarmlessFeedback]
# What a student wrote stays text in the feedback: no scripts, no event handlers, no frames. Pasted pictures are shown.
c.HTMLExporter.sanitize_html = True
c.HTMLExporter.filters = {"markdown2html": markdown_of_cell}
# A student's name that begins like a formula stays text in a spreadsheet.
c.ExportApp.plugin_class = SafeCsvExport
