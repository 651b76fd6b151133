#!/usr/bin/python3
"""Has a running LibreOffice do something by its menus and dialogs, and prints what its user would see.

drive.py PIPE write DOCUMENT                    make a text document
drive.py PIPE sign DOCUMENT [PASSWORD...]       File > Digital Signatures > Digital Signatures > Sign Document
drive.py PIPE check DOCUMENT                    the same dialog, only read
drive.py PIPE export DOCUMENT PDF [PASSWORD...] File > Export As > Export as PDF > Digital Signatures
drive.py PIPE quit                              end it as its menu does

The first certificate is chosen. Each password dialog gets the next password; "-" stands for Cancel, and so does the end of
the passwords. PIPE is the name in soffice's --accept.
"""

import os
import sys
import time
from pathlib import Path

from office import SECONDS, Office, UnoException, until


# How long the list of certificates or the password dialog on top of it may take, and how long the list after a password
# dialog. The script says less where it expects neither.
LIST_SECONDS = float(os.environ.get("LIST_SECONDS", SECONDS))
ANSWERED_LIST_SECONDS = float(os.environ.get("ANSWERED_LIST_SECONDS", SECONDS))
# What the list of certificates calls its button, for a document, and for a PDF.
CHOOSE = ("Sign", "Select", "OK")
# The head of the page of signatures in the options of a PDF, in versions 7.4 and 25.2.
PAGE_HEADS = {"Certificate", "X.509 Certificate"}
# How the title of a document's window ends, in versions 7.4 and 25.2.
TITLE_ENDS = (" - LibreOffice Writer", " \N{EM DASH} LibreOffice Writer")


class Person:
    """The person in front of LibreOffice."""

    def __init__(self, office, passwords=(), pdf=None, sign=True):
        self._office = office
        self._passwords = list(passwords)
        self._pdf = pdf
        # Whether the person still means to choose a certificate.
        self._sign = sign
        self._was_asked = False
        self._answers = {
            "Digital Signatures": self._answer_signatures,
            "Select X.509 Certificate": self._answer_certificates,
            # Version 25.2.
            "Select Certificate": self._answer_certificates,
            "Enter Password - ": self._answer_password,
            "PDF Options": self._answer_options,
            "Export": self._answer_export,
        }

    def attend(self, document, command):
        """Opens the document, chooses a menu's item and answers all dialogs until the last one has gone."""

        def is_document(window):
            # "NAME - LibreOffice Writer", or "NAME (Signed) - LibreOffice Writer".
            return window and window.name.startswith(document.name) and window.name.endswith(TITLE_ENDS)

        def is_back():
            try:
                return is_document(self._office.top())
            except UnoException:
                return False

        frame = self._office.open(document)
        until(is_back, f"the window of {document.name}")
        thread = self._office.choose(frame, command)
        until(lambda: self._office.top() and not is_back(), f"the dialog of {command}")
        while thread.is_alive() or not is_back():
            # Looked at once: the next window on top may be another one.
            window = self._office.top()
            try:
                if window and not is_document(window):
                    self._answers.get(window.name, self._answer_box)(window)
            except UnoException:
                # It went while it was read.
                pass
            time.sleep(0.02)

    def _press(self, dialog, *button):
        """Presses a button and waits for another window."""
        title = dialog.name
        dialog.button(*button).press()
        until(lambda: (top := self._office.top()) and top.name != title, f"what follows {title}")

    def _answer_password(self, dialog):
        print("password: " + " ".join(dialog.labels()[0].split()))
        self._was_asked = True
        password = self._passwords.pop(0) if self._passwords else "-"
        if password != "-":
            next(dialog.parts("PASSWORD_TEXT")).write(password)
        self._press(dialog, "Cancel" if password == "-" else "OK")

    def _answer_box(self, dialog):
        # A message, or in version 25.2 the question whether each save is to sign.
        print(f"{dialog.name}: {' '.join(dialog.labels())}")
        self._press(dialog, "OK", "No")

    def _answer_certificates(self, dialog):
        # The list is made while the dialog is open. The password dialog comes on top of it; after that, the list is
        # made.
        end = time.monotonic() + (ANSWERED_LIST_SECONDS if self._was_asked else LIST_SECONDS)
        while not (rows := list(rows_of(dialog))) and time.monotonic() < end:
            top = self._office.top()
            if top and top.name != dialog.name:
                return
            time.sleep(0.1)
        for row in rows:
            print("certificate: " + row)
        if rows:
            table_of(dialog).select(0)
            until(lambda: dialog.button(*CHOOSE).has("ENABLED"), "a button that can be pressed")
            self._press(dialog, *CHOOSE)
        else:
            print("no certificate")
            self._press(dialog, "Cancel")

    def _answer_signatures(self, dialog):
        if self._sign:
            self._sign = False
            self._press(dialog, "Sign Document")
            return
        for row in rows_of(dialog):
            print("signature: " + row)
        for text in dialog.labels()[1:]:
            print(text)
        self._press(dialog, "Close")

    def _answer_options(self, dialog):
        pages = next(dialog.parts("PAGE_TAB_LIST"))
        if self._sign:
            self._sign = False
            names = [page.name for page in pages.children()]
            pages.select(names.index("Digital Signatures"))
            until(lambda: PAGE_HEADS & set(dialog.labels()), "the page of signatures")
            self._press(dialog, "Select")
            return
        certificate = next(dialog.parts("TEXT")).text()
        print(f"to sign with: {certificate}")
        self._press(dialog, "Export" if certificate else "Cancel")

    def _answer_export(self, dialog):
        next(part for part in dialog.parts("TEXT") if part.name == "File name:").write(str(self._pdf))
        self._press(dialog, "Export")


def table_of(dialog):
    """The list of a dialog: the last of its tables, the others are its head."""
    return list(dialog.parts("TABLE"))[-1]


def rows_of(dialog):
    """The rows of that list."""
    cells = [cell.name for cell in table_of(dialog).children() if cell.is_a("TABLE_CELL")]
    columns = table_of(dialog).columns()
    for start in range(0, len(cells), columns):
        yield ", ".join(cells[start : start + columns])


def main(pipe, command, *arguments):
    """Runs one command."""
    office = Office(pipe)
    if command == "quit":
        office.quit()
        return
    document = Path(arguments[0]).absolute()
    if command == "write":
        office.write(document, "A letter.\n")
    elif command == "sign":
        Person(office, arguments[1:]).attend(document, ".uno:Signature")
    elif command == "check":
        Person(office, sign=False).attend(document, ".uno:Signature")
    elif command == "export":
        Person(office, arguments[2:], Path(arguments[1]).absolute()).attend(document, ".uno:ExportToPDF")
    else:
        sys.exit(__doc__)
    office.close_documents()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except UnoException as error:
        sys.exit(f"drive.py: {error}")
    sys.stdout.flush()
    # Threads of UNO may still be in Python's code, where they let go of what they held, and Python crashes now and then
    # when it ends under them. All that was to be done is done.
    os._exit(0)
