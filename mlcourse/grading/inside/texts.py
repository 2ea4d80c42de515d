"""Texts that become code while a notebook runs, and that no search has read.

The search of a notebook's text reads its cells, the modules beside it, and what its own code compiles or executes. Many
functions of libraries run a text as well, or load a file, or build functions of bytes, and there will always be one
more. Python tells of every text that it compiles, whoever asks for it: one that is neither of a library nor known, and
whose words do not show that it is harmless, ends the process before it runs.
"""

from __future__ import annotations

import ast
import functools
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import get_ident
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

from mlcourse.grading.calling import is_library
from mlcourse.grading.forbidden import UNKNOWN, resolve
from mlcourse.grading.inside.leading import FORBIDDEN, HARMFUL, leads_out
from mlcourse.grading.inside.whole_trees import are_intact, is_whole, threads
from mlcourse.grading.shortcuts import CHANGES
from mlcourse.grading.shortcuts.trees import parse

SHOWN = 60  # characters of a text
# The search follows the texts that are given to these.
TIMERS = ("timeit", "cProfile", "profile", "IPython.core.magics.execution")
RUNNING = ("run_cell", "ex", "ev", "timeit", "repeat", "run", "runctx")
RUNNING_MAGICS = ("time", "timeit", "prun", "capture", "debug", "python")
# They rebuild code that is there, with other names or line numbers.
REBUILDING = ("types", "torch", "IPython")
# They run texts that others give them, and some of them do so when they are imported.
EXECUTING = ("IPython", "code", "codeop", "runpy", "trace", "bdb", "pdb", "doctest", "timeit", "mako", "jinja2", "site")
STEPS_OF_A_MODULE = 8  # from its own lines to the compiler
TEMPLATES = ("jinja2.environment",)
IMPORTING = ("sympy.utilities.lambdify", "jinja2.environment")  # what they import stays in a namespace of their own
ROOTS = sorted((f"{sysconfig.get_path(name)}/" for name in ("stdlib", "purelib", "platlib")), key=len, reverse=True)
REBUILT_UFUNC = "_ufunc_reconstruct"
OUTSIDE = ("os", "posix", "sys", "subprocess", "operator", "gc", "inspect")  # modules whose functions no pickle needs


