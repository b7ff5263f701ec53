"""Rows as numpy arrays and as the bytes of the wire: little-endian, row-major, f32, f16 or bf16.

numpy has no bfloat16. Rows in bf16 are either of ml_dtypes.bfloat16 or the same bits as uint16, and
the answer comes back in the form that the rows had. What has DLPack's or Python's own interface of
buffers (torch's tensors on the CPU, array.array, memoryview) is taken for an array.
"""

from __future__ import annotations

import array
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# An array, what is as good as one (`__dlpack__`), or lists of numbers, which are taken for float32.
Hidden = Array | Sequence[Any] | memoryview | Any

_SIZES = {"f32": 4, "f16": 2, "bf16": 2}
_NAMES = {"float32": "f32", "float16": "f16", "uint16": "bf16", "bfloat16": "bf16"}
_WIRE: dict[str, np.dtype[Any]] = {
    "f32": np.dtype("<f4"), "f16": np.dtype("<f2"), "bf16": np.dtype("<u2")}


def check_dtype(name: str) -> str:
    """The name of a wire type, or ValueError."""
    if name not in _SIZES:
        raise ValueError(f"dtype is {name!r}, expected one of {', '.join(_SIZES)}")
    return name


@dataclass(frozen=True)
class Rows:
    """Rows ready to be sent."""

    data: bytes
    dtype: str  # f32, f16 or bf16
    lead: tuple[int, ...]  # of a shape lead + (width,)
    width: int
    bfloat16: np.dtype[Any] | None  # ml_dtypes' type, if the rows had it

    @property
    def count(self) -> int:
        return math.prod(self.lead)

    def shaped(self, values: Array) -> Array:
        """[n, m] with the leading axes that the rows had."""
        return values.reshape(*self.lead, values.shape[-1])


def _as_array(hidden: Hidden) -> Array:
    if isinstance(hidden, np.ndarray):
        return hidden
    if isinstance(hidden, (memoryview, array.array)):
        return np.asarray(hidden)
    if hasattr(hidden, "__dlpack__"):
        try:
            return np.from_dlpack(hidden)
        except (BufferError, RuntimeError) as error:
            raise TypeError(f"hidden states are a {type(hidden).__name__} that numpy cannot read: "
                            f"{error} (bfloat16 goes as its bits: view(torch.uint16))") from error
    if not isinstance(hidden, (list, tuple)):
        raise TypeError(f"hidden states are a {type(hidden).__name__}, expected a numpy array, or a "
                        "list of rows")
    try:
        return np.asarray(hidden, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise ValueError("hidden states are a list that is no array, expected rows of equally many "
                         f"numbers: {error}") from error


def pack(hidden: Hidden) -> Rows:
    """An array of shape [..., H], or lists, as rows. One vector is one row."""
    hidden = _as_array(hidden)
    name = _NAMES.get(hidden.dtype.name)
    if name is None:
        raise TypeError(f"hidden states are {hidden.dtype}, expected float32, float16, "
                        "ml_dtypes.bfloat16, or uint16 with the bits of bfloat16")
    if hidden.ndim == 0:
        raise ValueError("hidden states have no axis, expected a shape [..., hidden size]")
    bfloat16 = hidden.dtype if hidden.dtype.name == "bfloat16" else None
    plain = np.ascontiguousarray(hidden)
    bits = plain.view(np.uint16) if bfloat16 is not None else plain
    data = bits.astype(_WIRE[name], copy=False).tobytes()
    return Rows(data, name, hidden.shape[:-1], hidden.shape[-1], bfloat16)


def unpack(data: memoryview, dtype: str, rows: Rows) -> Array:
    """The output for `rows`, of shape [n, H]. Owns its numbers; may be written to."""
    values: Array = np.frombuffer(data, dtype=_WIRE[dtype]).reshape(rows.count, rows.width)
    native: Array = values.astype(values.dtype.newbyteorder("="),
                                  copy=not values.flags.writeable)
    if dtype == "bf16" and rows.bfloat16 is not None:
        return native.view(rows.bfloat16)
    return native


def round_to_bf16(values: Array) -> Array:
    """The upper halves of float32 numbers, as uint16: to the nearest, ties to even."""
    bits: Array = values.astype("<f4").view("<u4")
    rounded: Array = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype("<u2")
    return rounded


def convert(values: Array, dtype: str, rows: Rows) -> Array:
    """float32 numbers as an answer of type `dtype` to `rows`."""
    if dtype == "bf16":
        bits = round_to_bf16(values).astype(np.uint16)
        return bits.view(rows.bfloat16) if rows.bfloat16 is not None else bits
    return values.astype(np.float16 if dtype == "f16" else np.float32)


def item_size(dtype: str) -> int:
    return _SIZES[dtype]
