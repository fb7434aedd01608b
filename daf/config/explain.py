"""Saying what is wrong with a value so that a person can mend it."""

import difflib
from collections.abc import Iterable

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daf.errors import Problem


def nearest(word: str, known: Iterable[str], most: int = 3) -> str:
    """A hint that names the known words closest to `word`, or all of them where there are few."""
    known = list(known)
    last = word.rpartition(".")[2]
    by_part = [name for name in known if len(last) > 2 and (last in name or name.rpartition(".")[2] in last)]
    close = list(dict.fromkeys([*difflib.get_close_matches(word, known, most, cutoff=0.6), *by_part]))[:most]
    if close:
        return f"Did you mean {' or '.join(close)}?"
    return f"Known: {', '.join(known)}." if len(known) <= 12 else f"Known: {', '.join(known[:12])}, ..."


def explain_validation(error: ValidationError) -> list[Problem]:
    """One problem for each thing that pydantic found; a union's many complaints about one key become one."""
    problems: dict[str, Problem] = {}
    for detail in error.errors():
        problem = _explain(error, detail)
        problems.setdefault(problem.where, problem)
    return list(problems.values())


def _explain(error: ValidationError, detail: ErrorDetails) -> Problem:
    where = ".".join(str(part) for part in detail["loc"] if not str(part).startswith(("function-", "constrained-")))
    if detail["type"] == "extra_forbidden":
        return Problem(where, "there is no such key.", nearest(str(detail["loc"][-1]), _siblings(detail["loc"])))
    if detail["type"] == "missing":
        return Problem(where, "is missing.")
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}{'' if message.endswith(('.', '?')) else '.'}"
    if detail["type"] == "value_error":
        return Problem(where, message)
    return Problem(where, f"{detail['input']!r} is not valid: {message}")


def _siblings(location: tuple[int | str, ...]) -> list[str]:
    from daf.config.schemas import DAFConfig, Schema

    schema: type[Schema] = DAFConfig
    for part in location[:-1]:
        field = schema.model_fields.get(str(part))
        annotation = field.annotation if field else None
        if not (isinstance(annotation, type) and issubclass(annotation, Schema)):
            return []
        schema = annotation
    return list(schema.model_fields)
