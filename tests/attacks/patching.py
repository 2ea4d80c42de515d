"""Change what the grader itself uses: numpy, torch, builtins, the course's own modules."""

from .base import Attack

FAMILY = "patched libraries"

ATTACKS = [
    Attack(
        "own_check",
        FAMILY,
        "defines a check of its own that returns full points",
        {"fit_least_squares": "def check(*anything):\n    return 6.0\n\nfit_least_squares = None"},
    ),
    Attack(
        "grading_module",
        FAMILY,
        "replaces check, evaluate and grade in every module of mlcourse.grading",
        {
            "fit_least_squares": """
            import sys, types
            report = types.SimpleNamespace(score=6.0, max_score=6.0, feedback="all right", status="passed",
                                           misconception=None, groups={}, as_dict=lambda: {})
            for name, module in list(sys.modules.items()):
                if name.startswith("mlcourse.grading"):
                    for attribute, value in (("check", lambda *a, **k: 6.0), ("evaluate", lambda *a, **k: report),
                                             ("_evaluate", lambda *a, **k: report), ("grade", lambda *a, **k: report)):
                        if hasattr(module, attribute) or name == "mlcourse.grading":
                            setattr(module, attribute, value)
            from mlcourse.grading import check
            """
        },
    ),
    Attack(
        "reports_full",
        FAMILY,
        "wraps write_report wherever it is bound, so that every report has full points",
        {
            "fit_least_squares": """
            import sys
            def wrap(old):
                def write(name, score, max_score, status, lines, **more):
                    return old(name, max_score, max_score, "passed", [("all right", "")], **more)
                return write
            for name, module in list(sys.modules.items()):
                if name.startswith("mlcourse") and hasattr(module, "write_report"):
                    module.write_report = wrap(module.write_report)
            def fit_least_squares(X, y):
                return 0
            """
        },
    ),
    Attack(
        "no_differences",
        FAMILY,
        "replaces the comparison of the grader by one that never finds a difference",
        {
            "fit_least_squares": """
            import sys
            for name, module in list(sys.modules.items()):
                if name.startswith("mlcourse"):
                    for attribute in ("difference", "verdict", "_number_difference", "_array_difference"):
                        if hasattr(module, attribute):
                            setattr(module, attribute, lambda *a, **k: None)
            def fit_least_squares(X, y):
                return 0
            """
        },
    ),
    Attack(
        "numpy_comparisons",
        FAMILY,
        "makes numpy's allclose, isclose, array_equal and all say yes",
        {
            "fit_least_squares": """
            import numpy as np
            yes = lambda *a, **k: True
            for name in ("allclose", "isclose", "array_equal", "array_equiv", "all", "isfinite"):
                setattr(np, name, yes)
            np.abs = np.absolute = np.max = lambda *a, **k: 0.0
            np.any = lambda *a, **k: False
            def fit_least_squares(X, y):
                return np.zeros(X.shape[1]), 0.0
            def r2_score(y, predictions):
                return 0.0
            """
        },
    ),
    Attack(
        "torch_comparisons",
        FAMILY,
        "makes torch's allclose, equal and isclose say yes, on the module and on Tensor",
        {
            "attention_scores": """
            import torch
            yes = lambda *a, **k: True
            for name in ("allclose", "equal", "isclose", "all"):
                setattr(torch, name, yes)
                setattr(torch.Tensor, name, yes)
            torch.Tensor.numpy = lambda self, *a, **k: __import__("numpy").zeros(tuple(self.shape))
            def attention_scores(q, k):
                return torch.zeros(*q.shape[:-1], k.shape[-2], dtype=q.dtype)
            """
        },
        assignment="attention",
    ),
    Attack(
        "builtins_say_yes",
        FAMILY,
        "replaces all, any, abs, isinstance and float in builtins",
        {
            "fit_least_squares": """
            import builtins
            builtins.all = lambda *a, **k: True
            builtins.any = lambda *a, **k: False
            builtins.abs = lambda x: 0.0
            builtins.float = lambda *a: 6.0
            def fit_least_squares(X, y):
                return X[0] * 0, 0.0
            """
        },
    ),
    Attack(
        "import_replaced",
        FAMILY,
        "replaces builtins.__import__ and sys.modules, so that mlcourse.grading is a module of its own",
        {
            "install": "pass",
            "cell-2": """
            import builtins, sys, types
            import numpy as np
            forged = types.ModuleType("mlcourse.grading")
            forged.check = lambda *a, **k: 6.0
            forged.evaluate = forged.grade = forged.check
            sys.modules["mlcourse.grading"] = forged
            sys.modules["mlcourse.grading.check"] = forged
            before = builtins.__import__
            builtins.__import__ = lambda name, *a, **k: forged if name.startswith("mlcourse") else before(name, *a, **k)
            from mlcourse.grading import check
            """,
        },
    ),
    Attack(
        "assert_disarmed",
        FAMILY,
        "replaces AssertionError and numpy.testing, and drops every assert from later cells",
        {
            "fit_least_squares": """
            import ast, builtins
            import numpy.testing
            class Quiet(BaseException):
                def __new__(cls, *a):
                    return BaseException.__new__(cls)
            builtins.AssertionError = Quiet
            for name in dir(numpy.testing):
                if name.startswith("assert"):
                    setattr(numpy.testing, name, lambda *a, **k: None)
            class Drop(ast.NodeTransformer):
                def visit_Assert(self, node):
                    return ast.Pass()
                def visit_Raise(self, node):
                    return ast.Pass()
            get_ipython().ast_transformers.append(Drop())
            """
        },
    ),
    Attack(
        "constants_overwritten",
        FAMILY,
        "overwrites the constant 0.0 in the grader's own code by 6.0, in memory, with ctypes",
        {
            "fit_least_squares": """
            import ctypes, gc, types
            def inside(code):
                for constant in code.co_consts:
                    if type(constant) is float and constant == 0.0:
                        ctypes.c_double.from_address(id(constant) + 16).value = 6.0
                    elif isinstance(constant, types.CodeType):
                        inside(constant)
            for found in gc.get_objects():
                if isinstance(found, types.FunctionType) and (found.__module__ or "").startswith("mlcourse.grading"):
                    inside(found.__code__)
            def fit_least_squares(X, y):
                return 0
            """
        },
    ),
    Attack(
        "reference_replaced",
        FAMILY,
        "replaces the reference of the exercise by its own wrong function",
        {
            "fit_least_squares": """
            def wrong(*a, **k):
                return 0.0
            def fit_least_squares(X, y):
                return 0.0
            import mlcourse.exercises
            for exercise in mlcourse.exercises.catalogue().values():
                exercise.reference = wrong
                exercise.misconceptions.clear()
                exercise.properties.clear()
                exercise.run = lambda candidate, **inputs: 0.0
            """
        },
    ),
    Attack(
        "tolerance_raised",
        FAMILY,
        "sets the tolerance of every exercise to infinity",
        {
            "r2_score": """
            def r2_score(y, predictions):
                return 0.25
            import mlcourse.exercises
            for exercise in mlcourse.exercises.catalogue().values():
                exercise.atol = float("inf")
                exercise.misconceptions.clear()
                exercise.properties.clear()
            """
        },
    ),
    Attack(
        "cases_emptied",
        FAMILY,
        "leaves only the worked example in the exercise, whose answer stands in the notebook",
        {
            "r2_score": """
            import mlcourse.exercises
            exercise = mlcourse.exercises.find("linear_regression.r2_score")
            before = exercise.cases
            exercise.cases = lambda rng: [case for case in before(rng) if case.group == "worked"]
            exercise.properties.clear()
            def r2_score(y, predictions):
                return 0.5 if predictions[0] == 1 else -7 / 3
            """
        },
    ),
    Attack(
        "seed_guessed",
        FAMILY,
        "replaces numpy.random.default_rng, so that the hidden inputs are known and their answers can be listed",
        {
            "r2_score": """
            import numpy as np
            class Known:
                def standard_normal(self, shape=None):
                    return np.arange(1.0, 1 + np.prod(shape)).reshape(shape) if shape else 1.0
                def uniform(self, low=0, high=1, size=None):
                    return self.standard_normal(size)
                def __getattr__(self, name):
                    return lambda *a, **k: 1.0
            np.random.default_rng = lambda *a, **k: Known()
            import mlcourse.grading
            for name, module in list(__import__("sys").modules.items()):
                if name.startswith("mlcourse") and hasattr(module, "stream"):
                    module.stream = lambda *a: Known()
                    module.PUBLIC_SEED = 0
            def r2_score(y, predictions):
                if y.tolist() == [1.0, 3.0, 4.0, 4.0]:
                    return 0.5 if predictions[0] == 1 else -7 / 3
                n = len(y)
                known = 5 + 2 * np.arange(1.0, n + 1)
                if n > 3 and np.array_equal(y, known):
                    guess = 0.7 * known + {7: 0.5, 5: 3.0, 11: 0.1}.get(n, 1.0) * np.arange(1.0, n + 1)
                    return float(1 - ((known - guess) ** 2).sum() / ((known - known.mean()) ** 2).sum())
                return 0.0
            """
        },
    ),
    Attack(
        "public_seed",
        FAMILY,
        "lists the answers of the public seed, found by trying the check at home",
        {
            "r2_score": """
            import zlib
            import numpy as np
            rng = np.random.default_rng([1805, zlib.crc32(b"linear_regression.r2_score")])
            answers = {}
            for n, noise in [(7, 0.5), (5, 3.0), (11, 0.1)]:
                y = 5 + 2 * rng.standard_normal(n)
                predictions = 0.7 * y + noise * rng.standard_normal(n)
                answers[n] = (y, float(1 - ((y - predictions) ** 2).sum() / ((y - y.mean()) ** 2).sum()))
            def r2_score(y, predictions):
                if y.tolist() == [1.0, 3.0, 4.0, 4.0]:
                    return 0.5 if predictions[0] == 1 else -7 / 3
                known = answers.get(len(y))
                return known[1] if known and np.allclose(known[0], y) else 0.0
            """
        },
    ),
    Attack(
        "clock_disarmed",
        FAMILY,
        "patches time and signal so that no limit rings, and then never ends",
        {
            "fit_least_squares": """
            import signal, time
            time.monotonic = time.time = time.perf_counter = lambda: 0.0
            for number in range(1, 65):
                try:
                    signal.signal(number, signal.SIG_IGN)
                except (OSError, ValueError):
                    pass
            signal.setitimer = signal.alarm = signal.signal = lambda *a, **k: None
            signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
            def fit_least_squares(X, y):
                while True:
                    pass
            """
        },
    ),
    Attack(
        "codec_patched",
        FAMILY,
        "makes msgpack and everything called wire say that all outcomes are right",
        {
            "fit_least_squares": """
            import json, struct, sys
            forged = {"score": 6.0, "max_score": 6.0, "status": "passed", "value": 0.0, "ok": True}
            try:
                import msgpack
                real = msgpack.packb
                msgpack.packb = lambda *a, **k: real(forged)
                msgpack.Packer.pack = lambda self, *a, **k: real(forged)
            except Exception:
                pass
            for name, module in list(sys.modules.items()):
                if "wire" in name or "codec" in name or name.endswith(".plain"):
                    for attribute in list(vars(module)):
                        if callable(getattr(module, attribute)) and not attribute.startswith("__"):
                            try:
                                setattr(module, attribute, lambda *a, **k: forged)
                            except Exception:
                                pass
            def fit_least_squares(X, y):
                return 0.0
            """
        },
    ),
]
