"""Bodies of the Open Inference Protocol with Triton's binary tensors, by the protocol's text and
with Python's standard library only, so that they share no code and no misreading with a client."""
import json
import struct

HEADER = "Inference-Header-Content-Length"
SIZES = {"FP32": 4, "FP16": 2, "BF16": 2, "INT32": 4}
FORMATS = {"FP32": "f", "FP16": "e", "INT32": "i"}


def to_bytes(datatype, values):
    if datatype == "BF16":  # truncated, as clients did before numpy had the type
        data = struct.pack(f"<{len(values)}f", *values)
        return b"".join(data[at + 2:at + 4] for at in range(0, len(data), 4))
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def from_bytes(datatype, data):
    if datatype == "BF16":
        data, datatype = b"".join(b"\0\0" + data[at:at + 2] for at in range(0, len(data), 2)), "FP32"
    return list(struct.unpack(f"<{len(data) // SIZES[datatype]}{FORMATS[datatype]}", data))


def rounded(datatype, values):
    """Numbers of JSON as the values that they stand for."""
    return from_bytes(datatype, to_bytes(datatype, values))


def tensor(name, datatype, width, values, binary):
    """An input and the bytes that stand behind the JSON for it."""
    described = {"name": name, "shape": [len(values) // width, width], "datatype": datatype}
    if not binary:
        return {**described, "data": list(values)}, b""
    data = to_bytes(datatype, values)
    return {**described, "parameters": {"binary_data_size": len(data)}}, data


def request(tensors, **members):
    """(body, headers) of an infer request; `tensors` as tensor() returns them."""
    text = json.dumps({"inputs": [described for described, _ in tensors], **members}).encode()
    behind = b"".join(data for _, data in tensors)
    return text + behind, {HEADER: str(len(text))} if behind else {}


def outputs(answer):
    """{name: values} and {name: description} of an answer."""
    size = int(answer.headers[HEADER] or len(answer.body))
    document, behind = json.loads(answer.body[:size]), answer.body[size:]
    values, described = {}, {}
    for output in document["outputs"]:
        described[output["name"]] = output
        if "data" in output:
            values[output["name"]] = rounded(output["datatype"], output["data"])
            continue
        length = output["parameters"]["binary_data_size"]
        values[output["name"]] = from_bytes(output["datatype"], behind[:length])
        behind = behind[length:]
    if behind:
        raise ValueError(f"{len(behind)} bytes belong to no output")
    return values, described
