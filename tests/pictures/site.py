#!/usr/bin/env python3
"""A site that requires the authentication certificate, with a page for a picture.

site.py PORT CERTIFICATE KEY CA
"""

import http.server
import ssl
import sys

PAGE = """<!doctype html>
<meta charset="utf-8"><title>Example City</title><link rel="icon" href="data:,">
<style>
body {{ font: 17px sans-serif; margin: 48px; color: #223 }} h1 {{ font-size: 26px }}
td {{ padding: 6px 24px 6px 0 }} td:first-child {{ color: #667 }}
</style>
<h1>Example City: you are logged in</h1>
<table>
<tr><td>certificate of</td><td>{subject}</td></tr>
<tr><td>issued by</td><td>{issuer}</td></tr>
<tr><td>valid until</td><td>{until}</td></tr>
<tr><td>connection</td><td>{version}</td></tr>
</table>
"""


class Page(http.server.BaseHTTPRequestHandler):
    """Tells the visitor what the certificate says."""

    def do_GET(self):  # pylint: disable=invalid-name
        """Answers with the page."""
        certificate = self.connection.getpeercert()
        text = PAGE.format(
            subject=last(certificate["subject"]),
            issuer=last(certificate["issuer"]),
            until=certificate["notAfter"],
            version=self.connection.version(),
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


def last(name):
    """The last part of a name, which is the most telling one."""
    return name[-1][0][1]


def main(port, certificate, key, authority):
    """Serves until it is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.load_verify_locations(authority)
    context.verify_mode = ssl.CERT_REQUIRED
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Page)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
