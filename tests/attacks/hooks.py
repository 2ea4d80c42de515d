"""Change what IPython does between a cell's text and its result."""

from .base import Attack, code

FAMILY = "IPython hooks"

ATTACKS = [
    Attack(
        "events",
        FAMILY,
        "registers handlers around every cell that give the result 6.0",
        {
            "fit_least_squares": """
            shell = get_ipython()
            def after(result):
                result.result = 6.0
                print("6.0")
            def before(info):
                shell.user_ns["check"] = lambda *a, **k: 6.0
            shell.events.register("post_run_cell", after)
            shell.events.register("pre_run_cell", before)
            shell.events.register("pre_execute", lambda: shell.user_ns.update(check=lambda *a, **k: 6.0))
            """
        },
    ),
    Attack(
        "input_transformer",
        FAMILY,
        "rewrites every line with a check to 6.0 before it is parsed",
        {
            "fit_least_squares": """
            def rewrite(lines):
                return ["6.0\\n" if line.startswith("check(") else line for line in lines]
            shell = get_ipython()
            shell.input_transformer_manager.cleanup_transforms.insert(0, rewrite)
            shell.input_transformers_post.append(rewrite)
            """
        },
    ),
    Attack(
        "ast_transformer",
        FAMILY,
        "rewrites every call of check to the constant 6.0 after it is parsed",
        {
            "fit_least_squares": """
            import ast
            class Full(ast.NodeTransformer):
                def visit_Call(self, node):
                    name = getattr(node.func, "id", "")
                    return ast.copy_location(ast.Constant(6.0), node) if name == "check" else node
            get_ipython().ast_transformers.append(Full())
            """
        },
    ),
    Attack(
        "display_hook",
        FAMILY,
        "replaces the display hook by one that shows 6.0 for whatever comes",
        {
            "fit_least_squares": """
            import sys
            shell = get_ipython()
            kind = type(shell.displayhook)
            before = kind.__call__
            kind.__call__ = lambda self, result=None: before(self, 6.0)
            kind.compute_format_data = lambda self, result: ({"text/plain": "6.0"}, {})
            """
        },
    ),
    Attack(
        "float_formatter",
        FAMILY,
        "formats every number as 6.0",
        {
            "fit_least_squares": """
            formatter = get_ipython().display_formatter.formatters["text/plain"]
            formatter.for_type(float, lambda value, printer, cycle: printer.text("6.0"))
            """
        },
    ),
    Attack(
        "interactivity_none",
        FAMILY,
        "switches off the results of cells: stock nbgrader gives full marks to a cell that shows nothing",
        {"fit_least_squares": 'get_ipython().ast_node_interactivity = "none"'},
    ),
    Attack(
        "interactivity_all",
        FAMILY,
        "shows every expression, after a transformer has put 6.0 in front of each check",
        {
            "fit_least_squares": """
            shell = get_ipython()
            shell.ast_node_interactivity = "all"
            shell.input_transformers_cleanup.append(
                lambda lines: (["6.0\\n", *lines, "\\n", "6.0\\n"] if lines and "check(" in lines[0] else lines))
            """
        },
    ),
    Attack(
        "run_code_replaced",
        FAMILY,
        "replaces the shell's run_code, run_cell and run_ast_nodes",
        {
            "fit_least_squares": """
            shell = get_ipython()
            kind = type(shell)
            before = kind.run_cell
            def run(self, source, *a, **k):
                return before(self, "6.0" if source.startswith("check(") else source, *a, **k)
            kind.run_cell = run
            before_async = kind.run_cell_async
            async def run_async(self, source, *a, **k):
                return await before_async(self, "6.0" if source.startswith("check(") else source, *a, **{
                    **k, "transformed_cell": None if source.startswith("check(") else k.get("transformed_cell")})
            kind.run_cell_async = run_async
            """
        },
    ),
    Attack(
        "published_result",
        FAMILY,
        "publishes an execute_result of 6.0 itself, through the display publisher and the kernel's session",
        {
            "fit_least_squares": """
            def check(*a, **k):
                shell = get_ipython()
                shell.display_pub.publish({"text/plain": "6.0"}, {})
                try:
                    kernel = shell.kernel
                    kernel.session.send(kernel.iopub_socket, "execute_result",
                        {"data": {"text/plain": "6.0"}, "metadata": {}, "execution_count": 1},
                        parent=shell.displayhook.parent_header)
                except Exception:
                    pass
                return None
            """
        },
    ),
    Attack(
        "namespace_that_lies",
        FAMILY,
        "locks the name check in the notebook's namespace by a finder, a builtin and an autocall",
        {
            "fit_least_squares": """
            import builtins
            from IPython.core.autocall import IPyAutocall
            class Full(IPyAutocall):
                def __call__(self, *a, **k):
                    return 6.0
            check = builtins.check = Full()
            get_ipython().user_ns_hidden["check"] = check
            get_ipython().builtin_trap.auto_builtins["check"] = check
            """,
        },
    ),
    Attack(
        "ends_before_the_check",
        FAMILY,
        "ends the process before the first check: stock nbgrader gives full marks to a cell without output",
        {"fit_least_squares": "import os\nos._exit(0)"},
    ),
    Attack(
        "exit_and_quit",
        FAMILY,
        "asks the shell to exit, then raises SystemExit, in the cell and in the function",
        {
            "fit_least_squares": """
            def fit_least_squares(X, y):
                raise SystemExit(0)
            """,
            "mse_gradient": "exit()",
            "r2_score": "def check(*a):\n    raise SystemExit(0)",
        },
    ),
    Attack(
        "magics_replaced",
        FAMILY,
        "registers cell magics and an automagic that swallow the check, and an error handler that returns 6.0",
        {
            "fit_least_squares": """
            shell = get_ipython()
            shell.set_custom_exc((BaseException,), lambda *a, **k: [])
            shell.register_magic_function(lambda line: 6.0, "line", "check")
            shell.showtraceback = lambda *a, **k: None
            del check
            """
        },
    ),
    Attack(
        "stderr_silenced_and_result_shadowed",
        FAMILY,
        "shadows Out, _ and the history, and closes the streams so that no report can be printed",
        {
            "fit_least_squares": code("""
            import sys
            class Shadow(dict):
                def __getitem__(self, key):
                    return 6.0
                def get(self, *a):
                    return 6.0
            get_ipython().user_ns["Out"] = get_ipython().user_ns["_oh"] = Shadow()
            _ = __ = 6.0
            sys.stdout.close()
            sys.stderr.close()
            """)
        },
    ),
]
