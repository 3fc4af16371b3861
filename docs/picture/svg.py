"""What `tmux capture-pane -e -p` writes, as an SVG: svg.py CURSOR_COLUMN CURSOR_ROW < capture > picture.

It knows the styles that the client uses. Each piece of text has its place and its length, so columns line up in any font.
"""

import re
import sys
import unicodedata
from html import escape

WIDTH, HEIGHT, MARGIN = 9, 20, 16
BACKGROUND, TEXT = "#16181d", "#e4e6ea"
COLORS = {31: "#ff6b68", 32: "#5fd38d"}
LEVELS = (0, 95, 135, 175, 215, 255)


def color_of(index):
    """A colour of the 6x6x6 cube."""
    index -= 16
    return "#%02x%02x%02x" % (LEVELS[index // 36], LEVELS[index // 6 % 6], LEVELS[index % 6])


def columns(text):
    return sum(2 if unicodedata.east_asian_width(each) in "WF" else not unicodedata.combining(each) for each in text)


def style_after(style, codes):
    codes = [int(code or 0) for code in codes.split(";")]
    while codes:
        code = codes.pop(0)
        if code == 0:
            style = {}
        elif code == 1:
            style = style | {"font-weight": "bold"}
        elif code == 2:
            style = style | {"fill-opacity": "0.6"}
        elif code == 38:
            style = style | {"fill": color_of(codes[1])}
            del codes[:2]
        elif code == 39:
            style = {name: value for name, value in style.items() if name != "fill"}
        elif code != 49:  # The background as it always is.
            style = style | {"fill": COLORS[code]}
    return style


def text_of(row, column, text, style):
    stripped = text.strip(" ")
    if not stripped:
        return
    column += len(text) - len(text.lstrip(" "))
    style = "".join(f' {name}="{value}"' for name, value in style.items())
    x, y, length = MARGIN + column * WIDTH, MARGIN + row * HEIGHT + 15, columns(stripped) * WIDTH
    print(f'<text x="{x}" y="{y}" textLength="{length}"{style}>{escape(stripped)}</text>')


def main():
    cursor_column, cursor_row = map(int, sys.argv[1:])
    lines = sys.stdin.read().rstrip("\n").split("\n")
    plain = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    width = 2 * MARGIN + WIDTH * max(map(columns, plain))
    height = 2 * MARGIN + HEIGHT * len(lines)
    print(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"')
    print("font-family=\"ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace\" xml:space=\"preserve\"")
    print(f'font-size="15" fill="{TEXT}" role="img">')
    print("<title>The client in use</title>")
    print(f'<rect x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8" fill="{BACKGROUND}" stroke="#4a4f59"/>')
    x, y = MARGIN + cursor_column * WIDTH, MARGIN + cursor_row * HEIGHT
    print(f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT - 1}" fill="{TEXT}" fill-opacity="0.7"/>')
    style = {}
    for row, line in enumerate(lines):
        column = 0
        for codes, text in re.findall(r"\x1b\[([0-9;]*)m|([^\x1b]+)", line):
            if text:
                text_of(row, column, text, style)
                column += columns(text)
            else:
                style = style_after(style, codes)
    print("</svg>")


main()
