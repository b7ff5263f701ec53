"""A proxy that offers a server below a prefix, as people hide several behind one name."""
import http.server
import threading

import harness

PASSED = ("Content-Type", "Authorization")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.path.startswith(self.server.prefix):
            return self.reply(harness.Answer(404, {}, b""))
        headers = {name: self.headers[name] for name in PASSED if name in self.headers}
        path = "/" + self.path[len(self.server.prefix):].lstrip("/")
        return self.reply(self.server.behind.request(self.command, path, body or None, headers))

    do_GET = do_POST = pass_on

    def reply(self, answer):
        self.send_response(answer.status)
        for name in ("Content-Type", "Content-Security-Policy"):
            if answer.headers[name]:
                self.send_header(name, answer.headers[name])
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_):
        pass


class Prefix(http.server.ThreadingHTTPServer):
    """Use as a context manager; `url` has no slash at its end."""

    def __init__(self, behind, prefix):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behind, self.prefix = behind, prefix
        self.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server_port}{prefix}"
        self.thread = threading.Thread(target=self.serve_forever)

    def handle_error(self, request, client_address):
        """A browser that closes a tab resets its connections."""

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.thread.join()
        self.server_close()
