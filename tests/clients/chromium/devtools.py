"""Talks the DevTools protocol to a Chromium, over its WebSocket."""

import base64
import json
import os
import socket
import struct


class DevToolsError(Exception):
    """What Chromium answered instead of a result."""


class DevTools:
    """One connection: to a page, to the browser, or to its own windows (--enable-ui-devtools)."""

    def __init__(self, port, path, seconds=120):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._stream = self._socket.makefile("rb")
        self._last = 0
        key = base64.b64encode(os.urandom(16)).decode()
        request = [
            f"GET {path} HTTP/1.1",
            f"Host: 127.0.0.1:{port}",
            "Connection: Upgrade",
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {key}",
        ]
        self._socket.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        status = self._stream.readline()
        if b" 101 " not in status:
            raise DevToolsError(f"no WebSocket at {path}: {status!r}")
        while self._stream.readline().strip():
            pass

    def call(self, method, **parameters):
        """Calls a method and returns its result. Events that come before it are dropped."""
        self._last += 1
        self._send(json.dumps({"id": self._last, "method": method, "params": parameters}).encode())
        while True:
            message = json.loads(self._receive())
            if message.get("id") == self._last:
                break
        if "error" in message:
            raise DevToolsError(f"{method}: {message['error']['message']}")
        return message["result"]

    def close(self):
        """Ends the connection."""
        self._socket.close()

    def _send(self, data):
        mask = os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", 0x81, 0x80 | len(data))
        else:
            head = struct.pack("!BBH", 0x81, 0x80 | 126, len(data))
        self._socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data)))

    def _receive(self):
        data, final = b"", False
        while not final:
            first, length = self._read(2)
            if length == 126:
                (length,) = struct.unpack("!H", self._read(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", self._read(8))
            data += self._read(length)
            final = first & 0x80
        return data

    def _read(self, length):
        data = self._stream.read(length)
        if len(data) < length:
            raise DevToolsError("Chromium hung up")
        return data
