"""Texts, files and bytes that become code while a notebook runs, graded from end to end with the text search deaf."""

from __future__ import annotations

import nbformat
import pytest

from mlcourse.grading.sandbox.reader import Reader
from mlcourse.grading.submission import Grader
from tests.isolation import isolated


def spelled(text):
    """Return an expression for a text that no search of a cell reads."""
    return f"bytes(np.array({list(text.encode())}, dtype=np.uint8)).decode()"


HIDDEN = spelled("import scipy.special as q; H.add(q.expit)")
MODULE = spelled("from scipy.special import expit as f\n")
FROM_A_SET = "def sigmoid(z): return next(iter(S))(z)\n"
FROM_A_MODULE = f"open('hidden.py', 'w').write({MODULE})\ndef sigmoid(z):\n    import hidden\n    return hidden.f(z)\n"
BY_NAME = "S = {found}\ndel found\n" + FROM_A_SET
SWITCHED = """
def work(z):
    import torch
    return torch.sigmoid(torch.as_tensor(z)).numpy()
def hidden(z):
    import sys
    watching = sys.modules['mlcourse.grading.watch']
    before = sys.getprofile()
    sys.setprofile(None)
    try:
        return work(z)
    finally:
        sys.setprofile(before)
H.add(hidden)
"""
WAYS = {
    "trace": f"import trace\nS = set()\ntrace.Trace(count=0, trace=0).runctx({HIDDEN}, {{'H': S}}, {{}})\n{FROM_A_SET}",
    "trace, with the watch off": "import trace\nS = set()\n"
    f"trace.Trace(count=0, trace=0).runctx({spelled(SWITCHED)}, {{'H': S}})\n{FROM_A_SET}",
    "exec without its name": f"S = set()\nH = S\nlist(map(vars(__builtins__)['ex' + 'ec'], [{HIDDEN}]))\n{FROM_A_SET}",
    "a tree": "import ast\nS = set()\nH = S\n"
    f"get_ipython().run_ast_nodes(ast.parse({HIDDEN}).body, 'x', interactivity='none')\n{FROM_A_SET}",
    "codeop": f"import codeop, types\nS = set()\ntypes.FunctionType(codeop.compile_command({HIDDEN}), {{'H': S}})()\n"
    + FROM_A_SET,
    "doctest": "import doctest\nS = set()\n"
    f"text = '>>> ' + {HIDDEN} + '\\n'\n"
    "doctest.DocTestRunner().run(doctest.DocTestParser().get_doctest(text, {'H': S}, 'n', 'f', 0))\n" + FROM_A_SET,
    "a module written by a cell": FROM_A_MODULE,
    "a module written by a magic": f"%%writefile hidden.py\nfrom scipy.special import expit as f\n---\n{FROM_A_MODULE}",
    "a file that runs": f"open('a.py', 'w').write({MODULE})\n%run a.py\nS = {{f}}\ndel f\n{FROM_A_SET}",
    "an extension": "open('ext.py', 'w').write("
    + spelled("def load_ipython_extension(ip):\n    from scipy.special import expit\n    ip.user_ns['S'] = {expit}\n")
    + f")\n%load_ext ext\n{FROM_A_SET}",
    "another text in the place of a cell": "shell = get_ipython()\nshell.input_transformers_cleanup.append("
    f"lambda lines: [{spelled('from scipy.special import expit as Q')}] if lines[0].startswith('Q') else lines)"
    f"\n---\nQ = None\n---\nS = {{Q}}\ndel Q\n{FROM_A_SET}",
    "a pickle": "import pickle\nS = {pickle.loads(bytes(np.array("
    + str(list(b"cscipy.special\nexpit\n."))
    + f", dtype=np.uint8)))}}\n{FROM_A_SET}",
    "an entry point": "from importlib.metadata import EntryPoint\n"
    f"found = EntryPoint('a', {spelled('scipy.special:expit')}, 'g').load()\n{BY_NAME}",
    "a module by its name": "import importlib\n"
    f"found = getattr(importlib.import_module({spelled('scipy.special')}), {spelled('expit')})\n{BY_NAME}",
    "in a set of sets": "import scipy.special\nS = {frozenset((scipy.special.expit,))}\n"
    "def sigmoid(z): return next(iter(next(iter(S))))(z)\n",
    "in a queue": "import collections, scipy.special\nS = collections.deque([scipy.special.expit])\n"
    "def sigmoid(z): return S[0](z)\n",
    "an annotation": "import typing\ndef sigmoid(z):\n    path = "
    + spelled("help.__class__.__call__.__globals__['sys'].modules['scipy.special'].expit")
    + "\n    import scipy.special\n    return typing.ForwardRef(path)._evaluate({}, {}, frozenset())(z)\n",
    "an annotation inside a file's name": "import ast, typing\nclass S(str):\n    def __str__(self):\n        path = "
    + spelled("__import__('scipy.special').special.expit")
    + "\n        self.got = typing.ForwardRef(path)._evaluate({}, {}, frozenset())\n        return 'x'\n"
    "def sigmoid(z):\n    s = S('x')\n    ast.parse('0 + 1', s)\n    return s.got(z)\n",
    "a library under another name": "import typing\ntyping.__name__ = 'collections'\n"
    f"def sigmoid(z):\n    path = {spelled('__import__(chr(115)+chr(99)+chr(105)+chr(112)+chr(121)).special.expit')}\n"
    "    import scipy.special\n    return typing.ForwardRef(path)._evaluate({}, {}, frozenset())(z)\n",
    "the language of torch": "import torch\nm = torch.jit.script(torch.nn.Identity())\nm.define("
    + spelled("def go(self, x):\n    return x.sigmoid()\n")
    + ")\ndef sigmoid(z): return m.go(torch.as_tensor(z)).numpy()\n",
    "in an iterator": "import itertools, scipy.special\nS = itertools.repeat(scipy.special.expit)\n"
    "def sigmoid(z): return next(S)(z)\n",
}
RIGHT = "def sigmoid(z):\n    e = np.exp(-np.abs(z))\n    return np.where(z >= 0, 1 / (1 + e), e / (1 + e))\n"
HONEST = {
    "dataclasses and named tuples": "from dataclasses import dataclass\nfrom collections import namedtuple\n"
    "@dataclass(frozen=True, order=True)\nclass Side:\n    system: float = 0.0\n    open: bool = True\n"
    "Pair = namedtuple('Pair', ['above', 'below'])\nprint(Side(1.0), Pair(1, 2))\n",
    "sympy": "import sympy as sp\nx = sp.symbols('x')\nf = sp.lambdify(x, 1 / (1 + sp.exp(-x)))\n"
    "print(f(np.zeros(2)))\n"
    "print(sp.sympify('x**2 + sin(x)'))\n",
    "sympy with functions of one's own": "import sympy as sp\nx = sp.Symbol('x')\ns = sp.Function('sigmoid')\n"
    "f = sp.lambdify(x, s(x) * (1 - s(x)), [{'sigmoid': lambda t: 1 / (1 + np.exp(-t))}, 'numpy'])\nprint(f(0.0))\n",
    "annotations": "import typing\nclass Tree:\n    children: 'list[Tree]'\n    value: 'np.ndarray | None' = None\n"
    "print(Tree.__annotations__)\n",
    "timers": "%timeit -n 1 -r 1 sigmoid(np.zeros(3))\n---\n%%time\nimport scipy.special\n"
    "scipy.special.expit(0.0)\n---\n"
    "import timeit, cProfile\ntimeit.timeit('sigmoid(np.zeros(3))', globals=globals(), number=2)\n"
    "cProfile.run('sigmoid(np.zeros(3))')\n",
    "doctests": "import doctest\ndef one():\n    '''>>> float(sigmoid(np.zeros(1))[0])\n    0.5\n    '''\n"
    "doctest.testmod()\n",
    "a cell that is captured": "%%capture kept\nimport scipy.special\nprint(scipy.special.expit(0.0))\n",
    "exec of a constant": "exec('import scipy.special as sp; print(sp.expit(0.0))')\n",
    "a module of one's own": "%%writefile own.py\nimport numpy as np\ndef half(x): return np.asarray(x) / 2\n---\n"
    "import own\nprint(own.half([1, 2]))\n",
    "tables": "import pandas as pd\ntable = pd.DataFrame({'a': [1, 2]})\nprint(table.query('a > 1').eval('a + 1'))\n"
    "table.style.highlight_max()\n",
    "torch": "import torch\nprint(torch.sigmoid(torch.zeros(2)))\n"
    "print(torch.nn.Linear(2, 1)(torch.zeros(3, 2)).shape)\n",
    "results in a pickle": "import pickle\n"
    "print(pickle.loads(pickle.dumps({'a': sigmoid(np.zeros(2)), 'b': {1, 2}})))\n",
}
FIRST = "from mlcourse.grading import check\nimport numpy as np"
CHECK = 'check("logistic_regression.sigmoid", sigmoid)'


