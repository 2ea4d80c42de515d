"""Hand in something else than the notebook that was released."""

from __future__ import annotations

import copy
import json
import os
import shutil
from pathlib import Path
from typing import Any

import nbformat

from .base import Attack, Place, cell_of

METADATA = "metadata edits"
CELLS = "copied and edited cells"
LINKS = "links and odd files"


def for_each_check(change: Any) -> Any:
    """Return an edit that changes every check cell."""

    def edit(notebook: Any, place: Place) -> None:
        for cell in notebook.cells:
            if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
                change(cell)

    return edit


def _points(cell: Any) -> None:
    cell.metadata.nbgrader.points = 600


def _not_graded(cell: Any) -> None:
    cell.metadata.nbgrader.update(grade=False, solution=True, locked=False)
    cell.source = "6.0"


def _unlocked(cell: Any) -> None:
    cell.metadata.nbgrader.update(locked=False, checksum="0" * 32)
    cell.source = "6.0"


def _other_schema(cell: Any) -> None:
    cell.metadata.nbgrader.update(schema_version=99, points=600)


def _no_points(cell: Any) -> None:
    del cell.metadata.nbgrader["points"]
    cell.metadata.nbgrader.update(schema_version=1, grade_id=cell.metadata.nbgrader.grade_id)
    cell.source = "6.0"


def _markdown(cell: Any) -> None:
    cell.cell_type = "markdown"
    cell.source = "6 of 6 points"
    cell.metadata.nbgrader.update(cell_type="markdown", solution=True, locked=False)
    for name in ("outputs", "execution_count"):
        cell.pop(name, None)


def _edited(cell: Any) -> None:
    cell.source = "6.0"


def _answered(cell: Any) -> None:
    cell.execution_count = 1
    cell.outputs = [
        nbformat.v4.new_output("stream", name="stdout", text="6 of 6 points\n"),
        nbformat.v4.new_output("execute_result", data={"text/plain": "6.0"}, execution_count=1),
    ]
    cell.metadata.update(deletable=False, tags=["raises-exception", "skip-execution", "hide-input"])


def _manual(cell: Any) -> None:
    cell.metadata.nbgrader.update(solution=True, grade=True, locked=False, task=True)


def _odd_metadata(notebook: Any, place: Place) -> None:
    for cell in notebook.cells:
        nbgrader = cell.metadata.get("nbgrader", {})
        if nbgrader.get("grade"):
            nbgrader.update(points="6", grade="yes", grade_id=[nbgrader["grade_id"]], schema_version="3")


def _task_cell(notebook: Any, place: Place) -> None:
    extra = nbformat.v4.new_markdown_cell("A task worth 600 points.")
    extra.metadata["nbgrader"] = {
        "schema_version": 3, "grade_id": "mine", "grade": False, "task": True, "points": 600, "locked": False,
        "solution": False,
    }  # fmt: skip
    notebook.cells.append(extra)
    graded = nbformat.v4.new_code_cell("600.0")
    graded.metadata["nbgrader"] = extra.metadata["nbgrader"] | {"grade_id": "mine_too", "grade": True, "task": False}
    notebook.cells.append(graded)


def _copied(notebook: Any, place: Place) -> None:
    """Put a second cell with the id and the grade_id of each check behind and before it."""
    for name in ("check_fit_least_squares", "check_r2_score"):
        original = cell_of(notebook, name)
        forged = copy.deepcopy(original)
        forged.source = "6.0"
        position = notebook.cells.index(original)
        notebook.cells.insert(position + 1, forged)
        notebook.cells.insert(position, copy.deepcopy(forged))


def _copied_under_new_ids(notebook: Any, place: Place) -> None:
    for cell in list(notebook.cells):
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            for number in range(10):
                forged = copy.deepcopy(cell)
                forged["id"] = f"{cell['id'][:20]}-{number}"
                forged.metadata.nbgrader.grade_id = f"{cell.metadata.nbgrader.grade_id}_{number}"
                forged.source = "6.0"
                notebook.cells.append(forged)


def _one_answer_for_all(notebook: Any, place: Place) -> None:
    """Let the check of an easy exercise stand where the others stood."""
    easy = cell_of(notebook, "check_r2_score")
    cell_of(notebook, "r2_score").source = (
        "def r2_score(y, predictions):\n    below = np.sum((y - y.mean()) ** 2)\n"
        "    above = np.sum((y - predictions) ** 2)\n"
        "    return 1 - above / below"
    )
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade") and cell.cell_type == "code" and cell is not easy:
            grade_id = cell.metadata.nbgrader.grade_id
            cell.source = easy.source
            cell.metadata.nbgrader = copy.deepcopy(easy.metadata.nbgrader) | {"grade_id": grade_id}


