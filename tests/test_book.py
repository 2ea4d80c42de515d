"""The book: what every page has, that every link leads somewhere, and that the build notices what changed."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup, Tag
from built_book import BOOK, CHAPTERS, ROOT, built_html
from nbclient import NotebookClient
from pybtex.database import parse_file
from small_book import PACKAGE, SmallBook

from tools import book as builder
from tools.book_cache import PageError, fill_cache, kernel_environment, read_pages
from tools.book_chapters import all_chapters, pages_in_toc, read_front_matter, written_chapters
from tools.book_citations import Bibliography
from tools.book_config import Settings, read_settings
from tools.book_imports import needed_files
from tools.book_markdown import Context, UnknownMyst, collect_labels, to_markdown
from tools.book_mathjax import MAIN, copy_mathjax
from tools.book_solutions import solution_page
from tools.release import install_cell

FRAME = ("Shapes", "Milestone", "Common mistakes", "Questions", "Exercises", "Further reading")
VIEWS = ("Idea", "Math", "Code")
RAW_ROLE = re.compile(r"\{[a-zA-Z][\w:-]*\}`")
RAW_DIRECTIVE = re.compile(r"^\s*(?:`{3,}|:{3,})\s*\{|^\s*:{3,}\s*$", re.MULTILINE)
RAW_TARGET = re.compile(r"^\([\w-]+\)=\s*$", re.MULTILINE)
RAW_TEX = re.compile(r"\$\$|\\\(|\\\[|\\[a-zA-Z]{2,}")
EXTERNAL = re.compile(r"^(?:https?:)?//", re.IGNORECASE)


@pytest.fixture(scope="session")
def html() -> Path:
    return built_html()


@pytest.fixture(scope="session")
def soups(html: Path) -> dict[str, BeautifulSoup]:
    paths = [path for path in html.rglob("*.html") if "_static" not in path.relative_to(html).parts]
    return {
        path.relative_to(html).as_posix(): BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for path in paths
    }


def article(soup: BeautifulSoup) -> Tag:
    found = soup.select_one("article.bd-article")
    assert found is not None
    return found


def heading(tag: Tag) -> str:
    return tag.get_text().rstrip("#").strip()


# The frame of a chapter


@pytest.mark.parametrize("name", CHAPTERS)
def test_card_says_when_what_for_and_how_long(name: str, soups: dict[str, BeautifulSoup]) -> None:
    chapter = written_chapters(BOOK)[name]
    card = article(soups[f"{name}.html"]).select_one(".chapter-card")
    assert card is not None
    text = card.get_text(" ")
    assert str(chapter.year) in text
    assert f"{chapter.minutes} minutes" in text
    assert len(card.select("ul:not(.course-downloads) > li")) == len(chapter.outcomes) + len(chapter.prerequisites)
    assert card.select_one('a[href^="bibliography.html#"]'), "the card cites no paper"


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_has_the_whole_frame(name: str, soups: dict[str, BeautifulSoup]) -> None:
    titles = [heading(tag) for tag in article(soups[f"{name}.html"]).select("h2")]
    assert [title for title in titles if title in FRAME] == list(FRAME)


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_has_at_least_two_waves_with_all_three_views(name: str, soups: dict[str, BeautifulSoup]) -> None:
    sections = article(soups[f"{name}.html"]).select("section:has(> h2)")
    labels = [[strong.get_text().strip().rstrip(".:") for strong in section.select("strong")] for section in sections]
    assert sum(all(view in found for view in VIEWS) for found in labels) >= 2


@pytest.mark.parametrize("name", CHAPTERS)
def test_chapter_has_two_figures_with_caption_and_alternative(name: str, soups: dict[str, BeautifulSoup]) -> None:
    figures = article(soups[f"{name}.html"]).select("figure:has(img)")
    assert len(figures) >= 2
    for figure in figures:
        image, caption = figure.find("img"), figure.find("figcaption")
        assert image["alt"].strip(), f"{figure.get('id')} has no alternative text"
        assert image["alt"] != image["src"]
        assert caption is not None
        assert caption.get_text().strip()


@pytest.mark.parametrize("name", CHAPTERS)
def test_figures_and_equations_are_counted_from_one(name: str, soups: dict[str, BeautifulSoup]) -> None:
    body = article(soups[f"{name}.html"])
    figures = [tag.get_text().split()[-1] for tag in body.select("figcaption .caption-number")]
    equations = [tag.get_text().strip("()¶# \n") for tag in body.select(".eqno")]
    for numbers in (figures, equations):
        assert [int(number) for number in numbers] == list(range(1, len(numbers) + 1))
    for link in body.select('a[href^="#equation-"]:not(.headerlink)'):
        target = body.find(id=link["href"][1:])
        assert target.select_one(".eqno").get_text().startswith(link.get_text())


@pytest.mark.parametrize("name", CHAPTERS)
def test_mistakes_and_questions_are_named(name: str, soups: dict[str, BeautifulSoup]) -> None:
    for title in ("Common mistakes", "Questions"):
        section = next(
            tag for tag in article(soups[f"{name}.html"]).select("section:has(> h2)") if heading(tag.h2) == title
        )
        assert section.select("h3"), f"{title} has no entry"


@pytest.mark.parametrize("name", CHAPTERS)
def test_both_downloads_are_notebooks(name: str, html: Path, soups: dict[str, BeautifulSoup]) -> None:
    card = soups[f"{name}.html"].select_one(".chapter-card")
    links = [link["href"] for link in card.select("a.course-download")]
    assert links == [f"notebooks/{name}-exercises.ipynb", f"notebooks/{name}.ipynb"]
    for link in links:
        notebook = nbformat.read(html / link, as_version=4)
        nbformat.validate(notebook)
        assert notebook.cells


@pytest.mark.parametrize("name", CHAPTERS)
def test_exercises_are_listed_with_their_points(name: str, soups: dict[str, BeautifulSoup]) -> None:
    from mlcourse.exercises.catalogue import chapter_exercises

    rows = soups[f"{name}.html"].select(".chapter-exercises tbody tr")
    shown = [[cell.get_text().strip() for cell in row.select("td")] for row in rows]
    exercises = chapter_exercises(name).values()
    *functions, written, together = shown
    assert [row[1].split(",")[0] for row in functions] == [exercise.short_name for exercise in exercises]
    assert [float(row[3]) for row in functions] == [exercise.points for exercise in exercises]
    assert "A person grades it." in written[2]
    assert float(together[3]) == sum(float(row[3]) for row in [*functions, written])


# All pages


def test_every_internal_link_and_anchor_resolves(html: Path, soups: dict[str, BeautifulSoup]) -> None:
    anchors = {
        page: {tag[key] for key in ("id", "name") for tag in soup.select(f"[{key}]")} for page, soup in soups.items()
    }
    broken = []
    for page, soup in soups.items():
        for tag, key in (("a", "href"), ("img", "src"), ("script", "src"), ("link", "href")):
            for element in soup.select(f"{tag}[{key}]"):
                url = urlsplit(element[key])
                if url.scheme or url.netloc or element[key] in ("#", ""):
                    continue
                target = (html / page).parent / unquote(url.path) if url.path else html / page
                inside = target.resolve().relative_to(html.resolve()).as_posix()
                known = inside not in anchors or not url.fragment or unquote(url.fragment) in anchors[inside]
                if not (target.exists() and known):
                    broken.append(f"{page}: {element[key]}")
    assert not broken


def test_nothing_is_loaded_from_another_site(html: Path, soups: dict[str, BeautifulSoup]) -> None:
    loaded = []
    for page, soup in soups.items():
        for element in soup.select("[src], link[href], object[data], [srcset], [poster]"):
            for key in ("src", "href", "data", "srcset", "poster"):
                if EXTERNAL.match(str(element.get(key, ""))) and element.get("rel") != ["canonical"]:
                    loaded.append(f"{page}: {element}")
        for script in soup.select("script:not([src])"):
            if re.search(r"https?://", script.get_text()):
                loaded.append(f"{page}: {script.get_text()[:200]}")
    for sheet in html.rglob("*.css"):
        if re.search(r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", sheet.read_text(encoding="utf-8")):
            loaded.append(str(sheet))
    assert not loaded


def test_no_markup_is_left_in_the_text(soups: dict[str, BeautifulSoup]) -> None:
    for page, soup in soups.items():
        if page in ("search.html", "genindex.html"):
            continue
        body = BeautifulSoup(str(article(soup)), "html.parser")
        for tag in body.select("pre, code, script, style, .math"):
            tag.decompose()
        text = body.get_text()
        for kind in (RAW_ROLE, RAW_DIRECTIVE, RAW_TARGET, RAW_TEX):
            found = kind.search(text)
            assert not found, f"{page} shows {text[max(0, found.start() - 40) : found.end() + 40]!r}"
        assert not body.select(".problematic, .system-message")


def test_every_entry_of_the_bibliography_is_shown(soups: dict[str, BeautifulSoup]) -> None:
    entries = parse_file(str(BOOK / "references.bib")).entries
    shown = soups["bibliography.html"].select("div.citation")
    assert len(shown) == len(entries)
    text = soups["bibliography.html"].get_text(" ")
    for key, entry in entries.items():
        assert entry.fields["year"] in text, key


def test_every_page_of_the_toc_is_built(html: Path) -> None:
    for name in pages_in_toc(BOOK / "_toc.yml"):
        assert (html / f"{name}.html").exists()


def test_footer_names_author_and_license(soups: dict[str, BeautifulSoup]) -> None:
    footer = soups["index.html"].select_one("footer.bd-footer-content").get_text()
    assert "BSD 3-Clause" in footer
    assert "By " in footer


def test_no_button_leads_nowhere(soups: dict[str, BeautifulSoup]) -> None:
    if read_settings(ROOT).address:
        pytest.skip("The settings name an address, so the buttons lead there: this test is for an empty address.")
    for page, soup in soups.items():
        text = str(soup)
        assert "executablebooks" not in text, page
        assert "colab" not in text.lower(), page
        assert not soup.select(".btn-source-repository-button, .btn-launch-button"), page


# The timeline


def test_timeline_shows_every_chapter_and_links_the_written_ones(soups: dict[str, BeautifulSoup]) -> None:
    entries = soups["index.html"].select(".timeline ol > li")
    chapters = all_chapters(BOOK)
    assert len(entries) == len(chapters) >= 21
    years = [int(entry.select_one(".year").get_text()) for entry in entries]
    assert years == sorted(years)
    linked = {entry.select_one("a.title")["href"] for entry in entries if entry.select_one("a.title")}
    assert linked == {f"{chapter.name}.html" for chapter in chapters if chapter.written}
    planned = [entry for entry in entries if "in preparation" in entry.get_text()]
    assert len(planned) + len(linked) == len(chapters)


def test_timeline_drawing_has_words_for_its_dots(soups: dict[str, BeautifulSoup]) -> None:
    figure = soups["index.html"].select_one("figure.timeline")
    assert figure["aria-label"]
    assert len(figure.select(".dot")) == len(all_chapters(BOOK))
    assert all(dot["aria-label"] for dot in figure.select("a.dot"))


def test_front_matter_of_a_written_chapter_replaces_its_entry() -> None:
    chapters = {chapter.name: chapter for chapter in all_chapters(BOOK)}
    for name in CHAPTERS:
        card = read_front_matter(BOOK / f"{name}.md")["chapter"]
        assert (chapters[name].title, chapters[name].year) == (card["title"], card["year"])
        assert chapters[name].part


# Notebook copies


@pytest.mark.parametrize("name", CHAPTERS)
def test_copy_holds_no_myst(name: str, html: Path, soups: dict[str, BeautifulSoup]) -> None:
    notebook = nbformat.read(html / "notebooks" / f"{name}.ipynb", as_version=4)
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for kind in (RAW_ROLE, RAW_DIRECTIVE, RAW_TARGET):
        found = kind.search(text)
        assert not found, f"the copy shows {text[max(0, found.start() - 40) : found.end() + 40]!r}"
    assert not text.startswith("---")
    assert "jupytext" not in text
    assert text.startswith("# ")
    assert "## References" in text
    equations = article(soups[f"{name}.html"]).select(".eqno")
    assert [int(number) for number in re.findall(r"\\tag\{(\d+)\}", text)] == list(range(1, len(equations) + 1))
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert code[0] == install_cell(read_settings(ROOT).address)


@pytest.mark.parametrize("name", CHAPTERS)
def test_copy_runs_from_top_to_bottom_elsewhere(name: str, html: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(html / "notebooks" / f"{name}.ipynb", as_version=4)
    with kernel_environment(ROOT):
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def context() -> Context:
    return Context(
        page="page.md",
        bibliography=Bibliography(BOOK / "references.bib"),
        titles={"notation": "Notation", "attention": "Attention"},
        notebooks={"attention"},
    )


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("See {cite:t}`vaswani2017`.", "See Vaswani et al. (2017)."),
        ("Known {cite}`gauss1809,cox1958`.", "Known (Gauss, 1809, Cox, 1958)."),
        ("{cite:p}`levy2014pmi`", "(Levy and Goldberg, 2014)"),
        ("`{cite:t}` stays code", "`{cite:t}` stays code"),
        ("{doc}`notation`", "Notation"),
        ("{doc}`the next one </attention>`", "[the next one](attention.ipynb)"),
        ("[there](attention.md#shapes)", "[there](attention.ipynb)"),
        ("{math}`x^2`", "$x^2$"),
        ("(here)=\n## A heading", '<a id="here"></a>\n\n## A heading'),
        ("$$\nx = 1\n$$ (eq-x)\n\nBy {eq}`eq-x`.", "$$\nx = 1 \\tag{1}$$\n\nBy (1)."),
        (":::{note}\nLook.\n:::", "> **Note**\n>\n> Look."),
        ("```{admonition} Take *care*\n:class: tip\nText\n```", "> **Take *care***\n>\n> Text"),
        ("::::{warning}\n:::{tip}\nInner\n:::\n::::", "> **Warning**\n>\n> > **Tip**\n> >\n> > Inner"),
        (":::{dropdown} More\nText\n:::", "<details>\n<summary>More</summary>\n\nText\n\n</details>"),
        ("```{math}\n:label: eq-y\ny\n```", "$$\ny\n\\tag{1}\n$$"),
        ("```python\n{cite:t}`code`\n```", "```python\n{cite:t}`code`\n```"),
        ("- item\n\n  ```{note}\n  Inside\n  ```", "- item\n\n  > **Note**\n  >\n  > Inside"),
        ("```{list-table}\n:header-rows: 1\n* - a\n  - b\n* - 1\n  - 2\n```", "| a | b |\n| --- | --- |\n| 1 | 2 |"),
        ("% a comment\nText", "Text"),
    ],
)
def test_myst_becomes_markdown(myst: str, markdown: str, context: Context) -> None:
    collect_labels(myst, context)
    assert to_markdown(myst, context) == markdown


def test_reference_to_a_heading_reads_its_text(context: Context) -> None:
    text = "(waves)=\n## Waves\n\nSee {ref}`waves` and {ref}`this <waves>`."
    collect_labels(text, context)
    assert "See [Waves](#waves) and [this](#waves)." in to_markdown(text, context)


@pytest.mark.parametrize("myst", ["```{mermaid}\nx\n```", "{unheard-of}`x`", "{ref}`nowhere`"])
def test_unknown_myst_is_refused_in_words(myst: str, context: Context) -> None:
    with pytest.raises(UnknownMyst, match=r"page\.md"):
        to_markdown(myst, context)


def test_unknown_citation_is_refused_in_words(context: Context) -> None:
    with pytest.raises(KeyError, match="nobody1999"):
        to_markdown("{cite:t}`nobody1999`", context)


def test_references_are_listed_once_and_sorted(context: Context) -> None:
    to_markdown("{cite:t}`vaswani2017` {cite:t}`cox1958` {cite}`vaswani2017`", context)
    references = context.bibliography.references()
    assert [line.split()[1] for line in references] == ["David", "Ashish"]


ALIKE = """
@article{later, author={Bell, Ann and Day, Cy and Eve, Fay}, title={A}, journal={J}, year={1990}}
@article{other, author={Bell, Ann and Ash, Bo and Cid, Di}, title={B}, journal={J}, year={1990}}
@article{third, author={Bell, Ann and Ash, Bo and Cid, Di}, title={C}, journal={J}, year={1991}}
@article{alone, author={Bell, Ann}, title={D}, journal={J}, year={1990}}
"""
CITED = "{cite:t}`later`, {cite:t}`other`, {cite:t}`third`, {cite:t}`alone`; {cite:p}`later`"
PRINTED = "Bell et al. (1990b), Bell et al. (1990a), Bell et al. (1991), Bell (1990); (Bell et al., 1990b)"


def test_works_of_the_same_people_and_year_get_letters_in_a_notebook(tmp_path: Path) -> None:
    (tmp_path / "references.bib").write_text(ALIKE, encoding="utf-8")
    context = Context(page="page.md", bibliography=Bibliography(tmp_path / "references.bib"))
    assert to_markdown(CITED, context) == PRINTED
    years = [re.findall(r"\d{4}\w?", line) for line in context.bibliography.references()]
    assert years == [["1990"], ["1990a"], ["1991"], ["1990b"]]


def test_works_of_the_same_people_and_year_get_letters_on_a_page(tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    settings = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["sphinx"]["config"]
    small.configure(**settings, bibtex_bibfiles=["references.bib"])
    small.write("book/references.bib", ALIKE)
    small.page("list", "# References\n\n```{bibliography}\n:all:\n```\n")
    for words in ("", "More. "):  # the second build takes the bibliography from the first
        small.page("index", f"# A small book\n\n{words}{CITED}\n", listed=False)
        done = small.build()
        assert done.returncode == 0, done.stderr
        assert words + PRINTED in BeautifulSoup(small.html("index"), "html.parser").get_text()
        listed = BeautifulSoup(small.html("list"), "html.parser").select("div.citation")
        shown = [re.findall(r"\d{4}\w?", entry.get_text()) for entry in listed]
        assert shown == [["1990"], ["1990a"], ["1991"], ["1990b"]]


def test_no_two_works_are_cited_alike() -> None:
    bibliography = Bibliography(BOOK / "references.bib")
    printed = [bibliography.textual(key) for key in bibliography.entries.entries]
    assert len(set(printed)) == len(printed)
    assert bibliography.textual("mikolov2013a,mikolov2013b") == "Mikolov et al. (2013a), Mikolov et al. (2013b)"


# Worked solutions


def test_worked_solutions_are_folded_and_checks_left_out(html: Path, soups: dict[str, BeautifulSoup]) -> None:
    if not read_settings(ROOT).solutions:
        pytest.skip("The settings leave out the worked solutions: set mlcourse_solutions to true to test their pages.")
    for name in CHAPTERS:
        body = article(soups[f"solutions/{name}.html"])
        folded = body.select("details")
        assert any("def " in answer.get_text() for answer in folded)
        for answer in folded:
            answer.extract()
        text = body.get_text()
        assert "SOLUTION" not in text
        assert "check(" not in text
        assert len(folded) > 1


SOURCE = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

# Toys: exercises

How to work.

```{code-cell} ipython3
import math
```

## 1. double (6 points)

Return twice $x$.

```{code-cell} ipython3
:nbgrader: {schema_version: 3, grade_id: double, grade: false, locked: false, solution: true, task: false}

def double(x):
    ### BEGIN SOLUTION
    return 2 * x
    ### END SOLUTION
```

```{code-cell} ipython3
:nbgrader: {schema_version: 3, grade_id: check_double, grade: true, points: 6, locked: true, solution: false, task: false}

check("toys.double", double)
```

## 2. Explain (6 points)

Why?

+++ {"nbgrader": {"schema_version": 3, "grade_id": "explain", "grade": true, "points": 6, "locked": false, "solution": true, "task": false}}

Because.
"""  # noqa: E501


