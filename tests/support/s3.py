"""A server of S3 on this machine, and one in front of it that fails as networks and servers do."""

import logging
import random
import threading
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from time import sleep
from urllib.parse import quote

ANSWER = "<Error><Code>SlowDown</Code><Message>Reduce your request rate.</Message></Error>"


class Front(ThreadingHTTPServer):
    """Passes requests on. `faults` happen to a share of them, by chance."""

    daemon_threads = True
    FAULTS = ("slow", "busy", "cut before", "cut after")

    def __init__(self, port):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behind = port
        self.share, self.faults = 0.0, self.FAULTS
        self.requests, self.happened = [], []
        self.rng = random.Random(5)
        self.lock = threading.Lock()

    def fault(self):
        with self.lock:
            if self.rng.random() >= self.share:
                return None
            self.happened.append(self.rng.choice(self.faults))
            return self.happened[-1]

    def handle_error(self, request, client_address):
        """Connections that are cut, at either end."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _pass_on(self):
        server = self.server
        server.requests.append((self.command, self.path, self.headers.get("Range")))
        fault = server.fault()
        body = self._body()
        if fault == "slow":
            sleep(0.05)
        if fault == "busy":
            return self._answer(503, {"Content-Type": "application/xml"}, ANSWER.encode())
        if fault == "cut before":
            return self._cut()
        connection = HTTPConnection("127.0.0.1", server.behind, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection",)}
        chunked = "Transfer-Encoding" in self.headers
        connection.request(self.command, self.path, [body] if chunked else body, headers, encode_chunked=chunked)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if fault == "cut after":
            return self._cut()
        return self._answer(answer.status, dict(answer.getheaders()), content)

    def _body(self):
        """As it was sent: chunks with their signatures too."""
        if (length := self.headers.get("Content-Length")) is not None:
            return self.rfile.read(int(length))
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return None
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def _answer(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        length = headers.get("Content-Length", len(content)) if self.command == "HEAD" else len(content)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def _cut(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def log_message(self, *_):
        """Nothing."""

    do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass_on  # noqa: N815 - http.server's


class Bucket:
    """`front` fails; `uri` of a folder is one through it, with what is needed to reach it."""

    NAME = "memory-stores"

    def __init__(self, front):
        self.front = front

    @property
    def endpoint(self):
        return f"127.0.0.1:{self.front.server_port}"

    def uri(self, folder):
        query = f"endpoint_override={quote(self.endpoint, safe='')}&scheme=http&region=us-east-1"
        return f"s3://key:secret@{self.NAME}/{folder}?{query}"


@contextmanager
def bucket():
    """A bucket of a server that is there for as long as the block lasts."""
    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        client = boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{port}",
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        client.create_bucket(Bucket=Bucket.NAME)
        front = Front(port)
        threading.Thread(target=front.serve_forever, daemon=True).start()
        try:
            yield Bucket(front)
        finally:
            front.shutdown()
            front.server_close()
    finally:
        server.stop()
