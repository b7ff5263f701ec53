"""Writes a text file as a C array, with @VERSION@ replaced: embed.py IN OUT NAME VERSION."""
import sys

source, target, name, version = sys.argv[1:]
with open(source, encoding="utf-8") as file:
    data = file.read().replace("@VERSION@", version).encode()
with open(target, "w", encoding="ascii") as out:
    out.write(f"#include <stddef.h>\n\nextern const unsigned char {name}[];\n")
    out.write(f"extern const size_t {name}_size;\n\nconst unsigned char {name}[] = {{\n")
    for at in range(0, len(data), 20):
        out.write(",".join(str(byte) for byte in data[at : at + 20]) + ",\n")
    out.write(f"}};\nconst size_t {name}_size = {len(data)};\n")
