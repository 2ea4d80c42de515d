"""Flood whoever reads the output."""

from .base import Attack

FAMILY = "output floods"

ATTACKS = [
    Attack(
        "one_long_line",
        FAMILY,
        "prints 100 MB on one line",
        {"fit_least_squares": "print('x' * 100_000_000)"},
    ),
    Attack(
        "many_lines",
        FAMILY,
        "prints two million lines",
        {"fit_least_squares": "for number in range(2_000_000):\n    print(number)"},
    ),
    Attack(
        "raw_flood",
        FAMILY,
        "writes 200 MB to descriptor 1 and 2, past Python's streams",
        {
            "fit_least_squares": """
            import os
            for _ in range(200):
                for number in (1, 2):
                    try:
                        os.write(number, b"x" * 500_000)
                    except OSError:
                        pass
            """
        },
    ),
    Attack(
        "flood_when_called",
        FAMILY,
        "prints without end while it is called",
        {"fit_least_squares": "def fit_least_squares(X, y):\n    while True:\n        print('x' * 1_000)"},
        dangerous=True,
    ),
    Attack(
        "many_displays",
        FAMILY,
        "displays 20,000 pieces of rich output, and clears and updates them",
        {
            "fit_least_squares": """
            from IPython.display import clear_output, display, update_display
            for number in range(20_000):
                display({"text/plain": str(number), "text/html": "x" * 100}, raw=True)
            for number in range(2_000):
                clear_output(wait=True)
                update_display(number, display_id="one")
            """
        },
    ),
    Attack(
        "deep_output",
        FAMILY,
        "displays JSON nested 5,000 deep, keys that are no strings, and data that are no text",
        {
            "fit_least_squares": """
            from IPython.display import display
            deep = []
            for _ in range(5_000):
                deep = [deep]
            for data in ({"application/json": deep}, {5: "x"}, {"text/plain": None}, {"text/html": object()},
                         {"image/png": 7}, {"text/plain": "x" * 50_000_000}):
                try:
                    display(data, raw=True)
                except BaseException as error:
                    print(type(error).__name__)
            """
        },
    ),
    Attack(
        "huge_repr",
        FAMILY,
        "ends cells with a value whose text is 100 MB, and one whose text never ends",
        {
            "fit_least_squares": "'x' * 100_000_000",
            "mse_gradient": """
            class Long:
                def __repr__(self):
                    return "y" * 100_000_000
            Long()
            """,
        },
    ),
    Attack(
        "broken_text_printed",
        FAMILY,
        "prints lone surrogates, null bytes, terminal codes, carriage returns and bytes that are no UTF-8",
        {
            "fit_least_squares": """
            import os
            os.write(1, bytes(range(256)) * 10)
            print("\\x00\\x1b[2J\\x1b]0;@MARK@\\x07\\r\\r\\b" * 100)
            print("\\u202e\\u2066" * 100)
            try:
                print("\\ud800\\udfff")
            except UnicodeError as error:
                print(type(error).__name__)
            """
        },
    ),
]
