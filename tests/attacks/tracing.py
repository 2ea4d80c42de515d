"""Look at the grader from inside: tracing, frames, the garbage collector."""

from .base import Attack, hunting

FAMILY = "tracing, frames, gc"

ATTACKS = [
    Attack(
        "settrace",
        FAMILY,
        "traces every call and returns what the grader's frames call expected",
        {
            "r2_score": hunting("""
            import sys, threading
            seen = []
            def trace(frame, event, argument):
                if event == "return" and frame.f_code.co_name in ("right_answer", "r2_score", "to_plain"):
                    seen.append(argument)
                for name in ("expected", "prepared", "seed", "gradebook", "score"):
                    if name in frame.f_locals:
                        hunt(repr(frame.f_locals[name])[:10_000], name)
                return trace
            sys.settrace(trace)
            threading.settrace(trace)
            def r2_score(y, predictions):
                frame = sys._getframe()
                while frame:
                    for name in ("expected", "seed"):
                        if name in frame.f_locals:
                            value = frame.f_locals[name]
                            return getattr(value, "value", value)
                    frame = frame.f_back
                return seen[-1] if seen else 0.0
            """)
        },
    ),
    Attack(
        "setprofile",
        FAMILY,
        "profiles the process, keeps every answer that the reference returns and gives it back",
        {
            "r2_score": """
            import sys
            kept = []
            def profile(frame, event, argument):
                if event == "return" and frame.f_code.co_name == "r2_score" and type(argument) is float:
                    kept.append(argument)
                if event == "return" and frame.f_code.co_name == "r2_score" and hasattr(argument, "dtype"):
                    kept.append(argument.item())
            sys.setprofile(profile)
            position = iter(range(10_000))
            def answer(y, predictions):
                place = next(position)
                return kept[place] if place < len(kept) else 0.0
            r2_score = answer
            """
        },
    ),
    Attack(
        "prepared_in_a_frame",
        FAMILY,
        "walks up the stack to the grader's list of cases with their right answers",
        {
            "r2_score": """
            import sys
            def answer(y, predictions):
                frame = sys._getframe(1)
                while frame is not None:
                    for value in list(frame.f_locals.values()):
                        if isinstance(value, list) and value and isinstance(value[0], tuple) and len(value[0]) == 2:
                            for case, outcome in value:
                                given = getattr(case, "inputs", {}).get("y")
                                if given is not None and given.tolist() == y.tolist() \\
                                        and case.inputs["predictions"].tolist() == predictions.tolist():
                                    return outcome.value
                    frame = frame.f_back
                return 0.0
            r2_score = answer
            """
        },
    ),
    Attack(
        "exercise_in_a_frame",
        FAMILY,
        "walks up every thread's stack to the exercise and calls its reference",
        {
            "r2_score": """
            import sys
            def answer(y, predictions):
                for frame in [sys._getframe(), *sys._current_frames().values()]:
                    while frame is not None:
                        for value in list(frame.f_locals.values()):
                            if hasattr(value, "reference") and callable(value.reference):
                                return value.reference(y, predictions)
                        frame = frame.f_back
                return 0.0
            r2_score = answer
            """
        },
    ),
    Attack(
        "frame_locals_rewritten",
        FAMILY,
        "writes full points into every variable called score in the frames above it",
        {
            "r2_score": """
            import ctypes, sys
            def answer(y, predictions):
                frame = sys._getframe(1)
                while frame is not None:
                    for name in ("score", "trials", "groups", "broken", "right", "verdict"):
                        if name in frame.f_locals:
                            frame.f_locals[name] = 6.0 if name == "score" else True
                            ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
                    if "verdict" in frame.f_globals:
                        frame.f_globals["verdict"] = lambda *a, **k: None
                        frame.f_globals["_score"] = lambda points, groups: points
                    frame = frame.f_back
                return 0.0
            r2_score = answer
            """
        },
    ),
    Attack(
        "traceback_frames",
        FAMILY,
        "raises in the function and reads the grader's frames from the traceback's other end",
        {
            "r2_score": """
            import inspect
            def answer(y, predictions):
                for info in inspect.stack(context=0):
                    for name in ("expected", "prepared", "right_answer", "reference"):
                        found = info.frame.f_locals.get(name, info.frame.f_globals.get(name))
                        if callable(found):
                            try:
                                return found(y, predictions)
                            except Exception:
                                continue
                        if found is not None and hasattr(found, "value"):
                            return found.value
                return 0.0
            r2_score = answer
            """
        },
    ),
    Attack(
        "gc_exercise",
        FAMILY,
        "asks the garbage collector for every exercise, and calls the reference that it finds",
        {
            "fit_ridge": """
            import gc
            found = [item for item in gc.get_objects() if type(item).__name__ == "Exercise"]
            print(len(found), "exercises in this process")
            def answer(X, y, penalty):
                for item in gc.get_objects():
                    if type(item).__name__ == "Exercise" and item.name == "linear_regression.fit_ridge":
                        return item.reference(X, y, penalty)
                return 0.0
            fit_ridge = answer
            """
        },
    ),
    Attack(
        "gc_function",
        FAMILY,
        "asks the garbage collector for a function called fit_ridge that is not its own",
        {
            "fit_ridge": """
            import gc, types
            def answer(X, y, penalty):
                for item in gc.get_objects():
                    if isinstance(item, types.FunctionType) and item.__name__ == "fit_ridge":
                        if item.__module__ != "__main__":
                            return item(X, y, penalty)
                return 0.0
            fit_ridge = answer
            """
        },
    ),
    Attack(
        "gc_secrets",
        FAMILY,
        "prints every planted secret, seed and score that any object of the process holds",
        {
            "fit_least_squares": hunting("""
            import gc
            def look():
                for item in gc.get_objects():
                    if type(item) in (dict, list, tuple):
                        try:
                            values = list(item.items()) if type(item) is dict else list(item)
                        except Exception:
                            continue
                        for value in values:
                            if type(value) in (str, bytes) or type(value) is tuple and len(value) == 2:
                                hunt(repr(value)[:2_000], "in an object")
                            name = value[0] if type(value) is tuple and len(value) == 2 else None
                            if isinstance(name, str) and name in ("seed", "MLCOURSE_SEED", "secret", "expected"):
                                print(name, repr(value[1])[:200])
            look()
            def fit_least_squares(X, y):
                look()
                return 0.0
            """)
        },
    ),
    Attack(
        "process_memory",
        FAMILY,
        "reads the whole memory of its own process, where a warm parent may have left secrets",
        {
            "fit_least_squares": hunting("""
            import contextlib, ctypes, gc
            libc = ctypes.CDLL(None, use_errno=True)
            pages = {id(item) >> 12 for item in gc.get_objects()}
            pages = sorted(page + step for page in pages for step in range(-8, 9))
            reading, writing = os.pipe()
            joined = b""
            for page in sorted(set(pages))[:100_000]:
                # The kernel says whether there is anything at an address, without ending the process.
                if libc.write(writing, ctypes.c_void_p(page << 12), ctypes.c_size_t(4096)) == 4096:
                    joined = joined[-200:] + os.read(reading, 4096)
                    hunt(joined, "memory")
            with contextlib.ExitStack() as files:
                try:
                    maps = files.enter_context(open("/proc/self/maps"))
                    memory = files.enter_context(open("/proc/self/mem", "rb", 0))
                except OSError:
                    maps = []
                for line in maps:
                    span, rights, rest = line.split(" ", 2)
                    if not rights.startswith("rw"):
                        continue
                    start, end = (int(part, 16) for part in span.split("-"))
                    if end - start > 300_000_000:
                        continue
                    try:
                        memory.seek(start)
                        hunt(memory.read(end - start), "memory")
                    except (OSError, ValueError, OverflowError):
                        pass
            """)
        },
    ),
]
