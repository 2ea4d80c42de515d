"""What crosses between the grader and a submission: every value comes back as it was, every forged byte is refused."""

from __future__ import annotations

import math
import os
import socket
import struct
import subprocess
import sys
import threading
from fractions import Fraction

import msgpack
import nbformat
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mlcourse.grading import wire
from mlcourse.grading.calling import Outcome
from mlcourse.grading.inside.worker import as_message
from mlcourse.grading.plain import NotPlainError, PlainArray, identical, to_plain
from mlcourse.grading.sandbox.replies import CELLS_IN_FULL, IMAGE_LIMIT, NOTES, Room, outcome_of, outputs_of, picked_of
from mlcourse.grading.wire import SIZES, ClosedError, WireError, WireTimeoutError, pack, receive, send, unpack

pytestmark = pytest.mark.parallel

QUICK = settings(max_examples=150, deadline=None)
DTYPES = ("?", "i1", "u8", "<i4", ">i4", "f2", "f4", "<f8", ">f8", "c8", "c16")
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)  # lone surrogates, too
NUMBERS = st.one_of(st.integers(), st.floats(), st.complex_numbers(), st.booleans())
SHAPES = st.lists(st.integers(0, 4), max_size=3)


@st.composite
def arrays(draw):
    """Return an array of any dtype that may cross, with any bytes in it."""
    dtype, shape = np.dtype(draw(st.sampled_from(DTYPES))), draw(SHAPES)
    size = math.prod(shape) * dtype.itemsize
    data = draw(st.binary(min_size=size, max_size=size))
    if dtype.kind == "b":  # other bytes are no truth values
        data = bytes(byte % 2 for byte in data)
    return PlainArray(draw(st.sampled_from(["numpy", "torch"])), np.frombuffer(data, dtype).reshape(shape))


def containers(parts):
    return st.one_of(
        st.lists(parts, max_size=4),
        st.lists(parts, max_size=4).map(tuple),
        st.dictionaries(TEXT, parts, max_size=4),
    )


PLAIN = st.recursive(st.one_of(st.none(), NUMBERS, TEXT, arrays()), containers, max_leaves=12)


def crossed(value):
    """Return a value as it is on the other side."""
    frame = pack(value)
    return unpack(frame[SIZES.size :], *SIZES.unpack(frame[: SIZES.size]))


def framed(header, block=b""):
    """Return a frame with any header that msgpack can write."""
    return raw(msgpack.packb(header, unicode_errors="surrogatepass"), block)


def raw(header, block=b""):
    return SIZES.pack(len(header), len(block)) + header + block


def same(a, b):
    """Return whether two values are the same, the sign of zero included."""
    return identical(a, b) and bits(a) == bits(b)


def bits(value):
    if isinstance(value, complex):
        return [bits(value.real), bits(value.imag)]
    if isinstance(value, float):
        return math.copysign(1.0, value)
    if isinstance(value, PlainArray):
        return value.data.tobytes(), value.data.dtype.str, value.data.shape
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    return [bits(item) for item in value] if isinstance(value, list | tuple) else None


# Round trips


@QUICK
@given(PLAIN)
def test_plain_data_comes_back_as_it_was(value):
    assert same(crossed(value), value)


@pytest.mark.parametrize(
    "value",
    [
        math.nan,
        -math.inf,
        -0.0,
        complex(-0.0, math.nan),
        2**63,
        -(2**63),
        2**64,
        10**1000 - 1,
        -(10**1000) + 1,
        "\ud800 alone",
        "\udfff" * 5_000,
        "x" * 100_000,
        {"": {"\ud83d": ["l", ["t"]]}},
        ["a", "numpy", "<f8", [1], 0, 8],
        ((), [], {}, ""),
    ],
    ids=lambda value: repr(value)[:20].encode("ascii", "backslashreplace").decode(),
)
def test_what_is_easily_lost_is_kept(value):
    assert same(crossed(value), value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (2, 3)], ids=str)
