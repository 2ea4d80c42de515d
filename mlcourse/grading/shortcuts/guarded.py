"""What no notebook may change: what the search of the objects and the watch are made of, in the notebook's own process.

They run where the notebook has run. A notebook that changes them hides from them what this search does not see.
"""

from __future__ import annotations

import sys
from typing import Any

from mlcourse.grading.shortcuts.interpreter import Interpreter
from mlcourse.grading.shortcuts.meanings import Class, Function, Instance, Meanings, Namespace, Opaque, Path, texts
from mlcourse.grading.shortcuts.names import MISSING, resolve

# The second search, the watch and what hears of texts are made of these.
TOOLS = (
    *("dis", "inspect", "types", "functools", "collections", "importlib", "operator", "itertools", "ast", "pathlib"),
    "IPython.core.inputtransformer2",
)
LEADING_ANYWHERE = ("sys._getframe", "sys._current_frames", "gc", "inspect.currentframe", "inspect.stack")
# They change what other code does, or memory itself.
CHANGING = ("sys.settrace", "sys.setprofile", "threading.settrace", "threading.setprofile", "sys.monitoring")
BUILTINS = (
    *("id", "isinstance", "hasattr", "getattr", "vars", "next", "type", "callable", "zip", "any", "set", "iter"),
    *("len", "list", "frozenset", "property", "staticmethod", "classmethod"),
)
KEPT = sys.stdlib_module_names | {"numpy", "scipy", "sklearn", "torch", "functorch", "gensim", "array_api_compat"}
MEMORY = ("ctypes.memset", "ctypes.memmove", "ctypes.pythonapi", "ctypes.py_object", "ctypes.cast")


def note_change(run: Interpreter, owner: Any, name: str) -> None:
    """Take note where a notebook puts something under a name of what it may not change."""
    owner = owner.owner if isinstance(owner, Namespace) else owner
    if isinstance(owner, Opaque) and not owner.owner:
        run.changes_guarded = "changes modules or objects that it finds while it runs"
    elif isinstance(owner, Path) and _is_guarded(owner.name, name):
        run.changes_guarded = f"changes {owner.name}"


def _is_guarded(owner: str, name: str) -> bool:
    if _is_part(owner, ("mlcourse.grading", *LEADING_ANYWHERE)) or name.startswith("mlcourse."):
        return True
    if owner == "sys.modules" and name.partition(".")[0] in KEPT and resolve(name) is not MISSING:
        return True  # another module in the place of a library
    # Another name in a module harms nobody: old libraries are helped that way.
    replaces = resolve(f"{owner}.{name}") is not MISSING
    return (_is_part(owner, TOOLS) and replaces) or (owner == "builtins" and name in BUILTINS)


def note_call(run: Interpreter, name: str, given: Meanings) -> None:
    """Take note where a function of a library may change what a notebook may not."""
    if _is_part(name, (*CHANGING, *MEMORY)):
        run.changes_guarded = f"calls {name}"
    found = any(isinstance(item, Opaque) and not item.owner for item in given)
    own = any(isinstance(item, Function | Class | Instance) for item in given)
    if (found and own) or any(text.startswith("mlcourse.grading") for text in texts(given)):
        run.changes_guarded = f"hands modules that it may not change on to {name}"


def _is_part(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
