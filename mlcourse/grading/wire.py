"""The bytes between the grader and a submission: plain data in frames, with limits on size and depth.

A frame is a small header (msgpack: it runs no code) and a block of raw bytes to which the arrays and long strings of
the header point. The header is bounded, so that no frame becomes many more objects than it has bytes.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from typing import Any

import msgpack
import numpy as np

from mlcourse.grading.plain import MAX_DEPTH, PlainArray

MAX_HEADER = 4 * 2**20
MAX_BLOCK = 64 * 2**20
MAX_DIGITS = 1_000
LONG_STRING = 4_096
CHUNK = 2**20
SIZES = struct.Struct(">II")
ARRAY_KINDS = frozenset("biufc")


class WireError(Exception):
    """Bytes that are no frame, or a value that may not cross; its text says why."""


class WireTimeoutError(WireError):
    """Nothing came in time."""


class ClosedError(WireError):
    """The other side is gone."""


class Block:
    """The raw bytes of a frame, each of which may be pointed to once: a small frame must not become a large value."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.left = len(data)

    def part(self, start: int, size: int) -> memoryview:
        """Return some of the bytes."""
        if start < 0 or size < 0 or start + size > len(self.data):
            raise WireError("a frame that points outside itself")
        self.left -= size
        if self.left < 0:
            raise WireError("a frame that points to its bytes more than once")
        return self.data[start : start + size]


def pack(value: Any) -> bytes:
    """Return plain data as one frame.

    Raises
    ------
    WireError
        If a part is no plain data, or if it is too large.

    Examples
    --------
    >>> unpack(pack({"x": (1, 2.5)})[SIZES.size:], *SIZES.unpack(pack({"x": (1, 2.5)})[:SIZES.size]))
    {'x': (1, 2.5)}
    """
    blocks: list[bytes] = []
    header = msgpack.packb(_tagged(value, blocks, [0], 0), strict_types=True, unicode_errors="surrogatepass")
    block = b"".join(blocks)
    if len(header) > MAX_HEADER or len(block) > MAX_BLOCK:
        raise WireError(f"a value of {(len(header) + len(block)) / 1e6:.0f} MB, which is too large to hand over")
    return SIZES.pack(len(header), len(block)) + header + block


def unpack(data: bytes | bytearray, header_size: int, block_size: int) -> Any:
    """Return the plain data of a frame whose two sizes have been read already.

    Raises
    ------
    WireError
        If the bytes are no frame of plain data.
    """
    try:
        header = msgpack.unpackb(
            data[:header_size],
            strict_map_key=True,
            unicode_errors="surrogatepass",
            max_ext_len=0,
        )
        return _untagged(header, Block(memoryview(data)[header_size : header_size + block_size]), 0)
    except WireError:
        raise
    except Exception as error:  # whatever a forged frame provokes in the decoder
        raise WireError(f"bytes that are no frame ({type(error).__name__})") from error


def _tagged(value: Any, blocks: list[bytes], position: list[int], depth: int) -> Any:
    """Return a value as what msgpack has, with a tag before everything that it has not."""
    kind = type(value)
    if value is None or kind in (bool, float):
        return value
    if kind is int:
        return value if abs(value) < 2**63 else _large_integer(value)
    if kind is str:
        return value if len(value) < LONG_STRING else ["s", *_blocked(_encoded(value), blocks, position)]
    if kind is complex:
        return ["c", value.real, value.imag]
    if depth > MAX_DEPTH + 4:
        raise WireError(f"lists inside lists, more than {MAX_DEPTH} deep")
    if kind is PlainArray:
        data = np.ascontiguousarray(value.data)
        place = _blocked(data.tobytes(), blocks, position)
        return ["a", value.library, value.data.dtype.str, list(value.data.shape), *place]
    if kind in (list, tuple):
        return ["l" if kind is list else "t", [_tagged(item, blocks, position, depth + 1) for item in value]]
    if kind is dict:
        return {key: _tagged(item, blocks, position, depth + 1) for key, item in value.items()}
    raise WireError(f"a value of type {kind.__name__}")


def _large_integer(value: int) -> list[Any]:
    if abs(value) >= 10**MAX_DIGITS:
        raise WireError(f"a whole number of more than {MAX_DIGITS} digits")
    return ["i", str(value)]


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _blocked(data: bytes, blocks: list[bytes], position: list[int]) -> tuple[int, int]:
    start = position[0]
    blocks.append(data)
    position[0] += len(data)
    return start, len(data)


