"""The mathematical intuitions behind modern machine learning, as code that runs.

One module per chapter (`mlcourse.linear_regression`, `mlcourse.attention`, ...) holds the reference implementations;
`mlcourse.exercises` says what is asked, `mlcourse.grading` says what went wrong.
"""

from mlcourse.device import default_device

__all__ = ["__version__", "default_device"]
__version__ = "0.1.0"
