"""The files that a graded batch leaves: whole, readable by their programs, and proof against what students write."""

from __future__ import annotations

import csv
import json
import os
import stat
import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from junitparser import Error, Failure, JUnitXml
from markdown_it import MarkdownIt

from mlcourse.grading.by_hand import ByHand, graded_by_hand
from mlcourse.grading.report import STATUSES, Report
from mlcourse.grading.reports import (
    ReportFileError,
    summary_table,
    write_csv,
    write_json,
    write_junit,
    write_markdown,
)
from mlcourse.grading.reports import markdown as markdown_module
from mlcourse.grading.results import CourseResult, SubmissionResult

WRITERS = {"json": write_json, "junit": write_junit, "markdown": write_markdown, "csv": write_csv}
PASSED = Report("attention.softmax", 3.0, 3.0, "passed", "softmax  3 of 3 points\n  right on 40 cases")
MIXED_UP = Report("attention.causal_mask", 0.0, 2.5, "wrong", "The mask is upside down.", "upper_triangle")
PART = Report("attention.scores", 1.25, 4.0, "timeout", "It took longer than 10 s.")
UNWRITTEN = Report("attention.weights", 0.0, 1.0, "not_written", "Not written yet.")

HOSTILE = {
    "end of CDATA": "]]>",
    "markup": "</details><script>alert(1)</script>",
    "entity": "&lt;b&gt; &amp; &#0; <!DOCTYPE x [<!ENTITY e 'x'>]>&e;",
    "pipe": "a | b | c",
    "backslash and pipe": "a \\| b\\",
    "fence": "```\n# escaped\n````\n~~~",
    "long fence": "`" * 40,
    "nul": "a\x00b",
    "color": "\x1b[31mred\x1b[0m\x9b31m",
    "title of the terminal": "\x1b]0;owned\x07",
    "backspace": "mallory\x08\x08\x08\x08\x08\x08\x08ada\r",
    "emoji": "\U0001f9d1\u200d\U0001f52c caf\u00e9 \u4e2d\u6587",
    "direction": "abc\u202etxt.exe\u2066x\u2069",
    "lone surrogate": "a\ud800b\udfff",
    "non-character": "a\ufffeb\uffff",
    "ends of lines": "one\r\ntwo\rthree\u2028four\x85five\x0bsix\x0cseven",
    "formula": '=HYPERLINK("http://example.org","x")',
    "plus": "+1+1",
    "minus": "-1+1",
    "at": "@SUM(A1)",
    "tab": "\t=1+1",
    "separator": "ada;=1+1",
    "quotes": '"ada",\'x\'\n"',
    "Markdown": "# h1 [a](javascript:x) ![i](http://example.org/i.png) **b** <https://example.org> @ada #3 $x$ :bug:",
    "underscores": "_a_ b_c __d__ e_ _f \u4e2d_\u6587 g__h_",
    "blank": "   ",
}


def course():
    """Return a result with each status of a submission."""
    ada = SubmissionResult("ada", "graded", 0.1234567, "", [PASSED, MIXED_UP])
    bob = SubmissionResult(
        "bob", "partial", 12.0, "The cell of attention.scores is missing.", [PASSED, PART, UNWRITTEN]
    )
    eve = SubmissionResult("eve", "failed", 0.0, "The file is not a notebook.")
    return CourseResult("attention", [ada, bob, eve])


def hostile(text):
    """Return a result in which everything that a student can influence is the given text."""
    wrong = replace(MIXED_UP, feedback=text, misconception=text)
    return CourseResult(
        "attention",
        [
            SubmissionResult(text, "partial", 1.0, text, [PASSED, wrong]),
            SubmissionResult("honest", "graded", 1.0, "", [PASSED]),
        ],
    )


def written(kind, result, folder):
    path = folder / f"report.{kind}"
    WRITERS[kind](result, path)
    return path


def plain(text):
    """Return a text as it is shown: what cannot be seen escaped, on one line."""
    return "".join(_escaped(sign) for sign in text.replace("\r\n", "\n"))


def _escaped(sign):
    if sign in "\n\t":
        return {"\n": "\\n", "\t": "\\t"}[sign]
    code = ord(sign)
    unseen = code < 0x20 or 0x7F <= code < 0xA0 or 0xD800 <= code < 0xE000 or code in (0xFFFE, 0xFFFF)
    if unseen or code in (0x202E, 0x2066, 0x2069, 0x2028):
        return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
    return sign


