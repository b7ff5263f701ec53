"""A client of a lane, written from include/moed/lane.h and deploy/LANE.md alone: a socket, shared memory and
struct. It obeys the rules unless a test makes it break them."""
import json
import mmap
import os
import select
import socket
import struct

MAGIC, VERSION = 0x454e414c44454f4d, 1
FORWARD, ROUTE, INFO = 1, 2, 3
NO_SHARED, ONLY_SHARED, NORM, RESIDUAL, SKIP_MISSING, WANT_ROUTING, WANT_LOGITS = (1 << i for i in range(7))
FREE, SUBMITTED, ANSWERED = range(3)
HELLO = struct.Struct("<QIIQ264s")
WELCOME = struct.Struct("<QIiIIQQQQ512s")
REQUEST = struct.Struct("<IIIIIIIIQ")
ANSWER = struct.Struct("<iIIIQQQQ384s")
# Offsets in struct moed_lane and struct moed_lane_slot.
SUBMITTED_AT, ASLEEP_AT, ANSWERED_AT, WAITS_AT, QUEUE_AT = 64, 128, 192, 256, 320
STATE_AT, ANSWER_AT, SLOT_BYTES = 64, 72, 512
DTYPES = {"f32": (0, 4), "f16": (1, 2), "bf16": (2, 2)}


class Refused(Exception):
    """The server's welcome or answer has a status."""

    def __init__(self, status, message):
        super().__init__(f"{status}: {message}")
        self.status, self.message = status, message


def up(size):
    return (size + 63) // 64 * 64


class Lane:
    def __init__(self, path, slots=4, slot_bytes=1 << 20, key=b"", timeout=300, hello=None):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(timeout)
        self.socket.connect(path)
        self.socket.sendall(hello or HELLO.pack(MAGIC, VERSION, slots, slot_bytes, key))
        data, fds, _, _ = socket.recv_fds(self.socket, WELCOME.size, 1)
        while len(data) < WELCOME.size:
            more = self.socket.recv(WELCOME.size - len(data))
            if not more:
                raise EOFError("no welcome")
            data += more
        magic, version, status, self.slots, _, self.slot_bytes, self.stride, self.at, self.size, text = \
            WELCOME.unpack(data)
        assert magic == MAGIC and version == VERSION
        if status != 0:
            raise Refused(status, text.split(b"\0")[0].decode())
        self.memory_fd = fds[0]
        self.memory = mmap.mmap(self.memory_fd, self.size)
        self.u32(WAITS_AT, 2)
        self.free = list(range(self.slots))

    def u32(self, at, value=None):
        if value is None:
            return struct.unpack_from("<I", self.memory, at)[0]
        struct.pack_into("<I", self.memory, at, value & 0xffffffff)
        return value

    def slot(self, index):
        return self.at + index * self.stride

    def ring(self, index):
        submitted = self.u32(SUBMITTED_AT)
        self.u32(QUEUE_AT + 4 * (submitted % self.slots), index)
        self.u32(SUBMITTED_AT, submitted + 1)
        if self.u32(ASLEEP_AT):
            self.u32(ASLEEP_AT, 0)
            self.socket.send(b"x")

    def submit(self, request, arrays=()):
        """The slot of a request (the fields of REQUEST), with its input arrays."""
        index = self.free.pop()
        at = self.slot(index)
        REQUEST.pack_into(self.memory, at, *request)
        place = at + SLOT_BYTES
        for data in arrays:
            self.memory[place:place + len(data)] = data
            place += up(len(data))
        self.u32(at + STATE_AT, SUBMITTED)
        self.ring(index)
        return index

    def is_answered(self, index):
        return self.u32(self.slot(index) + STATE_AT) == ANSWERED

    def wait(self, index):
        """(status, message, experts, bytes of the answer's arrays from the start of the slot's)."""
        while not self.is_answered(index):
            ready, _, _ = select.select([self.socket], [], [], 1)
            if ready and not self.socket.recv(4096) and not self.is_answered(index):
                raise EOFError("the server has closed the lane")
        at = self.slot(index)
        status, experts, _, _, _, _, self.missing, size, text = ANSWER.unpack_from(self.memory, at + ANSWER_AT)
        arrays = self.memory[at + SLOT_BYTES:at + SLOT_BYTES + size] if status == 0 else b""
        self.u32(at + STATE_AT, FREE)
        self.free.append(index)
        return status, text.split(b"\0")[0].decode(), experts, arrays

    def answer(self, index):
        status, message, experts, arrays = self.wait(index)
        if status != 0:
            raise Refused(status, message)
        return experts, arrays

    def info(self):
        _, arrays = self.answer(self.submit((INFO, 0, 0, 0, 0, 0, 0, 0, 1)))
        return json.loads(arrays)

    def ask(self, layer, hidden, width, *, kind=FORWARD, flags=0, ids=b"", weights=b"", dtype="f32",
            deadline_us=0):
        """Submits rows; what read() needs to take their answer apart."""
        code, size = DTYPES[dtype]
        rows = len(hidden) // (size * width)
        experts = len(ids) // 4 // rows if rows else 0
        index = self.submit((kind, layer, rows, experts, flags, code, code, deadline_us, 7),
                            [hidden, ids, weights] if ids else [hidden])
        return index, rows, width * size, kind, flags, up(len(hidden)) + 2 * up(len(ids))

    def read(self, asked, n_experts=0):
        """(output, ids, weights, logits) as bytes, those that were asked for."""
        index, rows, row_bytes, kind, flags, at = asked
        experts, arrays = self.answer(index)
        out = []
        routing = rows * experts * 4 if kind == ROUTE or flags & WANT_ROUTING else 0
        for size in (0 if kind == ROUTE else rows * row_bytes, routing, routing,
                     rows * n_experts * 4 if flags & WANT_LOGITS else 0):
            out.append(bytes(arrays[at:at + size]))
            at += up(size)
        return out

    def close(self):
        self.memory.close()
        os.close(self.memory_fd)
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
