"""The names of libraries that only compute: nothing is kept, nothing is run from a text, nothing is looked up by one.

A notebook that names nothing else of a library can hand nothing from one exercise to another.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import sys
from collections.abc import Iterable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

MODULES = frozenset(("linalg", "fft", "special", "nn", "functional", "autograd", "func", "abc"))
TYPES = (
    *(str, bytes, int, float, complex, list, tuple, dict, set, frozenset, range, slice),
    *(np.ndarray, np.ufunc, np.generic, np.dtype, np.random.Generator),
    *(collections.Counter, collections.defaultdict, collections.deque, collections.OrderedDict),
)
# Of those modules all but what a module holds for others to change, and what is named below.
COMPUTING = ("numpy", "numpy.linalg", "numpy.fft", "math", "itertools", "torch.linalg", "torch.special", "torch.fft")
COMPUTING_TOO = ("torch.nn.functional", "scipy.special", "scipy.linalg", "torch.func")
OF_TORCH = (
    *("Tensor", "tensor", "as_tensor", "from_numpy", "device", "dtype", "Generator", "Size", "no_grad", "enable_grad"),
    *("inference_mode", "is_grad_enabled", "get_default_dtype", "finfo", "iinfo", "is_tensor", "numel", "inf", "nan"),
    *("pi", "e", "newaxis", "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"),
    *("bool", "float", "double", "half", "int", "long", "complex64", "complex128", "strided", "grad", "vjp", "jvp"),
    *("hessian", "jacobian", "vmap", "jacrev", "jacfwd", "einsum", "meshgrid", "broadcast_tensors", "split", "unique"),
)
OF_TYPING = (
    *("Any", "Callable", "Dict", "Final", "Iterable", "Iterator", "List", "Literal", "Mapping", "Optional", "Sequence"),
    *("Tuple", "Union"),
    *("Counter", "defaultdict", "deque", "OrderedDict", "namedtuple", "array_namespace"),
)
# What changes how others compute or print, what writes or reads files, and what is kept beyond a call.
KEEPING = frozenset(
    (
        *("set_printoptions", "get_printoptions", "printoptions", "setbufsize", "getbufsize", "seterr", "geterr"),
        *("seterrcall", "geterrcall", "set_string_function", "show_config", "show_runtime", "info", "test", "source"),
        *("save", "savez", "savez_compressed", "savetxt", "load", "loadtxt", "genfromtxt", "fromfile", "fromregex"),
        *("memmap", "tofile", "dump", "dumps", "ctypes", "setflags", "get_include", "lookfor", "deprecate", "bmat"),
        *("register_hook", "register_post_accumulate_grad_hook", "share_memory_", "apply_", "map_", "map2_", "set_"),
        *("storage", "untyped_storage", "storage_type", "data_ptr", "module_load", "pin_memory", "record_stream"),
        *("bit_generator", "spawn", "format", "format_map", "has_torch_function", "handle_torch_function"),
        *("boolean_dispatch", "torch", "importlib", "warnings", "from_file", "to_dlpack"),
    )
)


@functools.cache
def computing() -> frozenset[str]:
    """Return the names, as far as their libraries are loaded.

    Examples
    --------
    >>> {"exp", "mT", "sum", "append", "float64"} <= computing()
    True
    >>> computing() & {"testing", "runstring", "set_printoptions", "typecodes", "library", "get_type_hints", "seed"}
    frozenset()
    """
    found = {*OF_TYPING, *MODULES, *dir(math), *dir(itertools)}
    for kind in TYPES:
        found.update(dir(kind))
    for module in (*COMPUTING, *COMPUTING_TOO):
        found.update(_names_in(sys.modules.get(module)))
    torch = sys.modules.get("torch")
    if torch is not None:
        found.update((*OF_TORCH, *dir(torch.Tensor), *dir(torch._C._VariableFunctions)))
    return frozenset(_public(found)) - KEEPING


def _names_in(module: ModuleType | None) -> Iterator[str]:
    """Yield the names of a module's functions, classes and numbers: no modules, and nothing that can be filled."""
    for name, value in vars(module).items() if module is not None else ():
        if not isinstance(value, ModuleType | dict | list | set | np.ndarray) or name in MODULES:
            yield name


def _public(names: Iterable[Any]) -> Iterator[str]:
    return (name for name in names if not name.startswith("_"))
