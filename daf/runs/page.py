"""The results of a run as one HTML page that needs nothing else: what it was, its tables, its pictures."""

import base64
from collections.abc import Sequence
from pathlib import Path

from daf.files import write_whole
from daf.results import ResultTable
from daf.visualization.html import Markup, element

TYPES = {".png": "image/png", ".svg": "image/svg+xml"}
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"
STYLE = """
:root { color-scheme: light dark; }
body { margin: 0 auto; padding: 1.25rem; max-width: 75rem; font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; } h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid #8886; padding: .3rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
.setup td { white-space: normal; text-align: left; overflow-wrap: anywhere; }
img { max-width: 100%; background: white; border: 1px solid #8886; }
@media print { img, table { break-inside: avoid; } }
"""


def write_page(
    path: Path,
    title: str,
    setup: Sequence[tuple[str, str]],
    tables: Sequence[ResultTable],
    notes: Sequence[str],
    pictures: Sequence[Path],
) -> Path:
    """Writes the page; its pictures are inside.

    Args:
        setup: what the run was: words for what and words for which.
    """
    body = [
        element("h1", title),
        _table((), setup, "setup"),
        *[part for table in tables for part in (element("h2", table.title), _table(table.columns, table.rows, ""))],
        element("ul", [element("li", note) for note in notes]) if notes else "",
        *[part for picture in pictures for part in (element("h2", picture.stem.replace("_", " ")), _image(picture))],
    ]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Markup(STYLE)),
    )
    write_whole(path, f"<!DOCTYPE html>\n{element('html', head, element('body', *body), lang='en')}\n")
    return path


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], name: str) -> Markup:
    head = element("tr", [element("th", column) for column in columns]) if columns else ""
    return element("table", head, [element("tr", [element("td", cell) for cell in row]) for row in rows], class_=name)


def _image(path: Path) -> Markup:
    content = base64.b64encode(path.read_bytes()).decode()
    image = element("img", src=f"data:{TYPES[path.suffix]};base64,{content}", alt=path.stem.replace("_", " "))
    return Markup(image.removesuffix("</img>"))
