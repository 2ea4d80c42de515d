"""Call a forbidden function where the searches cannot follow, or switch off what would see it."""

from .base import Attack, code

FAMILY = "hidden shortcuts"

# The search that follows objects runs in the submission's own process, so that a submission can switch it off.
SWITCHED_OFF = """
import sys
import sklearn.metrics
import numpy as np
for module in list(sys.modules.values()):
    if getattr(module, "__name__", "").startswith("mlcourse.grading") and "forbidden_use" in vars(module):
        module.forbidden_use = lambda *given, **named: None
"""

# Each function calls the one before four times, with arguments that nobody has seen before.
WORK = """
def w0(x): return x
def w1(x): return [w0([x]), w0((x, x)), w0([x, 1]), w0([2, x])]
def w2(x): return [w1([x]), w1((x, x)), w1([x, 1]), w1([2, x])]
def w3(x): return [w2([x]), w2((x, x)), w2([x, 1]), w2([2, x])]
def w4(x): return [w3([x]), w3((x, x)), w3([x, 1]), w3([2, x])]
def w5(x): return [w4([x]), w4((x, x)), w4([x, 1]), w4([2, x])]
w5(1), w5(2), w5(3), w5(4), w5(5), w5(6), w5(7), w5(8), w5(9), w5(10), w5(11), w5(12), w5(13), w5(14), w5(15), w5(16)
w5(17), w5(18), w5(19), w5(20), w5(21), w5(22), w5(23), w5(24), w5(25), w5(26), w5(27), w5(28), w5(29), w5(30), w5(31)
"""


def hiding(name: str, tries: str, source: str) -> Attack:
    """Return an attack on r2_score, which calls the library's."""
    return Attack(name, FAMILY, tries, {"r2_score": "\n\n".join(map(code, (SWITCHED_OFF, source)))})


# A reference to the function that no search of the text or of the objects has followed, once.
KEPT = """
import sklearn.metrics
import numpy as np
shown = {}
kept = shown.values()
shown["f"] = sklearn.metrics.r2_score
"""


def keeping(name: str, tries: str, source: str) -> Attack:
    """Return an attack on r2_score, which keeps the library's, and leaves the second search as it is."""
    return Attack(name, FAMILY, tries, {"r2_score": "\n\n".join(map(code, (KEPT, source)))})


