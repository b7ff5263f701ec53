"""Reads what tests need of a small GGUF file: its scalar keys and its float32 tensors."""
import array
import struct

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
F32 = 0


class Gguf:
    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.at = 8
        tensors, keys = self.take("QQ")
        self.keys = dict((self.text(), self.value(self.take("I")[0])) for _ in range(keys))
        places = {}
        for _ in range(tensors):
            name = self.text()
            dims = self.take("Q" * self.take("I")[0])
            places[name] = (dims, *self.take("IQ"))
        align = self.keys.get("general.alignment", 32)
        start = (self.at + align - 1) // align * align
        self.places = {name: (dims, kind, start + offset) for name, (dims, kind, offset) in places.items()}
        self.tensors = {name: self.floats(start + offset, dims)
                        for name, (dims, kind, offset) in places.items() if kind == F32}

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self):
        size = self.take("Q")[0]
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def value(self, kind):
        if kind == 8:
            return self.text()
        if kind == 9:
            kind, count = self.take("IQ")
            return [self.value(kind) for _ in range(count)]
        return self.take(SCALARS[kind])[0]

    def floats(self, offset, dims):
        count = 1
        for n in dims:
            count *= n
        return array.array("f", self.data[offset:offset + 4 * count])