# ---------------------------------------------------------------------------------------------------------- JSON


def test_json_has_exactly_the_documented_form(tmp_path):
    path = written("json", course(), tmp_path)
    assert json.loads(path.read_text(encoding="ascii")) == {
        "assignment": "attention",
        "provisional": False,
        "submissions": [
            {
                "student": "ada",
                "status": "graded",
                "score": 3.0,
                "max_score": 5.5,
                "seconds": 0.1235,
                "message": "",
                "exercises": [
                    {
                        "name": "attention.softmax",
                        "score": 3.0,
                        "max_score": 3.0,
                        "status": "passed",
                        "misconception": None,
                        "feedback": "softmax  3 of 3 points\n  right on 40 cases",
                    },
                    {
                        "name": "attention.causal_mask",
                        "score": 0.0,
                        "max_score": 2.5,
                        "status": "wrong",
                        "misconception": "upper_triangle",
                        "feedback": "The mask is upside down.",
                    },
                ],
            },
            {
                "student": "bob",
                "status": "partial",
                "score": 4.25,
                "max_score": 8.0,
                "seconds": 12.0,
                "message": "The cell of attention.scores is missing.",
                "exercises": [
                    {
                        "name": "attention.softmax",
                        "score": 3.0,
                        "max_score": 3.0,
                        "status": "passed",
                        "misconception": None,
                        "feedback": "softmax  3 of 3 points\n  right on 40 cases",
                    },
                    {
                        "name": "attention.scores",
                        "score": 1.25,
                        "max_score": 4.0,
                        "status": "timeout",
                        "misconception": None,
                        "feedback": "It took longer than 10 s.",
                    },
                    {
                        "name": "attention.weights",
                        "score": 0.0,
                        "max_score": 1.0,
                        "status": "not_written",
                        "misconception": None,
                        "feedback": "Not written yet.",
                    },
                ],
            },
            {
                "student": "eve",
                "status": "failed",
                "score": 0,
                "max_score": 0,
                "seconds": 0.0,
                "message": "The file is not a notebook.",
                "exercises": [],
            },
        ],
    }


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_returns_what_a_student_wrote(text, tmp_path):
    content = written("json", hostile(text), tmp_path).read_bytes()
    assert all(byte == 0x0A or 0x20 <= byte < 0x7F for byte in content)
    first, second = json.loads(content)["submissions"]
    expected = "".join("\ufffd" if 0xD800 <= ord(sign) < 0xE000 else sign for sign in text)
    assert first["student"] == first["message"] == first["exercises"][1]["feedback"] == expected
    assert second["student"] == "honest"


# --------------------------------------------------------------------------------------------------------- JUnit


def test_junit_has_a_suite_per_submission_and_a_case_per_exercise(tmp_path):
    document = JUnitXml.fromfile(str(written("junit", course(), tmp_path)))
    assert document.name == "attention"
    assert (document.tests, document.failures, document.errors, document.skipped) == (7, 3, 2, 0)
    ada, bob, eve = document
    assert [suite.name for suite in (ada, bob, eve)] == ["ada", "bob", "eve"]
    assert {entry.name: entry.value for entry in bob.properties()} == {
        "status": "partial",
        "score": "4.25",
        "max_score": "8",
    }
    assert [(case.name, case.classname) for case in ada] == [
        ("attention.softmax", "ada"),
        ("attention.causal_mask", "ada"),
    ]
    right, wrong = ada
    assert right.is_passed
    assert [type(entry) for entry in wrong.result] == [Failure]
    assert wrong.result[0].type == "upper_triangle"
    assert wrong.result[0].text == "The mask is upside down."
    assert wrong.result[0].message == "0 of 2.5 points: wrong"
    assert ada.time == pytest.approx(0.123)
    assert sum(case.time for case in ada) == pytest.approx(ada.time, abs=0.002)


def test_junit_tells_what_could_not_be_graded_as_an_error(tmp_path):
    _, bob, eve = JUnitXml.fromfile(str(written("junit", course(), tmp_path)))
    for suite, status, words in ((bob, "partial", "is missing"), (eve, "failed", "not a notebook")):
        first = next(iter(suite))
        assert first.name == "submission"
        assert [type(entry) for entry in first.result] == [Error]
        assert first.result[0].type == status
        assert words in first.result[0].text
    assert [case.name for case in eve] == ["submission"]


