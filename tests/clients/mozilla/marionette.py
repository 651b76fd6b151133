"""Drives a Firefox or Thunderbird that was started with --marionette, over its socket."""

import json
import socket
import time

START = """
    const { setTimeout } = ChromeUtils.importESModule("resource://gre/modules/Timer.sys.mjs");
    const outcome = (globalThis.outcome = {});
    (async (...arguments) => { BODY })(...arguments).then(
      result => { outcome.result = result ?? null; },
      error => { outcome.error = `${error} ${error.stack ?? ""}`; }
    );
"""

# Error pages are made of components, which innerText leaves out.
PAGE_TEXT = """
    const text = node => [...node.childNodes].flatMap(child => {
      if (child.nodeType == Node.TEXT_NODE) return child.data.trim() || [];
      if (["STYLE", "SCRIPT", "TEMPLATE"].includes(child.nodeName) || child.hidden) return [];
      return [...(child.shadowRoot ? text(child.shadowRoot) : []), ...text(child)];
    });
    return text(document.body).join("\\n");
"""


class ScriptError(Exception):
    """What the application answered instead of a result."""


class DialogIsOpen(Exception):
    """A dialog waits for its answer."""


class Marionette:
    """One session. Scripts run with the application's own rights, not a page's."""

    def __init__(self, port, seconds=60):
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        self._stream = self._socket.makefile("rwb")
        self._receive()  # the greeting
        self._seconds = seconds
        # The scripts answer dialogs themselves.
        self._command("WebDriver:NewSession", {"unhandledPromptBehavior": "ignore"})
        self._command("Marionette:SetContext", {"value": "chrome"})

    def script(self, text, *arguments):
        """Runs the body of an async function and returns what it returns."""
        # A command ends when a dialog opens, finished or not: so this one only starts the function.
        self._execute(START.replace("BODY", text), arguments)
        end = time.monotonic() + self._seconds
        while time.monotonic() < end:
            outcome = self._execute("return globalThis.outcome;", ())
            if "error" in outcome:
                raise ScriptError(outcome["error"])
            if "result" in outcome:
                return outcome["result"]
            time.sleep(0.02)
        raise ScriptError("the script takes too long")

    def _execute(self, text, arguments):
        parameters = {"script": text, "args": arguments, "sandbox": "system", "newSandbox": False}
        try:
            # Nothing comes back when a dialog opened meanwhile.
            return self._command("WebDriver:ExecuteScript", parameters)["value"] or {}
        except DialogIsOpen:
            return {}

    def page(self):
        """The text of the page in the window, be it an error page."""
        self._command("Marionette:SetContext", {"value": "content"})
        return self._command("WebDriver:ExecuteScript", {"script": PAGE_TEXT, "args": []})["value"]

    def quit(self):
        """Ends the application as its menu does."""
        self._command("Marionette:Quit", {"flags": ["eAttemptQuit"]})

    def close(self):
        """Ends the session, not the application."""
        self._command("WebDriver:DeleteSession", {})
        self._socket.close()

    def _command(self, name, parameters):
        message = json.dumps([0, 1, name, parameters]).encode()
        self._stream.write(b"%d:%s" % (len(message), message))
        self._stream.flush()
        _, _, error, result = self._receive()
        if error:
            if error["error"] == "unexpected alert open":
                raise DialogIsOpen
            raise ScriptError(f"{name}: {error['error']}: {error['message']}")
        return result

    def _receive(self):
        length = b""
        while not length.endswith(b":"):
            byte = self._stream.read(1)
            if not byte:
                raise ScriptError("the application hung up")
            length += byte
        return json.loads(self._stream.read(int(length[:-1])))
