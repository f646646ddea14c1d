"""Servers on loopback that stand for whoever is told, for the tests of webhooks and write-backs."""

import contextlib
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Request:
    method: str
    path: str
    headers: dict
    body: bytes


@dataclass
class Receiver:
    """Answers with what `answer(request)` returns: (status, headers, body), or None to break the connection off."""

    url: str = ""
    got: list = field(default_factory=list)
    more: threading.Condition = field(default_factory=threading.Condition)
    answer: object = lambda request: (204, {}, b"")


@contextlib.contextmanager
def receiver(answer=None):
    here = Receiver()
    if answer:
        here.answer = answer

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self):
            with contextlib.suppress(ConnectionError):
                super().handle_one_request()

        def reply(self):
            length = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, self.rfile.read(length))
            with here.more:
                here.got.append(request)
                here.more.notify_all()
            told = here.answer(request)
            if told is None:
                self.close_connection = True
                return
            status, headers, body = told
            self.send_response(status)
            for name, value in {**headers, "Content-Length": len(body)}.items():
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_PUT = reply

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    here.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield here
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def slowly(seconds):
    """An answer that comes late."""

    def answer(request):
        time.sleep(seconds)
        return 204, {}, b""

    return answer
