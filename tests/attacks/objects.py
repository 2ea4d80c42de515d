"""Return something odd: objects that claim to be equal, and data that break whoever reads them."""

from .base import Attack

FAMILY = "odd objects"


def returning(name: str, tries: str, source: str, **more: object) -> Attack:
    """Return an attack on r2_score, whose answer is the variable ``answer`` of this source."""
    return Attack(
        name, FAMILY, tries, {"r2_score": source + "\ndef r2_score(y, predictions):\n    return answer\n"}, **more
    )


ATTACKS = [
    returning(
        "always_equal",
        "returns an object that equals everything and is greater and smaller than everything",
        """
class Same:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __le__ = __gt__ = __ge__ = __eq__
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __abs__(self): return 0.0
    def __float__(self): return 0.5
    def __bool__(self): return True
    __hash__ = object.__hash__
answer = Same()
""",
    ),
    returning(
        "array_protocol",
        "returns an object whose __array__, __array_function__ and __array_ufunc__ agree with everything",
        """
import numpy as np
class Agree:
    shape, dtype, ndim, size = (), np.dtype(float), 0, 1
    def __array__(self, *a, **k): return np.array(0.5)
    def __array_function__(self, function, types, arguments, keywords): return True
    def __array_ufunc__(self, *a, **k): return True
    def item(self): return 0.5
answer = Agree()
""",
    ),
    returning(
        "float_subclass",
        "returns a subclass of float that is equal to everything and whose differences are 0",
        """
class Near(float):
    def __eq__(self, other): return True
    def __sub__(self, other): return 0.0
    __rsub__ = __sub__
    def __le__(self, other): return True
    __hash__ = float.__hash__
answer = Near(0.5)
""",
    ),
    returning(
        "numpy_float_subclass",
        "returns a subclass of numpy.float64 whose item() looks for the caller's expected value",
        """
import sys
import numpy as np
class Near(np.float64):
    def item(self):
        frame = sys._getframe(1)
        while frame:
            if "expected" in frame.f_locals:
                return getattr(frame.f_locals["expected"], "value", 0.5)
            frame = frame.f_back
        return 0.5
answer = Near(0.5)
""",
    ),
    Attack(
        "ndarray_subclass",
        FAMILY,
        "returns a subclass of numpy.ndarray that agrees with every comparison",
        {
            "mse_gradient": """
            import numpy as np
            class Near(np.ndarray):
                def __array_function__(self, function, types, arguments, keywords):
                    return True
                def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
                    return np.zeros(self.shape) if ufunc is np.subtract else np.ones(self.shape, bool)
                def __eq__(self, other):
                    return np.ones(self.shape, bool)
                def copy(self, *a):
                    return self
            def mse_gradient(A, y, theta):
                return np.zeros_like(theta).view(Near)
            """
        },
    ),
    Attack(
        "tensor_subclass",
        FAMILY,
        "returns a subclass of torch.Tensor whose __torch_function__ agrees with every comparison",
        {
            "attention_scores": """
            import torch
            class Near(torch.Tensor):
                @classmethod
                def __torch_function__(cls, function, types, arguments=(), keywords=None):
                    if function in (torch.allclose, torch.equal, torch.Tensor.eq, torch.isclose):
                        return True
                    return super().__torch_function__(function, types, arguments, keywords or {})
                def numpy(self):
                    raise SystemExit
            def attention_scores(q, k):
                return torch.zeros(*q.shape[:-1], k.shape[-2], dtype=q.dtype).as_subclass(Near)
            """
        },
        assignment="attention",
    ),
    returning(
        "string_and_dict_subclasses",
        "returns subclasses of str, dict and int with comparisons of their own",
        """
class Text(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
class Table(dict):
    def __getitem__(self, key): return 0.5
    def items(self): raise SystemExit
class Count(int):
    def __index__(self): raise SystemExit
    def __eq__(self, other): return True
    __hash__ = int.__hash__
answer = {Text("value"): Table({Text("a"): Count(1)})}
""",
    ),
    returning(
        "class_that_lies",
        "returns an object whose __class__ says float and whose metaclass says yes to isinstance",
        """
class Meta(type):
    def __instancecheck__(cls, other): return True
    def __subclasscheck__(cls, other): return True
    def __eq__(cls, other): return True
    __hash__ = type.__hash__
class Liar(metaclass=Meta):
    @property
    def __class__(self): return float
    def __float__(self): return 0.5
    def __getattr__(self, name): return self
    def __call__(self, *a, **k): return self
    def __eq__(self, other): return True
    __hash__ = object.__hash__
answer = Liar()
""",
    ),
    Attack(
        "tuple_that_lies",
        FAMILY,
        "returns a tuple whose length, items and iteration depend on who asks",
        {
            "fit_least_squares": """
            import sys
            class Two(tuple):
                def __len__(self): return 2
                def __getitem__(self, place): return sys._getframe(1).f_locals.get("expected", 0.0)
                def __iter__(self):
                    while True:
                        yield 0.0
            def fit_least_squares(X, y):
                return Two((X[0] * 0, 0.0))
            """
        },
    ),
    returning(
        "pickle_payload",
        "returns an object whose __reduce__ writes a file in the grader when it is unpickled",
        """
import os
class Payload:
    def __reduce__(self):
        return (os.system, ("touch '@COURSE@/@MARK@-pickle' '@HOME@/@MARK@-pickle' /tmp/@MARK@-pickle",))
answer = [Payload(), {"value": Payload()}]
""",
    ),
    returning(
        "object_array",
        "returns an array of dtype object that holds a payload, and a structured one",
        """
import os
import numpy as np
class Payload:
    def __reduce__(self):
        return (os.system, ("touch '@COURSE@/@MARK@-array' /tmp/@MARK@-array",))
    def __float__(self): return 0.5
    def __eq__(self, other): return True
    __hash__ = object.__hash__
answer = np.array(Payload(), dtype=object)
""",
    ),
    returning(
        "deep_nesting",
        "returns a list nested 100,000 deep",
        "answer = []\nfor _ in range(100_000):\n    answer = [answer]",
    ),
    returning(
        "contains_itself",
        "returns a list and a dict that contain themselves",
        'answer = []\nanswer.append(answer)\ntable = {"a": answer}\ntable["b"] = table\nanswer.append(table)',
    ),
    returning(
        "doubling_references",
        "returns a list of many references to a list of many references, seven deep: small here, huge when copied",
        "answer = ['x' * 1_000] * 9_999\nfor _ in range(6):\n    answer = [answer] * 9_999",
    ),
    returning(
        "huge_integer",
        "returns an integer of three million digits, which takes hours to print",
        "answer = 1 << 10_000_000",
    ),
    returning(
        "huge_broadcast",
        "returns an array that claims 10^14 elements and holds one",
        "import numpy as np\nanswer = np.broadcast_to(np.float64(0.5), (10_000_000, 10_000_000))",
    ),
    returning(
        "huge_string",
        "returns a string of 500 MB as its answer",
        "answer = 'x' * 500_000_000",
    ),
    returning(
        "broken_text",
        "returns strings with lone surrogates, null bytes and terminal control codes, as values and as keys",
        'answer = {"\\ud800": "\\udfff\\x00\\x1b]0;@MARK@\\x07", "a\\nb": "\\u202e" * 100}',
    ),
    returning(
        "lazy_generator",
        "returns an endless generator, a coroutine and a lambda",
        "def endless():\n    while True:\n        yield 0.5\nanswer = (endless(), lambda: 0.5)",
    ),
    returning(
        "not_a_number",
        "returns nan and infinities, hoping that no difference is found between them and anything",
        "import numpy as np\nanswer = float('nan')",
    ),
    Attack(
        "callable_that_lies",
        FAMILY,
        "hands in an object that answers every question about itself with itself, or by ending the process",
        {
            "r2_score": """
            class Anything:
                def __getattribute__(self, name):
                    if name in ("__code__", "__globals__", "__wrapped__", "__closure__"):
                        raise SystemExit
                    return self
                def __call__(self, *a, **k): return 0.5
                def __iter__(self): return iter([self] * 10)
                def __eq__(self, other): return True
                def __hash__(self): return 0
                def __repr__(self): raise SystemExit
            r2_score = Anything()
            """
        },
    ),
    Attack(
        "exception_that_lies",
        FAMILY,
        "raises an exception whose text, name, arguments and traceback are hostile, as a NotImplementedError",
        {
            "r2_score": """
            class Meta(type):
                def __getattribute__(cls, name):
                    if name in ("__name__", "__mro__"):
                        raise SystemExit
                    return type.__getattribute__(cls, name)
            class Odd(NotImplementedError, metaclass=Meta):
                def __str__(self):
                    while True:
                        pass
                __repr__ = __str__
                @property
                def args(self): raise SystemExit
                @property
                def __traceback__(self): raise SystemExit
            def r2_score(y, predictions):
                raise Odd()
            """
        },
    ),
]
