"""The search for forbidden shortcuts in the text of a notebook."""

from __future__ import annotations

import ast
import builtins
import importlib
import inspect
import random
import re
import subprocess
import sys
import textwrap
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import jupytext
import pytest
import torch  # noqa: F401  (what the process that searches has loaded)

from mlcourse.exercises import catalogue, chapter_exercises
from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.companions import modules_among
from mlcourse.grading.shortcuts import HANDED_ON, Check, ExhaustedError, find_shortcuts, too_deep
from mlcourse.grading.shortcuts.interpreter import FUEL, Interpreter
from mlcourse.grading.shortcuts.names import Targets

pytestmark = pytest.mark.parallel

ROOT = Path(__file__).resolve().parent.parent
FORBIDDEN = (
    "torch.softmax",
    "torch.Tensor.softmax",
    "torch.nn.functional.scaled_dot_product_attention",
    "torch.nn.MultiheadAttention",
    "numpy.average",
    "sklearn.linear_model.Ridge",
)
EXERCISES = catalogue()


@pytest.fixture(autouse=True)
def nothing_is_swallowed(monkeypatch):
    """Let the search's own mistakes through, which it would otherwise step over."""
    monkeypatch.setattr(Interpreter, "guarded", lambda self: nullcontext())


def shortcut(source: str, expression: str = "f", forbidden=FORBIDDEN, home="mlcourse.attention") -> str | None:
    """Return the shortcut of cells that ``# ---`` separates; the check stands at ``# check``, or at the end."""
    before = textwrap.dedent(source).split("# check\n")[0]
    place = before.count("# ---\n") + 1
    cells = textwrap.dedent(source).replace("# check\n", "# ---\n").split("# ---\n")
    check = Check(place, expression, forbidden, home)
    return find_shortcuts(cells, {"toy.f": check}).get("toy.f")


SOFTMAX = "torch.softmax"
METHOD = "torch.Tensor.softmax"
SDPA = "torch.nn.functional.scaled_dot_product_attention"
HEADS = "torch.nn.MultiheadAttention"
RIDGE = "sklearn.linear_model.Ridge"
AVERAGE = "numpy.average"

