#!/usr/bin/env python3
"""Has a running Chromium do something, and prints what its user would see.

drive.py PROFILE visit FILE URL [PIN...]   open the page and write its text to FILE. Each certificate dialog is accepted.
                                           Each PIN dialog gets the next PIN; "-" stands for Cancel, and so does the end
                                           of the PINs
drive.py PROFILE quit                      end it as its menu does

It was started with --remote-debugging-port=0 --enable-ui-devtools=0, and has written its ports into PROFILE.
"""

import subprocess
import sys
import threading
import time
from pathlib import Path

from devtools import DevTools, DevToolsError

# For a page with all its dialogs, the first after a start too, on a busy machine.
SECONDS = 120

# The browser's own dialogs: the classes of their views, and the title of the one that is a window of its own.
CERTIFICATES, PIN, PIN_TITLE = "CertificateSelector", "CryptoModulePasswordDialogView", "^Unlock Security Device$"
BROWSER_TITLE = "Chromium$"

NO_TEXT = "(this version does not tell what it says)"


class Views:
    """The browser's windows, as --enable-ui-devtools shows them."""

    def __init__(self, port):
        self._devtools = DevTools(port, "/0")
        self._devtools.call("DOM.enable")
        self._devtools.call("CSS.enable")

    def says(self, name):
        """What the view of this class says; nothing if there is no such view. Older versions do not tell."""
        texts = self._texts(name, "Label")
        return next(filter(None, texts), NO_TEXT if texts else None)

    def field(self, name):
        """The text of the field in the view of this class, or nothing. Older versions do not tell."""
        return "".join(filter(None, self._texts(name, "Textfield")))

    def _texts(self, name, kind):
        view = find(self._devtools.call("DOM.getDocument")["root"], "View", name)
        try:
            return [self._text(child) for child in children(view, kind)] if view else []
        except DevToolsError:
            # It has gone meanwhile.
            return []

    def _text(self, view):
        rules = self._devtools.call("CSS.getMatchedStylesForNode", nodeId=view["nodeId"])["matchedCSSRules"]
        properties = [item for rule in rules for item in rule["rule"]["style"]["cssProperties"]]
        return next((item["value"] for item in properties if item["name"] == "Text"), None)

    def tell_texts(self, name):
        """Whether the texts in the view of this class are told."""
        return any(text is not None for text in self._texts(name, "Label"))


def name_of(node):
    """The class of a view or the name of a window."""
    attributes = node.get("attributes", [])
    return dict(zip(attributes[::2], attributes[1::2])).get("name")


def find(node, kind, name):
    """The first node of this kind and name, or None."""
    if node["nodeName"] == kind and name_of(node) == name:
        return node
    return next(filter(None, (find(child, kind, name) for child in node.get("children", []))), None)


def children(node, name):
    """All views of this class below a node."""
    for child in node.get("children", []):
        if name_of(child) == name:
            yield child
        yield from children(child, name)


def xdotool(*arguments):
    """What xdotool prints. It fails when it finds no window, or when one goes while it looks."""
    return subprocess.run(["xdotool", *arguments], capture_output=True, text=True, check=False).stdout.split()


def windows(title):
    """The X windows with such a title."""
    return xdotool("search", "--onlyvisible", "--name", title)


def until(condition, what):
    """Waits until a function returns something true, and returns that."""
    end = time.monotonic() + SECONDS
    while not (result := condition()):
        if time.monotonic() > end:
            sys.exit(f"drive.py: in {SECONDS} s not seen: {what}")
        time.sleep(0.02)
    return result


class Person:
    """The person in front of the browser. Real keys go to the window that the person looks at."""

    def __init__(self, views, pins):
        self._views = views
        self._pins = list(pins)
        self._done = set()

    def answer_dialogs(self):
        """Answers the dialog that is open, if one is."""
        for window in windows(PIN_TITLE):
            if window not in self._done:
                self._done.add(window)
                self._enter_pin(window)
        text = self._views.says(CERTIFICATES)
        if text:
            print(f"certificate dialog: {text}")
            # xdotool finds none when another window goes while it looks.
            keys(until(lambda: windows(BROWSER_TITLE), "the browser's window")[0], "key", "Return")
            until(lambda: not self._views.says(CERTIFICATES), "the end of the certificate dialog")

    def _enter_pin(self, window):
        print("PIN:", until(lambda: self._views.says(PIN), "the text of the PIN dialog"))
        pin = self._pins.pop(0) if self._pins else "-"
        if pin == "-":
            keys(window, "key", "Escape")
        else:
            keys(window, "type", "--delay", "0", pin)
            if self._views.tell_texts(PIN):
                until(lambda: len(self._views.field(PIN)) == len(pin), "the PIN in its field")
            keys(window, "key", "Return")
        until(lambda: window not in windows(PIN_TITLE), "the end of the PIN dialog")


def keys(window, *arguments):
    """Gives a window the focus, since there is no window manager, and types."""
    xdotool("windowfocus", "--sync", window, *arguments)


def visit(profile, file, url, pins):
    """Opens a page in the first tab."""
    port, browser = (profile / "DevToolsActivePort").read_text().split()
    targets = DevTools(int(port), browser).call("Target.getTargets")["targetInfos"]
    page = DevTools(int(port), "/devtools/page/" + next(t["targetId"] for t in targets if t["type"] == "page"))
    person = Person(Views(int((profile / "UIDevToolsActivePort").read_text())), pins)
    page.call("Network.enable")
    page.call("Network.setCacheDisabled", cacheDisabled=True)
    outcome = {}
    # It returns when the page or the error page in its place has come.
    thread = threading.Thread(target=lambda: outcome.update(page.call("Page.navigate", url=url)), daemon=True)
    thread.start()

    def has_come():
        person.answer_dialogs()
        return not thread.is_alive()

    until(has_come, "the page")
    if not outcome:
        sys.exit("drive.py: the page did not answer")
    until(lambda: evaluate(page, "document.readyState") == "complete", "the whole page")
    print("not loaded: " + outcome["errorText"] if "errorText" in outcome else "loaded")
    Path(file).write_text(evaluate(page, "document.body.innerText") + "\n")


def evaluate(page, expression):
    """The value of a JavaScript expression in the page."""
    return page.call("Runtime.evaluate", expression=expression)["result"]["value"]


def main(profile, command, *arguments):
    """Runs one command."""
    profile = Path(profile)
    if command == "visit":
        visit(profile, arguments[0], arguments[1], arguments[2:])
    elif command == "quit":
        port, browser = (profile / "DevToolsActivePort").read_text().split()
        DevTools(int(port), browser).call("Browser.close")
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
