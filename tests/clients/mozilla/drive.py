#!/usr/bin/env python3
"""Has a running Firefox or Thunderbird do something, and prints what its user would see.

drive.py PROFILE SCRIPT [ARGUMENT...]   run a script of this directory or of a neighbour's; it returns lines
drive.py PROFILE page                   the text of the page in the window
drive.py PROFILE quit                   end it as its menu does
"""

import sys
from pathlib import Path

from marionette import Marionette, ScriptError

DIRECTORY = Path(__file__).resolve().parent


def main(profile, script, *arguments):
    application = Marionette(int((Path(profile) / "MarionetteActivePort").read_text()))
    if script == "quit":
        application.quit()
        return
    if script == "page":
        print(application.page())
    else:
        text = (DIRECTORY / "person.js").read_text() + (DIRECTORY.parent / script).read_text()
        print("\n".join(application.script(text, *arguments)))
    application.close()


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except ScriptError as error:
        sys.exit(f"drive.py: {error}")