VIOLATIONS = {
    # imports
    "module": (SOFTMAX, "import torch\ndef f(x): return torch.softmax(x, -1)"),
    "module under another name": (SOFTMAX, "import torch as t\ndef f(x): return t.softmax(x, -1)"),
    "import in an earlier cell": (SOFTMAX, "import torch as t\n# ---\ndef f(x): return t.softmax(x, -1)"),
    "import in a later cell, before the check": (SOFTMAX, "def f(x): return t.softmax(x)\n# ---\nimport torch as t"),
    "from import": (SOFTMAX, "from torch import softmax\ndef f(x): return softmax(x, -1)"),
    "from import as": (SOFTMAX, "from torch import exp, softmax as s\ndef f(x): return s(x, -1)"),
    "import inside": (SOFTMAX, "def f(x):\n    import torch\n    return torch.softmax(x, -1)"),
    "from import inside": (SOFTMAX, "def f(x):\n    from torch import softmax as s\n    return s(x, -1)"),
    "import of a submodule": (
        SDPA,
        "import torch.nn.functional\ndef f(q):\n    return torch.nn.functional.scaled_dot_product_attention(q, q, q)",
    ),
    "submodule under another name": (
        SDPA,
        "import torch.nn.functional as F\ndef f(q):\n    return F.scaled_dot_product_attention(q, q, q)",
    ),
    "submodule through another": (
        SDPA,
        "from torch import nn\ndef f(q):\n    return nn.functional.scaled_dot_product_attention(q, q, q)",
    ),
    "everything": (SOFTMAX, "from torch import *\ndef f(x): return softmax(x, -1)"),
    "everything of a module that is not loaded": (
        "xml.sax.saxutils.escape",
        "from xml.sax.saxutils import *\ndef f(x): return escape(x)",
    ),
    "numpy": (AVERAGE, "import numpy as np\ndef f(x): return np.average(x)"),
    "the same object in a private module": (
        AVERAGE,
        "import numpy\ndef f(x):\n    return numpy.lib._function_base_impl.average(x)",
    ),
    "the same object under its C name": (
        SDPA,
        "import torch\ndef f(q):\n    return torch._C._nn.scaled_dot_product_attention(q, q, q)",
    ),
    "class in its own module": (
        HEADS,
        "from torch.nn.modules.activation import MultiheadAttention as M\ndef f(q): return M(4, 2)(q, q, q)",
    ),
    "a model that is not loaded": (
        RIDGE,
        "from sklearn.linear_model import Ridge\ndef f(X, y): return Ridge().fit(X, y).coef_",
    ),
    "import in try": (
        SOFTMAX,
        "try:\n    from torch import softmax as s\nexcept ImportError:\n    s = None\ndef f(x): return s(x, -1)",
    ),
    # names
    "the thing itself": (SOFTMAX, "import torch\nf = torch.softmax"),
    "alias": (SOFTMAX, "import torch\ng = torch.softmax\ndef f(x): return g(x, -1)"),
    "alias of a module": (SOFTMAX, "import torch\nt = torch\ndef f(x): return t.softmax(x, -1)"),
    "local alias": (SOFTMAX, "import torch\ndef f(x):\n    t = torch\n    s = t.softmax\n    return s(x, -1)"),
    "tuple assignment": (SOFTMAX, "import torch\na, b = torch.exp, torch.softmax\ndef f(x): return b(x, -1)"),
    "starred assignment": (SOFTMAX, "import torch\na, *b = 1, torch.softmax\ndef f(x): return b[0](x, -1)"),
    "chained assignment": (SOFTMAX, "import torch\na = b = torch.softmax\ndef f(x): return b(x, -1)"),
    "annotated assignment": (SOFTMAX, "import torch\ng: object = torch.softmax\ndef f(x): return g(x, -1)"),
    "augmented assignment": (SOFTMAX, "import torch\ng = []\ng += [torch.softmax]\ndef f(x): return g[0](x, -1)"),
    "walrus": (SOFTMAX, "import torch\ndef f(x): return (g := torch.softmax)(x, -1)"),
    "walrus in a comprehension": (
        SOFTMAX,
        "import torch\n[g := getattr(torch, n) for n in ['softmax']]\ndef f(x): return g(x, -1)",
    ),
    "one of two branches": (
        SOFTMAX,
        "import torch\nif torch.cuda.is_available():\n    g = print\nelse:\n"
        "    g = torch.softmax\ndef f(x): return g(x, -1)",
    ),
    "conditional expression": (SOFTMAX, "import torch\ng = None if f else torch.softmax\ndef f(x): return g(x, -1)"),
    "boolean expression": (SOFTMAX, "import torch\ng = None or torch.softmax\ndef f(x): return g(x, -1)"),
    "except branch": (
        SOFTMAX,
        "import torch\ntry:\n    1 / 0\n    g = print\nexcept ZeroDivisionError:\n"
        "    g = torch.softmax\ndef f(x): return g(x, -1)",
    ),
    "interrupted try": (
        SOFTMAX,
        "import torch\ng = torch.softmax\ntry:\n    1 / 0\n    g = print\n"
        "except ZeroDivisionError:\n    pass\ndef f(x): return g(x, -1)",
    ),
    "loop": (SOFTMAX, "import torch\nfor g in [torch.exp, torch.softmax]:\n    pass\ndef f(x): return g(x, -1)"),
    "second round of a loop": (
        SOFTMAX,
        "import torch\na = b = print\nfor _ in range(3):\n    b = a\n    a = torch.softmax\ndef f(x): return b(x, -1)",
    ),
    "match": (SOFTMAX, "import torch\nmatch [torch.softmax]:\n    case [g]:\n        pass\ndef f(x): return g(x, -1)"),
    "with": (
        SOFTMAX,
        "import torch, contextlib\nwith contextlib.suppress(Exception):\n    g = torch.softmax\n"
        "def f(x): return g(x, -1)",
    ),
    "global statement": (
        SOFTMAX,
        "import torch\ndef prepare():\n    global g\n    g = torch.softmax\nprepare()\ndef f(x): return g(x, -1)",
    ),
    "nonlocal statement": (
        SOFTMAX,
        "import torch\ndef make():\n    g = print\n    def change():\n"
        "        nonlocal g\n        g = torch.softmax\n    change()\n"
        "    return lambda x: g(x, -1)\nf = make()",
    ),
    "globals are looked up when called": (
        SOFTMAX,
        "import torch\ng = print\ndef f(x): return g(x, -1)\n# ---\ng = torch.softmax",
    ),
    "the output of a cell": (SOFTMAX, "import torch\ntorch.softmax\n# ---\nf = _"),
    "an old output": (SOFTMAX, "import torch\ntorch.softmax\n# ---\nf = Out[1]"),
    "a cell that fails before the name is bound again": (
        SOFTMAX,
        "from torch import softmax as f\n# ---\nundefined\ndef f(x): return x",
    ),
    "a cell that raises before the name is bound again": (
        SOFTMAX,
        "from torch import softmax as f\n# ---\nraise ValueError\ndef f(x): return x",
    ),
    "a cell that imports nothing before": (
        SOFTMAX,
        "from torch import softmax as f\n# ---\nimport no_such_module\ndef f(x): return x",
    ),
    # functions
    "helper": (SOFTMAX, "import torch\ndef h(x): return torch.softmax(x, -1)\ndef f(x): return h(x)"),
    "helper of a helper, defined later": (
        SOFTMAX,
        "def f(x): return h(x)\ndef h(x): return k(x)\n# ---\nimport torch\ndef k(x): return torch.softmax(x, -1)",
    ),
    "inner function": (SOFTMAX, "import torch\ndef f(x):\n    def g(): return torch.softmax(x, -1)\n    return g()"),
    "lambda": (SOFTMAX, "import torch\nf = lambda x: torch.softmax(x, -1)"),
    "default": (SOFTMAX, "import torch\ndef f(x, g=torch.softmax): return g(x, -1)"),
    "keyword default": (SOFTMAX, "import torch\ndef f(x, *, g=torch.softmax): return g(x, -1)"),
    "closure": (
        SOFTMAX,
        "import torch\ndef make(g):\n    def f(x): return g(x, -1)\n    return f\nf = make(torch.softmax)",
    ),
    "argument of a helper": (
        SOFTMAX,
        "import torch\ndef call(g, x): return g(x, -1)\ndef f(x): return call(torch.softmax, x)",
    ),
    "name passed to a helper": (
        SOFTMAX,
        "import torch\ndef pick(name): return getattr(torch, name)\ndef f(x): return pick('softmax')(x, -1)",
    ),
    "result of a helper": (
        SOFTMAX,
        "import torch\ndef give(): return torch.softmax\ng = give()\ndef f(x): return g(x, -1)",
    ),
    "starred arguments": (
        SOFTMAX,
        "import torch\ndef call(g, *rest): return rest[0](g, -1)\nargs = [torch.softmax]\n"
        "def f(x): return call(x, *args)",
    ),
    "keyword arguments": (
        SOFTMAX,
        "import torch\ndef call(x, **how): return how['g'](x, -1)\nhow = {'g': torch.softmax}\n"
        "def f(x): return call(x, **how)",
    ),
    "decorator": (
        SOFTMAX,
        "import torch\ndef instead(g): return lambda x: torch.softmax(x, -1)\n@instead\ndef f(x): pass",
    ),
    "decorator with arguments": (
        SOFTMAX,
        "import torch\ndef instead(h):\n    def wrap(g):\n        return h\n"
        "    return wrap\n@instead(torch.softmax)\ndef f(x): pass",
    ),
    "cached": (
        SOFTMAX,
        "import torch, functools\n@functools.cache\ndef g(): return torch.softmax\ndef f(x): return g()(x, -1)",
    ),
    "cached with parentheses": (
        SOFTMAX,
        "import torch, functools\n@functools.lru_cache(maxsize=None)\ndef f(x): return torch.softmax(x, -1)",
    ),
    "wraps": (
        SOFTMAX,
        "import torch, functools\ndef deco(g):\n    @functools.wraps(g)\n"
        "    def inner(x): return torch.softmax(x, -1)\n    return inner\n@deco\ndef f(x): return x",
    ),
    "partial": (SOFTMAX, "import torch\nfrom functools import partial\nf = partial(torch.softmax, dim=-1)"),
    "partial of a helper": (
        SOFTMAX,
        "import torch, functools\ndef call(g, x): return g(x, -1)\nf = functools.partial(call, torch.softmax)",
    ),
    "vmap": (SOFTMAX, "import torch\nf = torch.vmap(lambda x: torch.softmax(x, -1))"),
    "map": (SOFTMAX, "import torch\ndef f(x): return list(map(lambda r: torch.softmax(r, -1), x))"),
    "sorted by": (SOFTMAX, "import torch\ndef f(x): return sorted(x, key=lambda r: torch.softmax(r, -1))"),
    "generator": (
        SOFTMAX,
        "import torch\ndef give():\n    yield torch.softmax\ng = next(give())\ndef f(x): return g(x)",
    ),
    "async function": (SOFTMAX, "import torch\nasync def h(x): return torch.softmax(x, -1)\ndef f(x): return h(x)"),
    "recursion": (SOFTMAX, "import torch\ndef f(x, n=3): return f(x, n - 1) if n else torch.softmax(x, -1)"),
    "attribute of a function": (SOFTMAX, "import torch\ndef f(x): return f.g(x, -1)\nf.g = torch.softmax"),
    "one of a tuple": (SOFTMAX, "import torch\ndef a(x): return x\ndef f(x): return torch.softmax(x, -1)"),
    # containers
    "list": (SOFTMAX, "import torch\ntable = [torch.exp, torch.softmax]\ndef f(x): return table[1](x, -1)"),
    "dict": (SOFTMAX, "import torch\ntable = {'g': torch.softmax}\ndef f(x): return table['g'](x, -1)"),
    "dict by get": (SOFTMAX, "import torch\ntable = {'g': torch.softmax}\ndef f(x): return table.get('g')(x, -1)"),
    "dict filled later": (
        SOFTMAX,
        "import torch\ntable = {}\ntable['g'] = torch.softmax\ndef f(x): return table['g'](x, -1)",
    ),
    "list filled later": (
        SOFTMAX,
        "import torch\ntable = []\ntable.append(torch.softmax)\ndef f(x): return table[0](x, -1)",
    ),
    "dict comprehension": (
        SOFTMAX,
        "import torch\ntable = {n: getattr(torch, n) for n in ('exp', 'softmax')}\n"
        "def f(x): return table['softmax'](x, -1)",
    ),
    "loop over a dict": (
        SOFTMAX,
        "import torch\ntable = {'g': torch.softmax}\ndef f(x):\n"
        "    for name, g in table.items():\n        x = g(x, -1)\n    return x",
    ),
    "record": (
        SOFTMAX,
        "import torch, types\nbox = types.SimpleNamespace(g=torch.softmax)\ndef f(x): return box.g(x, -1)",
    ),
    "named tuple": (
        SOFTMAX,
        "import torch\nfrom collections import namedtuple\nBox = namedtuple('Box', 'g')\n"
        "box = Box(torch.softmax)\ndef f(x): return box.g(x, -1)",
    ),
    # attributes by name
    "getattr": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'softmax')(x, -1)"),
    "getattr of pieces": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'soft' + 'max')(x, -1)"),
    "f-string": (SOFTMAX, "import torch\na = 'max'\ndef f(x): return getattr(torch, f'soft{a}')(x, -1)"),
    "join": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, ''.join(['soft', 'max']))(x, -1)"),
    "format": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'soft{}'.format('max'))(x, -1)"),
    "percent": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'soft%s' % 'max')(x, -1)"),
    "backwards": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'xamtfos'[::-1])(x, -1)"),
    "lower case": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'SOFTMAX'.lower())(x, -1)"),
    "codes of letters": (
        SOFTMAX,
        "import torch\nname = ''.join(map(chr, [115, 111, 102, 116, 109, 97, 120]))\n"
        "def f(x): return getattr(torch, name)(x, -1)",
    ),
    "getattr as a value": (
        SOFTMAX,
        "import torch, functools\ng = functools.partial(getattr, torch)\ndef f(x): return g('softmax')(x, -1)",
    ),
    "reduce": (
        SDPA,
        "import torch, functools\ng = functools.reduce(getattr, 'nn.functional.scaled_dot_product_attention'"
        ".split('.'), torch)\ndef f(q): return g(q, q, q)",
    ),
    "vars": (SOFTMAX, "import torch\ndef f(x): return vars(torch)['softmax'](x, -1)"),
    "__dict__": (SOFTMAX, "import torch\ndef f(x): return torch.__dict__['softmax'](x, -1)"),
    "__getattribute__": (SOFTMAX, "import torch\ndef f(x): return torch.__getattribute__('softmax')(x, -1)"),
    "object.__getattribute__": (
        SOFTMAX,
        "import torch\ndef f(x): return object.__getattribute__(torch, 'softmax')(x, -1)",
    ),
    "attrgetter": (
        SDPA,
        "import torch, operator\ng = operator.attrgetter('nn.functional.scaled_dot_product_attention')\n"
        "def f(q): return g(torch)(q, q, q)",
    ),
    "import_module": (SOFTMAX, "import importlib\ndef f(x): return importlib.import_module('torch').softmax(x, -1)"),
    "__import__": (SOFTMAX, "def f(x): return __import__('torch').softmax(x, -1)"),
    "sys.modules": (SOFTMAX, "import sys\ndef f(x): return sys.modules['torch'].softmax(x, -1)"),
    "resolve_name": (SOFTMAX, "import pkgutil\ndef f(x): return pkgutil.resolve_name('torch:softmax')(x, -1)"),
    "builtins by name": (
        SOFTMAX,
        "import builtins, torch\ng = builtins.__dict__['getattr']\ndef f(x): return g(torch, 'softmax')(x, -1)",
    ),
    # code in strings
    "eval": (SOFTMAX, "import torch\ndef f(x): return eval('torch.softmax')(x, -1)"),
    "exec": (SOFTMAX, "import torch\nexec('def f(x): return torch.softmax(x, -1)')"),
    "exec of compiled text": (SOFTMAX, "exec(compile('from torch import softmax as f', 'a', 'exec'))"),
    "exec into a dict": (
        SOFTMAX,
        "place = {}\nexec('from torch import softmax as g', place)\ndef f(x): return place['g'](x, -1)",
    ),
    "a cell magic": (SOFTMAX, "get_ipython().run_cell_magic('time', '', 'from torch import softmax as f')"),
    "the notebook's names": (SOFTMAX, "import torch\nget_ipython().user_ns['f'] = torch.softmax"),
    # changed modules and names
    "patched module": (SOFTMAX, "import torch\ntorch.foo = torch.softmax\ndef f(x): return torch.foo(x, -1)"),
    "patched by setattr": (
        SOFTMAX,
        "import torch\nsetattr(torch, 'foo', torch.softmax)\ndef f(x): return torch.foo(x, -1)",
    ),
    "patched under another name": (
        SOFTMAX,
        "import torch, torch.nn.functional as F\nF.foo = torch.softmax\n"
        "def f(x): return torch.nn.functional.foo(x, -1)",
    ),
    "patched other function": (SOFTMAX, "import torch\ntorch.exp = torch.softmax\ndef f(x): return torch.exp(x, -1)"),
    "globals": (SOFTMAX, "import torch\nglobals()['g'] = torch.softmax\ndef f(x): return g(x, -1)"),
    "globals updated": (SOFTMAX, "import torch\nglobals().update(g=torch.softmax)\ndef f(x): return g(x, -1)"),
    "read from globals": (SOFTMAX, "import torch\ng = torch.softmax\ndef f(x): return globals()['g'](x, -1)"),
    "__main__": (SOFTMAX, "import torch, __main__\n__main__.g = torch.softmax\ndef f(x): return g(x, -1)"),
    # classes
    "callable object": (
        SOFTMAX,
        "import torch\nclass C:\n    def __call__(self, x): return torch.softmax(x, -1)\nf = C()",
    ),
    "attribute of an object": (
        SOFTMAX,
        "import torch\nclass C:\n    def __init__(self, g): self.g = g\n"
        "    def __call__(self, x): return self.g(x, -1)\nf = C(torch.softmax)",
    ),
    "bound method": (SOFTMAX, "import torch\nclass C:\n    def run(self, x): return torch.softmax(x, -1)\nf = C().run"),
    "static method": (
        SOFTMAX,
        "import torch\nclass C:\n    @staticmethod\n    def g(x): return torch.softmax(x, -1)\nf = C.g",
    ),
    "class method": (
        SOFTMAX,
        "import torch\nclass C:\n    g = torch.softmax\n    @classmethod\n"
        "    def run(cls, x): return cls.g(x, -1)\nf = C.run",
    ),
    "property": (
        SOFTMAX,
        "import torch\nclass C:\n    @property\n    def g(self): return torch.softmax\nc = C()\n"
        "def f(x): return c.g(x, -1)",
    ),
    "base class": (
        SOFTMAX,
        "import torch\nclass A:\n    def g(self, x): return torch.softmax(x, -1)\nclass B(A):\n"
        "    def __call__(self, x): return self.g(x)\nf = B()",
    ),
    "super": (
        SOFTMAX,
        "import torch\nclass A:\n    def g(self, x): return torch.softmax(x, -1)\nclass B(A):\n"
        "    def g(self, x): return super().g(x)\nb = B()\ndef f(x): return b.g(x)",
    ),
    "candidate is a class": (SOFTMAX, "import torch\nclass f:\n    def forward(self, x): return torch.softmax(x, -1)"),
    "forbidden base class": (HEADS, "from torch import nn\nclass f(nn.MultiheadAttention): pass"),
    "operator": (
        SOFTMAX,
        "import torch\nclass A:\n    def __matmul__(self, x): return torch.softmax(x, -1)\na = A()\n"
        "def f(x): return a @ x",
    ),
    "dataclass": (
        SOFTMAX,
        "import torch\nfrom dataclasses import dataclass\n@dataclass\nclass A:\n    g: object\n"
        "a = A(torch.softmax)\ndef f(x): return a.g(x, -1)",
    ),
    "class made by hand": (
        SOFTMAX,
        "import torch\nA = type('A', (), {'g': torch.softmax})\ndef f(x): return A().g(x, -1)",
    ),
    "object of a forbidden class": (
        HEADS,
        "from torch import nn\nlayer = nn.MultiheadAttention(4, 2).double()\ndef f(q): return layer(q, q, q)",
    ),
    "method of an object of a forbidden class": (
        RIDGE,
        "from sklearn.linear_model import Ridge\nmodel = Ridge()\nfit = model.fit\ndef f(X, y): return fit(X, y).coef_",
    ),
    "patched class, used on its objects": (
        SOFTMAX,
        "import torch\ntorch.Tensor.foo = torch.softmax\ndef f(x): return x.foo(-1)",
    ),
    "another module's place": (
        SOFTMAX,
        "import sys, torch\nsys.modules['tools'] = torch\nimport tools\ndef f(x): return tools.softmax(x, -1)",
    ),
    "a patched builtin": (SOFTMAX, "import builtins, torch\nbuiltins.sum = torch.softmax\ndef f(x): return sum(x, -1)"),
    "another function's code": (
        SOFTMAX,
        "import torch\ndef g(x): return torch.softmax(x, -1)\ndef f(x): return x\nf.__code__ = g.__code__",
    ),
    "an annotation": (
        SOFTMAX,
        "import torch\ndef g(x: torch.softmax): pass\ndef f(x): return g.__annotations__['x'](x, -1)",
    ),
    "an annotation that assigns": (SOFTMAX, "import torch\ndef g(x: (h := torch.softmax)): pass\nf = h"),
    "an annotation of the module": (
        SOFTMAX,
        "import torch\ng: torch.softmax\ndef f(x): return __annotations__['g'](x, -1)",
    ),
    "its own name": (
        SOFTMAX,
        "import torch\ndef softmax(x): return getattr(torch, softmax.__name__)(x, -1)\nf = softmax",
    ),
    "its docstring": (SOFTMAX, "import torch\ndef f(x):\n    'torch.softmax'\n    return eval(f.__doc__)(x, -1)"),
    "the text of a cell": (
        SOFTMAX,
        "0 and 'import torch; f = torch.softmax'\n# ---\nexec(In[1].split('and ')[1].strip().strip(chr(39)))",
    ),
    "metaclass": (
        SOFTMAX,
        "import torch\nclass M(type):\n    def __getattr__(cls, name): return torch.softmax\n"
        "class C(metaclass=M): pass\ndef f(x): return C.g(x, -1)",
    ),
    "an object that answers for itself": (
        SOFTMAX,
        "import torch\nclass C:\n    def g(self, x): return x\n"
        "    def __getattribute__(self, name): return torch.softmax\nc = C()\ndef f(x): return c.g(x, -1)",
    ),
    "descriptor": (
        SOFTMAX,
        "import torch\nclass D:\n    def __get__(self, a, b): return torch.softmax\n"
        "class C:\n    g = D()\ndef f(x): return C().g(x, -1)",
    ),
    "__new__": (
        SOFTMAX,
        "import torch\nclass C:\n    def __new__(cls, x): return torch.softmax(x, -1)\ndef f(x): return C(x)",
    ),
    "private attribute": (SOFTMAX, "import torch\nclass C:\n    __g = torch.softmax\ndef f(x): return C._C__g(x, -1)"),
    "object of a class with a forbidden base": (
        HEADS,
        "from torch import nn\nclass C(nn.MultiheadAttention): pass\nlayer = C(4, 2)\ndef f(q): return layer(q, q, q)",
    ),
    "object of such a class, built inside": (
        HEADS,
        "from torch import nn\nclass C(nn.MultiheadAttention): pass\ndef f(q): return C(4, 2)(q, q, q)",
    ),
    "method of such an object": (
        HEADS,
        "from torch import nn\nclass C(nn.MultiheadAttention): pass\nlayer = C(4, 2)\n"
        "def f(q): return layer.forward(q)",
    ),
    "relative import by name": (
        "mlcourse.attention.causal_mask",
        "import importlib\ndef f(x): return importlib.import_module('.attention', 'mlcourse').causal_mask(x, x)",
    ),
    "run_module": (
        "mlcourse.attention.causal_mask",
        "import runpy\ndef f(x): return runpy.run_module('mlcourse.attention')['causal_mask'](x, x)",
    ),
    "evaluate from where it is used": (
        "mlcourse.grading.evaluate",
        "from mlcourse.grading.check import evaluate\ndef f(x): return evaluate('a', x)",
    ),
    # methods of data
    "method": (METHOD, "def f(x): return x.softmax(-1)"),
    "method of a result": (METHOD, "import torch\ndef f(x): return torch.exp(x).log().softmax(-1)"),
    "method by name": (METHOD, "def f(x): return getattr(x, 'softmax')(-1)"),
    "method of the class": (METHOD, "import torch\ndef f(x): return torch.Tensor.softmax(x, -1)"),
    "method of the type": (METHOD, "def f(x): return type(x).softmax(x, -1)"),
    "methodcaller": (METHOD, "import operator\nf = operator.methodcaller('softmax', -1)"),
    "method in a lambda": (METHOD, "def f(x): return list(map(lambda row: row.softmax(-1), x))"),
    "method of an element": (METHOD, "def f(x): return [row.softmax(-1) for row in x]"),
    "method in a helper": (METHOD, "def h(y): return y.softmax(-1)\ndef f(x): return h(x)"),
    # the course itself
    "reference": (
        "mlcourse.attention.causal_mask",
        "from mlcourse.attention import causal_mask\ndef f(T, S): return causal_mask(T, S)",
    ),
    "reference of another exercise": (
        "mlcourse.attention.attention_scores",
        "import mlcourse.attention as a\ndef f(q, k): return a.attention_scores(q, k)",
    ),
    "reference through the package": (
        "mlcourse.attention.causal_mask",
        "import mlcourse\ndef f(T, S): return mlcourse.attention.causal_mask(T, S)",
    ),
    "reference imported inside": (
        "mlcourse.attention.causal_mask",
        "def f(T, S):\n    from mlcourse import attention\n    return attention.causal_mask(T, S)",
    ),
    "everything of the reference's module": (
        "mlcourse.attention.causal_mask",
        "from mlcourse.attention import *\ndef f(T, S): return causal_mask(T, S)",
    ),
    "catalogue": (
        "mlcourse.exercises.find",
        "from mlcourse.exercises import find\ndef f(x): return find('attention.causal_mask').reference(x, x)",
    ),
    "text with a width": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, f\"{'soft':s}max\")(x, -1)"),
    "code of a letter": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, f'{115:c}oftmax')(x, -1)"),
    "numbered places": (
        SOFTMAX,
        "import torch\ndef f(x): return getattr(torch, '{0}{1}'.format('soft', 'max'))(x, -1)",
    ),
    "named places": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, '%(a)smax' % {'a': 'soft'})(x, -1)"),
    "bytes": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, b'softmax'.decode())(x, -1)"),
    "a method for a plus": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'soft'.__add__('max'))(x, -1)"),
    "partition": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'softmax,x'.partition(',')[0])(x, -1)"),
    "once": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, 'softmax' * 1)(x, -1)"),
    "keys of a dict": (SOFTMAX, "import torch\ndef f(x): return getattr(torch, ''.join({'soft': 1, 'max': 2}))(x, -1)"),
    "attribute by a pattern": (
        SOFTMAX,
        "import torch\ndef f(x):\n    match torch:\n        case object(softmax=g):\n            return g(x, -1)",
    ),
    "registry": ("torch.library", "import torch\nl = torch.library.Library('m', 'DEF')\ndef f(x): return l"),
    "registered operator": ("torch.ops", "import torch\ndef f(x): return torch.ops.mine.soft(x)"),
    "compiled text": ("torch.jit.CompilationUnit", "import torch\ndef f(x): return torch.jit.CompilationUnit(x).f"),
    "text that a library runs": (
        "numpy.testing.runstring",
        "import numpy as np\ndef f(x): np.testing.runstring('y = 1', {})",
    ),
    "text in annotations": ("typing.get_type_hints", "from typing import get_type_hints\ndef f(x): get_type_hints(f)"),
    "a type that computes": (
        "jaxtyping.Float",
        "from jaxtyping import Float\ndef f(x): return isinstance(x, Float[Tensor, 'n {g(x)}'])",
    ),
    "reference through a training": (
        "mlcourse.trainings.transformer",
        "from mlcourse.trainings.transformer import GPT\ndef f(x): return GPT(x)",
    ),
    "evaluate": (
        "mlcourse.grading.evaluate",
        "from mlcourse.grading import evaluate\ndef f(x): return evaluate('a', x)",
    ),
}

