"""What a notebook changes in its own process: settings, streams, names, files."""

from __future__ import annotations

from robustness.accident import ERROR, MISSING, Accident, answer, extra_cell, in_r2, right_r2

REDUCE_BY_SHADOWED_SUM = """\
def reduce_loss(losses, weights):
    return losses.mean(), losses.max(), sum(losses * weights) / sum(weights)"""
UNWRITABLE = 'import os\n\nos.chdir("/proc")'
GONE = """\
import os, tempfile

folder = tempfile.mkdtemp()
os.chdir(folder)
os.rmdir(folder)"""
WRITE = 'with open("one.txt", "w") as file:\n    file.write("1.0")'
ONE_FROM_FILE = right_r2('assert float(open("one.txt").read()) == one', before='one = float(open("one.txt").read())')


def setting(name: str, source: str, **declared: object) -> Accident:
    """Declare a cell that stands above all solutions."""
    return extra_cell(name, source, before="fit_least_squares", **declared)


def at_the_end(name: str, source: str, status: str = "graded") -> Accident:
    """Declare a cell below everything: what was checked above it stays as it was."""
    return Accident(name, lambda submission: submission.append(source), status=status)


def written_and_read(submission) -> None:
    submission.insert_before("r2_score", WRITE)
    submission.answer("r2_score", ONE_FROM_FILE)


def read_after_a_death(submission) -> None:
    """The process dies between writing and reading; the earlier cells are run again."""
    submission.insert_before("r2_score", WRITE, "import os\n\nos._exit(1)")
    submission.answer("r2_score", ONE_FROM_FILE)


def rebound_after_its_check(submission) -> None:
    submission.insert_after("check_r2_score", "r2_score = r2_score(np.ones(3), np.ones(3))\nr2_score")


def helper_redefined_below(submission) -> None:
    """Another function of an exercise's name, written as a helper for a later exercise."""
    submission.insert_before("fit_ridge", "def mse_gradient(w):\n    return 2 * w")


ACCIDENTS = (
    setting("seeds", "import random\n\nrandom.seed(0)\nnp.random.seed(0)"),
    setting("seterr raise", 'np.seterr(all="raise")'),
    setting("seterr call", 'np.seterr(all="print")\nnp.seterrcall(print)'),
    setting("printoptions", 'np.set_printoptions(precision=1, suppress=True, formatter={"float": lambda x: "?"})'),
    setting("warnings are errors", 'import warnings\n\nwarnings.simplefilter("error")'),
    setting("another locale", 'import locale\n\nlocale.setlocale(locale.LC_ALL, "C")'),
    setting("no garbage collection", "import gc\n\ngc.disable()"),
    setting("an unwritable folder", UNWRITABLE),
    setting("a folder that is gone", GONE),
    setting("stdout closed", "import sys\n\nsys.stdout.close()"),
    setting("stdout is None", "import sys\n\nsys.stdout = None"),
    setting("stderr is None", "import sys\n\nsys.stderr = None"),
    setting("stdout is a list", "import sys\n\nsys.stdout = []"),
    setting("descriptor 1 closed", "import os\n\nos.close(1)"),
    setting("descriptors 0 to 2 closed", "import os\n\nos.closerange(0, 3)"),
    setting("stdout goes to a file", 'import sys\n\nsys.stdout = open("log.txt", "w")\nprint("now into a file")'),
    in_r2("stdout closed by a function", "import sys\nsys.stdout.close()"),
    setting("environment cleared", "import os\n\nos.environ.clear()"),
    setting("sys.argv and path emptied", "import sys\n\nsys.argv.clear()\nsys.path.clear()"),
    setting("excepthook", "import sys\n\nsys.excepthook = None\nsys.displayhook = None"),
    setting("signals", "import signal\n\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nsignal.alarm(0)"),
    setting("atexit", "import atexit\n\natexit.register(lambda: 1 / 0)"),
    setting("logging of everything", "import logging\n\nlogging.basicConfig(level=0)\nlogging.error('a line')"),
    setting("print deleted", "import builtins\n\ndel builtins.print"),
    setting("sum replaced", "import builtins\n\nbuiltins.sum = None"),
    at_the_end("len deleted at the end", "import builtins\n\ndel builtins.len", "partial"),  # no Python goes on then
    at_the_end("np changed at the end", "np.sum = np.mean = np.all = None\nnp.linalg.lstsq = None"),
    at_the_end("everything rebound at the end", "fit_ridge = r2_score = np = check = None"),
    setting("names of builtins used", "list = [1, 2]\nprint = 3\nstr = type = dict = 'x'\nid = 5"),
    setting("names of IPython used", "_ = 5\n__ = ___ = None\nIn = []\nOut = None\nget_ipython = None\nexit = 1"),
    setting("a global named _", 'from gettext import gettext as _\n\n_("text")'),
    setting("__name__ and __builtins__ used", '__name__ = "mine"\n__doc__ = 5\n__file__ = None'),
    extra_cell("np rebound", "np = 5", lost={"r2_score": ERROR, "reduce_loss": ERROR}),
    answer("everything from numpy and math", "reduce_loss", f"from numpy import *\n\n{REDUCE_BY_SHADOWED_SUM}"),
    Accident("function rebound after its check", rebound_after_its_check),
    Accident("helper of the same name below", helper_redefined_below),
    answer("function rebound before its check", "r2_score", right_r2() + "\nr2_score = 0.5", MISSING),
    answer("function deleted before its check", "r2_score", right_r2() + "\ndel r2_score", MISSING),
    Accident("a file written and read", written_and_read),
    Accident("a file read after a death", read_after_a_death, status="partial"),
)
