"""From a matplotlib figure to a piece of SVG that lives well inside an HTML page.

Several figures share one page, a light and a dark one: ids get a prefix of their own, ink takes the colour of
the text around it, and everything that would make two renderings differ is left out.
"""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#010203"  # drawn in this colour: becomes the colour of the text around the figure
PAPER = "#fdfcfb"  # becomes the page's background

_XLINK = "{http://www.w3.org/1999/xlink}href"
_REFERENCE = re.compile(r"url\(#([^)]+)\)")


def inline(figure: Figure, name: str, title: str) -> str:
    """Return the figure as an <svg> element for a page.

    Args:
        figure: drawn with INK and PAPER; it is of no use afterwards.
        name: unique in the page, letters and digits: prefix of all ids.
        title: what it shows, for those who do not see it.
    """
    root = ElementTree.fromstring(_drawn(figure))  # noqa: S314  made by matplotlib a moment ago
    for parent in root.iter():
        for child in list(parent):
            if _local(child.tag) in {"metadata", "style"}:  # a style of its own would apply to the whole page
                parent.remove(child)
    for element in root.iter():
        _localize(element, name)
    width, height = root.get("viewBox", "0 0 0 0").split()[2:]
    root.attrib.clear()
    root.attrib |= {"viewBox": f"0 0 {width} {height}", "role": "img", "aria-label": title}
    root.attrib |= {"style": f"max-width:{float(width):.0f}px"}
    return ElementTree.tostring(root, encoding="unicode")


def _drawn(figure: Figure) -> str:
    stream = io.StringIO()
    with warnings.catch_warnings():
        # A name may be in a script that matplotlib's font lacks; the browser has its own fonts.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return stream.getvalue()


def _localize(element: ElementTree.Element, name: str) -> None:
    """Drop namespaces and idle ids, prefix the others, and let colours follow the page."""
    element.tag = _local(element.tag)
    element.tail = element.tail.strip() if element.tail else None
    reference = element.attrib.pop(_XLINK, None)
    if reference:
        element.set("href", f"#{name}-{reference[1:]}")
    identity = element.attrib.pop("id", None)
    if identity and element.tag != "g":  # groups are never referred to
        element.set("id", f"{name}-{identity}")
    for attribute in ("style", "clip-path"):
        if attribute in element.attrib:
            value = _REFERENCE.sub(rf"url(#{name}-\1)", element.attrib[attribute])
            element.set(attribute, value.replace(INK, "currentColor").replace(PAPER, "var(--paper)"))


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def printable(text: str, longest: int = 60) -> str:
    """Return text that may stand in a figure: no control characters, one line, its middle left out if too long."""
    plain = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    if len(plain) <= longest:
        return plain
    head = (longest - 1) // 2
    return f"{plain[:head]}…{plain[head + 1 - longest :]}"