class Texts:
    """Hears of every text that Python compiles, and of every function that comes out of bytes.

    Parameters
    ----------
    unread : callable
        ``unread(words)`` is asked before the text is compiled, and is not expected to return.
    names : dict
        What the notebook has defined.

    Attributes
    ----------
    listening : bool
        Whether the submission's code is running.
    modules : mapping of str to str
        The texts of the modules that were handed in: the search has read them.
    """

    def __init__(self, unread: Callable[[str], None], names: dict[str, Any]) -> None:
        self.unread = unread
        self.names = names
        self.listening = False
        self.threads = 1  # that were there before
        self.torch_is_closed = False
        self.cells: list[str] = [""]  # that have run, and the one that runs
        self.modules: Mapping[str, str] = {}
        self.answers: dict[str, Callable[..., str | None]] = {
            "compile": self.compiled,
            "marshal.loads": self.loaded,
            "code.__new__": self.built,
            "pickle.find_class": self.found,
        }

    @property
    def cell(self) -> str:
        """The cell that runs."""
        return self.cells[-1]

    def listen(self) -> None:
        """Begin, for as long as this process lives."""
        self.threads = len(threads())
        answers, busy = self.answers, set[int]()  # the threads that are in here: what is asked may compile something

        def heard(event: str, given: tuple[Any, ...]) -> None:
            if event == "import" and not self.torch_is_closed:
                self.close_torchscript()
            thread = get_ident()
            if self.listening and event in answers and thread not in busy:
                busy.add(thread)
                try:
                    words = answers[event](sys._getframe(1), *given)
                finally:
                    busy.discard(thread)
                if words:
                    self.unread(f"{CHANGES}{words}")

        sys.addaudithook(heard)
        self.close_torchscript()

    def close_torchscript(self) -> None:
        """Hear of texts that torch compiles in its own language: Python tells of none of them."""
        compiler: Any = sys.modules.get("torch._C")
        if hasattr(compiler, "ScriptModule") and hasattr(compiler, "CompilationUnit"):  # torch has loaded it
            self.torch_is_closed = True
            for owner, name in ((compiler.ScriptModule, "_define"), (compiler.CompilationUnit, "define")):
                setattr(owner, name, self._heard_before(getattr(owner, name)))

    def _heard_before(self, define: Callable[..., Any]) -> Callable[..., Any]:
        def defined(*given: Any) -> Any:
            if self.listening:
                self.unread(f"{CHANGES}has torch run a text in its own language, which nobody reads")
            return define(*given)

        return defined

    def compiled(self, caller: types.FrameType, source: Any, filename: Any) -> str | None:
        """Return in words what is wrong with a text that is about to be compiled."""
        if type(filename) not in (str, bytes, type(None)):  # its methods would be somebody's own
            return f"has {_name_of(caller)} run a text under a name that is no plain text"
        name = filename.decode("utf-8", "replace") if isinstance(filename, bytes) else filename or ""
        if isinstance(source, ast.AST):
            if _is_timed(caller) or not _stands_on_own(caller):  # a cell, whose text was heard
                return None
            if len(threads()) > self.threads or not (are_intact() and is_whole(source)):
                return f"has {_name_of(caller)} compile a tree that may change before it is compiled"
            known = {part for given in self._run_by_name(caller) for part in _statements(parse(given))}
            if known and known.issuperset(_statements(source)):
                return None
            text = ast.unparse(source)
        else:
            text = source if isinstance(source, str) else bytes(source).decode("utf-8", "replace")
        if self._is_cell(text) or self._was_read(text, name):
            return None
        who = _name_of(caller)
        claims = is_library(name) and not name.startswith("<") and not who.startswith("torch.")
        if claims or not are_intact():
            return f"has {who} run a text in place of a library's own"
        if _is_importing(caller) or _is_library_source(caller, text):
            return None
        if text.strip() in (self._strings() if _is_own(caller) else self._run_by_name(caller)):
            return None
        home = None if who in IMPORTING else {who.partition(".")[0]}
        kinds = {"template": who in TEMPLATES, "methods": who == "dataclasses"}
        if not leads_out(text, _functions(self.names) | _given(caller, who), home, **kinds):
            return None
        shown = text.strip()[:SHOWN]
        return f"has {who} run a text that nobody could read before it ran ({shown!r})"

    def loaded(self, caller: types.FrameType, *_: Any) -> str | None:
        """Return in words what is wrong with code that is read from bytes."""
        who = _name_of(caller)
        return None if who == "importlib._bootstrap_external" else f"has {who} load code from bytes"

    def built(self, caller: types.FrameType, *_: Any) -> str | None:
        """Return in words what is wrong with code that is built from its parts."""
        who = _name_of(caller)
        trusted = not _is_own(caller) and who.partition(".")[0] in REBUILDING
        return None if trusted else f"builds code from its parts ({who})"

    def found(self, caller: types.FrameType, module: Any, name: Any) -> str | None:
        """Return in words what is wrong with a function that is found by a name in a pickle."""
        target = f"{module}.{name}"
        resolved = resolve(target)
        forbidden = resolved is not UNKNOWN and any(resolved is resolve(other) for other in FORBIDDEN)
        path = str(module).removeprefix("torch.nn.modules.")  # a layer that was kept; `sys.modules` is another matter
        parts = {*path.split("."), *str(name).split("."), target} - {"builtins"}
        leads = not parts.isdisjoint({*HARMFUL, *FORBIDDEN, *OUTSIDE})
        if forbidden or leads or name == REBUILT_UFUNC:
            return f"has {_name_of(caller)} take {target} out of a pickle"
        return None

    def _is_cell(self, text: str) -> bool:
        """Return whether a text is the cell that runs, as it stands or as plain Python."""
        return text.strip() == self.cell.strip() or text.strip() == _plain(self.cell).strip()

    def _was_read(self, text: str, filename: str) -> bool:
        if text in self.modules.values():
            return True
        if not is_library(filename):
            return False
        try:
            return Path(filename).read_text(encoding="utf-8", errors="replace") == text.replace("\r\n", "\n")
        except OSError:
            return False

    def _strings(self) -> set[str]:
        """Return all texts that stand in the notebook so far: which of them its own code runs, the search knows."""
        nodes = (node for text in (*self.cells, *self.modules.values()) for node in _nodes(text))
        return {node.value.strip() for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}

    def _run_by_name(self, caller: types.FrameType) -> set[str]:
        """Return the texts that the running cell gives to functions of which the search knows that they run them."""
        if not _name_of(caller).startswith(("IPython", "codeop", "timeit", "cProfile", "profile")):
            return set()
        found = set()
        for node in _nodes(self.cell):
            match node:
                case ast.Call(ast.Attribute(attr="run_cell_magic" | "run_line_magic"), [ast.Constant(kind), *given]):
                    found |= {part.value for part in given if isinstance(part, ast.Constant) and kind in RUNNING_MAGICS}
                case ast.Call(ast.Name(name) | ast.Attribute(attr=name), given) if name in RUNNING:
                    found |= {part.value for part in given if isinstance(part, ast.Constant)}
        return {text.strip() for text in found if isinstance(text, str)}


