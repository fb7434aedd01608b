"""The end of a run, told to people wherever they are: mail, a chat, any address that apprise knows."""

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from daf.errors import first_line, needs_package
from daf.redaction import redactor
from daf.results import Outcome, ResultTable

if TYPE_CHECKING:
    from apprise import Apprise

log = logging.getLogger(__name__)

#: Lines of each table that a message holds; the rest is in the run's files.
MOST_ROWS = 10
WORDS = {"ok": "finished", "failed": "failed", "refused": "says no", "interrupted": "was interrupted"}


class Notifier:
    """Tells addresses how a run has ended. What it cannot do is a warning: no run fails by it.

    Args:
        urls: as apprise takes them. They hold secrets.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self._addresses = _addresses(urls)

    def tell(self, outcome: Outcome) -> None:
        """Sends one message to every address."""
        for key, address in self._addresses:
            try:
                sent = address.notify(title=title(outcome), body=body(outcome))
                why = "" if sent else "it did not take the message"
            except Exception as error:  # of whatever service it is
                why = first_line(error)
            if why:
                log.warning("%s was not told: %s.", key, redactor().text(why).rstrip("."))


def title(outcome: Outcome) -> str:
    """What stands above a message."""
    return redactor().text(f"DAF: {outcome.task} {WORDS.get(outcome.status, 'was refused')}")


def body(outcome: Outcome) -> str:
    """A message in plain text: what came out, where it is, and how it goes on."""
    return redactor().text("\n".join(_lines(outcome)))


def _lines(outcome: Outcome) -> Iterator[str]:
    if outcome.error:
        yield outcome.error
    if result := outcome.result:
        if result.objective is not None:
            yield f"objective: {result.objective}"
        yield from (f"{name}: {fact}" for name, fact in result.facts.items())
        for table in result.tables:
            yield from _short(table)
    yield f"run: {outcome.run_id or 'none'}"
    if outcome.output_dir:
        yield f"files: {outcome.output_dir}"
    if outcome.result and outcome.result.next:
        yield f"next: {outcome.result.next}"


def _short(table: ResultTable) -> Iterator[str]:
    yield f"\n{table.title}"
    yield from (" | ".join(row) for row in (table.columns, *table.rows[:MOST_ROWS]))
    if len(table.rows) > MOST_ROWS:
        yield f"... {len(table.rows) - MOST_ROWS} more rows"
    yield ""


def _addresses(urls: Sequence[str]) -> "list[tuple[str, Apprise]]":
    """Each address with its config key; those that apprise does not know are told, and left out."""
    try:
        from apprise import Apprise
    except ImportError:
        log.warning("Nobody will be told: %s.", needs_package("notify.urls", "apprise"))
        return []
    logging.getLogger("apprise").setLevel(logging.ERROR)
    found = []
    for index, url in enumerate(urls):
        key, address = f"notify.urls.{index}", Apprise()
        if address.add(url):
            found.append((key, address))
        else:
            log.warning("%s is no address that apprise knows: nobody will be told there.", key)
    return found
