"""LibreOffice from outside, over UNO: its menus, and its dialogs as a screen reader sees them."""

import sys
import threading
import time
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDone

import uno
import unohelper
from com.sun.star.awt import XCallback
from com.sun.star.beans import PropertyValue
from com.sun.star.connection import NoConnectException
from com.sun.star.lang import DisposedException
from com.sun.star.uno import Exception as UnoException

# Its first start takes long where nothing of it is in memory, and the machine is busy.
SECONDS = 120


def not_seen(what):
    """Ends this program."""
    sys.exit(f"drive.py: in {SECONDS} s not seen: {what}")


def until(condition, what):
    """Waits until a function returns something true, and returns that."""
    end = time.monotonic() + SECONDS
    while True:
        try:
            if result := condition():
                return result
        except UnoException:
            # A window went while it was read.
            pass
        if time.monotonic() > end:
            not_seen(what)
        time.sleep(0.02)


def values(**properties):
    """Named values, as UNO takes them."""
    return tuple(PropertyValue(name, 0, value, 0) for name, value in properties.items())


def in_background(function, *arguments):
    """Runs a function that returns only when a dialog ends."""

    def run():
        try:
            function(*arguments)
        except UnoException:
            # The window went with what was pressed in it.
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


# LibreOffice lets go of what was looked at in a thread of its own, and crashes where that is a part of a window that goes
# at that time. So nothing is let go before the end.
KEPT = []


def kept(thing):
    """Keeps something of LibreOffice, and returns it."""
    KEPT.append(thing)
    return thing


class Look(unohelper.Base, XCallback):
    """A function that LibreOffice's event loop calls."""

    def __init__(self, function):
        self._function = function
        self.result = Future()

    def notify(self, _data):
        """Calls it."""
        try:
            self.result.set_result(self._function())
        except UnoException as error:
            self.result.set_exception(error)


class Office:
    """A LibreOffice that was started with --accept=pipe,name=PIPE;urp."""

    def __init__(self, pipe):
        context = uno.getComponentContext()
        self._resolver = context.ServiceManager.createInstanceWithContext("com.sun.star.bridge.UnoUrlResolver", context)
        self._url = f"uno:pipe,name={pipe};urp;StarOffice.ComponentContext"
        self._context = until(self._connect, "LibreOffice")
        self._desktop = self._service("com.sun.star.frame.Desktop")
        self._toolkit = self._service("com.sun.star.awt.Toolkit")
        self._event_loop = self._service("com.sun.star.awt.AsyncCallback")

    def _connect(self):
        try:
            return self._resolver.resolve(self._url)
        except NoConnectException:
            return None

    def _service(self, name):
        return self._context.ServiceManager.createInstanceWithContext(name, self._context)

    def write(self, document, text):
        """Makes a text document."""
        made = self._desktop.loadComponentFromURL("private:factory/swriter", "_blank", 0, values(Hidden=True))
        made.Text.setString(text)
        made.storeAsURL(document.as_uri(), ())
        made.close(True)

    def open(self, document):
        """Opens a document in a window, and returns the window's frame."""
        return self._desktop.loadComponentFromURL(document.as_uri(), "_default", 0, ()).CurrentController.Frame

    def close_documents(self):
        """Closes every window of a document, without a question."""
        components = self._desktop.Components.createEnumeration()
        while components.hasMoreElements():
            components.nextElement().close(True)
        # The windows have gone when the event loop has had its turn. What was looked at may be let go then.
        self._look(lambda: None)

    def quit(self):
        """Ends it as its menu does."""
        try:
            self._desktop.terminate()
        except DisposedException:
            # It was faster than its answer.
            pass

    def choose(self, frame, command):
        """Chooses a menu's item of a window. Its dialog may be open as long as the thread runs."""
        dispatcher = self._service("com.sun.star.frame.DispatchHelper")
        return in_background(dispatcher.executeDispatch, frame, command, "", 0, ())

    def top(self):
        """The window on top: the first of them that is to be seen. None while windows come and go."""
        return self._look(self._top)

    def _look(self, function):
        """Calls a function while no window comes or goes: LibreOffice reads its list of windows without a lock."""
        look = Look(function)
        self._event_loop.addCallback(look, None)
        try:
            return look.result.result(SECONDS)
        except NotDone:
            return not_seen("a turn of the event loop")

    def _top(self):
        for number in range(self._toolkit.getTopWindowCount()):
            try:
                window = kept(self._toolkit.getTopWindow(number))
                part = Part(window.getAccessibleContext())
                if part.name and part.has("SHOWING"):
                    return part
            except (UnoException, AttributeError):
                continue
        return None


class Part:
    """A window or a part of one, as a screen reader sees it."""

    def __init__(self, context):
        self._context = kept(context)

    @property
    def name(self):
        """What it is called: a window's title, a button's text."""
        return self._context.getAccessibleName()

    def has(self, state):
        """Whether it has a state such as SHOWING or ENABLED."""
        wanted = uno.getConstantByName(f"com.sun.star.accessibility.AccessibleStateType.{state}")
        states = self._context.getAccessibleStateSet()
        # A number since version 7.5.
        return bool(states & wanted) if isinstance(states, int) else states.contains(wanted)

    def is_a(self, *roles):
        """Whether it has one of these roles, such as PUSH_BUTTON."""
        role = self._context.getAccessibleRole()
        return any(role == uno.getConstantByName(f"com.sun.star.accessibility.AccessibleRole.{name}") for name in roles)

    def children(self):
        """Its parts."""
        for number in range(self._context.getAccessibleChildCount()):
            child = kept(self._context.getAccessibleChild(number))
            if child:
                # The cells of a table are their own contexts.
                yield Part(child.getAccessibleContext() if hasattr(child, "getAccessibleContext") else child)

    def parts(self, *roles):
        """All parts of these roles in it that are to be seen."""
        for child in self.children():
            if child.is_a(*roles) and child.has("SHOWING"):
                yield child
            yield from child.parts(*roles)

    def labels(self):
        """The texts that stand in it."""
        return [part.name for part in self.parts("LABEL", "STATIC") if part.name]

    def button(self, *names):
        """The button of this name, or of one of these."""
        return next(part for part in self.parts("PUSH_BUTTON") if part.name in names)

    def press(self):
        """Presses this button."""
        return in_background(self._context.doAccessibleAction, 0)

    def write(self, text):
        """Writes into this field, in place of what is there."""
        self._context.setText(text)

    def text(self):
        """What stands in this field."""
        return self._context.getText()

    def select(self, number):
        """Selects a child of this list."""
        self._context.selectAccessibleChild(number)

    def columns(self):
        """The number of columns of this table."""
        return self._context.getAccessibleColumnCount()
