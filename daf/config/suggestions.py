"""Did you mean ...?"""

import difflib
from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], most: int = 3) -> str:
    """A hint that names the known words closest to `word`, or all of them where there are few."""
    known = list(known)
    last = word.rpartition(".")[2]
    by_part = [name for name in known if len(last) > 2 and (last in name or name.rpartition(".")[2] in last)]
    close = list(dict.fromkeys([*difflib.get_close_matches(word, known, most, cutoff=0.6), *by_part]))[:most]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(known)}." if len(known) <= 12 else f"Known: {', '.join(known[:12])}, ..."