def test_solution_page_of_a_source() -> None:
    import jupytext

    page = solution_page(jupytext.reads(SOURCE, fmt="md:myst"))
    assert page.startswith("# Toys: worked solutions\n")
    assert "How to work." not in page
    assert "{dropdown} Worked solution\n```python\ndef double(x):\n    return 2 * x\n```" in page
    assert "{dropdown} Model answer\nBecause." in page
    assert "Return twice $x$." in page
    assert "check(" not in page
    assert "SOLUTION" not in page


@pytest.mark.parametrize("wanted", [True, False])
def test_one_setting_leaves_the_solutions_out(wanted: bool, tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    small.configure(mlcourse_solutions=wanted)
    small.part_of_solutions = True
    small.page("page", "# A page")
    small.write("solutions/toys.md", SOURCE)
    done = small.build()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "_build" / "html" / "solutions" / "toys.html").exists() is wanted
    assert ("Worked solutions" in small.html("page")) is wanted


# The cache and the build


def toy_book(root: Path) -> SmallBook:
    """Return a book of three pages: one uses a module, one uses another through a third, one uses none."""
    small = SmallBook(root)
    small.write(f"{PACKAGE}/apples.py", "NUMBER = 1\n")
    small.write(f"{PACKAGE}/pears.py", "from .base import NUMBER\n")
    small.write(f"{PACKAGE}/base.py", "NUMBER = 10\n")
    small.write(f"{PACKAGE}/data/table.csv", "1\n")
    small.page("apple", "# Apples", f"from {PACKAGE} import apples", 'print("apples:", apples.NUMBER)')
    small.page("pear", "# Pears", f"import {PACKAGE}.pears as pears", 'print("pears:", pears.NUMBER)')
    small.page("alone", "# Alone", 'print("alone")')
    return small


