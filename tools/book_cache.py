"""Run the pages of the book, several at a time, and keep their outputs until something that they need changes.

The outputs lie in a jupyter-cache, which compares the code cells alone. So a file beside it remembers, for each page, a
digest of the modules that the page imports, the data and the pinned environment. Where the digest differs, the page's
record is dropped and the page runs again.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from nbformat import NotebookNode

from mlcourse.training import BUDGET, FOLDER
from tools.book_imports import needed_files

PROCESSES = 2

# Pages run side by side, so each keeps to one thread.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)


class PageError(Exception):
    """A page of the book raised an error. The message names the page and the cell."""


@dataclass(frozen=True, eq=False)
class Page:
    """A page with code.

    Attributes
    ----------
    path : Path
        The MyST file.
    notebook : NotebookNode
        Its cells.
    digest : str
        What `digest_of` says of its code.
    """

    path: Path
    notebook: NotebookNode
    digest: str

    @property
    def name(self) -> str:
        """The name of its file."""
        return self.path.name

    def place(self, index: int) -> str:
        """Return where the cell of that index stands, in words."""
        cells = self.notebook.cells[: index + 1]
        number = sum(cell.cell_type == "code" for cell in cells)
        return f"{self.path.name}, code cell {number} (line {self.notebook.metadata['source_map'][index]})"


def read_pages(paths: Iterable[Path], root: Path, package: str = "mlcourse") -> list[Page]:
    """Return those of the pages that have code to run."""
    pages = []
    for path in paths:
        text = path.read_text(encoding="utf-8")
        if not is_myst_markdown_notebook(text):
            continue
        notebook = read_myst_markdown_notebook(text, add_source_map=True, path=path)
        code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
        if code:
            pages.append(Page(path, notebook, digest_of(code, root, package)))
    return pages


def digest_of(code: str, root: Path, package: str = "mlcourse") -> str:
    """Return a digest of all that decides what the code gives, the code itself excepted.

    It covers the modules of the package that the code imports, directly or not, the package's data if it imports
    anything of the package, and the pinned environment.
    """
    files = needed_files(code, root / package)
    if files:
        data = (root / package / "data").rglob("*")
        files |= {path for path in data if path.is_file() and path.suffix != ".pyc"}
    total = hashlib.sha256()
    if root / package / "training.py" in files:  # what a page shows then depends on how long was trained
        total.update(os.environ.get(BUDGET, "").encode())
    files |= {path for path in [root / "requirements.txt"] if path.exists()}
    for path in sorted(files):
        total.update(f"{path.relative_to(root)}\0".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def fill_cache(
    pages: Iterable[Page], folder: Path, *, timeout: int, root: Path, processes: int = PROCESSES
) -> list[str]:
    """Run the pages whose outputs are missing or stale, and keep the outputs in the cache of that folder.

    A line for each page says how long it took.

    Parameters
    ----------
    pages : iterable of Page
    folder : Path
        The jupyter-cache.
    timeout : int
        Seconds that one cell may run.
    root : Path
        The folder from which the pages import the package.
    processes : int
        How many pages run side by side.

    Returns
    -------
    list of str
        The names of the pages that ran.

    Raises
    ------
    PageError
        If a page raised an error; the others have run by then.
    """
    cache = get_cache(str(folder))
    cache.change_cache_limit(10_000)  # no page ever pushes another one out
    digests = Digests(cache.path / "digests.json")
    stale = [page for page in pages if _drop_if_stale(cache, page, digests)]
    failures = []
    with kernel_environment(root), ThreadPoolExecutor(processes) as pool:
        running = {pool.submit(_run, page, timeout): page for page in stale}
        for future in as_completed(running):
            page = running[future]
            try:
                seconds, notebook = future.result()
            except PageError as error:
                failures.append(str(error))
                print(f"  failed          {page.name}", flush=True)
                continue
            print(f"  ran {seconds:6.1f} s    {page.name}", flush=True)
            bundle = CacheBundleIn(notebook, str(page.path), data={"execution_seconds": seconds})
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            digests[page.name] = page.digest
    if failures:
        raise PageError("\n\n".join(failures))
    return [page.name for page in stale]


def printed_by(pages: Iterable[Page], folder: Path) -> dict[str, str]:
    """Return what the cells of pages that have run printed, by the source of the cell."""
    cache = get_cache(str(folder))
    found = {}
    for page in pages:
        record = cache.match_cache_notebook(page.notebook)
        for cell in cache.get_cache_bundle(record.pk).nb.cells:
            texts = [output.text for output in cell.get("outputs", ()) if output.output_type == "stream"]
            if texts:
                found[cell.source.strip()] = "".join(texts)
    return found


class Digests(dict[str, str]):
    """The digests with which pages last ran, by name; written to a file at each change."""

    def __init__(self, path: Path) -> None:
        super().__init__(json.loads(path.read_text(encoding="utf-8")) if path.exists() else {})
        self.path = path

    def __setitem__(self, name: str, digest: str) -> None:
        super().__setitem__(name, digest)
        self.path.write_text(json.dumps(self, indent=1, sort_keys=True), encoding="utf-8")


@contextmanager
def kernel_environment(root: Path) -> Iterator[None]:
    """Let kernels started inside import from ``root`` and keep to one thread each."""
    before = dict(os.environ)
    path = os.pathsep.join([str(root.resolve()), *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ.update(ONE_THREAD, PYTHONPATH=path, PYDEVD_DISABLE_FILE_VALIDATION="1")
    os.environ.setdefault(FOLDER, str(root.resolve() / "_build" / "trained"))
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _drop_if_stale(cache: JupyterCacheAbstract, page: Page, digests: Digests) -> bool:
    """Return whether the page has to run; if something that it needs has changed, drop its outputs from the cache."""
    try:
        record = cache.match_cache_notebook(page.notebook)
    except KeyError:
        return True
    if digests.get(page.name) == page.digest:
        return False
    cache.remove_cache(record.pk)
    return True


def _run(page: Page, timeout: int) -> tuple[float, NotebookNode]:
    """Run a page in an empty folder; return the seconds it took and the notebook with its outputs."""
    reached = [0]
    notebook = copy.deepcopy(page.notebook)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = single_nb_execution(
                notebook,
                cwd=folder,
                timeout=timeout,
                allow_errors=False,
                extra_arguments=["--log-level=ERROR"],  # the kernel's own notices are no part of the build
                on_cell_start=lambda cell, cell_index: reached.append(cell_index),
            )
        except Exception as error:  # the kernel died, or never came up
            raise PageError(f"{page.place(reached[-1])} ended its kernel: {error}") from error
    if result.err:
        raise PageError(f"{page.place(reached[-1])} failed:\n{result.err}")
    return result.time, result.nb
