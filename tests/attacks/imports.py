"""Call what the exercise asks to write: the reference, however it is reached."""

from .base import Attack

FAMILY = "stolen answers"


def stealing(name: str, tries: str, source: str) -> Attack:
    """Return an attack on fit_ridge."""
    return Attack(name, FAMILY, tries, {"fit_ridge": source})


ATTACKS = [
    stealing(
        "reference_imported",
        "imports the reference under the name that was asked for",
        "from mlcourse.linear_regression import fit_ridge",
    ),
    stealing(
        "reference_wrapped",
        "calls the reference inside a function, a partial and a closure",
        """
        import functools
        def make():
            from mlcourse import linear_regression as module
            return functools.partial(module.fit_ridge)
        def fit_ridge(X, y, penalty, made=[]):
            return make()(X, y, penalty)
        """,
    ),
    stealing(
        "reference_by_name",
        "builds the name of the reference's module from pieces, so that no search for names finds it",
        """
        import importlib
        def fit_ridge(X, y, penalty):
            module = importlib.import_module("mlc" + "ourse.linear_" + "regression")
            return getattr(module, "_".join(["fit", "ridge"]))(X, y, penalty)
        """,
    ),
    stealing(
        "exercise_imported",
        "asks mlcourse.exercises for the exercise and calls its reference",
        """
        def fit_ridge(X, y, penalty):
            exercises = __import__("mlcourse.exercises").exercises
            return getattr(exercises, "fi" + "nd")("linear_regression.fit_ridge").reference(X, y, penalty)
        """,
    ),
    stealing(
        "file_loaded",
        "loads the repository's file from its absolute path, and every other place where it could lie",
        """
        import glob, importlib.util, os, sys
        places = ["@REPOSITORY@/mlcourse", "mlcourse", "../mlcourse"]
        places += [os.path.join(folder, "mlcourse") for folder in sys.path]
        places += glob.glob("/*/mlcourse") + glob.glob("/*/*/mlcourse") + glob.glob("/*/*/*/mlcourse")
        def fit_ridge(X, y, penalty):
            for place in places:
                path = os.path.join(place, "linear_regression.py")
                if os.path.exists(path):
                    spec = importlib.util.spec_from_file_location("other", path)
                    module = importlib.util.module_from_spec(spec)
                    spec.loader.exec_module(module)
                    return module.fit_ridge(X, y, penalty)
            return 0.0
        """,
    ),
    stealing(
        "path_extended",
        "puts the repository and the course's folders in front of sys.path, forgets the loaded modules, imports again",
        """
        import sys
        def fit_ridge(X, y, penalty):
            sys.path[:0] = ["@REPOSITORY@", "@COURSE@", "..", "../..", "/"]
            for name in [name for name in sys.modules if name.startswith("mlcourse")]:
                del sys.modules[name]
            sys.meta_path[:] = [finder for finder in sys.meta_path if "mlcourse" not in repr(finder)]
            sys.path_importer_cache.clear()
            module = __import__("mlcourse." + "linear_regression")
            return getattr(module.linear_regression, "fit_ridge")(X, y, penalty)
        """,
    ),
    stealing(
        "solution_executed",
        "finds the worked solutions on the disk and runs them",
        """
        import re
        def fit_ridge(X, y, penalty):
            for path in ("@REPOSITORY@/solutions/linear_regression.md", "@COURSE@/source/linear_regression/"
                         "linear_regression.ipynb", "@COURSE@/../solutions/linear_regression.md"):
                try:
                    text = open(path).read().replace("\\\\n", "\\n").replace('",\\n    "', "").replace("\\\\\\"", '"')
                except OSError:
                    continue
                start = text.find("def fit_ridge")
                scope = {"np": __import__("numpy")}
                lines = [line for line in text[start:].split("\\n")]
                for end in range(2, 60):
                    try:
                        exec("\\n".join(lines[:end]), scope)
                        answer = scope["fit_ridge"](X, y, penalty)
                        if answer is not None:
                            return answer
                    except Exception:
                        pass
            return 0.0
        """,
    ),
    stealing(
        "other_interpreter",
        "starts another Python that imports the reference and prints its answer",
        """
        import json, subprocess, sys
        program = ("import json, sys; import numpy as np; from mlcourse.linear_regression import fit_ridge; "
                   "a = json.load(sys.stdin); w, b = fit_ridge(np.array(a[0]), np.array(a[1]), a[2]); "
                   "print(json.dumps([w.tolist(), float(b)]))")
        def fit_ridge(X, y, penalty):
            given = json.dumps([X.tolist(), y.tolist(), penalty])
            done = subprocess.run([sys.executable, "-c", program], input=given, capture_output=True, text=True,
                                  cwd="@REPOSITORY@", timeout=20)
            weights, intercept = json.loads(done.stdout)
            return __import__("numpy").array(weights), intercept
        """,
    ),
]