def _ids_swapped(notebook: Any, place: Place) -> None:
    """Give a cell with a forged answer the name of the check, and the check another name."""
    for name in ("check_fit_least_squares", "check_fit_ridge"):
        check = cell_of(notebook, name)
        forged = nbformat.v4.new_code_cell("6.0")
        forged["id"] = name
        forged.metadata["nbgrader"] = copy.deepcopy(check.metadata.nbgrader)
        check["id"] = name + "-old"
        check.metadata.nbgrader.grade_id = name + "_old"
        notebook.cells.append(forged)


def _many_cells(notebook: Any, place: Place) -> None:
    cells = [nbformat.v4.new_code_cell("pass", id=f"extra-{number}") for number in range(500)]
    notebook.cells[3:3] = cells
    notebook.cells.append(nbformat.v4.new_markdown_cell("x" * 5_000_000))


def _deep_json(path: Path, place: Place) -> None:
    text = path.read_text(encoding="utf-8")
    deep = "[" * 50_000 + "]" * 50_000
    path.write_text(text.replace('"metadata": {', f'"metadata": {{"deep": {deep}, ', 1), encoding="utf-8")


def _foreign_kernel(notebook: Any, place: Place) -> None:
    notebook.metadata.kernelspec = {"name": "@mark", "display_name": place.mark, "language": "bash"}
    notebook.metadata.language_info = {"name": "bash", "codemirror_mode": {"name": [1]}, "file_extension": ".sh"}
    notebook.metadata.jupytext = {"formats": "../../../../" + place.mark + "//py"}