def ran(small: SmallBook) -> set[str]:
    """Fill the cache of the book and return the names of the pages that ran."""
    pages = read_pages([small.book / f"{name}.md" for name in small.pages], small.root, PACKAGE)
    names = fill_cache(pages, small.root / "_build" / ".jupyter_cache", timeout=60, root=small.root)
    return {name.removesuffix(".md") for name in names}


def test_a_page_runs_again_when_what_it_needs_changes_and_only_then(tmp_path: Path) -> None:
    small = toy_book(tmp_path)
    assert ran(small) == {"apple", "pear", "alone"}
    assert ran(small) == set()
    small.write(f"{PACKAGE}/apples.py", "NUMBER = 2\n")
    assert ran(small) == {"apple"}
    small.write(f"{PACKAGE}/base.py", "NUMBER = 20\n")
    assert ran(small) == {"pear"}, "a module that a page imports through another one has changed"
    small.write(f"{PACKAGE}/unused.py", "NUMBER = 3\n")
    assert ran(small) == set()
    small.write(f"{PACKAGE}/data/table.csv", "2\n")
    assert ran(small) == {"apple", "pear"}
    small.write("requirements.txt", "nothing==2\n")
    assert ran(small) == {"apple", "pear", "alone"}
    small.page("alone", "# Alone, with other words", 'print("alone")')
    assert ran(small) == set(), "only the words of the page have changed"


