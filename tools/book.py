"""Build the book, or show it: ``python -m tools.book build`` and ``python -m tools.book serve`` from the root.

Jupyter Book does the main work. This adds what it lacks: pages that run side by side and run again when their modules
change, mathematics without a network, pages of worked solutions, notebook copies, and a check that no chapter is left
out.
"""

from __future__ import annotations

import functools
import http.server
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import click
import yaml

from tools.book_cache import Page, PageError, fill_cache, printed_by, read_pages
from tools.book_chapters import left_out, pages_in_toc, written_chapters
from tools.book_collected import write_collected_pages
from tools.book_config import Settings, read_settings
from tools.book_mathjax import copy_mathjax
from tools.book_notebooks import write_notebooks
from tools.book_solutions import write_solution_pages

ROOT = Path(__file__).resolve().parent.parent


class BookError(Exception):
    """The book could not be built. The message says why, and what to do."""


def build(root: Path = ROOT, package: str = "mlcourse") -> Path:
    """Build the book of this folder and return its first page.

    Raises
    ------
    BookError
        If a chapter would be left out, a page raises an error, or Sphinx warns.
    """
    settings = read_settings(root)
    book, output = root / "book", root / "_build"
    forgotten = left_out(book)
    if forgotten:
        raise BookError(f"These chapters have a page but no line in book/_toc.yml: {', '.join(forgotten)}. Add them.")
    stamp(output).unlink(missing_ok=True)
    prepare_files(root, settings)
    pages = [book / f"{name}.md" for name in pages_in_toc(book / "_toc.yml")]
    absent = [page.name for page in pages if not page.exists()]
    if absent:
        raise BookError(f"book/_toc.yml names pages that are not there: {', '.join(absent)}. Write or remove them.")
    toc = write_toc(root)
    with_code = read_pages(pages, root, package)
    run_pages(with_code, output / ".jupyter_cache", root, settings.timeout)
    write_collected_pages(book, printed_by(with_code, output / ".jupyter_cache"))
    run_jupyter_book(root, toc)
    require_every_chapter(book, output / "html")
    stamp(output).touch()
    return output / "html" / "index.html"


def stamp(output: Path) -> Path:
    """Return the file that tells when the book was last built without a fault."""
    return output / ".book-is-complete"


def prepare_files(root: Path, settings: Settings) -> None:
    """Write what stands beside the pages: worked solutions, MathJax, notebooks."""
    book, extra = root / "book", root / "_build" / "extra"
    shutil.rmtree(extra, ignore_errors=True)
    copy_mathjax(extra / "mathjax")
    chapters = written_chapters(book)
    write_solution_pages(root / "solutions", book / "solutions", wanted=settings.solutions, chapters=chapters)
    write_collected_pages(book)
    write_notebooks(book, extra / "notebooks", settings.address)
    copy_exercises(root, chapters, extra / "notebooks")


def copy_exercises(root: Path, chapters: Iterable[str], target: Path) -> None:
    """Copy the released exercise notebook of each chapter to where its page links to."""
    for name in chapters:
        notebook = root / "release" / name / f"{name}.ipynb"
        if not notebook.exists():
            raise BookError(f"The exercise notebook of {name} is not there ({notebook}). Run make release first.")
        shutil.copyfile(notebook, target / f"{name}-exercises.ipynb")


def require_every_chapter(book: Path, html: Path) -> None:
    """Raise `BookError` if a chapter that has a page was not built."""
    unbuilt = [name for name in written_chapters(book) if not (html / f"{name}.html").exists()]
    if unbuilt:
        raise BookError(f"These chapters are missing from _build/html: {', '.join(unbuilt)}. Read the messages above.")


def run_pages(pages: list[Page], cache: Path, root: Path, timeout: int) -> None:
    """Run the pages whose outputs are missing or stale."""
    print(f"Running what changed of {len(pages)} pages with code:", flush=True)
    try:
        ran = fill_cache(pages, cache, timeout=timeout, root=root)
    except PageError as error:
        raise BookError(f"A page of the book failed.\n\n{error}") from error
    print(f"  {len(ran)} ran, {len(pages) - len(ran)} had their outputs from before", flush=True)


def write_toc(root: Path) -> Path:
    """Write the table of contents without the parts that are empty, and return its path."""
    toc = yaml.safe_load((root / "book" / "_toc.yml").read_text(encoding="utf-8"))
    if "parts" in toc:
        toc["parts"] = [part for part in toc["parts"] if any(_holds(item, root) for item in part["chapters"])]
    path = root / "_build" / "_toc.yml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(toc, sort_keys=False), encoding="utf-8")
    return path


def _holds(item: dict[str, str], root: Path) -> bool:
    """Return whether an item of the table of contents leads to a page."""
    return "glob" not in item or any((root / "book").glob(f"{item['glob']}.md"))


def run_jupyter_book(root: Path, toc: Path) -> None:
    """Let Jupyter Book write the pages anew; every warning is an error."""
    shutil.rmtree(root / "_build" / "html", ignore_errors=True)  # nothing of an earlier book stays
    call = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    call += ["build", "book", "--all", "-q", "-W", "-n", "--keep-going"]
    call += ["--config", "_config.yml", "--toc", str(toc.resolve()), "--path-output", "."]
    path = os.pathsep.join([str(root.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(call, cwd=root, env=environment, stdout=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise BookError("Jupyter Book reported the warnings or errors above. Each is an error here: repair them.")


@click.group()
def main() -> None:
    """Build the book, or show it."""


@main.command("build")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=ROOT,
    show_default="this repository",
    help="The folder that holds book/ and _config.yml.",
)
@click.option("--package", default="mlcourse", show_default=True, help="The package that the pages import.")
def build_command(root: Path, package: str) -> None:
    """Build the book into _build/html."""
    try:
        first = build(root, package)
    except (BookError, FileNotFoundError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    print(f"The book is built. Open {first}")


@main.command("serve")
@click.option("--port", default=8000, show_default=True)
def serve_command(port: int) -> None:
    """Show the built book on this machine."""
    folder = ROOT / "_build" / "html"
    if not folder.exists():
        raise click.ClickException("The book is not built. Run make html first.")
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    print(f"The book is on http://localhost:{port} (Ctrl+C ends this).", flush=True)
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
