"""`nightdesk help`: the longer pages, which lie in the package as Markdown files."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated

import typer

from pipeline.cli import screen
from pipeline.errors import UserError

_PACKAGE = Path(__file__).resolve().parents[1]
PAGES = _PACKAGE / "help"


def topics() -> dict[str, Path]:
    """Each page by its name."""
    return {page.stem: page for page in sorted(PAGES.glob("*.md"))}


def help(topic: Annotated[str | None, typer.Argument(metavar="TOPIC", help="A page's name.")] = None) -> None:
    """Show a longer page; without TOPIC, which pages there are.

    \b
    Example:
      nightdesk help tasks
    """
    pages = topics()
    if topic is None:
        screen.out("Pages: nightdesk help TOPIC", "")
        for name, page in pages.items():
            screen.out(f"  {screen.styled(name, 'bold')}{' ' * (10 - len(name))}{_title(page)}")
        screen.out("", f"Documents to try it on: {screen.safe(str(_samples()))}")
        screen.out("Commands and their options: nightdesk --help, nightdesk COMMAND --help")
        return
    if topic not in pages:
        close = difflib.get_close_matches(topic, pages, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Pages: {', '.join(pages)}."
        raise UserError(f"There is no page {topic!r}.", hint=hint)
    for line in pages[topic].read_text("utf-8").splitlines():
        screen.out(screen.styled(line, "bold") if line.startswith("#") else line)


def _samples() -> Path:
    """Where the sample receipts lie: in the installed package, or in the checkout."""
    shipped = _PACKAGE / "shipped" / "samples" / "receipts"
    return shipped if shipped.is_dir() else _PACKAGE.parent / "samples" / "receipts"


def _title(page: Path) -> str:
    return page.read_text("utf-8").partition("\n")[0].lstrip("# ")
