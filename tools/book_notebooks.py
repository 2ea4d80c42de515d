"""Notebook copies of the chapters, for readers who want to run a page: Jupyter and Colab open no MyST."""

from __future__ import annotations

from pathlib import Path

import jupytext
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from mlcourse.exercises.catalogue import chapter_exercises
from tools.book_card import card_lines
from tools.book_chapters import Chapter, page_title, written_chapters
from tools.book_citations import Bibliography
from tools.book_exercises import table_lines
from tools.book_markdown import Context, collect_labels, to_markdown
from tools.release import install_cell

FOLDED = {"hide-input", "hide-cell", "check"}
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def write_notebooks(book: Path, target: Path, address: str) -> list[Path]:
    """Write a notebook copy of each chapter into ``target`` and return their paths.

    Parameters
    ----------
    book : Path
        The folder of the pages.
    target : Path
        The folder for the notebooks.
    address : str
        Where the course is published; the first cell installs from there. May be empty.
    """
    target.mkdir(parents=True, exist_ok=True)
    chapters = written_chapters(book)
    written = []
    for chapter in chapters.values():
        path = target / f"{chapter.name}.ipynb"
        nbformat.write(notebook_copy(book, chapter, chapters, address), path)
        written.append(path)
    return written


def notebook_copy(book: Path, chapter: Chapter, chapters: dict[str, Chapter], address: str) -> NotebookNode:
    """Return the copy of one chapter."""
    source = jupytext.read(book / f"{chapter.name}.md")
    context = _context(book, chapter, chapters)
    for cell in source.cells:
        if cell.cell_type == "markdown":
            collect_labels(cell.source, context)
    for number, cell in enumerate(filter(_figure, source.cells), start=1):
        context.labels[_figure(cell).get("name", "")] = f"Figure {number}"
    cells = []
    for cell in source.cells:
        cells += _markdown(cell, context) if cell.cell_type == "markdown" else _code(cell, context)
    cells = _with_install_cell(cells, address)
    references = context.bibliography.references()
    if references:
        cells.append(new_markdown_cell("\n".join(["## References", "", *references])))
    for position, cell in enumerate(cells):
        cell["id"] = f"cell-{position}"  # stable, so that a copy changes only when its page does
    return new_notebook(cells=cells, metadata=KERNEL)


def _context(book: Path, chapter: Chapter, chapters: dict[str, Chapter]) -> Context:
    exercises = list(chapter_exercises(chapter.name).values())
    file = f"`{chapter.name}-exercises.ipynb`"
    questions = book.parent / "solutions" / f"{chapter.name}.md"
    return Context(
        page=f"{chapter.name}.md",
        bibliography=Bibliography(book / "references.bib"),
        directives={
            "chapter-card": [*card_lines(chapter), "", f"**Exercises:** {file}, beside this notebook in the book"],
            "chapter-exercises": [*table_lines(exercises, questions), "", f"They wait in the notebook {file}."],
        },
        titles={path.stem: page_title(path) for path in book.glob("*.md")},
        notebooks=set(chapters),
    )


def _figure(cell: NotebookNode) -> dict[str, str]:
    """Return the figure options of a code cell; empty if it draws no figure with a caption."""
    return cell.metadata.get("mystnb", {}).get("figure", {}) if cell.cell_type == "code" else {}


def _markdown(cell: NotebookNode, context: Context) -> list[NotebookNode]:
    text = to_markdown(cell.source, context).strip()
    return [new_markdown_cell(text)] if text else []


def _code(cell: NotebookNode, context: Context) -> list[NotebookNode]:
    """Return a code cell and, if it draws a figure, a cell with the caption and the description."""
    tags = cell.metadata.get("tags", [])
    metadata = {"tags": tags} if tags else {}
    if FOLDED & set(tags):
        metadata["jupyter"] = {"source_hidden": True}
    cells = [new_code_cell(cell.source, metadata=metadata)]
    figure = _figure(cell)
    if figure:
        name = figure.get("name", "")
        caption = to_markdown(figure.get("caption", "").strip(), context)
        alternative = cell.metadata["mystnb"].get("image", {}).get("alt", "")
        lines = [f'<a id="{name}"></a>', "", f"**{context.labels[name]}.** {caption}", ""]
        cells.append(new_markdown_cell("\n".join(lines + [f"*In words: {alternative}*"] * bool(alternative)).strip()))
    return cells


def _with_install_cell(cells: list[NotebookNode], address: str) -> list[NotebookNode]:
    """Put the cell that makes the course's package available below the title."""
    install = new_code_cell(install_cell(address), metadata={"jupyter": {"source_hidden": True}})
    title, _, rest = cells[0].source.partition("\n")
    return [new_markdown_cell(title), install, new_markdown_cell(rest.strip()), *cells[1:]]
