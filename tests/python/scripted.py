"""A server that does what a test tells it to, request by request."""
import contextlib
import json
import socketserver
import threading


def answer(status, body=b"", kind="application/octet-stream", **headers):
    """The bytes of an answer. Names of headers are written with _ for -."""
    lines = [f"HTTP/1.1 {status} x", f"Content-Type: {kind}", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def problem(status, code, detail="told so", **headers):
    body = json.dumps({"type": "about:blank", "title": code, "status": status, "detail": detail,
                       "error": detail, "code": code, "request_id": "r1"}).encode()
    return answer(status, body, "application/problem+json", **headers)


def rows(data, width):
    """A good answer to a forward of f32 rows."""
    return answer(200, data, X_MoE_Layer=0, X_MoE_Dtype="f32",
                  X_MoE_Shape=f"{len(data) // 4 // width},{width}",
                  Server_Timing="queue;dur=0.25, compute;dur=1.5")


class Request:
    """What came."""

    def __init__(self, line, headers, body):
        self.line, self.headers, self.body = line, headers, body


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        with contextlib.suppress(OSError):
            while self.one():
                pass

    def one(self):
        """One request and what the script has for it: bytes, a number of seconds to wait, or
        None to hang up; of a tuple, each in turn."""
        line = self.rfile.readline().decode().strip()
        if not line:
            return False
        headers = {}
        while header := self.rfile.readline().decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = self.rfile.read(int(headers.get("content-length", 0)))
        self.server.requests.append(Request(line, headers, body))
        step = self.server.script.pop(0) if self.server.script else None
        for part in step if isinstance(step, tuple) else (step,):
            if part is None:
                return False
            if isinstance(part, (int, float)):
                self.server.over.wait(part)
            else:
                self.wfile.write(part)
        return True


class Scripted(socketserver.ThreadingTCPServer):
    """Use as a context manager; `url`, and `requests` that came so far."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, *script):
        super().__init__(("127.0.0.1", 0), Handler)
        self.script = list(script)
        self.requests = []
        self.connections = 0
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    def get_request(self):
        self.connections += 1
        return super().get_request()

    def __exit__(self, *trace):
        self.over.set()
        self.shutdown()
        self._thread.join()
        super().__exit__(*trace)