@pytest.fixture(scope="module")
def grader():
    with Grader("logistic_regression", seed=7) as started:
        yield started


def graded(grader, text):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in (FIRST, *text.split("---\n"), CHECK)]
    reports = {report.name: report for report in grader.grade(notebook).reports}
    return reports["logistic_regression.sigmoid"]


@isolated
@pytest.mark.parametrize("way", WAYS)
def test_what_nobody_has_read_earns_nothing(grader, way, monkeypatch):
    read = Reader.read

    def nothing(self, *given):
        found = read(self, *given)
        return found and {**found, "shortcuts": {}, "exhausted": False}

    monkeypatch.setattr(Reader, "read", nothing)
    report = graded(grader, WAYS[way])
    assert (report.score, report.status) == (0.0, "forbidden"), report.feedback


@isolated
@pytest.mark.parametrize("name", HONEST)
def test_honest_notebooks_may_use_what_makes_code(grader, name):
    report = graded(grader, f"{RIGHT}---\n{HONEST[name]}")
    assert (report.score, report.status) == (report.max_score, "passed"), report.feedback


@isolated
def test_a_text_that_a_call_runs_ends_the_attempt(grader):
    cell = "import trace\n" + RIGHT.replace("def sigmoid", "def right")
    cell += (
        f"def sigmoid(z):\n    trace.Trace(count=0, trace=0).runctx({HIDDEN}, {{'H': set()}})\n    return right(z)\n"
    )
    report = graded(grader, cell)
    assert (report.score, report.status) == (0.0, "forbidden")
