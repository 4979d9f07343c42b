"""Between the bridge and PostgreSQL: a relay that can be slow, and that can break a connection in the middle of a commit."""

import os
import selectors
import socket
import threading
import time

# How the statement ends that moves the offsets.
COMMIT = b"; COMMIT\0"


class Proxy:
    """Listens on 127.0.0.1, and connects to the server of PGHOST."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.server = f"{os.environ['PGHOST']}/.s.PGSQL.{os.environ['PGPORT']}"
        self.how = None             # what becomes of the next commit
        self.broken = 0             # how many were broken
        self.bytes_per_second = 0   # to the server; 0: as fast as it goes
        self.over = False
        threading.Thread(target=self.accept, daemon=True).start()

    def dsn(self):
        return f"host=127.0.0.1 port={self.port} user={os.environ['PGUSER']} dbname={os.environ['PGDATABASE']}"

    def break_next_commit(self, how):
        """`how`: "unsent", "half" of it is sent, or "unanswered": the server commits, and nobody learns of it."""
        self.how = how

    def end(self):
        self.over = True
        self.listener.close()

    def accept(self):
        while not self.over:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        server = socket.socket(socket.AF_UNIX)
        with client, server, selectors.DefaultSelector() as both:
            try:
                server.connect(self.server)
                both.register(client, selectors.EVENT_READ, server)
                both.register(server, selectors.EVENT_READ, client)
                tail = b""
                while True:
                    for key, _ in both.select():
                        data = key.fileobj.recv(65536)
                        if not data:
                            return
                        if key.fileobj is client:
                            tail = (tail + data)[-len(COMMIT):] if len(data) < len(COMMIT) else data
                            if COMMIT in tail and self.how:
                                self.break_it(server, data)
                                return
                            if self.bytes_per_second:
                                time.sleep(len(data) / self.bytes_per_second)
                        key.data.sendall(data)
            except OSError:
                # Either end may be killed at any time.
                return

    def break_it(self, server, data):
        how, self.how = self.how, None
        if how == "half":
            server.sendall(data[:len(data) // 2])
        elif how == "unanswered":
            server.sendall(data)
            # What it answers comes after the commit.
            server.recv(1)
        self.broken += 1