def test_the_built_page_shows_the_new_number(tmp_path: Path) -> None:
    small = toy_book(tmp_path)
    done = small.build()
    assert done.returncode == 0, done.stderr
    assert "apples: 1" in small.html("apple")
    small.write(f"{PACKAGE}/apples.py", "NUMBER = 2\n")
    done = small.build()
    assert done.returncode == 0, done.stderr
    assert "apples: 2" in small.html("apple")
    lines = [line.split()[-1] for line in done.stdout.splitlines() if re.match(r"^\s+ran\s+[\d.]+ s", line)]
    assert lines == ["apple.md"]


def test_a_failed_page_keeps_no_outputs(tmp_path: Path) -> None:
    small = toy_book(tmp_path)
    assert ran(small) == {"apple", "pear", "alone"}
    small.write(f"{PACKAGE}/apples.py", "raise RuntimeError('no apples')\n")
    for _ in range(2):
        with pytest.raises(PageError, match="no apples"):
            ran(small)
    small.write(f"{PACKAGE}/apples.py", "NUMBER = 1\n")
    assert ran(small) == {"apple"}


def test_a_failing_page_fails_the_build_and_is_named_with_its_cell(tmp_path: Path) -> None:
    small = toy_book(tmp_path)
    small.page("wrong", "# Wrong\n\nWords.", "x = 0", "1 / x")
    done = small.build()
    assert done.returncode != 0
    assert "wrong.md, code cell 2" in done.stderr
    line = (small.book / "wrong.md").read_text(encoding="utf-8").splitlines().index("1 / x")
    assert f"(line {line})" in done.stderr, "the line at which the cell begins"
    assert "ZeroDivisionError" in done.stderr
    assert not builder.stamp(tmp_path / "_build").exists()


