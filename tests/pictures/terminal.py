#!/usr/bin/env python3
"""Makes a picture of a terminal: reads what stands there and writes an SVG.

terminal.py COMMAND LANGUAGE < OUTPUT > PICTURE
"""

import sys
import unicodedata
from html import escape

# In a font for terminals a letter is 0.6 em wide, and a wide one is an em. So that two columns are as wide as a wide
# letter, that has a size of its own: not every viewer stretches a text to its length.
SIZE, COLUMN, WIDE_SIZE, LINE, MARGIN = 14, 8.4, 16.8, 20, 14
FONTS = "'DejaVu Sans Mono', 'Noto Sans Mono CJK JP', 'Menlo', 'Consolas', monospace"


def width(text):
    """The columns that a text takes."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def runs(line):
    """Parts of a line, with the column where each begins: letters of one width, so that every font keeps the columns."""
    column, part, start = 0, "", 0
    for letter in line:
        if part and width(letter) != width(part[0]):
            yield start, part.rstrip()
            part, start = "", column
        column += width(letter)
        if part or letter != " ":
            part += letter
        else:
            # Viewers drop spaces in front and at the end.
            start = column
    if part.strip():
        yield start, part.rstrip()


def main(command, language):
    """Prints the picture."""
    lines = [f"$ {command}", *sys.stdin.read().rstrip("\n").expandtabs().split("\n")]
    columns = max(72, *map(width, lines))
    wide, high = round(columns * COLUMN + 2 * MARGIN), len(lines) * LINE + 2 * MARGIN
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}">')
    print(f'<rect width="{wide}" height="{high}" rx="6" fill="#1e2229"/>')
    print(f'<g font-family="{FONTS}" font-size="{SIZE}" fill="#dfe3ea" xml:space="preserve" lang="{language}">')
    for number, line in enumerate(lines):
        y = MARGIN + number * LINE + SIZE
        colour = ' fill="#8fd18f"' if number == 0 else ""
        for start, part in runs(line):
            x, length = MARGIN + start * COLUMN, width(part) * COLUMN
            size = f' font-size="{WIDE_SIZE}"' if width(part[0]) == 2 else ""
            print(f'<text x="{x:.1f}" y="{y}" textLength="{length:.1f}"{size}{colour}>{escape(part)}</text>')
    print("</g>\n</svg>")


if __name__ == "__main__":
    main(*sys.argv[1:])