@pytest.mark.parametrize("status", [status for status in STATUSES if status != "passed"])
def test_junit_fails_every_exercise_that_did_not_pass(status, tmp_path):
    report = replace(UNWRITTEN, status=status)
    result = CourseResult("attention", [SubmissionResult("ada", "graded", 1.0, "", [report])])
    ((case,),) = JUnitXml.fromfile(str(written("junit", result, tmp_path)))
    assert [type(entry) for entry in case.result] == [Failure]
    assert case.result[0].type == status


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_junit_stays_well_formed(text, tmp_path):
    path = written("junit", hostile(text), tmp_path)
    root = ET.parse(path).getroot()
    assert [suite.get("name") for suite in root] == [plain(text), "honest"]
    # No element but those that the format knows: nothing that a student wrote became markup.
    assert {element.tag for element in root.iter()} == {
        *("testsuites", "testsuite", "properties", "property", "testcase", "failure", "error"),
    }
    first, second = JUnitXml.fromfile(str(path))
    assert (first.tests, first.failures, first.errors) == (3, 1, 1)
    assert (second.tests, second.failures, second.errors) == (1, 0, 0)
    shown = (root.find(".//failure").text or "").replace("\n", "\\n").replace("\t", "\\t")
    assert shown == plain(text)


# ------------------------------------------------------------------------------------------------------ Markdown


def tokens(path):
    """Return the blocks of a Markdown file as a parser with GitHub's tables sees them."""
    return MarkdownIt("commonmark").enable("table").parse(path.read_text(encoding="utf-8"))


