"""A notebook that changes the search in its own process is refused; one that helps old libraries, or prints, is not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np  # noqa: F401  (what the process that searches has loaded)
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from attacks.hiding import SWITCHED_OFF

from mlcourse.exercises import find
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.shortcuts import CHANGES, Check, find_shortcuts

pytestmark = pytest.mark.parallel

OFF = "lambda *given, **named: None"
CHANGED = {
    "as the attacks do": SWITCHED_OFF,
    "by its name": f"import mlcourse.grading.forbidden as f\nf.forbidden_use = {OFF}",
    "a method": f"from mlcourse.grading.inside import worker\nworker.Worker.pick = {OFF}",
    "by setattr": f"for m in sys.modules.values(): setattr(m, 'forbidden_use', {OFF})",
    "by update": f"for m in list(sys.modules.values()): vars(m).update(forbidden_use={OFF})",
    "in a dict": "for m in sys.modules.values(): m.__dict__['forbidden_use'] = len",
    "by exec": "for m in sys.modules.values(): exec('forbidden_use = len', m.__dict__)",
    "by the class of modules": (
        f"import types\nfor m in sys.modules.values(): types.ModuleType.__setattr__(m, 'forbidden_use', {OFF})"
    ),
    "among all objects": "import gc\nfor o in gc.get_objects(): o.forbidden_use = len",
    "in a frame": "sys._getframe().f_back.f_globals['forbidden_use'] = len",
    "in the list of modules": "sys.modules['mlcourse.grading.forbidden'] = 3",
    "another module in the place of a library": "import types\nsys.modules['numpy'] = types.ModuleType('numpy')",
    "the watch": f"import mlcourse.grading.watch as w\nw.Watch.__exit__ = {OFF}",
    "what the watch is made of": f"sys.setprofile({OFF})",
    "by a mock": "from unittest.mock import patch\npatch('mlcourse.grading.forbidden.forbidden_use', len).start()",
    "what it is made of": "import dis\ndis.get_instructions = lambda code: []",
    "what all is made of": "import builtins\nbuiltins.id = lambda x: 0",
    "memory": "import ctypes\nctypes.memset(0, 0, 1)",
    "by tracing": f"sys.settrace({OFF})",
    "inside a function": f"def go():\n    import inspect\n    inspect.isclass = {OFF}\ngo()",
}
HARMLESS = {
    "help for old libraries": (
        "import collections.abc\ncollections.Callable = collections.abc.Callable\nnp.float = float"
    ),
    "a print of one's own": "import builtins\nbuiltins.print = lambda *a: None",
    "output to somewhere else": "import io\nsys.stdout = io.StringIO()",
    "the environment": "import os\nos.environ['A'] = '1'",
    "a look at the modules": "print([m for m in sys.modules if 'torch' in m], 'torch' in sys.modules)",
    "a look at a module": "for n, f in vars(np).items():\n    if callable(f): print(n, f)",
    "warnings": "import warnings\nwarnings.filterwarnings('ignore')\nwarnings.showwarning = lambda *a: None",
    "settings": "sys.setrecursionlimit(10_000)\nnp.set_printoptions(precision=3)",
    "a module of one's own": "import types\nsys.modules['my_own_module'] = types.ModuleType('my_own_module')",
    "a check": "from mlcourse.grading import check\ncheck('toy.total', len)",
    "modules by name": "import importlib\nfor n in ['numpy', 'math']: print(importlib.import_module(n).__name__)",
}


def verdict(text):
    """Return what the search says of an honest `total` in a notebook with this text."""
    cells = ["import sys\nimport numpy as np", text, "def total(x): return 1"]
    return find_shortcuts(cells, {"toy.total": Check(3, "total", ("numpy.sum",), "mlcourse.toy")}).get("toy.total")


@pytest.mark.parametrize("name", CHANGED)
def test_who_changes_the_search_is_refused(name):
    assert verdict(CHANGED[name]).startswith(CHANGES)


@pytest.mark.parametrize("name", HARMLESS)
def test_who_changes_something_else_is_left_alone(name):
    assert verdict(HARMLESS[name]) is None


def test_a_candidate_that_changes_the_search_when_it_is_called_is_refused_and_harms_no_other():
    cells = ["import inspect\ndef total(x):\n    inspect.isclass = len\n    return 1", "def other(x): return 1"]
    checks = {f"toy.{name}": Check(2, name, (), "mlcourse.toy") for name in ("total", "other")}
    assert find_shortcuts(cells, checks) == {"toy.total": f"{CHANGES}changes inspect"}


def test_the_words_say_what_was_changed():
    report = refuse_shortcut(find("linear_regression.r2_score"), f"{CHANGES}changes dis")
    assert (report.score, report.status) == (0.0, "forbidden")
    assert "Your notebook changes dis. What it does then, nobody can see" in " ".join(report.feedback.split())