def test_arrays_keep_dtype_and_shape_even_without_elements(dtype, shape):
    given_array = np.ones(shape, dtype)
    (found,) = crossed([PlainArray("numpy", given_array)])
    assert (found.data.dtype, found.data.shape) == (given_array.dtype, shape)
    assert (found.data == given_array).all()
    assert found.data.flags.writeable


def test_an_array_in_another_order_of_memory_arrives_in_its_own():
    turned = np.arange(12.0).reshape(3, 4).T[::-1]
    assert (crossed(PlainArray("numpy", turned)).data == turned).all()


def test_tensors_cross_as_what_they_are():
    torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'mlcourse[torch]'")
    for tensor in (torch.tensor(2.5), torch.zeros(0, 3), torch.tensor([True]), torch.tensor([1 + 2j])):
        plain = to_plain(tensor)
        found = crossed(plain)
        assert found.library == "torch"
        assert same(found, plain)


def test_a_value_crosses_a_socket_with_an_open_file():
    ours, theirs = socket.socketpair()
    read, write = os.pipe()
    with ours, theirs, open(read, "rb") as pipe:
        send(ours, {"x": [1, 2]}, write)
        os.close(write)
        value, descriptor = wire.receive_with_descriptor(theirs)
        os.write(descriptor, b"through")
        os.close(descriptor)
        assert (value, pipe.read()) == ({"x": [1, 2]}, b"through")


