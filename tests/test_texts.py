"""Texts that run without standing in a cell: which of them lead out of themselves."""

from __future__ import annotations

import ast
import collections
import dataclasses
import sys
import threading
import types

import pytest

from mlcourse.grading.inside import leading
from mlcourse.grading.inside.leading import leads_out
from mlcourse.grading.inside.texts import Texts


@pytest.fixture(autouse=True)
def closed():
    names = {"scipy.special.expit", "numpy.average", "torch.Tensor.softmax"} - leading.FORBIDDEN
    leading.forbid(names)
    yield
    leading.FORBIDDEN.difference_update(names)


@pytest.mark.parametrize(
    "text",
    [
        "from scipy.special import expit",
        "import scipy.special as q",
        "found.add(q.expit)",
        "x.softmax(0)",
        "average(x)",
        "from numpy import *; mean(x)",
        "from numpy import average as mean",
        "import sys",
        "q.modules['numpy']",
        "q.__dict__",
        "getattr(q, word)",
        "__import__(word)",
        "exec(word)",
        "open(name).read()",
        "error.__traceback__.tb_frame.f_back",
        "f.__closure__[0].cell_contents",
        "from . import helper",
        "def f(open=open): return open('a')",
        "self.__dict__",
        "q.setprofile(None)",
    ],
)
def test_it_leads_out(text):
    assert leads_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no python at all",
        "sigmoid(np.zeros(3))",
        "lambda _cls, x, y: _tuple_new(_cls, (x, y))",
        "def __eq__(self, other):\n    return (self.x,) == (other.x,)",
        "import math\nmath.exp(-x)",
        "from numpy import *",
        "import numpy; from numpy import exp, where",
        "def half(open, system=_system): return open + system / 2",
        "[x.copy() for x in rows if x.trace() > 0]",
    ],
)
def test_it_does_not(text):
    assert not leads_out(text)


def test_a_function_of_ones_own_may_have_the_name_of_a_forbidden_one():
    assert leads_out("average(x)")
    assert not leads_out("average(x)", own={"average"})
    assert leads_out("numpy.average(x)", own={"average"})


def test_a_library_may_import_itself():
    assert leads_out("from sympy import *")
    assert not leads_out("from sympy import *", home={"sympy"})
    assert leads_out("from sympy.abc import expit", home={"sympy"})


def test_the_fields_of_ones_own_class_may_have_any_name():
    method = "def __init__(self, open: _type_open, system=_system): self.open = open; self.system = system"
    assert leads_out(method)
    assert not leads_out(method, methods=True)
    assert leads_out("self.__dict__", methods=True)


def test_in_a_template_the_names_stand_as_strings():
    assert leads_out("environment.getattr(q, 'expit')", (), None, template=True)
    assert not leads_out("environment.getattr(row, 'value')", (), None, template=True)


class Ended(BaseException):
    """The process would have ended here."""


@pytest.fixture(scope="module")
def heard():
    """One hook for all tests of this module: Python keeps it for as long as the process lives."""

    def unread(words):
        raise Ended(words)

    made = Texts(unread, {})
    made.listen()
    return made


def run(heard, action):
    heard.listening = True
    try:
        return action()
    finally:
        heard.listening = False


HIDDEN = "import scipy.special as q"


def test_a_text_that_a_library_runs_is_heard_before_it_runs(heard):
    trace = __import__("trace").Trace(count=0, trace=0)
    with pytest.raises(Ended, match=r"has trace run a text .*import scipy.special as q"):
        run(heard, lambda: trace.runctx(HIDDEN, {}))


def own(text):
    """Return a function that runs a text as the code of a cell."""
    return types.FunctionType(compile(text, "<ipython-input-1>", "exec"), {"HIDDEN": HIDDEN})


def test_texts_that_stand_in_the_notebook_are_left_to_the_search(heard):
    for text in (
        "exec(HIDDEN)",
        "list(map(exec, [HIDDEN]))",
        "import ast\nexec(compile(ast.parse(HIDDEN), '', 'exec'))",
    ):
        with pytest.raises(Ended):
            run(heard, own(text))
    heard.cells.append(f"text = {HIDDEN!r}")
    try:
        run(heard, own("exec(HIDDEN)"))
    finally:
        heard.cells.pop()


def test_a_tree_that_the_notebook_builds_is_heard_as_a_text(heard):
    built = "import ast\nname = ast.Name('exp' + 'it', ast.Load())\n"
    built += "tree = ast.fix_missing_locations(ast.Expression(name))\n"
    with pytest.raises(Ended, match="expit"):
        run(heard, own(built + "compile(tree, '', 'eval')"))
    run(heard, own(built.replace("exp' + 'it", "mean") + "compile(tree, '', 'eval')"))


