#!/usr/bin/env python3
"""A mail server on the loopback interface that keeps what it gets: smtp.py PORT FILE, the newest message in FILE."""

import socketserver
import sys
from pathlib import Path


class Session(socketserver.StreamRequestHandler):
    """One client's session."""

    def handle(self):
        self._say("220 localhost")
        while line := self.rfile.readline():
            verb = line.split()[0].upper() if line.split() else b""
            if verb == b"DATA":
                self._say("354 go on")
                self._keep_message()
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            self._say("250 fine")

    def _keep_message(self):
        message = b""
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            message += line.removeprefix(b".")
        file = Path(sys.argv[2])
        part = file.with_suffix(".part")
        part.write_bytes(message)
        part.rename(file)

    def _say(self, line):
        self.wfile.write(line.encode() + b"\r\n")


if __name__ == "__main__":
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Session) as server:
        server.serve_forever()
