"""Where secrets stand in a text: beside telling names, in addresses, or in a form that nothing else has."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from daf.redaction.names import is_telling, is_telling_parameter

HIDDEN = "***"


@dataclass(frozen=True)
class Passage:
    """A part of a text that is to be blanked.

    Attributes:
        start: of the part.
        end: of the part; the first character after it.
        instead: what is to stand there.
        secrets: what of it is worth to be known wherever else it turns up.
    """

    start: int
    end: int
    instead: str
    secrets: tuple[str, ...] = ()


Finder = Callable[[str], Iterator[Passage]]

_FRAGMENT = "passw|passphrase|passcode|secret|credential|token|auth|bearer|pwd|pw|sig|creds|jwt|cookie|otp|key|pass|pat"
# Without the beginning of the name, and in lower case: so the search skips to a fragment's first letter.
_PAIR = re.compile(
    rf"(?:{_FRAGMENT})[\w.\-]{{0,120}}(?P<close>\\*[\"'`]?\]?)"
    r"(?:(?P<separator>[ \t]*(?:=>|==?|:(?!//))[ \t]*)|(?P<option>[ ]+))",
)
_LONGEST_NAME = 200
_QUOTE = re.compile(r"[bBrRuUfF]{0,2}(\\*)([\"'`])")
_BARE = re.compile(r"(?:(?:bearer|basic|digest|token)[ ]+(?=\S))?[^\s\"'`,;&(){}\[\]<]*", re.IGNORECASE)
_KEPT = re.compile(r"null|none|~|true|false|\*\*\*|-?\d+\.\d*(e[+-]?\d+)?|", re.IGNORECASE)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def pairs(text: str) -> Iterator[Passage]:
    """Values beside telling names: ``api_key=x``, ``"token": "x"``, ``auth: {user: x}``, ``--password x``, YAML blocks.

    Numbers with a decimal point, booleans and null are left alone: no secret is one.
    """
    lower = text.lower() if text.isascii() else _ascii_lower(text)
    position = 0
    while match := _PAIR.search(lower, position):
        start = _name_start(text, match.start())
        name = text[start : match.start("close")]
        position = max(match.start() + 1, match.start("close"))
        option = match["option"] is not None
        if (option and (match["close"] or not name.startswith("--"))) or not is_telling(name):
            continue
        if passage := _value(text, start, match):
            yield passage
            position = passage.end


def _ascii_lower(text: str) -> str:
    """In lower case, with every letter where it was: some letters become two."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in text)


def _name_start(text: str, position: int) -> int:
    """Where the name begins that goes on at `position`."""
    first = max(0, position - _LONGEST_NAME)
    while position > first and (text[position - 1].isalnum() or text[position - 1] in "_.-"):
        position -= 1
    return position


def _value(text: str, name_start: int, match: re.Match[str]) -> Passage | None:
    """The value that follows a telling name."""
    start = match.end()
    line = text.rfind("\n", 0, name_start) + 1
    before = text[line:name_start]
    begins_line = before.strip(" -+\t") == "" and (match["separator"] or "").strip() == ":"
    if begins_line and (block := _block(text, start, len(before))):
        return block
    if quoted := _QUOTE.match(text, start):
        end = _end_of_quote(text, quoted)
        inner = text[quoted.end() : end - len(quoted[1]) - 1]
        instead = quoted[0] + HIDDEN + quoted[1] + quoted[2]
        return Passage(start, end, instead, (inner,)) if inner else None
    if text[start : start + 1] in _CLOSING:
        end = _end_of_bracket(text, start)
        return Passage(start, end, _as_json(match)) if end > start + 2 else None
    end = _end_of_line(text, start) if begins_line else _end_of_bare(text, start)
    value = text[start:end].rstrip()
    return None if _KEPT.fullmatch(value) else Passage(start, start + len(value), _as_json(match), (value,))


def _as_json(match: re.Match[str]) -> str:
    """What is not in quotes gets them where its key has: it stays JSON."""
    quote = (match["close"] or "").rstrip("]")
    return f"{quote}{HIDDEN}{quote}"


def _block(text: str, start: int, indent: int) -> Passage | None:
    """The lines below a name that ends its line, as far as they are indented more than it is."""
    end_of_line = _end_of_line(text, start)
    if not re.fullmatch(r"[|>]?[+-]?\d?\s*", text[start:end_of_line]):
        return None
    lines = re.compile(rf"(?:\n[ ]{{{indent},}}(?:[ ]|- )[^\n]*|\n[ ]*(?=\n))+").match(text, end_of_line)
    if not lines:
        return None
    secrets = tuple(line.strip() for line in lines[0].splitlines())
    return Passage(start, lines.end(), HIDDEN if text[start - 1 : start] == " " else f" {HIDDEN}", secrets)


