"""The last lines of ``make``: where everything is, and the marks of the sample submission."""

from __future__ import annotations

from tabulate import tabulate

from tools.release import ROOT
from tools.sample import ASSIGNMENT, COURSE, STUDENT


def main() -> None:
    """Print the table."""
    feedback = COURSE / "feedback" / STUDENT / ASSIGNMENT / f"{ASSIGNMENT}.html"
    rows = [
        ["the book", "open in a browser", ROOT / "_build" / "html" / "index.html"],
        ["student notebooks", "give to students", ROOT / "release"],
        ["feedback on a sample submission", "open in a browser", feedback],
        ["marks of the sample submission", "a table", COURSE / "grades.csv"],
    ]
    print("\nThe sample submission, graded by nbgrader:\n")
    print((COURSE / "score.txt").read_text(encoding="utf-8"))
    print(tabulate([[what, how, path.relative_to(ROOT)] for what, how, path in rows], tablefmt="plain"))


if __name__ == "__main__":
    main()