def test_a_page_that_ends_its_kernel_is_named(tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    small.page("dead", "# Dead", "import os", "os._exit(1)")
    with pytest.raises(PageError, match=r"dead\.md, code cell 2"):
        ran(small)


def test_a_page_that_writes_a_warning_fails_the_build(tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    config = yaml.safe_load((tmp_path / "_config.yml").read_text(encoding="utf-8"))
    config["execute"]["stderr_output"] = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["execute"][
        "stderr_output"
    ]
    small.write("_config.yml", yaml.safe_dump(config))
    small.page("loud", "# Loud", 'import sys\n\nprint("a warning", file=sys.stderr)')
    done = small.build()
    assert done.returncode != 0
    assert "loud.md" in done.stderr


CHAPTER = """\
---
chapter: {title: Plums, year: 1900, milestone: A plum, paper: x, outcomes: [eat], prerequisites: [tree], minutes: 1}
---

# Plums
"""


def test_a_chapter_that_is_left_out_fails_the_build(tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    (small.book / "plum.md").write_text(CHAPTER, encoding="utf-8")
    done = small.build()
    assert done.returncode != 0
    assert "plum" in done.stderr
    assert "_toc.yml" in done.stderr


def test_a_chapter_that_is_not_built_is_found(tmp_path: Path) -> None:
    small = SmallBook(tmp_path)
    (small.book / "plum.md").write_text(CHAPTER, encoding="utf-8")
    (tmp_path / "_build" / "html").mkdir(parents=True)
    with pytest.raises(builder.BookError, match="plum"):
        builder.require_every_chapter(small.book, tmp_path / "_build" / "html")


def test_a_chapter_without_its_exercise_notebook_fails_with_a_sentence(tmp_path: Path) -> None:
    for name in ("_config.yml", "solutions", "requirements.txt"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "book").symlink_to(BOOK)
    with pytest.raises(builder.BookError, match="make release"):
        builder.copy_exercises(tmp_path, CHAPTERS or ["attention"], tmp_path / "notebooks")


def test_a_chapter_whose_front_matter_lacks_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plum.md").write_text("---\nchapter: {title: Plums}\n---\n\n# Plums\n", encoding="utf-8")
    with pytest.raises(ValueError, match="year, milestone, paper"):
        written_chapters(tmp_path)


# Imports, settings, mathematics


def test_needed_files_follow_imports(tmp_path: Path) -> None:
    package = tmp_path / "pack"
    files = {
        "__init__.py": "from pack import top\n",
        "top.py": "",
        "inner/__init__.py": "",
        "inner/a.py": "from . import b\nfrom ..other import thing\n",
        "inner/b.py": "import numpy\n",
        "other.py": "",
        "unused.py": "",
        "finder/__init__.py": "import importlib\n",
        "finder/hidden.py": "",
    }
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def needed(code: str) -> set[str]:
        return {path.relative_to(package).as_posix() for path in needed_files(code, package)}

    base = {"__init__.py", "top.py"}
    assert needed("import math") == set()
    assert needed("import pack") == base
    assert needed("from pack.inner import a") == base | {"inner/__init__.py", "inner/a.py", "inner/b.py", "other.py"}
    assert needed("import pack.finder") == base | {"finder/__init__.py", "finder/hidden.py"}
    assert needed("%matplotlib inline\n!ls\nimport pack.other") == base | {"other.py"}
    assert needed("def broken(:") == set()


@pytest.mark.parametrize("address", ["https://github.com/someone/course", ""])
def test_card_has_a_launch_button_only_where_the_address_is_set(address: str, tmp_path: Path) -> None:
    if not CHAPTERS:
        pytest.skip("No chapter is written: write one to test its card.")
    name = CHAPTERS[0]
    config = (ROOT / "_config.yml").read_text(encoding="utf-8")
    (tmp_path / "_config.yml").write_text(re.sub(r'url: ".*"', f'url: "{address}"', config), encoding="utf-8")
    (tmp_path / "book").mkdir()
    for shared in ("_ext", "_static", "_data", "references.bib", "bibliography.md"):
        (tmp_path / "book" / shared).symlink_to(BOOK / shared)
    card = yaml.safe_dump({"chapter": read_front_matter(BOOK / f"{name}.md")["chapter"]})
    page = f"---\n{card}---\n\n# A chapter\n\n```{{chapter-card}}\n```\n"
    (tmp_path / "book" / f"{name}.md").write_text(page, encoding="utf-8")
    (tmp_path / "book" / "index.md").write_text("# A book\n", encoding="utf-8")
    toc = {"format": "jb-book", "root": "index", "chapters": [{"file": name}, {"file": "bibliography"}]}
    (tmp_path / "book" / "_toc.yml").write_text(yaml.safe_dump(toc), encoding="utf-8")
    released = tmp_path / "release" / name / f"{name}.ipynb"
    released.parent.mkdir(parents=True)
    nbformat.write(nbformat.v4.new_notebook(), released)
    builder.build(tmp_path)
    html = (tmp_path / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")
    launch = f"https://colab.research.google.com/github/someone/course/blob/gh-pages/notebooks/{name}.ipynb"
    assert (launch in html) is bool(address)
    assert ("github.com/someone/course/issues" in html) is bool(address)
    copy = (tmp_path / "_build" / "html" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8")
    assert ("someone/course" in copy) is bool(address)


def test_colab_needs_an_address_on_github() -> None:
    published = Settings(address="https://github.com/someone/course")
    assert published.colab("notebooks/x.ipynb").endswith("/someone/course/blob/gh-pages/notebooks/x.ipynb")
    assert Settings(address="https://example.org/course").colab("notebooks/x.ipynb") == ""
    assert Settings().colab("notebooks/x.ipynb") == ""


def test_another_mathjax_is_refused(tmp_path: Path) -> None:
    (tmp_path / MAIN).write_text("something else", encoding="utf-8")
    with pytest.raises(ValueError, match="SHA-256"):
        copy_mathjax(tmp_path / "copy", tmp_path)


def test_mathjax_has_its_fonts(html: Path) -> None:
    assert (html / "mathjax" / MAIN).exists()
    assert len(list((html / "mathjax").rglob("*.woff"))) > 20


@pytest.mark.parametrize(
    "module",
    [
        *("tools.book_citations", "tools.book_config", "tools.book_imports", "tools.book_solutions"),
        *("course.html", "course.timeline"),
    ],
)
def test_examples_in_docstrings(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BOOK / "_ext"))
    result = doctest.testmod(importlib.import_module(module))
    assert result.attempted
    assert not result.failed
