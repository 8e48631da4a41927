"""A stand-in for SendGrid as a process of its own: takes a mail, checks it against the schema, answers 202."""

from __future__ import annotations

import json
import socketserver
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count

from gridwatch.alerts.mail_check import check_mail

_numbers = count()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        problems = check_mail(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        said = json.dumps({"errors": problems}).encode() if problems else b""
        self.send_response_only(400 if problems else 202)
        self.send_header("X-Message-Id", f"bench-{next(_numbers)}")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that ends has nothing to tell."""


def serve() -> None:
    """Print the port, and take mails until the process is ended."""
    server: socketserver.TCPServer = _Server(("127.0.0.1", 0), _Handler)
    sys.stdout.write(f"{server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    serve()
