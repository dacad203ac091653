"""Program text and Markdown as HTML."""

from __future__ import annotations

import html
import re
from functools import cache
from typing import Any

from .results import FAMILIES


def code(text: str, language: str) -> str:
    """Program text with its comments, keywords, strings, numbers and names marked.

    Neighbours of one kind share a mark, so that the page stays small."""
    from pygments.lexers import get_lexer_by_name

    parts: list[tuple[str, str]] = []
    for kind, value in get_lexer_by_name(language, ensurenl=False).get_tokens(text):
        mark = _mark(kind)
        if parts and (parts[-1][0] == mark or (value.isspace() and parts[-1][0] == "c")):
            parts[-1] = parts[-1][0], parts[-1][1] + value
        else:
            parts.append((mark, value))
    return "".join(
        f"<span class={mark}>{html.escape(value, quote=False)}</span>"
        if mark
        else html.escape(value, quote=False)
        for mark, value in parts
    )


@cache
def _mark(kind: Any) -> str:
    """The class of a kind of token, "" for plain text."""
    from pygments import token

    marks = {
        token.Comment.Preproc: "p", token.Comment: "c", token.Keyword: "k", token.String: "s",
        token.Number: "n", token.Name.Function: "f", token.Name.Class: "f",
        token.Name.Decorator: "p", token.Operator.Word: "k",
    }  # fmt: skip
    while kind is not None:
        if kind in marks:
            return marks[kind]
        kind = kind.parent
    return ""


def markdown(text: str) -> str:
    """A page of docs/kernels as HTML without its title, its links to other families turned to their
    places in the report; links to other files become plain words."""
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(re.sub(r"\A# .*\n", "", text))
    for token in tokens:
        if token.tag in ("h1", "h2", "h3"):  # below the headings of the report
            token.tag = f"h{int(token.tag[1]) + 2}"
        opened = []
        for child in token.children or ():
            if child.type == "link_open":
                where = _place(str(child.attrGet("href")))
                opened.append(where)
                child.attrs = {"href": where} if where else {}
                child.tag = "a" if where else "span"
            elif child.type == "link_close":
                child.tag = "a" if opened.pop() else "span"
            elif child.type == "image":
                child.type, child.tag, child.children = "text", "", []
    return parser.renderer.render(tokens, parser.options, {})


def _place(href: str) -> str:
    """Where a link of a page leads in the report, "" for nowhere."""
    if re.match(r"https?://", href):
        return href
    found = re.fullmatch(r"(?:\./)?(\w+)\.md(?:#.*)?", href)
    return f"#kernel/{found[1]}" if found and found[1] in FAMILIES else ""