def test_an_annotation_may_lead_to_no_name(heard):
    import typing

    path = "help.__class__.__call__.__globals__['sys'].modules['numpy']"
    with pytest.raises(Ended, match="has typing run a text"):
        run(heard, lambda: typing.ForwardRef(path)._evaluate({}, {}, frozenset()))

    class Point:
        x: list[int]
        other: Point | None

    run(heard, lambda: typing.get_type_hints(Point, None, {"Point": Point}))


def test_no_code_of_ones_own_runs_while_nobody_listens(heard):
    """Neither the file's name nor an object's class is asked for in a way that it can answer itself."""
    ran = []

    class Name(str):
        def __str__(self):
            ran.append("name")
            return "x"

        def startswith(self, *given):
            ran.append("start")
            return True

    class Other:
        @property
        def __class__(self):
            ran.append("class")
            return int

    heard.names["other"] = Other()
    try:
        for name in (Name("x"), Name(ast.__file__)):
            with pytest.raises(Ended, match="under a name that is no plain text"):
                run(heard, lambda name=name: compile("1 + 1", name, "eval"))
        with pytest.raises(Ended, match="has trace run a text"):
            run(heard, lambda: __import__("trace").Trace(count=0, trace=0).runctx(HIDDEN, {}))
    finally:
        del heard.names["other"]
    assert ran == []


def test_a_library_is_known_by_its_file_and_not_by_its_name(heard, monkeypatch):
    trace = __import__("trace")
    for name in ("collections", "dataclasses", "sympy.utilities.lambdify", "__main__"):
        monkeypatch.setattr(trace, "__name__", name)
        with pytest.raises(Ended, match="has trace run a text"):
            run(heard, lambda: trace.Trace(count=0, trace=0).runctx(HIDDEN, {}))
    for name in (ast.__file__, dataclasses.__file__):
        with pytest.raises(Ended, match="in place of a library's own"):
            run(heard, lambda name=name: compile("def f(self): return self.average", name, "exec"))


def test_a_tree_that_shows_two_things_is_heard(heard, monkeypatch):
    class Twice(ast.Expression):
        looks = 0

        @property
        def body(self):
            Twice.looks += 1
            return harmless if Twice.looks < 3 else ast.Name("expit", ast.Load())

    harmless = ast.fix_missing_locations(ast.Expression(ast.Constant(0))).body
    for tree in (Twice(), ast.Expression(type("Name", (ast.Name,), {})("x", ast.Load()))):
        with pytest.raises(Ended, match="may change before it is compiled"):
            run(heard, types.FunctionType(own("compile(tree, '', 'eval')").__code__, {"tree": tree}))
    assert ast.Name.__annotations__ == {}  # which leaves something in the class
    run(heard, types.FunctionType(own("compile(tree, '', 'eval')").__code__, {"tree": ast.parse("0", mode="eval")}))
    monkeypatch.setattr(ast.Import, "_fields", ())  # whoever walks through a tree sees no name of it
    with pytest.raises(Ended, match="in place of a library's own"):
        run(heard, lambda: __import__("trace").Trace(count=0, trace=0).runctx(HIDDEN, {}))


def test_a_tree_is_not_trusted_while_another_thread_may_change_it(heard):
    go_on = threading.Event()
    other = threading.Thread(target=go_on.wait)
    other.start()
    try:
        with pytest.raises(Ended, match="may change before it is compiled"):
            run(heard, own("import ast\ncompile(ast.parse('1 + 1'), '', 'exec')"))
    finally:
        go_on.set()
        other.join()


def test_texts_in_the_language_of_torch_are_heard(heard):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'mlcourse[torch]'")
    text = "def forward(self, x):\n    return x.softmax(0)\n"
    for make in (torch.jit.ScriptModule, lambda: torch.jit.script(torch.nn.Identity())):
        with pytest.raises(Ended, match="torch run a text in its own language"):
            run(heard, lambda make=make: make().define(text))
    with pytest.raises(Ended, match="torch run a text in its own language"):
        run(heard, lambda: torch._C.CompilationUnit().define(text, None))


def test_torch_may_read_the_files_of_libraries_and_no_others(heard):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'mlcourse[torch]'")
    import linecache

    x = torch.ones(2)
    run(heard, lambda: torch.func.jvp(torch.sin, (x,), (x,)))  # which compiles a hundred functions of its own
    run(heard, lambda: torch.jit.script(torch.nn.Linear(2, 2)))

    class Plain(torch.nn.Module):  # torch reads how it is made: by `torch.nn.Module` itself
        def forward(self, x):
            return torch.relu(x)

    run(heard, lambda: torch.jit.script(Plain()))
    script = types.FunctionType(compile("def f(x):\n    return x\n", "<cell 7>", "exec").co_consts[0], {})
    script.__module__ = "cell"
    text = "def f(x):\n    return x.softmax(0)\n"  # what the file seems to say is not what the function does
    linecache.cache["<cell 7>"] = (len(text), None, text.splitlines(keepends=True), "<cell 7>")
    with pytest.raises(Ended, match="run a text"):
        run(heard, lambda: torch.jit.script(script))


