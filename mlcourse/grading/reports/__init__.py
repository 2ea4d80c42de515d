"""The files and the table in which the results of a batch are handed on.

Names, messages and feedback come from students: every format shows them, and none lets them change its structure.
"""

from mlcourse.grading.reports.csv_report import write_csv
from mlcourse.grading.reports.files import ReportFileError, check_place
from mlcourse.grading.reports.json_report import write_json
from mlcourse.grading.reports.junit import write_junit
from mlcourse.grading.reports.markdown import write_markdown
from mlcourse.grading.reports.table import summary_table

__all__ = [
    "ReportFileError",
    "check_place",
    "summary_table",
    "write_csv",
    "write_json",
    "write_junit",
    "write_markdown",
]