def _untagged(value: Any, block: Block, depth: int) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if depth > 2 * (MAX_DEPTH + 6):
        raise WireError("a frame that is nested too deeply")
    if type(value) is dict:
        return {_key(key): _untagged(item, block, depth + 1) for key, item in value.items()}
    if type(value) is not list or not value or type(value[0]) is not str:
        raise WireError("a frame with an unknown part")
    return _untagged_list(value, block, depth)


def _untagged_list(value: list[Any], block: Block, depth: int) -> Any:
    match value:
        case ["l", [*items]]:
            return [_untagged(item, block, depth + 1) for item in items]
        case ["t", [*items]]:
            return tuple(_untagged(item, block, depth + 1) for item in items)
        case ["s", int(start), int(size)]:
            return bytes(block.part(start, size)).decode("utf-8", "surrogatepass")
        case ["c", float(real), float(imaginary)]:
            return complex(real, imaginary)
        case ["i", str(digits)] if len(digits) <= MAX_DIGITS + 1:
            return int(digits)
        case ["a", ("numpy" | "torch") as library, str(dtype), [*shape], int(start), int(size)]:
            return _array(library, dtype, shape, block.part(start, size))
    raise WireError("a frame with an unknown part")


def _key(key: Any) -> str:
    if type(key) is not str:
        raise WireError("a frame whose keys are not strings")
    return key


def _array(library: str, dtype: str, shape: list[Any], data: memoryview) -> PlainArray:
    kind = np.dtype(dtype)
    if kind.kind not in ARRAY_KINDS or kind.names or kind.subdtype:
        raise WireError(f"an array of dtype {dtype[:40]}, which holds no numbers")
    if len(shape) > 32 or not all(type(size) is int and size >= 0 for size in shape):
        raise WireError("an array whose shape is no list of sizes")
    if math.prod(shape) * kind.itemsize != len(data):
        raise WireError("an array whose bytes do not fit its shape")
    return PlainArray(library, np.frombuffer(data, dtype=kind).reshape(shape).copy())


def send(channel: socket.socket, value: Any, descriptor: int | None = None, seconds: float = 30.0) -> None:
    """Send one frame, with an open file descriptor if one is given.

    Raises
    ------
    ClosedError
        If nobody reads it.
    """
    send_frame(channel, pack(value), descriptor, seconds)


def send_frame(channel: socket.socket, data: bytes, descriptor: int | None = None, seconds: float = 30.0) -> None:
    """Send a frame that is packed already.

    Raises
    ------
    ClosedError
        If nobody reads it.
    """
    channel.settimeout(seconds)
    try:
        if descriptor is not None:
            sent = socket.send_fds(channel, [data], [descriptor])
            data = data[sent:]
        channel.sendall(data)
    except (OSError, ValueError) as error:
        raise ClosedError("the other side does not read") from error


def receive(channel: socket.socket, seconds: float) -> Any:
    """Return the value of the next frame.

    Raises
    ------
    WireTimeoutError
        If it is not there in time.
    ClosedError
        If the other side is gone.
    WireError
        If what came is no frame.
    """
    deadline = time.monotonic() + seconds
    header_size, block_size = SIZES.unpack(_exactly(channel, SIZES.size, deadline))
    if header_size > MAX_HEADER or block_size > MAX_BLOCK:
        raise WireError(f"a frame that claims {(header_size + block_size) / 1e6:.0f} MB")
    return unpack(_exactly(channel, header_size + block_size, deadline), header_size, block_size)


def receive_with_descriptor(channel: socket.socket) -> tuple[Any, int | None]:
    """Return the next value and the file descriptor that came with it, waiting as long as it takes."""
    channel.settimeout(None)
    first, descriptors, _, _ = socket.recv_fds(channel, SIZES.size, 1)
    if not first:
        raise ClosedError("the other side is gone")
    rest = _exactly(channel, SIZES.size - len(first), math.inf) if len(first) < SIZES.size else b""
    header_size, block_size = SIZES.unpack(first + rest)
    value = unpack(_exactly(channel, header_size + block_size, math.inf), header_size, block_size)
    return value, descriptors[0] if descriptors else None


def _exactly(channel: socket.socket, size: int, deadline: float) -> bytearray:
    """Read so many bytes; memory grows with what comes, not with what was announced."""
    data = bytearray()
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise WireTimeoutError("nothing came in time")
        channel.settimeout(None if left == math.inf else left)
        try:
            part = channel.recv(min(CHUNK, size - len(data)))
        except TimeoutError as error:
            raise WireTimeoutError("nothing came in time") from error
        except OSError as error:
            raise ClosedError("the other side is gone") from error
        if not part:
            raise ClosedError("the other side is gone")
        data += part
    return data
