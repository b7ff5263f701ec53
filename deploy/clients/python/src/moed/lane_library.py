"""libmoed-client (<moed/client.h>) through ctypes: its structures and functions, and finding it."""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from typing import Any

FLAGS = {"exclude": 1, "only": 2, "norm_ffn": 4, "norm_ffn_residual": 4 | 8, "skip": 16}
DTYPES = {"f32": 0, "f16": 1, "bf16": 2}

_pointer = ctypes.c_void_p
_u32, _u64 = ctypes.c_uint32, ctypes.c_uint64


class Options(ctypes.Structure):
    """struct moed_client_options."""

    _fields_ = [("size", ctypes.c_size_t), ("api_key", ctypes.c_char_p), ("slots", _u32),
                ("max_rows", _u32), ("spin_us", _u32), ("timeout_ms", _u32)]


class Layer(ctypes.Structure):
    """struct moed_client_layer."""

    _fields_ = [("layer", _u32), ("hidden", _u32), ("experts", _u32), ("used", _u32)]


class LaneCall(ctypes.Structure):
    """struct moed_call."""

    _fields_ = [("size", ctypes.c_size_t), ("layer", _u32), ("rows", _u32), ("flags", _u32),
                ("hidden_dtype", ctypes.c_int), ("output_dtype", ctypes.c_int),
                ("deadline_us", _u32), ("hidden", _pointer), ("output", _pointer),
                ("experts", _u32), ("ids", _pointer), ("weights", _pointer),
                ("chosen_ids", _pointer), ("chosen_weights", _pointer), ("logits", _pointer),
                ("queue_ns", _u64), ("compute_ns", _u64), ("batch_rows", _u32),
                ("missing_slots", _u64), ("slot", _u32), ("placed", ctypes.c_bool)]


class Error(ctypes.Structure):
    """struct moed_error."""

    _fields_ = [("code", ctypes.c_int), ("message", ctypes.c_char * 1016)]

    def text(self) -> str:
        return bytes(self.message).decode(errors="replace")


def load() -> Any:
    """The library, or OSError. MOED_CLIENT_LIBRARY names a file that the system does not know."""
    name = os.environ.get("MOED_CLIENT_LIBRARY") or ctypes.util.find_library("moed-client")
    library: Any = ctypes.CDLL(name or "libmoed-client.so.0.2")
    call, error = ctypes.POINTER(LaneCall), ctypes.POINTER(Error)
    for function, result, *arguments in (
            ("open", ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(Options),
             ctypes.POINTER(_pointer), error),
            ("close", None, _pointer),
            ("layers", ctypes.POINTER(Layer), _pointer, ctypes.POINTER(_u32)),
            ("info", ctypes.c_char_p, _pointer),
            ("slots", _u32, _pointer),
            ("submit", ctypes.c_int, _pointer, call, error),
            ("poll", ctypes.c_bool, _pointer, call),
            ("wait", ctypes.c_int, _pointer, call, error)):
        found = getattr(library, f"moed_client_{function}")
        found.restype, found.argtypes = result, arguments
    library.moed_error_name.restype = ctypes.c_char_p
    library.moed_error_name.argtypes = [ctypes.c_int]
    return library
