"""Arrows point one way, and NumPy chapters do not need torch."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mlcourse.exercises.catalogue import catalogue, chapters, find
from mlcourse.exercises.protocol import call_candidate
from mlcourse.grading.declarations import uses_of
from mlcourse.grading.sandbox.remote import run_source
from mlcourse.grading.sandbox.view import SEEN

PACKAGE = Path(__file__).resolve().parent.parent / "mlcourse"
ARRAY_API = {"linear_regression"}  # among others
REFERENCES = sorted(path for path in PACKAGE.glob("*.py") if not path.stem.startswith(("cli", "__main__")))


def imported(path: Path) -> set[str]:
    """Return the modules that a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


TRAININGS = sorted((PACKAGE / "trainings").glob("*.py"))


@pytest.mark.parametrize("path", [*REFERENCES, *TRAININGS], ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_references_and_trainings_import_neither_exercises_nor_grading(path):
    assert not [name for name in imported(path) if name.startswith(("mlcourse.exercises", "mlcourse.grading"))]


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_references_know_no_training(path):
    assert not [name for name in imported(path) if name.startswith("mlcourse.trainings")]


@pytest.mark.parametrize("chapter", sorted(set(chapters()) & {path.stem for path in TRAININGS}))
def test_every_training_of_a_chapter_bears_its_name(chapter):
    declared = importlib.import_module(f"mlcourse.trainings.{chapter}").TRAININGS
    assert declared
    assert all(training.name.startswith(f"{chapter}.") for training in declared)


@pytest.mark.parametrize("path", sorted((PACKAGE / "grading").rglob("*.py")), ids=lambda path: path.stem)
def test_grading_knows_no_chapter(path):
    own = {f"mlcourse.{chapter}" for chapter in chapters()} | {f"mlcourse.exercises.{name}" for name in chapters()}
    assert not imported(path) & own


@pytest.mark.parametrize("chapter", chapters())
def test_exercises_do_not_import_grading(chapter):
    names = imported(PACKAGE / "exercises" / f"{chapter}.py")
    assert not [name for name in names if name.startswith("mlcourse.grading")]


@pytest.mark.parametrize("chapter", chapters())
def test_a_chapter_has_its_five_files(chapter):
    root = PACKAGE.parent
    for place in ("book/{}.md", "mlcourse/{}.py", "mlcourse/exercises/{}.py", "solutions/{}.md", "tests/test_{}.py"):
        assert (root / place.format(chapter)).exists(), place.format(chapter)


def run_without_torch(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter in which ``import torch`` fails as if it were not installed."""
    block = (
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch' or name.startswith('torch.'):\n"
        "            raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    return subprocess.run([sys.executable, "-c", block + code], capture_output=True, text=True, check=False)


def test_numpy_chapters_work_without_torch():
    done = run_without_torch(
        "import mlcourse, mlcourse.linear_regression, numpy as np\n"
        "from mlcourse.exercises import find\n"
        "from mlcourse.grading import evaluate\n"
        "exercise = find('linear_regression.r2_score')\n"
        "print(evaluate(exercise, exercise.reference).status)\n"
    )
    assert done.stdout.strip() == "passed", done.stderr


def test_a_torch_chapter_without_torch_says_what_to_install():
    done = run_without_torch("from mlcourse.exercises import find\nfind('attention.causal_mask')\n")
    assert "pip install 'mlcourse[torch]'" in done.stderr


@pytest.mark.parametrize(
    ("package", "remedy"), [("array_api_compat", "pip install 'mlcourse'"), ("gensim", "pip install 'mlcourse[text]'")]
)
def test_a_chapter_without_a_package_names_an_extra_that_exists(package, remedy, monkeypatch):
    missing = ModuleNotFoundError(f"No module named {package!r}", name=package)

    def fails(name):
        raise missing

    monkeypatch.setattr(importlib, "import_module", fails)
    with pytest.raises(ModuleNotFoundError, match=re.escape(f"{remedy}")):
        find("shapes.embed")


@pytest.mark.parametrize("module", ["mlcourse", "mlcourse.cli"])
def test_the_command_line_is_a_module_too(module):
    done = subprocess.run([sys.executable, "-m", module, "check", "absent.ipynb"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "absent.ipynb" in done.stderr


def test_the_catalogue_without_torch_leaves_torch_chapters_out_with_a_warning():
    done = run_without_torch(
        "from mlcourse.exercises import catalogue\nprint(sorted({n.split('.')[0] for n in catalogue()}))\n"
    )
    parts = {
        name: imported(PACKAGE / f"{name}.py") | imported(PACKAGE / "exercises" / f"{name}.py") for name in chapters()
    }
    with_torch = {name for name, found in parts.items() if any(module.partition(".")[0] == "torch" for module in found)}
    assert set(chapters()) - with_torch >= ARRAY_API
    assert done.stdout.strip() == str(sorted(set(chapters()) - with_torch))
    assert all(name in done.stderr for name in with_torch)


def test_default_device_without_torch_is_a_sentence():
    done = run_without_torch("import mlcourse\nmlcourse.default_device()\n")
    assert "default_device needs PyTorch" in done.stderr


@pytest.mark.parametrize("path", sorted((PACKAGE / "grading" / "inside").glob("*.py")), ids=lambda path: path.stem)
def test_what_runs_in_the_sandbox_imports_only_what_is_there(path):
    seen = {f"mlcourse.{name.removesuffix('.py').replace('/', '.')}" for name in SEEN}
    for name in imported(path):
        if name.startswith("mlcourse"):
            assert any(name == module or name.startswith(f"{module}.") for module in seen), name


@pytest.mark.parametrize("exercise", catalogue().values(), ids=lambda exercise: exercise.name)
def test_the_way_to_run_a_submission_stands_alone(exercise):
    """Its text is all that reaches the sandbox, so it may name nothing of its own module."""
    if exercise.run is call_candidate:
        return
    namespace = {}
    exec(run_source(exercise)["source"], namespace)
    known = {"np", "torch", *dir(builtins)}
    assert (
        set(namespace[exercise.run.__name__].__code__.co_names) & set(vars(sys.modules[exercise.run.__module__]))
        <= known
    )


@pytest.mark.parametrize("chapter", chapters())
def test_an_assignment_never_declares_its_own_references_for_use(chapter):
    assert chapter not in uses_of(chapter)
    assert all((PACKAGE / f"{name}.py").exists() for name in uses_of(chapter))