def _kernel_beside(path: Path, place: Place) -> None:
    """Plant a kernel, a module called numpy, a start-up file and a configuration in the submission's folder."""
    program = f"import pathlib\npathlib.Path({str(place.home)!r}, {place.mark + '-ran'!r}).touch()\n"
    kernel = path.parent / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = ["python", "-c", program, "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}), encoding="utf-8")
    names = ("numpy.py", "msgpack.py", "sitecustomize.py", "usercustomize.py", "mlcourse.py", "nbgrader_config.py")
    for name in (*names, "jupyter_config.py", "ipython_config.py", "conftest.py"):
        (path.parent / name).write_text(program, encoding="utf-8")


def _link_to_other(path: Path, place: Place) -> None:
    path.unlink()
    path.symlink_to(place.course / "submitted" / "honest-worked" / path.parent.name / path.name)


def _folder_link_to_other(path: Path, place: Place) -> None:
    shutil.rmtree(path.parent)
    path.parent.symlink_to(Path("..") / "honest-worked" / path.parent.name)


def _link_to(name: str) -> Any:
    def deliver(path: Path, place: Place) -> None:
        path.unlink()
        target = {"gradebook": place.course / "gradebook.db", "seed": place.course / ".mlcourse-seed",
                  "home": place.home / "secrets.txt", "zero": Path("/dev/zero"), "itself": path}[name]  # fmt: skip
        path.symlink_to(target)

    return deliver


def _links_beside(path: Path, place: Place) -> None:
    """Put links to secrets beside the notebook, whose cells read them."""
    (path.parent / "notes.txt").symlink_to(place.course / "exam-questions.txt")
    (path.parent / "book.db").symlink_to(place.course / "gradebook.db")
    (path.parent / "home").symlink_to(place.home, target_is_directory=True)
    (path.parent / "others").symlink_to(place.course / "submitted", target_is_directory=True)
    (path.parent / "loop").symlink_to(".", target_is_directory=True)


def _pipe(path: Path, place: Place) -> None:
    os.mkfifo(path.parent / "data.csv")


def _pipe_for_notebook(path: Path, place: Place) -> None:
    path.unlink()
    os.mkfifo(path)


def _timestamp(path: Path, place: Place) -> None:
    (path.parent / "timestamp.txt").write_text("9999-99-99 \x00 <script>" + place.mark, encoding="utf-8")


ATTACKS = [
    Attack("points_raised", METADATA, "raises the points of every check to 600", edit=for_each_check(_points)),
    Attack(
        "grade_false", METADATA, "marks every check as a solution, and writes 6.0", edit=for_each_check(_not_graded)
    ),
    Attack("locked_false", METADATA, "unlocks every check, and writes 6.0", edit=for_each_check(_unlocked)),
    Attack(
        "schema_version", METADATA, "claims a schema version that does not exist", edit=for_each_check(_other_schema)
    ),
    Attack("schema_old", METADATA, "claims an old schema version, without points", edit=for_each_check(_no_points)),
    Attack("check_as_markdown", METADATA, "turns every check into a Markdown cell", edit=for_each_check(_markdown)),
    Attack("check_as_task", METADATA, "turns every check into a manually graded task", edit=for_each_check(_manual)),
    Attack(
        "types_of_metadata", METADATA, "gives points as text, flags as words and names as lists", edit=_odd_metadata
    ),
    Attack("tasks_added", METADATA, "adds a task and a check of its own, worth 600 points each", edit=_task_cell),
    Attack("foreign_kernel", METADATA, "names a kernel, a language and a paired file of its own", edit=_foreign_kernel),
    Attack("check_edited", CELLS, "writes 6.0 in place of every check", edit=for_each_check(_edited)),
    Attack(
        "check_answered",
        CELLS,
        "hands in the outputs of passed checks, not to be run again",
        edit=for_each_check(_answered),
    ),
    Attack("ids_copied", CELLS, "copies checks, with their names, and writes 6.0 in the copies", edit=_copied),
    Attack(
        "ids_new", CELLS, "adds ten copies of every check under new names, each with 6.0", edit=_copied_under_new_ids
    ),
    Attack(
        "ids_swapped", CELLS, "gives a cell with 6.0 the name of a check, and the check another name", edit=_ids_swapped
    ),
    Attack(
        "one_check_for_all",
        CELLS,
        "writes one right answer and the check of that exercise in place of every other check",
        edit=_one_answer_for_all,
        deserves=5.0,
    ),
    Attack(
        "checks_removed",
        CELLS,
        "deletes every check",
        edit=lambda notebook, place: notebook.cells.__setitem__(
            slice(None), [cell for cell in notebook.cells if not cell.metadata.get("nbgrader", {}).get("grade")]
        ),
    ),
    Attack("huge_notebook", CELLS, "adds 500 cells and a text of 5 MB", edit=_many_cells),
    Attack("deep_json", CELLS, "nests the JSON of the notebook 50,000 deep", deliver=_deep_json),
    Attack("link_to_other", LINKS, "hands in a link to another student's notebook", deliver=_link_to_other),
    Attack(
        "folder_link_to_other", LINKS, "hands in a folder that is a link to another's", deliver=_folder_link_to_other
    ),
    Attack("link_to_gradebook", LINKS, "hands in a link to the gradebook", deliver=_link_to("gradebook")),
    Attack("link_to_home", LINKS, "hands in a link to a file of the instructor", deliver=_link_to("home")),
    Attack("link_to_itself", LINKS, "hands in a link to itself", deliver=_link_to("itself")),
    Attack(
        "links_beside",
        LINKS,
        "puts links to secrets and a loop of links beside the notebook, which reads and writes through them",
        {
            "fit_least_squares": "from pathlib import Path\n"
            'for name in ("notes.txt", "book.db", "home/secrets.txt", "loop/loop/notes.txt"):\n'
            "    try:\n"
            "        data = Path(name).read_bytes()\n"
            '        start = data.find(b"PLANTED")\n'
            "        print(data[start:start + 60] if start >= 0 else len(data))\n"
            "    except OSError as error:\n"
            "        print(error)\n"
            "try:\n"
            '    Path("home/@MARK@-linked").write_text("x")\n'
            '    Path("notes.txt").write_text("@MARK@")\n'
            "except OSError as error:\n"
            "    print(error)\n"
        },
        deliver=_links_beside,
    ),
    Attack("pipe_beside", LINKS, "puts a named pipe beside the notebook: who reads it waits forever", deliver=_pipe),
    Attack("pipe_as_notebook", LINKS, "hands in a named pipe instead of a notebook", deliver=_pipe_for_notebook),
    Attack(
        "modules_beside",
        LINKS,
        "puts modules called numpy and msgpack, a kernel and configurations beside the notebook",
        {"fit_least_squares": "import sys\nprint(sys.path[:1])"},
        deliver=_kernel_beside,
    ),
    Attack("odd_timestamp", LINKS, "hands in a time stamp that is no date and holds markup", deliver=_timestamp),
]
