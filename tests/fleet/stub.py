"""Replicas that answer as they are told and count what reaches them."""
import http.server
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # noqa: N802, the name is http.server's
        self.reply(200)

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            self.server.requests += 1
        if self.server.status == 0:  # hangs up instead
            self.close_connection = True
        else:
            self.reply(self.server.status)

    def reply(self, status):
        body = str(self.server.server_port).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Stub(http.server.ThreadingHTTPServer):
    """Answers every POST with `status`, or with 0 hangs up. A context manager."""

    daemon_threads = True

    def __init__(self, status):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.requests, self.lock = status, 0, threading.Lock()
        self.port = self.server_port
        self.thread = threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True)

    def handle_error(self, *_):
        """A checker that hangs up early is none of ours."""

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()
