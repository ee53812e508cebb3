"""Origins of sites: HTTP servers on free ports that do what a test wants of them."""

import http.server
import threading


class Origin:
    """An origin on a free port that answers as `answer(request)` says; counts its requests."""

    def __init__(self, answer, address=("127.0.0.1", 0)):
        self.requests = []
        origin = self

        class Receiver(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do(self):
                length = int(self.headers.get("Content-Length") or 0)
                self.body = self.rfile.read(length)
                origin.requests.append((self.command, self.path, dict(self.headers.items()), self.body))
                answer(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do

            def give(self, status=200, fields=(), body=b""):
                self.send_response(status)
                for name, value in fields:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 4096

        self.server = Server(address, Receiver)
        self.port = self.server.server_address[1]
        self.url = f"http://{address[0]}:{self.port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def end(self):
        if not self.thread.is_alive():
            return
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()