# Refusals


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "set"),
        (Fraction(1, 2), "Fraction"),
        (b"bytes", "bytes"),
        (np.float64(1.0), "float64"),
        (np.ones(2), "ndarray"),
        (range(3), "range"),
        ({"deep": [lambda: 1]}, "function"),
        (nested(40), "deep"),
        (10**1000, "1000 digits"),
        (-(10**1000), "1000 digits"),
        ([10**100_000], "1000 digits"),
        (PlainArray("numpy", np.array([{}, None])), "dtype"),
        (PlainArray("numpy", np.zeros(2, "i4,f8")), "dtype"),
        (PlainArray("numpy", np.array(["text"])), "dtype"),
        (PlainArray("numpy", np.zeros(2, "M8[s]")), "dtype"),
        (PlainArray("pickle", np.zeros(2)), "unknown part"),
        (PlainArray("numpy", np.zeros(9 * 2**20)), "too large"),
        (["x" * 10] * 1_000_000, "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_is_no_plain_data_is_refused_by_name(value, words):
    with pytest.raises(WireError, match=words):
        crossed(value)


def test_keys_that_are_no_strings_are_refused():
    with pytest.raises(WireError):
        crossed({1: 2})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({1, 2}, "set"),
        (object(), "object"),
        (nested(9), "deep"),
        (np.array([{}]), "object"),
        (np.zeros(2, "i4,f8"), "dtype"),
        (np.broadcast_to(1.0, (10**6, 10**6)), "elements"),
        (list(range(10_001)), "items"),
        ({1: 2}, "keys"),
        (np.ma.array([1.0]), "MaskedArray"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_a_result_that_is_no_plain_data_is_refused_by_name(value, words):
    with pytest.raises(NotPlainError, match=words):
        to_plain(value)


# Forged frames

ARRAY = ["a", "numpy", "<f8", [2], 0, 16]
TWO = struct.pack("<2d", 1.0, 2.0)


def changed(**parts):
    """Return an array's entry in a header with some parts replaced."""
    names = ("tag", "library", "dtype", "shape", "start", "size")
    return [parts.get(name, usual) for name, usual in zip(names, ARRAY, strict=True)]


def self_referring():
    """Return a header each of whose parts points at the whole block, as if it were small."""
    return ["l", [["s", 0, 16]] * 1_000 + [["a", "numpy", "<f8", [2], 0, 17]]]


FORGED = {
    "nothing": raw(b""),
    "text": raw(b"GET / HTTP/1.1"),
    "two values": raw(b"\x01\x02"),
    "a cut header": raw(msgpack.packb(ARRAY)[:-3], TWO),
    "bytes": framed(b"bytes"),
    "an extension": raw(msgpack.packb(msgpack.ExtType(5, b"x" * 100))),
    "a date": raw(msgpack.packb(msgpack.Timestamp(1))),
    "no tag": framed([1, 2, 3]),
    "an empty list": framed([]),
    "an unknown tag": framed(["q", 1]),
    "a list that is no list": framed(["l", 5]),
    "keys that are numbers": framed({1: 2}),
    "keys that are lists": raw(b"\x81\x91\x01\x01"),
    "text that is no UTF-8": framed(["s", 0, 2], b"\xff\xff"),
    "a number that is none": framed(["i", "12x"]),
    "a long number": framed(["i", "9" * 1_002]),
    "an empty number": framed(["i", ""]),
    "a complex of text": framed(["c", "1", 2.0]),
    "a negative start": framed(changed(start=-8), TWO),
    "a negative size": framed(changed(size=-16), TWO),
    "a start beyond the end": framed(changed(start=2**62), TWO),
    "a size beyond the end": framed(changed(size=2**62), TWO),
    "a shape that overflows": framed(changed(shape=[2**62, 2**62, 4]), TWO),
    "a shape that overflows to what is there": framed(changed(shape=[2**61 + 2]), TWO),
    "a shape that is negative": framed(changed(shape=[-1]), TWO),
    "a shape that is negative twice": framed(changed(shape=[-1, -2]), TWO),
    "a shape of fractions": framed(changed(shape=[2.0]), TWO),
    "a shape of truth values": framed(changed(shape=[True, 2]), TWO),
    "many dimensions": framed(changed(shape=[1] * 33 + [2]), TWO),
    "a shape that is none": framed(changed(shape=None), TWO),
    "empty, yet too large": framed(changed(shape=[0, 2**62, 2**62], size=0)),
    "objects": framed(changed(dtype="|O"), TWO),
    "a structure": framed(changed(dtype="f8,f8", shape=[1]), TWO),
    "a part of an array": framed(changed(dtype="(2,)f8", shape=[1]), TWO),
    "a huge part": framed(changed(dtype="(1000000,1000000)f8", shape=[]), TWO),
    "nothing at all": framed(changed(dtype="V0", shape=[2**62], size=0)),
    "texts": framed(changed(dtype="<U2"), TWO),
    "dates": framed(changed(dtype="<M8[s]"), TWO),
    "a dtype that is none": framed(changed(dtype="os.system"), TWO),
    "a dtype with a null": framed(changed(dtype="<f8\0"), TWO),
    "an unknown library": framed(changed(library="os"), TWO),
    "bytes that do not fit": framed(changed(size=15), TWO),
    "pointing at the whole": framed(self_referring(), TWO),
    "deep lists": raw(b"\x92\xa1l\x91" * 500 + b"\x01"),
    "deeper lists": raw(b"\x91" * 1_000_000 + b"\x01"),
    "deep maps": raw(b"\x81\xa1x" * 200_000 + b"\x01"),
    "a list that claims to be long": raw(b"\xdd\xff\xff\xff\xff"),
    "a map that claims to be long": raw(b"\xdf\xff\xff\xff\xff"),
    "a text that claims to be long": raw(b"\xdb\xff\xff\xff\xff"),
}


@pytest.mark.parametrize("frame", FORGED.values(), ids=FORGED)
def test_a_forged_frame_is_refused(frame):
    with pytest.raises(WireError):
        received(frame)


def received(data, seconds=5.0):
    """Return what the grader reads when these bytes come and the other side then goes."""
    ours, theirs = socket.socketpair()
    with ours:
        writer = threading.Thread(target=write_all, args=(theirs, data))
        writer.start()
        try:
            return receive(ours, seconds)
        finally:
            ours.close()
            writer.join()


def write_all(channel, data):
    with channel:
        try:
            channel.sendall(data)
        except OSError:  # the grader has gone, as it should
            return


@QUICK
@given(st.binary(max_size=200), st.binary(max_size=50))
def test_random_bytes_are_a_frame_or_are_refused(header, block):
    try:
        value = received(raw(header, block))
    except WireError:
        return
    assert same(crossed(value), value)


def said(reader, *given_parts):
    """Return what a reader makes of its input, or the words of its refusal; other errors are the test's."""
    try:
        return repr(reader(*given_parts))
    except WireError as error:
        return str(error)


@QUICK
@given(st.binary(max_size=64))
def test_random_bytes_on_the_channel_end_in_an_error_of_the_wire(data):
    assert said(received, data, 0.2)


@QUICK
@given(PLAIN, st.data())
def test_a_frame_with_one_byte_changed_is_read_or_refused(value, data):
    frame = bytearray(pack(value))
    frame[data.draw(st.integers(SIZES.size, len(frame) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert said(unpack, frame[SIZES.size :], *SIZES.unpack(frame[: SIZES.size]))


@pytest.mark.parametrize("left", [0, 1, 7, 8, 20])
def test_a_frame_that_is_cut_is_the_end_of_the_other_side(left):
    with pytest.raises(ClosedError):
        received(pack({"x": [1.0] * 50})[:left])


def test_a_frame_that_does_not_come_is_a_timeout():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(pack([1] * 100)[:50])
        with pytest.raises(WireTimeoutError):
            receive(ours, 0.05)


@pytest.mark.parametrize("sizes", [(2**32 - 1, 0), (0, 2**32 - 1), (wire.MAX_HEADER + 1, 0), (0, wire.MAX_BLOCK + 1)])
def test_a_frame_that_claims_to_be_huge_is_refused_before_it_comes(sizes):
    with pytest.raises(WireError, match="claims"):
        received(SIZES.pack(*sizes))


def test_nobody_reads_what_is_sent_to_a_closed_channel():
    ours, theirs = socket.socketpair()
    theirs.close()
    with ours, pytest.raises(ClosedError):
        send(ours, [0] * 1000)


# The largest headers that may come, each as greedy as its form allows. The child says by how much its memory grew.
GREEDY = {
    "empty lists": "b'\\x92\\xa1l\\xdd' + struct.pack('>I', N // 4) + b'\\x92\\xa1l\\x90' * (N // 4)",
    "numbers of 1000 digits": "b'\\x92\\xa1l\\xdd' + struct.pack('>I', N // 1006)"
    " + (b'\\x92\\xa1i\\xda' + struct.pack('>H', 1000) + b'9' * 1000) * (N // 1006)",
    "arrays without elements": "b'\\x92\\xa1l\\xdd' + struct.pack('>I', N // 18)"
    " + msgpack.packb(['a', 'numpy', '<f8', [0], 0, 0]) * (N // 18)",
    "a dtype of many parts": "msgpack.packb(['a', 'numpy', 'i4,' * (N // 3), [1], 0, 0])",
    "a dtype of many brackets": "msgpack.packb(['a', 'numpy', '(' * N, [1], 0, 0])",
    "a shape of many sizes": "msgpack.packb(['a', 'numpy', '<f8', [1] * N, 0, 0])",
    "long claims inside long claims": "(b'\\xdd' + struct.pack('>I', N)) * 1000 + b'\\x01' * (N - 5000)",
    "one block many times": "msgpack.packb(['l', [['s', 0, 2**20]] * 2048])",
    "one array many times": "msgpack.packb(['l', [['a', 'numpy', '<f8', [2**17], 0, 2**20]] * 2048])",
}
MEASURE = """
import resource, struct, sys
from pathlib import Path
import msgpack, numpy
from mlcourse.grading.wire import MAX_HEADER, WireError, unpack
N = MAX_HEADER - 100
header = eval(sys.argv[1])
assert len(header) <= MAX_HEADER
block = bytes(2**20)
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1])
before = peak()
try:
    unpack(header + block, len(header), len(block))
except WireError:
    pass
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the most memory of a process is read from Linux's /proc")
@pytest.mark.parametrize("header", GREEDY.values(), ids=GREEDY)
def test_no_frame_takes_much_memory_or_for_ever(header):
    done = subprocess.run([sys.executable, "-c", MEASURE, header], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr or f"ended with {done.returncode}"
    assert int(done.stdout) < 600_000, f"{int(done.stdout) // 1000} MB for a frame of 4 MB"


# Forged replies


FIELDS = (
    *("value", "failure", "refused", "timed_out", "changed", "printed", "kind", "family", "message", "entered"),
    *("function", "line", "unwritten", "missing", "handle", "parts", "shortcut", "called", "name", "callable", "type"),
    *("none", "outputs", "stopped", "count", "output_type", "text", "ename", "evalue", "traceback", "data"),
    *("execution_count", "text/html", "image/png", "stream", "error", "display_data", "execute_result", "stdout"),
)
ODD = st.one_of(st.sampled_from(FIELDS), st.none(), NUMBERS, TEXT, arrays())
ANYTHING = st.recursive(
    ODD,
    lambda parts: st.one_of(
        st.lists(parts, max_size=3), st.dictionaries(st.sampled_from(FIELDS), parts, max_size=8), containers(parts)
    ),
    max_leaves=15,
)


def call_outcome(reply):
    return outcome_of(reply, ["x", "y"])


def cell_outputs(reply):
    return outputs_of(reply, Room(1_000))


FORMS = {
    call_outcome: {
        "value": ANYTHING,
        "failure": st.one_of(st.none(), ANYTHING),
        "refused": st.one_of(st.none(), TEXT, ANYTHING),
        "timed_out": ODD,
        "changed": st.one_of(st.just([]), ANYTHING),
        "printed": st.one_of(TEXT, ANYTHING),
    },
    picked_of: {
        "handle": st.one_of(st.integers(), ODD),
        "parts": ANYTHING,
        "shortcut": st.one_of(st.none(), ANYTHING),
        "called": st.one_of(st.lists(TEXT), ANYTHING),
    },
}
OUTPUT = st.one_of(
    st.fixed_dictionaries(
        {"output_type": st.just("stream"), "name": st.sampled_from(["stdout", "stderr"]), "text": TEXT}
    ),
    st.fixed_dictionaries(
        {"output_type": st.just("error"), "ename": TEXT, "evalue": TEXT, "traceback": st.lists(TEXT)}
    ),
    st.fixed_dictionaries(
        {
            "output_type": st.sampled_from(["display_data", "execute_result"]),
            "data": st.dictionaries(st.sampled_from(["text/plain", "text/html", "image/png", "x"]), TEXT),
            "execution_count": st.one_of(st.none(), st.integers(), ODD),
        }
    ),
)


@QUICK
@given(ANYTHING)
def test_a_reply_of_any_form_is_read_or_refused(reply):
    for reader in (call_outcome, picked_of, cell_outputs):
        assert said(reader, reply)


@pytest.mark.parametrize("reader", FORMS, ids=lambda reader: reader.__name__)
@QUICK
@given(data=st.data())
def test_a_reply_with_forged_parts_is_read_or_refused(reader, data):
    reply = data.draw(st.fixed_dictionaries(FORMS[reader]))
    assert said(reader, reply)


@QUICK
@example([{"output_type": "execute_result", "data": {}, "execution_count": -5}])
@given(st.lists(OUTPUT | ANYTHING, max_size=1) | st.lists(OUTPUT, max_size=4))
def test_forged_outputs_are_refused_or_fit_into_a_notebook(outputs):
    try:
        found, stopped = cell_outputs({"outputs": outputs, "stopped": 1, "count": 1})
    except WireError:
        return
    assert stopped is False
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x")])
    notebook.cells[0].outputs = [nbformat.from_dict(output) for output in found]
    nbformat.validate(notebook)
    nbformat.writes(notebook).encode("utf-8")


@pytest.mark.parametrize(
    "reply",
    [
        {"outputs": [{"output_type": "display_data", "data": {"image/png": "'><script>"}}], "stopped": 0, "count": 1},
        {"outputs": [{"output_type": "stream", "name": "stdin", "text": ""}], "stopped": False, "count": 1},
        {"outputs": [{"output_type": "update_display_data"}], "stopped": False, "count": 1},
        {"outputs": "all", "stopped": False, "count": 1},
        [],
        None,
    ],
    ids=["an image that is none", "an unknown stream", "an unknown kind", "no list", "a list", "nothing"],
)
def test_a_cell_that_shows_what_it_cannot_is_refused(reply):
    with pytest.raises(WireError):
        cell_outputs(reply)


def test_a_flood_of_outputs_is_cut():
    flood = [{"output_type": "stream", "name": "stdout", "text": "x"}] * 100_000
    found, _ = cell_outputs({"outputs": flood, "stopped": False, "count": 1})
    assert len(found) < 1_000


def test_scripts_and_drawings_are_left_out_of_what_is_shown():
    data = {"text/plain": "x", "application/javascript": "alert(1)", "image/svg+xml": "<svg onload=alert(1)>"}
    (found,), _ = cell_outputs({"outputs": [{"output_type": "display_data", "data": data}], "stopped": 0, "count": 1})
    assert found["data"] == {"text/plain": "x"}


def shown_characters(outputs):
    return sum(len(text) for output in outputs for text in [output.get("text", ""), *output.get("data", {}).values()])


@pytest.mark.parametrize("form", ["text/plain", "image/png"])
def test_what_a_notebook_shows_has_an_end_whatever_its_process_says(form):
    room, shown = Room(1_000), []
    long = {"output_type": "display_data", "data": {form: "A" * 1_500_000}}
    printed = {"output_type": "stream", "name": "stdout", "text": "x" * 1_000_000}
    for _ in range(3 * CELLS_IN_FULL):
        shown += outputs_of({"outputs": [printed, long, long], "stopped": False, "count": 1}, room)[0]
    kinds = 1_000 + NOTES, IMAGE_LIMIT if form.startswith("image") else 0
    assert shown_characters(shown[:3]) <= sum(kinds)
    assert 0 < shown_characters(shown) <= CELLS_IN_FULL * sum(kinds)
    images = [output["data"] for output in shown if output.get("data", {}).get("image/png")]
    assert all(len(data["image/png"]) == 1_500_000 for data in images)  # whole, or not at all


def test_a_changed_input_is_one_of_the_inputs():
    forged = as_message(Outcome()) | {"changed": ["y", "the secret", "x"]}
    assert outcome_of(forged, ["x", "y", "z"]).changed == ("x", "y")


def test_honest_replies_are_read():
    outcome = outcome_of(as_message(Outcome(value=(1, PlainArray("numpy", np.ones(2))), printed="x\ud800")), ["x"])
    assert outcome.printed == "x?"
    assert outcome.value[0] == 1
    assert picked_of({"missing": "f"}) == "f"


@pytest.mark.parametrize(
    "value", [nested(9), [0] * 10_001, {str(i): 0 for i in range(10_001)}], ids=["deep", "long", "keys"]
)
def test_a_value_beyond_the_limits_of_plain_data_is_refused_also_when_it_is_forged(value):
    reply = as_message(Outcome()) | {"value": value}
    with pytest.raises(WireError):
        outcome_of(crossed(reply), ["x"])