def _functions(names: Any) -> set[str]:
    """Return the names under which functions of the notebook stand in a namespace. It asks no object for its class."""
    found = list(names.items()) if type(names) is dict else []
    return {name for name, value in found if type(value) is types.FunctionType and _is_own(value)}


def _given(caller: types.FrameType, who: str) -> set[str]:
    """Return the names of the notebook's functions in the namespace in which a text is about to run."""
    return _functions(caller.f_locals.get("namespace")) if who == "sympy.utilities.lambdify" else set()


def _is_own(part: types.FrameType | types.FunctionType) -> bool:
    """Return whether a frame or a function is of the submission's own code."""
    code = part.f_code if isinstance(part, types.FrameType) else part.__code__
    return not is_library(code.co_filename) and not code.co_filename.startswith("<frozen ")


def _is_importing(caller: types.FrameType) -> bool:
    """Return whether a library that is being imported runs a text of its own, such as a method of a dataclass."""
    step: types.FrameType | None = caller
    for _ in range(STEPS_OF_A_MODULE):
        if step is None or _is_own(step) or _name_of(step).partition(".")[0] in EXECUTING:
            return False
        if step.f_code.co_name == "<module>":
            return step.f_code.co_filename.endswith(".py")
        step = step.f_back
    return False


def _is_library_source(caller: types.FrameType, text: str) -> bool:
    """Return whether torch, or `inspect` for it, reads a part of a library's file, to compile it in its language."""
    step = caller.f_back
    if _name_of(caller) != "ast" or step is None or not _name_of(step).startswith(("torch.", "inspect")):
        return False
    told = [step.f_locals.get(name) for name in ("filename", "file")]
    if type(function := step.f_locals.get("fn")) is types.FunctionType:
        told.append(function.__code__.co_filename)
    if _name_of(step) == "torch.jit._check":  # it looks at what a module does when it is made
        told.append(getattr(sys.modules.get("torch.nn.modules.module"), "__file__", None))
    return any(type(name) is str and is_library(name) and _without_margin(text) in _lines_of(name) for name in told)


@functools.lru_cache(maxsize=8)
def _lines_of(filename: str) -> str:
    try:
        return _without_margin(Path(filename).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        return ""


def _without_margin(text: str) -> str:
    """Return the lines of code without their indentation; torch leaves out comments, too."""
    lines = [line.strip() for line in text.strip().splitlines()]
    return "\n".join(line for line in lines if not line.startswith("#"))


def _is_timed(caller: types.FrameType) -> bool:
    """Return whether one of the timers runs a text, maybe by way of the shell."""
    steps = (caller, caller.f_back, caller.f_back and caller.f_back.f_back)
    return any(step is not None and _name_of(step).startswith(TIMERS) for step in steps)


def _name_of(frame: types.FrameType) -> str:
    """Return the module whose code a frame runs, by its file: a module's own name can be changed."""
    return _module_in(frame.f_code.co_filename)


@functools.cache
def _module_in(filename: str) -> str:
    if filename.startswith("<frozen "):
        return filename[len("<frozen ") : -1]
    root = next((root for root in ROOTS if filename.startswith(root)), None)
    if root is None:
        return "a cell" if not is_library(filename) else "a library"
    return filename[len(root) :].removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _stands_on_own(caller: types.FrameType) -> bool:
    """Return whether the submission's own code has led to a frame."""
    step: types.FrameType | None = caller
    while step is not None and not _is_own(step):
        step = step.f_back
    return step is not None


def _statements(tree: Any) -> set[str]:
    """Return the statements of a tree as texts; an expression alone is one."""
    body = getattr(tree, "body", [])
    return {ast.unparse(part) for part in (body if isinstance(body, list) else [body])}


def _nodes(text: str) -> list[ast.AST]:
    tree = parse(_plain(text))
    return [] if tree is None else list(ast.walk(tree))


@functools.lru_cache(maxsize=4)  # a cell is asked for with every text that it makes
def _plain(cell: str) -> str:
    try:
        return TransformerManager().transform_cell(cell)
    except Exception:  # a cell that is no Python fails in words when it runs
        return cell
