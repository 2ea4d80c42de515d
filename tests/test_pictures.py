"""Pictures that students paste into texts: kept where they are harmless, and no reference ends the feedback."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import nbformat
import nbgrader
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from traitlets.config import Config

from mlcourse.grading.course import feedback, pictures
from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.feedback import markdown_of_cell, safe_markdown
from mlcourse.grading.course.job import grade_job
from mlcourse.grading.course.pictures import keep_pictures, picture_in
from mlcourse.grading.course.restore import read_submission_text
from mlcourse.grading.course.writer import course_config
from tests.test_release import solved
from tools.release import ROOT, open_course, release, succeed

NAME = "linear_regression"
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
PICTURES = {
    "image/png": PNG,
    "image/jpeg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "image/gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
}
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"


def text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def attached(name: str = "image.png", kind: str = "image/png", content: bytes = PNG) -> dict:
    return {name: {kind: text(content)}}


def shown(source: str, attachments: dict | None = None) -> BeautifulSoup:
    return BeautifulSoup(safe_markdown(source, attachments), "html.parser")


FORMS = [
    "![alt](attachment:image.png)",
    "![alt]( <attachment:image.png> )",
    '![alt](attachment:image.png "a title")',
    "![alt][x]\n\n[x]: attachment:image.png",
    "![alt][x]\n\n[x]: attachment:image.png 'a title'",
    "![x]\n\n[x]: attachment:image.png",
    "# A heading with ![alt](attachment:image.png)",
    "| a |\n|---|\n| ![alt](attachment:image.png) |",
    "- a list\n- ![alt](attachment:image.png)",
    "> ![alt](attachment:image.png)",
    "[![alt](attachment:image.png)](https://example.org)",
    "![outer ![alt](attachment:image.png)](attachment:image.png)",
    '<img src="attachment:image.png" alt="alt" width="300">',
    "text <img width=300 alt='alt' src='attachment:image.png'/> text",
    "<IMG SRC=attachment:image.png>",
    '<div>\n<img src="attachment:image.png"\n/>\n</div>',
    "![alt](Attachment:image.png)",
]


@pytest.mark.parametrize("source", FORMS)
def test_every_form_of_a_reference_shows_the_picture_or_says_in_words_that_it_is_not_there(source):
    (picture,) = shown(source, attached()).find_all("img")
    assert picture["src"] == f"data:image/png;base64,{text(PNG)}"
    assert picture["alt"]
    assert "could not be kept" not in shown(source, attached()).get_text()
    for attachments in (
        None,
        {},
        attached("other.png"),
        attached(content=SVG),
        {"image.png": {}},
        {"image.png": 3},
        [],
    ):
        missing = shown(source, attachments)
        assert missing.find("img") is None
        assert "(picture image.png could not be kept)" in missing.get_text()


@pytest.mark.parametrize("source", ["[a link](attachment:image.png)", "`![alt](attachment:image.png)`", "attachment:x"])
def test_what_is_no_picture_stays_as_it_was(source):
    assert shown(source, attached()).find("img") is None
    assert "could not be kept" not in shown(source).get_text()


@pytest.mark.parametrize("name", ["my picture.png", "größe.png", "a%20b.png", "a&b.png"])
def test_a_name_with_odd_signs_is_found(name):
    address = {"my picture.png": "my%20picture.png", "a%20b.png": "a%20b.png"}.get(name, name)
    assert shown(f"![alt](attachment:{address})", attached(name)).find("img") is not None


@pytest.mark.parametrize(("kind", "content"), PICTURES.items())
def test_pictures_are_known_by_their_first_bytes(kind, content):
    for said in pictures.TYPES:
        assert picture_in({said: text(content)}) == (kind, text(content))
    assert picture_in({kind: [text(content)[:8] + "\n", text(content)[8:]]}) == (kind, text(content))


@pytest.mark.parametrize(
    "attachment",
    [
        {"image/svg+xml": text(SVG)},
        {"image/svg+xml": text(PNG)},
        {"text/html": text(PNG)},
        {"image/png": text(SVG)},
        {"image/png": text(b"<script>alert(1)</script>")},
        {"image/png": text(PNG) + '" onerror="alert(1)'},
        {"image/png": "é" + text(PNG)},
        {'image/png" onerror="alert(1)': text(PNG)},
        {"image/png": None},
        {"image/png": {}},
        {},
        None,
        "image",
    ],
)
def test_what_is_no_harmless_picture_is_none(attachment):
    assert picture_in(attachment) is None


def test_pictures_that_are_too_large_are_left_out(monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", len(PNG))
    monkeypatch.setattr(pictures, "MOST_BYTES_IN_ALL", 2 * len(PNG) + 5)
    cell = nbformat.v4.new_markdown_cell("x")
    cell["attachments"] = attached("large.png", content=PNG + b"x") | {
        name: {"image/png": text(PNG)} for name in ("n" * 300, "a.png", "b.png", "c.png")
    }
    notebook = nbformat.v4.new_notebook(cells=[cell])
    keep_pictures(notebook)
    assert list(cell["attachments"]) == ["a.png", "b.png"]
    nbformat.validate(notebook)


def test_one_picture_is_looked_at_and_written_once(monkeypatch):
    looked = []
    before = feedback.named
    monkeypatch.setattr(feedback, "named", lambda *what: looked.append(what) or before(*what))
    page = safe_markdown("![a](attachment:image.png)\n\n" * 50, attached())
    assert len(looked) == 1
    assert page.count(text(PNG)) == 1
    assert page.count("(picture image.png again, as above)") == 49


@pytest.mark.parametrize(
    "source",
    [
        '![" onerror="alert(1)](attachment:image.png)',
        "![<b onclick=alert(1)>](attachment:image.png)",
        '![a](attachment:image.png "x\\" onerror=\\"alert(1)")',
        '![a](attachment:"onerror="alert(1))',
        "<a title='<img src=\"attachment:image.png\" alt=\"onclick=alert(1) x\">' href='https://example.org'>x</a>",
        "<a href=\"https://example.org/<img src=attachment:image.png alt='onclick=alert(1)'>\">x</a>",
        '<img src="attachment:image.png" onerror="alert(1)" alt="&quot; onload=&quot;alert(1)">',
        '<img src="attachment:<script>alert(1)</script>" onerror="alert(1)">',
        '# ![" onclick="alert(1)](attachment:image.png)',
        '<span class="0">picture</span> <script><img src="attachment:image.png"></script>',
        "![a](data:text/html;base64,PHNjcmlwdD4=) [b](data:image/png;base64,AAAA)",
    ],
)
def test_a_picture_brings_nothing_that_a_browser_runs(source):
    for attachments in (attached(), attached('"onerror="alert(1)'), None):
        for tag in shown(source, attachments).find_all(True):
            assert tag.name not in ("script", "iframe", "object", "svg")
            assert not [name for name in tag.attrs if name.startswith("on")]
            assert not str(tag.get("href", "")).startswith(("data:", "javascript:"))
            if tag.name == "img":
                assert set(tag.attrs) == {"alt", "src", "style"}
                assert tag["src"] == f"data:image/png;base64,{text(PNG)}"


def test_a_text_of_beginnings_takes_no_long_time_to_search():
    start = time.process_time()
    safe_markdown("<div>\n" + "<img src=attachment:" * 20_000, attached())
    safe_markdown("<div>\n<img " + "src='attachment:" * 20_000, attached())
    assert time.process_time() - start < 30


def exported(cell) -> BeautifulSoup:
    config = Config({"HTMLExporter": {"filters": {"markdown2html": markdown_of_cell}, "sanitize_html": False}})
    page, _ = HTMLExporter(config=config).from_notebook_node(nbformat.v4.new_notebook(cells=[cell]))
    return BeautifulSoup(page, "html.parser")


def test_a_page_shows_the_pictures_of_each_cell_and_ends_at_no_reference():
    cell = nbformat.v4.new_markdown_cell("![alt](attachment:image.png) ![alt](attachment:other.png)")
    cell["attachments"] = attached()
    page = exported(cell)
    assert [picture["src"] for picture in page.find_all("img")] == [f"data:image/png;base64,{text(PNG)}"]
    assert "(picture other.png could not be kept)" in page.get_text()
    output = nbformat.v4.new_output("display_data", data={"text/markdown": "![a](attachment:image.png)"})
    assert "could not be kept" in exported(nbformat.v4.new_code_cell("x", outputs=[output])).get_text()


def test_reading_a_submission_keeps_pictures_of_texts_alone():
    cells = []
    for make in (nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell, nbformat.v4.new_raw_cell):
        cell = make("x")
        cell["attachments"] = attached() | attached("b.svg", "image/svg+xml", SVG)
        cells.append(cell)
    content = nbformat.v4.new_notebook() | {"cells": cells}
    read = read_submission_text(json.dumps(content).encode(), "x.ipynb")
    assert [dict(cell.get("attachments", {})) for cell in read.cells] == [attached(), {}, {}]
    nbformat.validate(read)


def test_a_pasted_picture_reaches_the_person_who_grades_and_the_feedback(tmp_path, monkeypatch):
    course = tmp_path / "course"
    (released,) = release(course, names=[NAME])
    notebook = solved(released)
    answer = next(
        cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == "explain_step_size"
    )
    answer.source += "\n\n![image.png](attachment:image.png) ![gone](attachment:gone.png)"
    answer["attachments"] = attached() | attached("b.svg", "image/svg+xml", SVG)
    notebook.cells.append(
        nbformat.v4.new_markdown_cell('<img src="attachment:never.png">\n\n![x][y]\n\n[y]: attachment:y')
    )
    folder = course / "submitted" / "ada" / NAME
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")

    def here(setting, jobs, workers):
        return (grade_job(setting, job) for job in jobs)

    (result,) = grade_course(Order(course, NAME, 3, isolation="none", silent=True), here).submissions
    assert (result.status, result.score) == ("graded", 36)
    graded = nbformat.read(course / "autograded" / "ada" / NAME / f"{NAME}.ipynb", as_version=4)
    assert [dict(cell.attachments) for cell in graded.cells if cell.get("attachments")] == [attached()]
    # The page on which a person grades: nbgrader's, with the settings of the course.
    config = course_config(ROOT)
    config.HTMLExporter.template_name = "formgrade"
    templates = Path(nbgrader.__file__).parent / "server_extensions" / "formgrader" / "templates"
    config.HTMLExporter.extra_template_basedirs = [str(templates)]
    by_hand, _ = HTMLExporter(config=config).from_notebook_node(graded, resources={"index": 0, "total": 1})
    assert f"data:image/png;base64,{text(PNG)}" in by_hand
    assert "(picture gone.png could not be kept)" in by_hand
    monkeypatch.chdir(course)
    succeed(open_course(course).generate_feedback(NAME), "The feedback")
    page = BeautifulSoup((course / "feedback" / "ada" / NAME / f"{NAME}.html").read_text("utf-8"), "html.parser")
    assert f"data:image/png;base64,{text(PNG)}" in [picture["src"] for picture in page.find_all("img")]
    for name in ("gone.png", "never.png", "y"):
        assert f"(picture {name} could not be kept)" in page.get_text()