def test_markdown_shows_the_table_and_folds_the_feedback(tmp_path):
    path = written("markdown", course(), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert text.splitlines()[:7] == [
        "# attention",
        "",
        "| student          | status   |   points |   of |   seconds |",
        "|------------------|----------|----------|------|-----------|",
        "| <code>ada</code> | graded   |        3 |  5.5 |       0.1 |",
        "| <code>bob</code> | partial  |     4.25 |    8 |      12.0 |",
        "| <code>eve</code> | failed   |        0 |    0 |       0.0 |",
    ]
    summary = "❌ <code>attention.causal_mask</code>: 0 of 2.5 points, wrong, "
    summary += "known mistake <code>upper_triangle</code>"
    block = "```text\nThe mask is upside down.\n```"
    assert f"<details><summary>{summary}</summary>\n\n{block}\n\n</details>" in text
    assert "✅ <code>attention.softmax</code>: 3 of 3 points, passed" in text
    assert "Status of this submission: failed.\n\n```text\nThe file is not a notebook.\n```" in text
    assert "Provisional" not in text


def test_markdown_says_when_a_result_is_provisional(tmp_path):
    path = written("markdown", replace(course(), provisional=True), tmp_path)
    assert "**Provisional.**" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_markdown_keeps_its_structure(text, tmp_path):
    harmless = [token.type for token in tokens(written("markdown", hostile("mallory"), tmp_path))]
    path = written("markdown", hostile(text), tmp_path)
    found = tokens(path)
    assert [token.type for token in found] == harmless
    # The message and the feedback stand in blocks of code, as they are apart from what cannot be seen.
    blocks = [token.content.removesuffix("\n") for token in found if token.type == "fence"]
    shown = [block.replace("\n", "\\n").replace("\t", "\\t") for block in blocks]
    assert [block for block in shown if not block.startswith("softmax")] == [plain(text)] * 2
    # A name is shown as it is, in the heading and in the table.
    names = [token for token in found if token.type == "inline" and token.content.startswith("<code>")]
    for name in (names[0], names[-2]):
        kinds = {child.type for child in name.children}
        assert kinds <= {"html_inline", "text", "text_special", "code_inline"}
        rendered = "".join(child.content for child in name.children if child.type != "html_inline")
        assert rendered.strip() == plain(text).strip()
    raw = "".join(child.content for token in found for child in token.children or [] if child.type == "html_inline")
    assert raw.replace("<code>", "").replace("</code>", "") == ""
    blocks = "".join(token.content for token in found if token.type == "html_block")
    assert "<script" not in blocks
    assert blocks.count("<details>") == blocks.count("</details>") == 3
    assert not [sign for sign in path.read_text(encoding="utf-8") if sign not in "\n\t" and plain(sign) != sign]


def test_markdown_shows_an_exercise_without_feedback(tmp_path):
    result = CourseResult("attention", [SubmissionResult("ada", "graded", 1.0, "", [replace(MIXED_UP, feedback="")])])
    found = tokens(written("markdown", result, tmp_path))
    assert [token.content.strip() for token in found if token.type == "fence"] == [""]
    assert found[-1].content.strip() == "</details>"


def test_markdown_stays_below_what_a_summary_may_hold(tmp_path):
    long = replace(MIXED_UP, feedback="x" * 400_000)
    submissions = [SubmissionResult(f"student-{n}", "graded", 1.0, "", [long]) for n in range(4)]
    submissions.append(SubmissionResult("last", "graded", 1.0, "", [PASSED]))
    path = written("markdown", CourseResult("attention", submissions), tmp_path)
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= markdown_module.MOST_BYTES + 200
    assert "The details of 2 more would make this page too long" in text
    assert text.count("<code>student-3</code>") == 1
    assert "## <code>last</code>" in text


# ----------------------------------------------------------------------------------------------------------- CSV


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_csv_has_a_row_per_student_and_a_column_per_exercise(tmp_path):
    names = ["attention.softmax", "attention.causal_mask", "attention.scores", "attention.weights"]
    assert rows(written("csv", course(), tmp_path)) == [
        ["student", "status", "score", "max_score", *names],
        ["ada", "graded", "3", "5.5", "3", "0", "", ""],
        ["bob", "partial", "4.25", "8", "3", "", "1.25", "0"],
        ["eve", "failed", "0", "0", "", "", "", ""],
    ]


def test_csv_rounds_what_arithmetic_leaves_over(tmp_path):
    reports = [replace(PASSED, score=0.1), replace(MIXED_UP, score=0.2)]
    result = CourseResult("attention", [SubmissionResult("ada", "graded", 0.0, "", reports)])
    assert rows(written("csv", result, tmp_path))[1][2] == "0.3"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_csv_holds_no_formula_and_no_broken_row(text, tmp_path):
    path = written("csv", hostile(text), tmp_path)
    head, first, second = rows(path)
    assert {len(row) for row in (head, first, second)} == {6}
    assert not first[0].startswith(("=", "+", "-", "@", "\t"))
    assert first[0].lstrip("'").replace("\t", "\\t") == plain(text).lstrip("'")
    assert second[0] == "honest"
    # Where a spreadsheet separates cells by semicolons, a name is still one cell.
    with path.open(encoding="utf-8", newline="") as file:
        by_semicolon = [cell for row in csv.reader(file, delimiter=";") for cell in row]
    assert not [cell for cell in by_semicolon if cell.startswith(("=", "@"))]


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t"])
def test_csv_puts_an_apostrophe_before_a_formula(sign, tmp_path):
    result = CourseResult("attention", [SubmissionResult(f"{sign}1+1", "graded", 0.0, "", [])])
    assert rows(written("csv", result, tmp_path))[1][0] == f"'{sign}1+1"


# --------------------------------------------------------------------------------------------------------- table


def test_the_table_has_everything_at_a_glance():
    assert [line.rstrip() for line in summary_table(course()).splitlines()] == [
        "student    status      points    of    seconds  exercises    known mistakes",
        "---------  --------  --------  ----  ---------  -----------  ---------------------------",
        "ada        graded           3   5.5        0.1  .w           causal_mask: upper_triangle",
        "bob        partial       4.25     8       12.0  .tn",
        "eve        failed           0     0        0.0",
        ". passed, w wrong, n not written, t timeout",
        "bob (partial): The cell of attention.scores is missing.",
        "eve (failed): The file is not a notebook.",
        "3 submissions: 1 graded, 1 partial, 1 failed",
    ]


def test_the_table_says_when_a_result_is_provisional():
    assert summary_table(replace(course(), provisional=True)).splitlines()[-1].startswith("Provisional")


def test_what_a_person_grades_stands_below_the_tables_and_in_no_file_for_programs(tmp_path):
    result = replace(course(), by_hand=ByHand(1, 6.0))
    sentence = "6 more points are for the question that a person grades."
    assert summary_table(result).splitlines()[-2:] == [summary_table(course()).splitlines()[-1], sentence]
    provisional = summary_table(replace(result, provisional=True)).splitlines()
    assert provisional[-2] == sentence
    assert provisional[-1].startswith("Provisional")
    found = tokens(written("markdown", result, tmp_path))
    end = next(i for i, token in enumerate(found) if token.type == "table_close")
    assert found[end + 2].content == sentence
    assert result.as_dict() == course().as_dict()
    assert "person" not in summary_table(course())


def about(**settings):
    return {"grade_id": "explain", "grade": True, "solution": True, "task": False, "points": 6} | settings


@pytest.mark.parametrize(
    ("metadata", "questions", "points"),
    [
        ([about()], 1, 6),
        ([about(), about(grade_id="draw", points=2.5)], 2, 8.5),
        ([about(), about()], 1, 6),
        ([about(grade=False, solution=False, task=True)], 1, 6),
        ([about(solution=False)], 0, 0),
        ([about(grade=False)], 0, 0),
        ([None, "nbgrader", 7, [], {}], 0, 0),
        ([about(points=wrong) for wrong in (None, "6", float("nan"), float("inf"), -1, 0, True)], 0, 0),
        ([about(grade_id=["a"])], 1, 6),
    ],
)
def test_what_a_person_grades_is_read_from_the_cells_whatever_they_hold(metadata, questions, points):
    assert graded_by_hand(metadata) == ByHand(questions, points)


def test_the_sentence_counts_points_and_questions():
    assert ByHand().sentence == ""
    assert ByHand(1, 1.0).sentence == "1 more point is for the question that a person grades."
    assert ByHand(2, 8.5).sentence == "8.5 more points are for the 2 questions that a person grades."


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_the_table_sends_nothing_to_the_terminal_but_text(text):
    shown = summary_table(hostile(text))
    assert len(shown.split("\n")) == 7
    assert not [sign for sign in shown if sign != "\n" and plain(sign) != sign]
    assert plain(text).strip() in shown
    assert shown.encode("utf-8")


# ---------------------------------------------------------------------------------------------------- every format


def test_an_empty_course_gives_valid_files(tmp_path):
    empty = CourseResult("attention", [])
    found = json.loads(written("json", empty, tmp_path).read_text(encoding="utf-8"))
    assert found == {"assignment": "attention", "provisional": False, "submissions": []}
    document = JUnitXml.fromfile(str(written("junit", empty, tmp_path)))
    assert (document.tests, len(list(document))) == (0, 0)
    assert "There are no submissions." in written("markdown", empty, tmp_path).read_text(encoding="utf-8")
    assert rows(written("csv", empty, tmp_path)) == [["student", "status", "score", "max_score"]]
    assert summary_table(empty) == "attention: there are no submissions."


@pytest.mark.parametrize("kind", WRITERS)
def test_the_same_result_gives_the_same_bytes(kind, tmp_path):
    contents = {written(kind, course(), tmp_path).read_bytes() for _ in range(2)}
    assert len(contents) == 1


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_that_is_not_there_is_named(kind, tmp_path):
    with pytest.raises(ReportFileError, match="there is no such folder") as caught:
        WRITERS[kind](course(), tmp_path / "nowhere" / "report")
    assert str(tmp_path / "nowhere") in str(caught.value)


@pytest.mark.parametrize("kind", WRITERS)
def test_a_report_replaces_the_old_one_and_leaves_nothing_else(kind, tmp_path):
    path = tmp_path / f"report.{kind}"
    path.write_text("old " * 10_000, encoding="utf-8")
    WRITERS[kind](course(), str(path))
    assert b"old old" not in path.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


def test_the_old_report_stays_when_the_new_one_cannot_be_written(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    path.write_text("old", encoding="utf-8")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ReportFileError, match="No space left on device"):
        write_json(course(), path)
    assert path.read_text(encoding="utf-8") == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_report(tmp_path):
    with pytest.raises(ReportFileError, match="that is a folder"):
        write_json(course(), tmp_path)


def test_a_link_is_written_through_and_a_device_is_not_replaced(tmp_path):
    target = tmp_path / "target.json"
    link = tmp_path / "link.json"
    link.symlink_to(target)
    write_json(course(), link)
    assert link.is_symlink()
    assert json.loads(target.read_text(encoding="utf-8"))["assignment"] == "attention"
    write_json(course(), os.devnull)
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