HONEST = {
    "types that are checked": "import torch\nfrom jaxtyping import Float, jaxtyped\n@jaxtyped(typechecker=None)\n"
    "def f(x: Float[torch.Tensor, 'n']): return torch.exp(x)",
    "a type in annotations": "import torch\nfrom jaxtyping import Float\nMatrix = Float[torch.Tensor, 'n m']\n"
    "def f(x: Matrix, y: Float[torch.Tensor, 'n']) -> Float[torch.Tensor, 'n']: return torch.exp(x) @ y",
    "comment": "import torch\ndef f(x):\n    return torch.exp(x)  # not torch.softmax(x)",
    "docstring": "import torch\ndef f(x):\n    '''Do what torch.softmax does, x.softmax(-1).'''\n"
    "    return torch.exp(x)",
    "string": "import torch\ndef f(x):\n    print('torch.softmax')\n    return torch.exp(x)",
    "own function of the same name": "def softmax(x): return x\ndef f(x): return softmax(x)",
    "own inner function of the same name": "import torch\ndef f(x):\n    def softmax(y): return torch.exp(y)\n"
    "    return softmax(x)",
    "own method of the same name": "import torch\nclass C:\n    def softmax(self, x): return torch.exp(x)\n"
    "    def __call__(self, x): return self.softmax(x)\nf = C()",
    "own object's method of the same name": "class C:\n    def softmax(self, x): return x\nc = C()\n"
    "def f(x): return c.softmax(x)",
    "own object as an argument": "class C:\n    def softmax(self, x): return x\n"
    "def h(c, x): return c.softmax(x)\ndef f(x): return h(C(), x)",
    "a test cell": "import torch\ndef f(x): return torch.exp(x)\n# ---\ntorch.allclose(f(1), torch.softmax(1, -1))",
    "a test function": "import torch\ndef f(x): return torch.exp(x)\n"
    "def test(): return f(1) == torch.softmax(1, -1)\ntest()",
    "a test before the definition": "import torch\nexpected = torch.softmax(torch.ones(3), -1)\n# ---\n"
    "def f(x): return x / expected.sum()",
    "after the check": "import torch\ndef f(x): return g(x)\ndef g(x): return x\n# check\ng = torch.softmax",
    "bound again": "from torch import softmax as f\ndef f(x): return x",
    "bound again in a later cell": "from torch import softmax as f\n# ---\ndef f(x): return x",
    "helper bound again": "import torch\ng = torch.softmax\ndef f(x): return g(x)\ndef g(x): return x",
    "everything, then an own function": "from torch import *\n# ---\ndef softmax(x): return exp(x)\nf = softmax",
    "everything of an unknown module, then an own function": "from xml.sax.saxutils import *\ndef escape(x): return x\n"
    "f = escape",
    "deleted": "import torch\ng = torch.softmax\ndel g\ndef f(x): return g(x)",
    "local variable hides the module": "import torch\ndef f(x):\n    torch = x\n    return torch.transpose(0, 1)",
    "parameter hides the function": "from torch import softmax\ndef f(softmax): return softmax + 1",
    "local variable hides the function": "from torch import softmax\ndef f(x):\n    softmax = x + 1\n"
    "    return softmax",
    "name that is local later": "from torch import softmax\ndef f(x):\n    y = [softmax for _ in ()]\n"
    "    softmax = x\n    return softmax",
    "comprehension variable hides": "from torch import softmax\ndef f(x): return [softmax + 1 for softmax in x]",
    "lambda parameter hides": "from torch import softmax\nf = lambda softmax: softmax + 1",
    "class scope is not seen by methods": "import torch\nclass C:\n    g = torch.exp\n    h = torch.exp\n"
    "    def __call__(self, x): return h(x)\ndef h(x): return x\nf = C()",
    "exception variable": "from torch import softmax\ndef f(x):\n    try:\n        return x + 1\n"
    "    except ValueError as softmax:\n        return softmax",
    "other functions": "import torch\nimport torch.nn.functional as F\n"
    "def f(x): return F.relu(x).log_softmax(-1) + torch.exp(x)",
    "another softmax": "import torch.nn.functional as F\ndef f(x): return F.softmax(x, -1)",
    "another package": "import scipy.special\ndef f(x): return scipy.special.softmax(x)",
    "a package of tables": "import tables.special\ndef f(x): return tables.special.softmax(x)",
    "another average": "import numpy as np\ndef f(x): return np.mean(x) + np.ma.average(x)",
    "an own average": "import numpy as np\ndef average(x): return x.mean()\ndef f(x): return np.mean(x) + average(x)",
    "attribute of something unknown": "import tools\ndef f(x): return tools.softmax(x)",
    "unknown name": "def f(x): return softmax(x)",
    "unknown name by getattr": "import torch\ndef f(x, name): return getattr(torch, name)(x)",
    "name of data in a namespace": "import torch\ndef f(x, name): return vars(torch)[name](x)",
    "import that is not used": "from mlcourse import attention\nfrom mlcourse.grading import check\ndef f(x): return x",
    "check cells": "from mlcourse.grading import check\ndef f(x): return x\ncheck('attention.f', f)",
    "another chapter": "from mlcourse import linear_regression\ndef f(x): return linear_regression.mse_loss(x, x, x)",
    "the course's data": "from mlcourse import data, default_device\ndef f(x): return data, default_device()",
    "another path through a helper": "import torch\ndef call(g, x): return g(x, -1)\n"
    "other = call(torch.softmax, torch.ones(3))\ndef f(x): return call(torch.logsumexp, x)",
    "a helper with another default": "import torch\ndef call(x, g=torch.softmax): return g(x, -1)\n"
    "def f(x): return call(x, torch.logsumexp)",
    "another element": "import torch\ntable = {'theirs': torch.softmax, 'mine': torch.exp}\n"
    "def f(x): return table['mine'](x)",
    "another attribute": "import torch\nclass C:\n    def theirs(self, x): return torch.softmax(x, -1)\n"
    "    def mine(self, x): return torch.exp(x)\nc = C()\ndef f(x): return c.mine(x)",
    "another object": "import torch\nclass C:\n    def __init__(self, g): self.g = g\n"
    "    def __call__(self, x): return self.g(x)\ntheirs = C(torch.softmax)\nmine = C(torch.exp)\n"
    "def f(x): return mine(x)",
    "what a model has learned": "from sklearn.linear_model import Ridge\ncoef = Ridge().fit([[1]], [1]).coef_\n"
    "def f(x): return x @ coef",
    "annotations": "import torch\ndef f(x: torch.Tensor, how: torch.softmax = None) -> 'torch.softmax': return x",
    "decorator that only compares": "import torch\ndef compare(g):\n    torch.softmax(torch.ones(2), -1)\n"
    "    return g\n"
    "@compare\ndef f(x): return torch.exp(x)",
    "inner function of another function": "import torch\ndef other(x):\n    def f(y): return torch.softmax(y, -1)\n"
    "    return f(x)\ndef f(x): return torch.exp(x)",
    "a local patch": "import torch\nclass Box: pass\nbox = Box()\nbox.softmax = torch.exp\n"
    "def f(x): return box.softmax(x)",
    "a cell that is no Python": "import torch\n# ---\ndef g(: torch.softmax\n# ---\ndef f(x): return torch.exp(x)",
    "recursion": "def f(n): return 1 if n == 0 else n * f(n - 1)",
    "the same word as a keyword": "def h(x, softmax): return x\ndef f(x): return h(x, softmax=True)",
    "the same word as a key": "def f(x): return {'softmax': x}['softmax']",
    "an attribute of an own record": "import types\nbox = types.SimpleNamespace(softmax=len)\n"
    "def f(x): return box.softmax(x)",
    "a forbidden base of another class": "from torch import nn\nclass C(nn.MultiheadAttention): pass\n"
    "class D(nn.Module):\n    def forward(self, x): return x\nlayer = D()\ndef f(q): return layer(q)",
    "its own name": "def softmax(x): return x, softmax.__name__\nf = softmax",
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_shortcut_is_found_and_named(name):
    expected, source = VIOLATIONS[name]
    forbidden = (*FORBIDDEN, "xml.sax.saxutils.escape")
    assert shortcut(source, "(a, f)" if name == "one of a tuple" else "f", forbidden) == expected


@pytest.mark.parametrize("name", HONEST)
def test_honest_code_is_not_accused(name):
    assert shortcut(HONEST[name], forbidden=(*FORBIDDEN, "xml.sax.saxutils.escape")) is None


def test_a_notebook_has_many_checks_and_each_stands_in_its_own_place():
    cells = ["import torch", "def a(x): return x", "def b(x): return torch.softmax(a(x), -1)", "def a(x): return b(x)"]
    forbidden = ("torch.softmax",)
    checks = {
        "before": Check(2, "a", forbidden, "mlcourse.attention"),
        "pair": Check(3, "(a, b)", forbidden, "mlcourse.attention"),
        "list": Check(3, "[a, b]", forbidden, "mlcourse.attention"),
        "after": Check(4, "a", forbidden, "mlcourse.attention"),
        "far": Check(400, "a", forbidden, "mlcourse.attention"),
        "no Python": Check(4, "a b", forbidden, "mlcourse.attention"),
        "absent": Check(4, "c", forbidden, "mlcourse.attention"),
        "allowed": Check(4, "a", (), "mlcourse.attention"),
    }
    assert find_shortcuts(cells, checks) == dict.fromkeys(["pair", "list", "after", "far"], "torch.softmax")


def test_a_check_leaves_no_trace_for_the_next():
    source = """
    import torch
    box = []
    def f(x):
        global g
        g = torch.softmax
        box.append(torch.softmax)
        torch.foo = torch.softmax
    def g(x): return x
    def h(x): return box[0](x), torch.foo(x), g(x)
    """
    checks = {name: Check(1, name, ("torch.softmax",), "mlcourse.attention") for name in ("f", "h")}
    assert find_shortcuts([textwrap.dedent(source)], checks) == {"f": "torch.softmax"}


def test_of_several_shortcuts_the_first_of_the_exercise_is_named_whatever_the_order_of_sets():
    source = "import torch, numpy as np\ndef f(x): return np.average(x.softmax(-1)) + torch.softmax(x, -1)"
    assert shortcut(source) == "torch.softmax"
    assert shortcut(source, forbidden=FORBIDDEN[::-1]) == "numpy.average"


# What the process that searches has loaded


def run_alone(code: str) -> str:
    """Run code in a new interpreter and return what it prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_nothing_is_imported_and_nothing_is_run():
    """Not even a module whose attributes are made when they are asked for, as those of sklearn and scipy."""
    output = run_alone(
        "import sys, scipy, sklearn\n"
        "from mlcourse.grading.shortcuts import Check, find_shortcuts\n"
        "before = set(sys.modules)\n"
        "cells = ['import xml.sax.saxutils, this, antigravity', 'from sklearn.linear_model import *', 'print(1)',\n"
        "         'import scipy\\nscipy.stats.norm', 'exec(\"print(2)\")', 'def f(): return scipy.stats.norm']\n"
        "check = Check(6, 'f', ('scipy.stats.norm', 'torch.softmax'), 'mlcourse.attention')\n"
        "print(find_shortcuts(cells, {'f': check}), set(sys.modules) - before)\n"
    )
    assert output == "{'f': 'scipy.stats.norm'} set()"


def test_a_part_of_a_package_that_is_not_loaded_is_found_by_its_last_name():
    output = run_alone(
        "import sys\n"
        "from mlcourse.grading.shortcuts.names import Targets\n"
        "for name in [name for name in sys.modules if name.partition('.')[0] == 'sklearn']:\n"
        "    del sys.modules[name]\n"
        "targets = Targets(('sklearn.linear_model.Ridge',), 'mlcourse.attention')\n"
        "print(targets.match('sklearn.linear_model._ridge.Ridge'), targets.match('sklearn.linear_model._ridge.Any'),\n"
        "      targets.match('sklearn.other.Ridge'), targets.match('other._ridge.Ridge'))\n"
    )
    assert output == "sklearn.linear_model.Ridge None sklearn.linear_model.Ridge None"


def test_a_package_that_is_forbidden_as_a_whole_is_known_by_its_parts():
    """Other modules hold them, too: `sklearn.ensemble` has solvers of `sklearn.linear_model`."""
    import sklearn.ensemble._stacking  # noqa: F401  (the search imports nothing)

    check = Check(1, "f", ("sklearn.linear_model",), "mlcourse.attention")
    for cell in (
        "from sklearn.ensemble._stacking import RidgeCV as R\ndef f(X, y): return R().fit(X, y)",
        "from sklearn.ensemble import _stacking\ndef f(X, y): return _stacking.RidgeCV().fit(X, y)",
    ):
        assert find_shortcuts([cell], {"f": check}) == {"f": "sklearn.linear_model"}
    assert (
        find_shortcuts(["from sklearn.ensemble._stacking import clone\ndef f(X): return clone(X)"], {"f": check}) == {}
    )


@pytest.mark.parametrize(
    ("cell", "found"),
    [
        ("import scipy.special\ndef f(x): return scipy.special.softmax(x)", None),
        ("import torch\ndef f(x): return torch.stack(x) + torch.trace(x) + torch.expit(x)", None),
        ("from torch.nn.functional import one_hot\ndef f(x): return one_hot(x)", None),
        ("def f(x):\n    from sklearn.calibration import expit\n    return expit(x)", "scipy.special.expit"),
        ("def f(x):\n    import sklearn.calibration as c\n    return c.expit(x)", "scipy.special.expit"),
        ("def f(x):\n    import scipy.special as s\n    return s.exprel(x)", None),
    ],
)
def test_a_ufunc_of_a_module_that_is_not_loaded_is_what_its_name_says(cell, found):
    """Libraries hold those of `scipy.special`, and a ufunc's call shows nowhere else."""
    output = run_alone(
        "import sys\n"
        "from mlcourse.grading.shortcuts import Check, find_shortcuts\n"
        "check = Check(1, 'f', ('scipy.special.expit', 'torch.softmax', 'inspect.stack'), 'mlcourse.shapes')\n"
        f"print(find_shortcuts([{cell!r}], {{'f': check}}).get('f'))\n"
    )
    assert output == str(found)


LIBRARIES_DO_IT = {
    "logistic_regression.sigmoid": [
        "import scipy.special\ndef f(z): return scipy.special.tklmbda(z, 0.0)",
        "import torch\ndef f(z): return torch.distributions.Geometric(logits=z, validate_args=False).probs",
        "from sklearn._loss import HalfBinomialLoss as H\ndef f(z): return H().gradient(np.zeros(len(z)), z)",
        "from scipy import stats\ndef f(z): return stats.genlogistic.cdf(z, 1.0)",
    ],
    "logistic_regression.softmax": [
        "import torch.nn.functional as F\ndef f(z, axis): return F.scaled_dot_product_attention(z, I, I, scale=1.0)",
        "from sklearn.naive_bayes import GaussianNB\ndef f(z, axis): return GaussianNB().predict_proba(z)",
    ],
    "logistic_regression.logsumexp": ["import torch.nn.functional as F\ndef f(z, axis): return F.cross_entropy(z, y)"],
    "logistic_regression.cross_entropy_gradient": [
        "import torch\ndef f(z, y): return torch.autograd.functional._autograd_grad((loss,), (z,))",
        "from torch.autograd.gradcheck import _check_analytical_jacobian_attributes as g\ndef f(z, y): return g(z)",
        "from scipy.differentiate import jacobian\ndef f(z, y): return jacobian(loss, z).df",
    ],
    "logistic_regression.newton_step": [
        "from sklearn.linear_model._linear_loss import LinearModelLoss as L\ndef f(X, y, w): return L().gradient(w)"
    ],
    "linear_regression.fit_ridge": [
        "from scipy.sparse.linalg import lsmr\ndef f(X, y, penalty): return lsmr(X, y, damp=penalty**0.5)[0]",
        "from sklearn.ensemble._stacking import RidgeCV as R\ndef f(X, y, penalty): return R([penalty]).fit(X, y)",
    ],
    "linear_regression.fit_least_squares": [
        "from sklearn.cross_decomposition import PLSRegression as P\ndef f(X, y): return P().fit(X, y).coef_"
    ],
    "linear_regression.mse_gradient": ["import sklearn._loss\ndef f(X, y, w): return sklearn._loss.HalfSquaredError()"],
    "linear_regression.r2_score": [
        "from sklearn.metrics import explained_variance_score as e\ndef f(y, p): return e(y, p)"
    ],
    "linear_regression.reduce_loss": [
        "import statistics\ndef f(losses, weights): return statistics.fmean(losses, weights)",
        "from scipy.stats import expectile\ndef f(losses, weights): return expectile(losses, 0.5, weights=weights)",
        "from sklearn.dummy import DummyRegressor as D\ndef f(l, w): return D().fit(l, l, w).constant_",
        "import numpy as np\ndef f(l, w): return np.polyfit(0 * l, l, 0, w=w**0.5)[0]",
    ],
    "attention.masked_softmax": [
        "import torch\ndef f(s, m): return torch._scaled_dot_product_attention_math(s, s, s)[1]"
    ],
    "attention.causal_mask": [
        "import torch\ndef f(T, S): return torch.nn.modules.transformer._generate_square_subsequent_mask(T)"
    ],
    "shapes.cosine_similarity": [
        "from scipy.spatial.distance import correlation as c\ndef f(X, Z): return 1 - c(X[0], Z[0], centered=False)"
    ],
    "word2vec.most_similar": [
        "from sklearn.neighbors import KNeighborsClassifier as K\ndef f(E, i): return K(metric='cosine').fit(E)"
    ],
    "ntk.jacobian": ["import torch\ndef f(g, x): return torch.autograd.functional._autograd_grad((g(x),), (x,))"],
}


@pytest.mark.parametrize(("name", "cell"), [(name, cell) for name, cells in LIBRARIES_DO_IT.items() for cell in cells])
def test_what_libraries_do_by_themselves_is_no_answer(name, cell):
    exercise = EXERCISES[name]
    assert find_shortcuts([cell], {name: Check(1, "f", exercise.forbidden, f"mlcourse.{exercise.chapter}")})


def test_a_private_module_of_a_loaded_package_is_found_by_identity():
    importlib.import_module("sklearn.linear_model")
    targets = Targets(("sklearn.linear_model.Ridge",), "mlcourse.attention")
    assert targets.match("sklearn.linear_model._ridge.Ridge") == "sklearn.linear_model.Ridge"
    assert targets.match("sklearn.linear_model._ridge.RidgeCV") is None


def test_only_the_standard_library_is_needed():
    folder = ROOT / "mlcourse" / "grading" / "shortcuts"
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                own = name.startswith("mlcourse.grading.shortcuts")
                assert own or name.partition(".")[0] in sys.stdlib_module_names, f"{path.name} imports {name}"


# Text that was made to break the search


def deep(depth: int) -> dict[str, str]:
    """Return code that is nested deeper and deeper, of many kinds."""
    blocks = "".join(f"{' ' * level}if x:\n" for level in range(90)) + " " * 90 + "g = torch.softmax\n"
    return {
        "a long sum": "def f(x): return " + "0 + " * depth + "torch.softmax(x, -1)",
        "a long sum that starts with it": "def f(x): return torch.softmax(x, -1)" + " + 0" * depth,
        "a long power": "def f(x): return " + "2 ** " * depth + "torch.softmax(x, -1)",
        "many signs": "def f(x): return " + "-" * depth + "torch.softmax(x, -1)",
        "many nots": "def f(x): return " + "not " * depth + "torch.softmax(x, -1)",
        "a long chain of methods": "def f(x): return torch.softmax(x, -1)" + ".t()" * depth,
        "a long chain of attributes": "def f(x): return torch.softmax" + ".a" * depth,
        "lambdas": "def f(x): return " + "lambda: " * depth + "torch.softmax(x, -1)",
        "conditions": "def f(x): return " + "0 if x else " * depth + "torch.softmax(x, -1)",
        "lists": "def f(x): return " + "[" * 90 + "torch.softmax(x, -1)" + "]" * 90,
        "blocks": "def f(x):\n" + textwrap.indent(blocks, " ") + " return g(x)",
    }


@pytest.mark.parametrize("kind", deep(0))
def test_nested_code_is_searched_to_its_bottom(kind):
    assert shortcut("import torch\n" + deep(150)[kind]) == SOFTMAX


@pytest.mark.parametrize("kind", deep(0))
@pytest.mark.parametrize("depth", [900, 2500, 100_000])
def test_code_that_is_nested_too_deeply_is_searched_as_far_as_python_reads_it(kind, depth):
    source = "import torch\n" + deep(depth)[kind]
    assert shortcut(source) == (None if too_deep(source) else SOFTMAX)
    assert not too_deep(deep(5)[kind])


def test_a_mistake_in_the_grammar_is_not_too_deep():
    assert not any(too_deep(text) for text in ["", "def f(:", "x = '", "\x00", "\ud800", "  x"])
    assert too_deep("x = 0" + " + 0" * 100_000)


ODD = {
    "itself": "f = f",
    "itself twice": "f = g\ng = f\nf = g",
    "calls itself": "def f(x): return f(f)(f)",
    "mutual recursion": "def f(x): return g(x) + g(f)\ndef g(x): return f(x) + f(g)",
    "growing recursion": "def f(*x): return f(x, *x) + f([x]) + f(lambda: x)",
    "growing text": "def f(x='a'): return f(x + x) + f(x + 'b')",
    "its own base": "class A: pass\nclass A(A): pass\nclass A(A, A): pass\nf = A().g",
    "bases in a circle": "class A: pass\nclass B(A): pass\nA.__bases__ = (B,)\nA.B = B\nf = B().A.B.A",
    "an object that holds itself": "class A:\n    def __init__(self): self.a = self\nf = A()\nf.f = f",
    "a list that holds itself": "f = []\nf.append(f)\nf[0] = f\nf += f\ndef g(): return f[0][0](*f)\nf.append(g)",
    "a dict that holds itself": "f = {}\nf['f'] = f\nf.update(f)\nf = {**f, 'g': f}",
    "a function that holds itself": "def f(x): return f.f.f\nf.f = f",
    "a partial of a partial": "import functools\nf = print\nfor _ in x:\n    f = functools.partial(f, f)\n    f = f(f)",
    "decorated by itself": "def f(x): return x\n@f\n@f\ndef f(x): return f",
    "iterates over itself": "class A:\n    def __iter__(self): return self\n    def __getattr__(self, n): return self\n"
    "    def __getitem__(self, n): return self[n]\nf = [*A(), *A().x, A()[0]]",
    "text that runs itself": "s = 'exec(s); exec(s)'\nexec(s)\ndef f(): eval(s), exec(s + s)",
    "everything at once": "globals()['globals'] = globals\nvars()['vars'] = vars()\nf = globals()['vars']['globals']",
    "bad arguments": "getattr()\nsetattr(f)\nvars(1, 2)\nsuper()\ntype()\nmap()\nchr(-1)\nchr(10**9)\nexec()\n"
    "''.join()\n'a'.replace()\n'%s'.format()\n'a' % ()\n'a'.split('')\n'a'[::0]\n'a'['b':]\nzip()\nf = [][5]",
    "bad calls of the library": "import functools, operator, importlib\nfunctools.partial()\nfunctools.reduce()\n"
    "operator.attrgetter()()\noperator.itemgetter()()\nimportlib.import_module()\nf = functools.wraps()()",
    "odd module names": "import importlib\n"
    "f = importlib.import_module('..'), importlib.import_module(''), __import__(' ')",
    "odd characters": "f = '\\ud800' + '\\x00'\nexec(f)\neval('\\x00')\n__import__('\\ud800').x",
    "returns outside": "return 1\nyield 2\nawait f\nnonlocal x\nglobal y\nbreak",
    "match": "match x:\n    case {'a': 1, **rest}: f = rest\n    case [a, *b] | (a as b): f = a\n"
    "    case C(x=1): f = b\n"
    "    case _: f = x",
    "async": "async def f(x):\n    async for i in x:\n        async with i as j:\n            await j\n"
    "    return [k async for k in x]",
    "exception groups": "try:\n    f = 1\nexcept* ValueError as e:\n    f = e.exceptions[0]\nfinally:\n    del f",
    "nested f-strings": "f = f'{f\"{1:{2}}\"!r:>{3}}'",
    "branching recursion": "".join(
        f"def f{i}(x): return f{i + 1}(x, [x]) + f{i + 1}([x]) + f{i + 1}(f{i})\n" for i in range(30)
    )
    + "f = f0(1)",
    "factories of functions": "def f(x):\n    def g(y):\n        def h(z): return f(h), g, lambda: f(g)\n"
    "        return h\n"
    "    return g(f)",
    "nested loops": "".join(f"{' ' * i}for a{i} in a{i - 1}:\n" for i in range(1, 90)) + " " * 90 + "f = a5",
}


@pytest.mark.parametrize("kind", ODD)
def test_odd_code_is_no_shortcut_and_ends(kind):
    assert shortcut(ODD[kind]) is None


@pytest.mark.parametrize("kind", ODD)
def test_odd_code_does_not_hide_a_shortcut_behind_it(kind):
    assert shortcut(f"{ODD[kind]}\n# ---\nimport torch\ndef f(x): return torch.softmax(x, -1)") == SOFTMAX


def long_sources() -> dict[str, str]:
    """Return very long code, each of one kind; some of it is a megabyte."""
    return {
        "assignments": "\n".join(f"x{i} = {i}" for i in range(70_000)),
        "one list": "x = [" + "1234567, " * 110_000 + "]",
        "a string": "x = '" + "a" * 1_000_000 + "'",
        "a number": "x = " + "9" * 4_000,
        "one dict": "x = {" + "".join(f"'k{i}': print, " for i in range(10_000)) + "}",
        "functions": "\n".join(f"def g{i}(x): return g{i - 1}(x)" for i in range(5_000)),
        "calls": "def g(x): return [x, x]\n" + "g(g(1))\n" * 20_000,
        "branches": "\n".join(f"if x: y = z{i}" for i in range(10_000)),
        "elements": "x = []\n" + "x.append(lambda: x)\n" * 10_000,
        "text": f"s = '{'x = 1; ' * 20_000}'\n" + "exec(s)\n" * 5_000,
        "text that grows": "s = 'x'\n" + "s = s + 'y' + s\nexec(s)\n" * 5_000,
        "a patch": "import torch\n" + "torch.foo = x\n" * 10_000,
    }


@pytest.mark.parametrize("kind", long_sources())
def test_very_long_code_does_not_hide_a_shortcut_behind_it(kind):
    assert shortcut(f"{long_sources()[kind]}\n# ---\nimport torch\ndef f(x): return torch.softmax(x, -1)") == SOFTMAX


def test_much_work_does_not_hide_what_a_function_returns():
    """A call that is no longer followed may give whatever its function or its arguments are."""
    busy = "def g(x): return [g([x]), g((x, x))]\n" + "g(1)\n" * 200
    assert shortcut(f"import torch\n{busy}\ndef give(h): return h\nf = give(torch.softmax)") == SOFTMAX


@pytest.mark.parametrize("seed", range(40))
def test_pieces_of_code_in_any_order_never_break_the_search(seed):
    draw = random.Random(seed)
    sources = [source for _, source in VIOLATIONS.values()] + list(HONEST.values()) + list(ODD.values())
    lines = [line for source in draw.sample(sources, 30) for line in source.split("\n")]
    cells = ["\n".join(draw.sample(sources, 3)), *draw.sample(sources, 10)]
    cells += [line.strip() for line in draw.sample(lines, 40)]
    draw.shuffle(cells)
    checks = {
        name: Check(draw.randrange(60), name, FORBIDDEN, "mlcourse.attention") for name in ("f", "g", "x", "h", "A")
    }
    try:
        found = set(find_shortcuts(cells, checks).values())
    except ExhaustedError:  # only because some of them run a text that nobody has bound
        runs_text = [cell for cell in cells if re.search(r"\b(exec|eval|run_cell|ev|ex)\b", cell)]
        assert runs_text
        found = set(find_shortcuts(["" if cell in runs_text else cell for cell in cells], checks).values())
    names = {name.partition(HANDED_ON)[0] for name in found}  # some of the pieces hand on what others name
    assert names <= {expected for expected, _ in VIOLATIONS.values()} | {"mlcourse.exercises"}


def test_an_error_of_the_search_itself_does_not_stop_it(monkeypatch):
    monkeypatch.undo()  # errors are stepped over again, as in earnest
    broken = builtins.compile  # any function that is no handler of a node
    monkeypatch.setitem(importlib.import_module("mlcourse.grading.shortcuts.interpreter").EXPRESSIONS, ast.Dict, broken)
    assert (
        shortcut(
            "x = {}\ndef g(x): return {}\ndef f(x): return g(x) + h(x)\n# ---\nimport torch\n"
            "def h(x): return torch.softmax(x, -1)",
            "(f, h)",
        )
        == SOFTMAX
    )


# The course's own exercises


def released(chapter: str) -> tuple[list[str], dict[str, Check]]:
    """Return the cells of the worked solutions and the checks among them."""
    notebook = jupytext.read(ROOT / "solutions" / f"{chapter}.md", fmt="md:myst")
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    checks = {}
    for position, cell in enumerate(cells):
        if cell.startswith("check("):
            name, expression = (ast.unparse(part) for part in ast.parse(cell).body[0].value.args)
            name = ast.literal_eval(name)
            checks[name] = Check(position, expression, EXERCISES[name].forbidden, f"mlcourse.{chapter}")
    return cells, checks


@pytest.mark.parametrize("chapter", chapters())
def test_worked_solutions_take_no_shortcut(chapter):
    cells, checks = released(chapter)
    assert checks.keys() == chapter_exercises(chapter).keys()
    assert find_shortcuts(cells, checks) == {}


@pytest.mark.parametrize("chapter", chapters())
def test_worked_solutions_need_less_than_a_fortieth_of_what_can_be_followed(chapter, monkeypatch):
    for module in ("interpreter", "search"):
        monkeypatch.setattr(f"mlcourse.grading.shortcuts.{module}.FUEL", FUEL // 40)
    assert find_shortcuts(*released(chapter)) == {}


@pytest.mark.parametrize("chapter", chapters())
def test_a_solution_that_is_the_reference_is_found_in_every_exercise(chapter):
    cells, checks = released(chapter)
    first = f"from mlcourse.{chapter} import *\n"
    cells = [first if "def " in cell else cell for cell in cells]
    found = find_shortcuts(cells, checks)
    assert found.keys() == checks.keys()
    assert all(name.startswith(f"mlcourse.{chapter}.") for name in found.values())


NAMES_OF_FORBIDDEN = sorted({(item.chapter, name) for item in EXERCISES.values() for name in item.forbidden})


@pytest.mark.parametrize(("chapter", "name"), NAMES_OF_FORBIDDEN)
def test_everything_that_an_exercise_forbids_is_found_by_its_own_name(chapter, name):
    module, _, last = name.rpartition(".")
    home = f"mlcourse.{chapter}"
    if not module:  # a package as a whole
        assert shortcut(f"import {name}\ndef f(x): return {name}.any(x)", forbidden=(name,), home=home) == name
        assert shortcut(f"from {name}.any import g\ndef f(x): return g(x)", forbidden=(name,), home=home) == name
        return
    assert shortcut(f"import {module}\ndef f(x): return {name}(x)", forbidden=(name,), home=home) == name
    assert shortcut(f"from {module} import {last} as g\ndef f(x): return g(x)", forbidden=(name,), home=home) == name


MISTAKES = [(item, known) for item in EXERCISES.values() for known in item.misconceptions]


@cache
def shortcuts_of_mistakes(chapter):
    """Return the shortcuts in the known mistakes of a chapter, from one reading of the module that declares them."""
    checks = {}
    for item, known in MISTAKES:
        if item.chapter == chapter:
            parts = known.implementation if isinstance(known.implementation, tuple) else (known.implementation,)
            expression = f"({', '.join(part.__name__ for part in parts)},)"
            checks[f"{item.name}/{known.name}"] = Check(1, expression, item.forbidden, f"mlcourse.{chapter}")
    source = inspect.getsource(importlib.import_module(f"mlcourse.exercises.{chapter}"))
    return find_shortcuts([source], checks)


@pytest.mark.parametrize(("item", "known"), MISTAKES, ids=[f"{item.name}/{known.name}" for item, known in MISTAKES])
def test_a_misconception_is_no_shortcut(item, known):
    """A known mistake gets its hint; only what borrows from the reference to be wrong elsewhere is held up."""
    found = shortcuts_of_mistakes(item.chapter).get(f"{item.name}/{known.name}", "")
    if HANDED_ON in found:  # the module hands all of them on to what declares them, and a notebook does not
        return
    assert not found or found.startswith(f"mlcourse.{item.chapter}.")


# Modules that lie beside the notebook

BESIDE = {
    "helper": (
        "import torch\nfrom other import third\n\ndef weigh(x):\n    return torch.softmax(x, -1)\n\n"
        "def double(x):\n    return 2 * x"
    ),
    "other": "import helper as h\n\ndef third(x):\n    return h.weigh(x)",
    "pkg.inner": "from ..helper import weigh\nfrom . import deep\n",
    "pkg.deep": "from helper import weigh as w\n\ndef f(x): return w(x)",
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import helper\ndef f(x): return helper.weigh(x)", SOFTMAX),
        ("from helper import weigh as w\ndef f(x): return w(x)", SOFTMAX),
        ("from helper import *\ndef f(x): return weigh(x)", SOFTMAX),
        ("from helper import weigh as f", SOFTMAX),
        ("import other\ndef f(x): return other.third(x)", SOFTMAX),
        ("import helper\ndef f(x): return helper.third(x)", SOFTMAX),
        ("import pkg.deep\ndef f(x): return pkg.deep.f(x)", SOFTMAX),
        ("from pkg import inner\ndef f(x): return inner.deep.f(x)", SOFTMAX),
        ("import importlib\ndef f(x): return importlib.import_module('helper').weigh(x)", SOFTMAX),
        ("import helper\ndef f(x): return helper.double(x)", None),
        ("from helper import double\ndef weigh(x): return x\ndef f(x): return weigh(double(x))", None),
        ("import helper\nprint(helper.weigh)\ndef f(x): return x", None),
    ],
)
def test_modules_beside_the_notebook_are_followed(source, expected):
    check = Check(1, "f", FORBIDDEN, "mlcourse.attention")
    assert find_shortcuts([source], {"toy.f": check}, BESIDE).get("toy.f") == expected


GUILTY = "from sklearn.linear_model import Ridge\ndef solve(X, y): return Ridge().fit(X, y).coef_"
INNOCENT = "def solve(X, y): return 0.0"
ANSWERS_FOR_ALL = "def __getattr__(name):\n    from sklearn.linear_model import Ridge\n    return Ridge"
REPLACES_ITSELF = (
    f"{INNOCENT}\nimport sys\nfrom sklearn import linear_model\nclass M:\n    def solve(self, X, y):\n"
    "        return linear_model.Ridge().fit(X, y).coef_\nsys.modules[__name__] = M()"
)
CALLS_HELPER = "import helper\ndef f(X, y): return helper.solve(X, y)"


@pytest.mark.parametrize(
    ("files", "source"),
    [
        ({"helper.py": GUILTY.encode("utf-8-sig")}, CALLS_HELPER),
        ({"helper.py": b"# coding: utf_7\n#+AAo-" + GUILTY.replace("\n", "+AAo-").encode()}, CALLS_HELPER),
        ({"helper.py": INNOCENT.encode(), "helper/__init__.py": GUILTY.encode()}, CALLS_HELPER),
        ({"lib/helper.py": GUILTY.encode()}, f"import sys\nsys.path.insert(0, 'lib')\n{CALLS_HELPER}"),
        ({"helper.py": ANSWERS_FOR_ALL.encode()}, "import helper\ndef f(X, y): return helper.any().fit(X, y).coef_"),
        ({"helper.py": REPLACES_ITSELF.encode()}, CALLS_HELPER),
        (
            {"sklearn/__init__.py": b"", "sklearn/linear_model.py": b"class Ridge: pass"},
            "import sys\nsys.path.remove('')\nfrom sklearn.linear_model import Ridge\n"
            "def f(X, y): return Ridge().fit(X, y)",
        ),
        (
            {},
            "import builtins\nfrom sklearn.linear_model import Ridge\nbuiltins.solver = Ridge\n"
            "def f(X, y): return solver().fit(X, y)",
        ),
    ],
    ids=["mark", "coding", "package", "path", "getattr", "replaced", "shadow", "builtins"],
)
def test_no_module_beside_the_notebook_hides_a_shortcut(files, source):
    check = Check(1, "f", FORBIDDEN, "mlcourse.attention")
    assert find_shortcuts([source], {"toy.f": check}, modules_among(files)).get("toy.f") == RIDGE


def test_a_helper_that_replaces_itself_honestly_is_no_shortcut():
    honest = REPLACES_ITSELF.replace("linear_model.Ridge().fit(X, y).coef_", "X @ y")
    check = Check(1, "f", FORBIDDEN, "mlcourse.attention")
    assert find_shortcuts([CALLS_HELPER], {"toy.f": check}, {"helper": honest}) == {}


@pytest.mark.parametrize("text", ["x = " + "-" * 100_000 + "1", "x = [" + "f(0)," * 4_000 + "]"], ids=["deep", "long"])
def test_a_module_that_cannot_be_searched_is_said_to(text, monkeypatch):
    for module in ("mlcourse.grading.shortcuts", "mlcourse.grading.shortcuts.interpreter"):
        monkeypatch.setattr(f"{module}.MAX_STEPS", 3_000)  # a tree of millions would fill the memory
    with pytest.raises(ExhaustedError):
        find_shortcuts(["x = 1"], {}, {"helper": text})
