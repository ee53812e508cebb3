"""The files of a suite of web platform tests over HTTP, and its Python handlers with the part of wptserve that they use."""
import http.server
import importlib.util
import pathlib
import sys
import threading
import types
import urllib.parse

TYPES = {".json": "application/json", ".js": "text/javascript", ".html": "text/html", ".txt": "text/plain", ".png": "image/png"}
KEEP = object()


def to_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


# What handlers import of wptserve.
utilities = types.ModuleType("wptserve.utils")
utilities.isomorphic_encode = lambda value: value if isinstance(value, bytes) else value.encode("latin-1")
utilities.isomorphic_decode = lambda value: value if isinstance(value, str) else value.decode("latin-1")
sys.modules["wptserve"] = types.ModuleType("wptserve")
sys.modules["wptserve.utils"] = utilities


class Fields:
    """request.headers and response.headers: names and values are bytes."""

    def __init__(self, pairs=()):
        self.pairs = [(to_bytes(name), to_bytes(value)) for name, value in pairs]

    def get(self, name, default=None):
        found = [value for key, value in self.pairs if key.lower() == to_bytes(name).lower()]
        return b", ".join(found) if found else default

    def __contains__(self, name):
        return self.get(name) is not None

    def __getitem__(self, name):
        return self.get(name)

    def items(self):
        return list(self.pairs)

    def set(self, name, value):
        self.pairs = [pair for pair in self.pairs if pair[0].lower() != to_bytes(name).lower()]
        self.append(name, value)

    def append(self, name, value):
        self.pairs.append((to_bytes(name), to_bytes(value)))

    def update(self, pairs):
        for name, value in pairs:
            self.set(name, value)


class Query:
    """request.GET and request.POST."""

    def __init__(self, text):
        self.pairs = [(to_bytes(name), to_bytes(value)) for name, value in urllib.parse.parse_qsl(text, keep_blank_values=True)]

    def first(self, name, default=KEEP):
        for key, value in self.pairs:
            if key == to_bytes(name):
                return value
        if default is KEEP:
            raise KeyError(name)
        return default

    def get(self, name, default=None):
        return self.first(name, default)

    def get_list(self, name):
        return [value for key, value in self.pairs if key == to_bytes(name)]

    def __contains__(self, name):
        return self.first(name, None) is not None

    def __getitem__(self, name):
        return self.first(name)


class Stash:
    values = {}

    def put(self, key, value, path=None):
        self.values[key] = value

    def take(self, key, path=None):
        return self.values.pop(key, None)


class Request:
    def __init__(self, handler, body):
        split = urllib.parse.urlsplit(handler.path)
        self.method, self.request_path, self.body = handler.command, handler.path, body
        self.raw_input = self
        self.headers = Fields(handler.headers.items())
        self.GET = Query(split.query)
        self.POST = Query(body.decode("latin-1"))
        self.url_parts = split
        self.server = self
        self.stash = Stash()

    def read(self):
        return self.body


class Response:
    def __init__(self):
        self.status, self.headers, self.content, self.writer, self.raw = 200, Fields(), b"", self, None

    def add_required_headers(self):
        pass

    def write_status(self, status):
        self.status = status

    def write_header(self, name, value):
        self.headers.append(name, value)

    def end_headers(self):
        pass

    def write_content(self, content):
        self.content += to_bytes(content)

    write = write_content

    def flush(self):
        pass


def run_handler(path, request, response):
    specification = importlib.util.spec_from_file_location(f"wpt_{path.stem}", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    result = module.main(request, response)
    if isinstance(result, tuple):
        if len(result) == 3:
            response.status = result[0]
            result = result[1:]
        response.headers.update(result[0])
        result = result[1]
    if result is not None:
        response.content = to_bytes(result)


def serve(suites):
    """(base URL, close). Serves the first suite that has a file, until closed."""
    suites = [pathlib.Path(suite) for suite in suites]

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

        def answer(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            wanted = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path).lstrip("/")
            path = next((suite / wanted for suite in suites if (suite / wanted).is_file()), suites[0] / wanted)
            response = Response()
            try:
                if path.suffix == ".py" and path.is_file():
                    run_handler(path, Request(self, body), response)
                elif path.is_file():
                    response.content = path.read_bytes()
                    response.headers.set("Content-Type", TYPES.get(path.suffix, "application/octet-stream"))
                    beside = path.with_name(path.name + ".headers")
                    if beside.is_file():
                        for line in beside.read_text().splitlines():
                            if ":" in line:
                                response.headers.set(*(part.strip() for part in line.split(":", 1)))
                else:
                    response.status = 404
            except Exception as error:  # a handler's own: the test shall see it
                response.status, response.content = 500, str(error).encode()
            status = response.status if isinstance(response.status, tuple) else (response.status, None)
            self.send_response_only(int(status[0]), status[1] and (status[1].decode() if isinstance(status[1], bytes) else status[1]))
            for name, value in response.headers.items():
                self.send_header(name.decode("latin-1"), value.decode("latin-1"))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.content)

        do_GET = do_POST = do_PUT = do_HEAD = do_OPTIONS = do_DELETE = do_PATCH = answer

        def __getattr__(self, name):  # methods that tests invent
            if name.startswith("do_"):
                return self.answer
            raise AttributeError(name)

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass  # a client that went away: its test is over

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}", server.shutdown
