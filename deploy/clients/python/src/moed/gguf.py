"""Writes a GGUF file, version 3.

    magic "GGUF" · u32 3 · u64 tensors · u64 keys
    key:    string name · u32 type · value                    string: u64 bytes, then UTF-8
    tensor: string name · u32 axes · u64 each, fastest first · u32 type · u64 offset
    padding to 32 · data, each tensor padded to 32
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .arrays import Array, round_to_bf16

_ALIGNMENT = 32
_BLOCK = 32  # numbers of a block of q8_0


def _to_f32(values: Array) -> bytes:
    return values.astype("<f4").tobytes()


def _to_f16(values: Array) -> bytes:
    return values.astype("<f2").tobytes()


def _to_bf16(values: Array) -> bytes:
    return round_to_bf16(values).tobytes()


def _to_q8_0(values: Array) -> bytes:
    """Blocks of a float16 scale and 32 signed bytes."""
    blocks = values.reshape(-1, _BLOCK).astype(np.float32)
    scales = (np.abs(blocks).max(axis=1, keepdims=True) / 127).astype("<f2")
    inverse = np.divide(1, scales, dtype=np.float32, where=scales != 0,
                        out=np.zeros(scales.shape, np.float32))
    codes = np.clip(np.rint(blocks * inverse), -127, 127).astype(np.int8)
    data: npt.NDArray[np.int8] = np.concatenate([scales.view(np.int8), codes], axis=1)
    return data.tobytes()


@dataclass(frozen=True)
class Tensor:
    """What is to be written. `read` makes the float32 array when its turn comes, so that a model is
    never there twice."""

    name: str
    shape: tuple[int, ...]  # the fastest axis last
    read: Callable[[], Array]
    whole: bool = False  # small and exact: never quantised


@dataclass(frozen=True)
class Format:
    code: int
    block: int  # numbers
    size: int  # bytes of a block
    encode: Callable[[Array], bytes]


FORMATS = {
    "f32": Format(0, 1, 4, _to_f32),
    "f16": Format(1, 1, 2, _to_f16),
    "q8_0": Format(8, _BLOCK, 34, _to_q8_0),
    "bf16": Format(30, 1, 2, _to_bf16),
}

Value = str | bool | int | float


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def _key(name: str, value: Value) -> bytes:
    """u32, f32, bool or string; in that order of codes 4, 6, 7, 8."""
    if isinstance(value, bool):
        return _text(name) + struct.pack("<I?", 7, value)
    if isinstance(value, int):
        return _text(name) + struct.pack("<II", 4, value)
    if isinstance(value, float):
        return _text(name) + struct.pack("<If", 6, value)
    return _text(name) + struct.pack("<I", 8) + _text(value)


def _padding(size: int) -> bytes:
    return bytes(-size % _ALIGNMENT)


def _format_of(tensor: Tensor, type_name: str) -> Format:
    chosen = FORMATS["f32"] if tensor.whole else FORMATS[type_name]
    if tensor.shape[-1] % chosen.block != 0:
        raise ValueError(f"{tensor.name} has rows of {tensor.shape[-1]}, {type_name} needs a "
                         f"multiple of {chosen.block}")
    return chosen


def _head(keys: Mapping[str, Value], tensors: Sequence[tuple[Tensor, Format]]) -> bytes:
    parts = [struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys))]
    parts += [_key(name, value) for name, value in keys.items()]
    offset = 0
    for tensor, chosen in tensors:
        shape = tensor.shape[::-1]
        parts.append(_text(tensor.name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape,
                                                      chosen.code, offset))
        size = math.prod(shape) // chosen.block * chosen.size
        offset += size + len(_padding(size))
    head = b"".join(parts)
    return head + _padding(len(head))


def write(path: str | os.PathLike[str], keys: Mapping[str, Value], tensors: Sequence[Tensor],
          type_name: str) -> None:
    """One tensor in memory at a time. ValueError, with nothing written, for an unknown type or rows
    that it does not fit."""
    if type_name not in FORMATS:
        raise ValueError(f"type is {type_name!r}, expected one of {', '.join(FORMATS)}")
    chosen = [(tensor, _format_of(tensor, type_name)) for tensor in tensors]
    with open(path, "wb") as file:
        file.write(_head(keys, chosen))
        for tensor, form in chosen:
            data = form.encode(tensor.read())
            file.write(data + _padding(len(data)))
