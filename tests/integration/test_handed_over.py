"""Sockets that a service manager hands over (sd_listen_fds(3)): used, shared by all loops, and kept over a restart."""

import os
import shutil
import socket
import subprocess
import sys
import threading
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
import verge

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


class HandedOver(verge.TestCase):
    def listening(self, host=None):
        """A socket as a service manager opens it, and its address."""
        made = socket.create_server((host or verge.own_host(), 0), backlog=128)
        self.addCleanup(made.close)
        host, port = made.getsockname()
        return made, f"{host}:{port}"

    def served(self, sockets, names, sets=(), pid="$$"):
        """A node to which these are handed over: from descriptor 3 on, under its process id."""
        moved = " ".join(f"{3 + at}<&{each.fileno()}" for at, each in enumerate(sockets))
        script = f'exec {moved}; LISTEN_PID={pid} LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={names} exec "$@"'
        return self.node("served", sets=["runtime.loops=3", *sets], prefix=["bash", "-c", script, "bash"],
                         descriptors=[each.fileno() for each in sockets])

    def test_they_are_used_and_outlive_the_process(self):
        mqtt, mqtt_address = self.listening()
        http, http_address = self.listening()
        admin, admin_address = self.listening()
        node = self.served([mqtt, http, admin], "mqtt:http:admin",
                           [f"mqtt.listen={mqtt_address}", f"http.listen={http_address}",
                            f"admin.listen={admin_address}"])
        early = socket.create_connection(admin.getsockname(), verge.PATIENCE)
        self.addCleanup(early.close)
        early.sendall(REQUEST)
        node.start()
        self.assertIn(b" 200 OK", early.recv(65536), "who came before the node waits for it")
        self.assertEqual(node.addresses, {"mqtt": mqtt_address, "http": http_address, "admin": admin_address})
        clients = [self.mqtt(node, f"client-{at}") for at in range(12)]
        for client in clients:
            client.subscribe("to/all")
        clients[0].publish_and_wait("to/all", "hello")
        for client in clients:
            client.wait_messages(1)
        self.assertEqual(node.post("/v1/events", {"topic": "a"}).status, 200)
        node.stop()
        late = socket.create_connection(admin.getsockname(), verge.PATIENCE)
        self.addCleanup(late.close)
        late.sendall(REQUEST)
        node.start()
        self.assertIn(b" 200 OK", late.recv(65536), "a restart refuses nobody")
        node.stop()

    def test_connections_come_in_on_all_loops(self):
        """Many at once, from many threads: each is accepted once, whichever loop takes it."""
        http, address = self.listening()
        node = self.served([http], "http", [f"http.listen={address}"]).start()
        failures = []

        def ask():
            for number in range(20):
                answer = node.post("/v1/events", {"topic": "n", "payload": number})
                if answer.status != 200:
                    failures.append(answer)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual(len(node.events_by_http("n")), 160)
        node.stop()

    def test_a_name_of_systemd_leaves_it_to_the_address(self):
        http, address = self.listening()
        node = self.served([http], "verge.socket", [f"http.listen={address}"]).start()
        self.assertEqual(node.post("/v1/events", {"topic": "a"}).status, 200)
        node.stop()

    def refused(self, node, *said):
        node.launch()
        self.assertEqual(node.wait_end(), 1)
        for text in ("[net.handed-over]", *said):
            self.assertIn(text, node.log())

    def test_one_that_nothing_listens_on(self):
        mqtt, address = self.listening()
        self.refused(self.served([mqtt], "mqtt"), f"set mqtt.listen to {address}")

    def test_one_for_another_listener(self):
        mqtt, address = self.listening()
        node = self.served([mqtt], "mqtt", [f"http.listen={address}"])
        node.launch()
        self.assertEqual(node.wait_end(), 1)
        self.assertIn("[net.port-in-use]", node.log(), "a socket for mqtt does not serve HTTP")

    def test_what_is_no_listening_socket(self):
        ours, theirs = socket.socketpair()
        self.addCleanup(ours.close)
        self.addCleanup(theirs.close)
        self.refused(self.served([theirs], "mqtt"), "no listening TCP socket")

    def test_those_for_another_process(self):
        mqtt, _ = self.listening()
        node = self.served([mqtt], "mqtt", pid=1).start()
        self.assertNotEqual(node.addresses["mqtt"], "%s:%d" % mqtt.getsockname())
        node.stop()

    @unittest.skipUnless(shutil.which("systemd-socket-activate"), "systemd-socket-activate is not here")
    def test_by_systemd_itself(self):
        """The node is started by the first connection, by the program that systemd has for trying this out."""
        with socket.create_server((verge.own_host(), 0)) as free:
            host, port = free.getsockname()
        node = self.node("activated", sets=[f"admin.listen={host}:{port}"])
        with open(node.log_path, "ab") as log:
            process = verge.spawn(["systemd-socket-activate", "-l", f"{host}:{port}", "--fdname=admin",
                                   *node.command()], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.addCleanup(verge.end, process)

        def connected():
            try:
                return socket.create_connection((host, port), verge.PATIENCE)
            except ConnectionRefusedError:
                return None

        with verge.wait_until(connected, "systemd-socket-activate listens") as connection:
            connection.sendall(REQUEST)
            self.assertIn(b" 200 OK", connection.recv(65536), node.log())


if __name__ == "__main__":
    verge.unittest.main(verbosity=2)
