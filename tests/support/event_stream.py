"""A client of server-sent events."""

import http.client
import json
import threading


class EventStream:
    """Reads on a thread of its own; `events` has (name, JSON) of all that came, under `condition`."""

    def __init__(self, address, path, fields=None):
        host, _, port = address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)
        self.connection.request("GET", path, headers=fields or {})
        self.response = self.connection.getresponse()
        self.events = []
        self.ended = False
        self.condition = threading.Condition()
        if self.response.status == 200:
            threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        name = None
        try:
            for line in self.response:
                text = line.decode().rstrip("\n")
                if text.startswith("event: "):
                    name = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    with self.condition:
                        self.events.append((name, json.loads(text.removeprefix("data: "))))
                        self.condition.notify_all()
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass
        with self.condition:
            self.ended = True
            self.condition.notify_all()

    def wait(self, name, condition=lambda data: True, seconds=30, after=0):
        """The first event of that name, from number `after` on, that meets the condition."""
        with self.condition:
            def found():
                return next((data for kind, data in self.events[after:] if kind == name and condition(data)), None)

            if not self.condition.wait_for(lambda: found() is not None, seconds):
                raise AssertionError(f"no {name} came that was waited for; the last: {self.events[-3:]}")
            return found()

    def count(self):
        with self.condition:
            return len(self.events)

    def close(self):
        self.connection.close()