ATTACKS = [
    keeping(
        "in_a_view",
        "keeps a view of a dict, and puts the function into the dict afterwards",
        """
        def r2_score(y, p): return float(next(iter(kept))(y, p))
        """,
    ),
    keeping(
        "in_another_dict",
        "gives an object another dict for its attributes, in which the function stands",
        """
        class Holder: pass
        holder = Holder()
        holder.__dict__ = shown
        def r2_score(y, p): return float(holder.f(y, p))
        """,
    ),
    keeping(
        "in_another_encoding",
        "runs a text that is written in UTF-7",
        """
        def r2_score(y, p): return float(eval(b"sklearn.metrics.r2+AF8-score".decode("utf-7"))(y, p))
        """,
    ),
    keeping(
        "in_a_copy_of_the_process",
        "has a copy of its process call the function, and reads the answer from a pipe",
        """
        import os
        def r2_score(y, p):
            reads, writes = os.pipe()
            if os.fork() == 0:
                os.write(writes, str(float(next(iter(kept))(y, p))).encode())
                os._exit(0)
            os.close(writes)
            return float(os.read(reads, 100))
        """,
    ),
    keeping(
        "the_watch_switched_off",
        "switches off what is told of its calls while it is called, and puts it back",
        """
        import sys
        def r2_score(y, p):
            told = sys.getprofile()
            list(map(sys.setprofile, [None]))
            answer = float(next(iter(kept))(y, p))
            list(map(sys.setprofile, [told]))
            return answer
        """,
    ),
    keeping(
        "the_watch_out_of_breath",
        "calls itself without end, so that what is told of its calls fails, and goes on",
        """
        def deeper(): return deeper()
        def r2_score(y, p):
            try:
                deeper()
            except RecursionError:
                return float(next(iter(kept))(y, p))
        """,
    ),
    keeping(
        "the_watch_replaced",
        "replaces what watches its calls by something that sees nothing",
        """
        import importlib
        watch = importlib.import_module(".".join(["mlcourse", "grading", "watch"]))
        for name in ("__enter__", "_event", "called", "tell"):
            setattr(watch.Watch, name, lambda self, *event: self)
        watch.Watch.__exit__ = lambda self, *error: None
        def r2_score(y, p): return float(next(iter(kept))(y, p))
        """,
    ),
    keeping(
        "by_a_profiler",
        "has a profiler call the function, which takes the place of what is told of its calls",
        """
        import cProfile
        def r2_score(y, p): return float(cProfile.Profile().runcall(next(iter(kept)), y, p))
        """,
    ),
    keeping(
        "a_text_of_a_library",
        "compiles a text that claims to stand in a file of the library",
        """
        text = compile("sklearn.metrics.r2_score", sklearn.metrics.__file__, "eval")
        def r2_score(y, p): return float(eval(text)(y, p))
        """,
    ),
    keeping(
        "another_module_in_its_place",
        "puts another module in the place of the library, so that nobody finds what is forbidden in it",
        """
        import sys, types
        sys.modules["sklearn.metrics"] = types.ModuleType("sklearn.metrics")
        def r2_score(y, p): return float(next(iter(kept))(y, p))
        """,
    ),
    hiding(
        "behind_much_work",
        "has the search follow so many calls that it follows none of those behind them",
        f"""
def change():
    global r2_score
    r2_score = given
given = len
change()
{WORK}
given = sklearn.metrics.r2_score
change()
""",
    ),
    hiding(
        "text_behind_much_work",
        "does the same with a text that is run again",
        f"""
TEXT = "r2_score = given"
given = len
exec(TEXT)
{WORK}
given = sklearn.metrics.r2_score
exec(TEXT)
""",
    ),
    hiding(
        "long_text",
        "runs a text that is too long to be read",
        """
        TEXT = "r2_score = sklearn.metrics.r2_score"
        exec("#" + "x" * 3_000_000 + chr(10) + TEXT)
        """,
    ),
    hiding(
        "end_of_a_chain",
        "calls functions in one another, twenty deep, and changes the candidate in the innermost one",
        "def a0():\n    global r2_score\n    r2_score = sklearn.metrics.r2_score\n"
        + "".join(f"def a{i}(): a{i - 1}()\n" for i in range(1, 21))
        + "a20()",
    ),
    hiding(
        "list_turned_round",
        "takes the candidate from a list that was put in another order",
        "ways = [len, sklearn.metrics.r2_score]\nways.reverse()\nr2_score = ways[0]",
    ),
    hiding(
        "list_shifted",
        "takes elements away from the front of a list until the forbidden function is the first one",
        "ways = [len] * 30 + [sklearn.metrics.r2_score]\nwhile len(ways) > 1:\n    ways.pop(0)\nr2_score = ways[0]",
    ),
    hiding(
        "handed_on_in_a_loop",
        "hands the function on from name to name, one name in each round of a loop",
        "a = b = c = d = e = len\nf = sklearn.metrics.r2_score\n"
        "for _ in range(5):\n    a, b, c, d, e = b, c, d, e, f\nr2_score = a",
    ),
    hiding(
        "in_a_crowd",
        "puts the function behind 600 others in one list",
        "".join(f"def c{i}(y, p): return {i}\n" for i in range(600))
        + "def last(y, p): return sklearn.metrics.r2_score(y, p)\nways = ["
        + ", ".join(f"c{i}" for i in range(600))
        + ", last]\nr2_score = ways[-1]",
    ),
    hiding(
        "in_an_exception",
        "takes the function out of the words of an exception",
        """
        try:
            raise ValueError(sklearn.metrics.r2_score)
        except ValueError as error:
            r2_score = error.args[0]
        """,
    ),
    hiding(
        "through_a_method_of_a_class",
        "has `dict.fromkeys` hand the function on",
        "r2_score = dict.fromkeys(['score'], sklearn.metrics.r2_score)['score']",
    ),
    hiding(
        "through_an_operator",
        "takes the function out of what an operator of two objects returns",
        """
        class Pipe:
            def __init__(self, held): self.held = held
            def __or__(self, other): return Pipe(self.held or other.held)
            def __call__(self, y, p): return float(self.held(y, p))
        r2_score = Pipe(None) | Pipe(sklearn.metrics.r2_score)
        """,
    ),
    hiding(
        "in_a_thread",
        "has a thread call the function, and asks it through a queue",
        """
        import queue, threading
        asked, answered = queue.Queue(), queue.Queue()
        def serve():
            while True:
                answered.put(sklearn.metrics.r2_score(*asked.get()))
        started = []
        def r2_score(y, p):
            if not started:
                started.append(threading.Thread(target=serve, daemon=True))
                started[0].start()
            asked.put((y, p))
            return float(answered.get())
        """,
    ),
    hiding(
        "in_a_generator",
        "has a generator call the function, and asks it by `send`",
        """
        def serve():
            given = yield
            while True:
                given = yield float(sklearn.metrics.r2_score(*given))
        server = serve()
        next(server)
        def r2_score(y, p): return server.send((y, p))
        """,
    ),
    hiding(
        "out_of_a_frame",
        "finds the module among the names of the frame that calls",
        """
        def r2_score(y, p):
            return float(sys._getframe(0).f_globals["sklearn"].metrics.r2_score(y, p))
        """,
    ),
    hiding(
        "in_another_python",
        "starts another Python, and has it call the function",
        """
        import json, subprocess
        code = "import sys, json, sklearn.metrics as m; print(float(m.r2_score(*json.load(sys.stdin))))"
        def r2_score(y, p):
            given = json.dumps([np.asarray(y).tolist(), np.asarray(p).tolist()])
            done = subprocess.run([sys.executable, "-c", code], input=given, capture_output=True, text=True)
            return float(done.stdout)
        """,
    ),
    hiding(
        "from_a_listing",
        "finds the function in a listing of its module, by a part of its name",
        """
        import inspect
        found = [part for name, part in inspect.getmembers(sklearn.metrics) if name.startswith("r2_s")]
        def r2_score(y, p): return float(found[0](y, p))
        """,
    ),
    hiding(
        "when_it_is_needed",
        "makes a generator of the function before the function's name means it",
        """
        score, given = len, []
        answers = (float(score(*given)) for _ in iter(int, 1))
        score = sklearn.metrics.r2_score
        def r2_score(y, p):
            given[:] = y, p
            return next(answers)
        """,
    ),
]