def test_timers_may_take_names_from_the_notebook(heard):
    import timeit

    timer = "from __main__ import "
    assert not leads_out(timer + "scores, q\nscores(q)")
    assert not leads_out(timer + "average", own={"average"})
    for rest in ("average", "np\nnp.average", "open as x"):
        assert leads_out(timer + rest)
    with pytest.raises((Ended, ImportError), match="scores"):  # there is no notebook here
        run(heard, lambda: timeit.timeit("scores(q)", setup=timer + "scores, q", number=1))


def test_a_layer_may_come_out_of_a_pickle_but_no_forbidden_one(heard):
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'mlcourse[torch]'")
    import pickle

    kept = pickle.dumps(torch.nn.Linear(2, 2))
    assert run(heard, lambda: pickle.loads(kept)).in_features == 2
    names = {"torch.nn.Sigmoid"} - leading.FORBIDDEN
    leading.forbid(names)
    try:
        kept = pickle.dumps(torch.nn.Sigmoid())
        with pytest.raises(Ended, match="out of a pickle"):
            run(heard, lambda: pickle.loads(kept))
    finally:
        leading.FORBIDDEN.difference_update(names)


def test_a_function_that_sympy_writes_may_call_those_of_the_notebook(heard):
    sympy = pytest.importorskip("sympy", reason="comes with PyTorch: pip install 'mlcourse[torch]'")
    x, sigmoid = sympy.Symbol("x"), sympy.Function("sigmoid")
    ours = own("lambda t: 0.5")
    named = {"sigmoid": types.FunctionType(ours.__code__.co_consts[0], {})}
    assert run(heard, lambda: sympy.lambdify(x, sigmoid(x), [named, "numpy"]))(1.0) == 0.5


def test_the_cell_itself_and_modules_that_were_read_are_no_hidden_texts(heard):
    trace = __import__("trace").Trace(count=0, trace=0)
    for place, known in (("cells", ["", HIDDEN]), ("modules", {"helper": HIDDEN})):
        before = getattr(heard, place)
        setattr(heard, place, known)
        try:
            run(heard, lambda: trace.runctx(HIDDEN, {}))
        finally:
            setattr(heard, place, before)


def test_named_tuples_and_dataclasses_are_free(heard):
    def made():
        kind = collections.namedtuple("Kind", ["system", "average"])
        other = dataclasses.make_dataclass("Other", [("scores", list), ("side", int)], frozen=True)
        return kind(1, 2), other([1], 2)

    pair, record = run(heard, made)
    assert (pair.average, record.side) == (2, 2)


def test_code_from_bytes_and_from_parts_is_heard(heard):
    import marshal

    code = compile("1 + 1", "<text>", "eval")
    with pytest.raises(Ended, match="load code from bytes"):
        run(heard, lambda: marshal.loads(marshal.dumps(code)))
    with pytest.raises(Ended, match="builds code from its parts"):
        run(heard, lambda: code.replace(co_name="other"))


def test_a_pickle_may_hold_arrays_but_no_way_out(heard):
    import pickle

    import numpy as np
    import scipy.special

    values = run(
        heard, lambda: pickle.loads(pickle.dumps({"a": np.arange(3), "b": collections.Counter("aab"), "c": abs}))
    )
    assert values["b"]["a"] == 2
    for hidden in (sys.exit, getattr, np.average, scipy.special.expit):
        kept = pickle.dumps(hidden)
        with pytest.raises(Ended, match="out of a pickle"):
            run(heard, lambda kept=kept: pickle.loads(kept))


def test_an_error_while_a_text_is_looked_at_deafens_nobody(heard, monkeypatch):
    trace = __import__("trace").Trace(count=0, trace=0)

    def failing(*given):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setitem(heard.answers, "compile", failing)
        with pytest.raises(MemoryError):
            run(heard, lambda: compile("1 + 1", "<text>", "eval"))
    with pytest.raises(Ended):
        run(heard, lambda: trace.runctx(HIDDEN, {}))


def test_a_text_is_heard_while_another_thread_is_looked_at(heard, monkeypatch):
    looking, done = threading.Event(), threading.Event()
    compiled = heard.answers["compile"]

    def slow(caller, source, filename):
        if source in ("1 + 1", b"1 + 1"):
            looking.set()
            done.wait(10)
        return compiled(caller, source, filename)

    monkeypatch.setitem(heard.answers, "compile", slow)
    heard.listening = True
    other = threading.Thread(target=compile, args=("1 + 1", "<text>", "eval"))
    try:
        other.start()
        assert looking.wait(10)
        with pytest.raises(Ended):
            __import__("trace").Trace(count=0, trace=0).runctx(HIDDEN, {})
    finally:
        done.set()
        other.join()
        heard.listening = False