def _end_of_line(text: str, start: int) -> int:
    end = text.find("\n", start)
    return len(text) if end < 0 else end


def _end_of_quote(text: str, opening: re.Match[str]) -> int:
    """The end of a quoted text: behind its closing quote, or the end of the line where there is none."""
    slashes, quote = opening[1], opening[2]
    if slashes:
        end = text.find(slashes + quote, opening.end())
        return _end_of_line(text, opening.end()) if end < 0 else end + len(slashes) + 1
    body = re.compile(rf"(?:\\.|{quote}{quote}|[^\\{quote}])*{quote}", re.DOTALL).match(text, opening.end())
    return body.end() if body else _end_of_line(text, opening.end())


def _end_of_bracket(text: str, start: int) -> int:
    """Behind the bracket that closes the one at `start`, or the end of the line where there is none."""
    waiting: list[str] = []
    position = start
    while position < len(text):
        character = text[position]
        if character in "\"'":
            quoted = _QUOTE.match(text, position)
            position = _end_of_quote(text, quoted) if quoted else position + 1
            continue
        if character in _CLOSING:
            waiting.append(_CLOSING[character])
        elif character in ")]}" and waiting.pop() != character:
            break
        position += 1
        if not waiting:
            return position
    return _end_of_line(text, start)


def _end_of_bare(text: str, start: int) -> int:
    """The end of an unquoted value; a call's brackets belong to it."""
    bare = _BARE.match(text, start)
    end = bare.end() if bare else start
    return _end_of_bracket(text, end) if end > start and text[end : end + 1] in _CLOSING else end


# To the last @, for a password may hold / and @ itself.
_USER_INFO = re.compile(r"(?<=://)((?:(?!://)[^\s\"'<>`])+)@")


def user_infos(text: str) -> Iterator[Passage]:
    """User names and passwords in addresses."""
    for match in _USER_INFO.finditer(text):
        whole = match[1]
        host, slash, _ = re.split(r"([/?#])", whole, maxsplit=1) if re.search(r"[/?#]", whole) else (whole, "", "")
        if slash and "@" not in host and ":" not in host:
            continue  # an @ somewhere in the path
        secret = whole.partition(":")[2] or whole
        yield Passage(match.start(1), match.end(1), HIDDEN, (secret,))


_PARAMETER = re.compile(r"(?<=[?&;#])([\w.\-]+)=([^&\s\"'<>`;#]+)")


def parameters(text: str) -> Iterator[Passage]:
    """Parameters of signed addresses."""
    for match in _PARAMETER.finditer(text):
        if match[2] != HIDDEN and is_telling_parameter(match[1]):
            yield Passage(match.start(2), match.end(2), HIDDEN, (match[2],))


_FORMS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|(?<=\bbearer )[\w.~+/\-]{6,}=*|\beyJ[\w-]{8,}\.eyJ[\w-]+\.[\w-]+"
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|hf_|sk-|xox[abprs]-|AKIA|ASIA)[\w-]{16,}",
    re.DOTALL | re.IGNORECASE,
)


def forms(text: str) -> Iterator[Passage]:
    """Private keys, and tokens that begin as those of well-known services do."""
    yield from (Passage(match.start(), match.end(), HIDDEN, (match[0],)) for match in _FORMS.finditer(text))


FINDERS: tuple[Finder, ...] = (user_infos, parameters, pairs, forms)


_PART = re.compile(r"[^\s/?&;=#@:]+")
_HAS_LETTER_AND_DIGIT = re.compile(r"(?=.*[A-Za-z])(?=.*\d)")
_LEAST_TOKEN, _LEAST_PLAIN = 8, 16


def tokens_in_address(text: str) -> Iterator[str]:
    """The parts of a secret address that are tokens by their looks: ``T1JJ3T3L2`` and ``A1BRTD4JD`` in a chat's."""
    _, separator, rest = text.partition("://")
    if not separator:
        return
    for part in _PART.findall(rest):
        mixed = len(part) >= _LEAST_TOKEN and _HAS_LETTER_AND_DIGIT.match(part)
        if "." not in part and (mixed or len(part) >= _LEAST_PLAIN):
            yield part


def secrets_in(text: str) -> Iterator[str]:
    """The secrets that stand in a text."""
    for find in FINDERS:
        for passage in find(text):
            yield from passage.secrets


def without_secrets(text: str) -> str:
    """The text with the passages blanked."""
    for find in FINDERS:
        parts: list[str] = []
        position = 0
        for passage in find(text):
            parts += [text[position : passage.start], passage.instead]
            position = passage.end
        text = "".join([*parts, text[position:]]) if parts else text
    return text
