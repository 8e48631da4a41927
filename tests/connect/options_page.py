"""The options in docs/connect.md, made from the connector: `python -m tests.connect.options_page` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.connect.webapi_probe import Probe

PAGE = Path(__file__).parents[2] / "docs" / "connect.md"
BEGIN, END = "<!-- options: begin -->\n", "<!-- options: end -->\n"


def options_text(options: list[dict[str, Any]]) -> str:
    """Return the options as Markdown, a table for each group."""
    lines: list[str] = []
    group = ""
    for one in options:
        if one["group"] != group:
            group = one["group"]
            lines += ["", f"### {group}", "", "| option | default | meaning |", "|---|---|---|"]
        shown = one["default"] if one["type"] != "PASSWORD" else ""
        default = "**needed**" if one["needed"] else f"`{shown}`" if shown else ""
        text = one["text"].replace("|", "\\|").replace("<", "&lt;")
        lines.append(f"| `{one['name']}` | {default} | {text} |")
    return "\n".join([*lines, "", ""])


def main() -> None:
    """Write the table into the page."""
    page = PAGE.read_text(encoding="utf-8")
    before, rest = page.split(BEGIN)
    after = rest.split(END)[1]
    with Probe() as probe:
        PAGE.write_text(before + BEGIN + options_text(probe.options()) + END + after, encoding="utf-8")


if __name__ == "__main__":
    main()
