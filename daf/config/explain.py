"""Saying what is wrong with a value so that a person can mend it."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from daf.config.refusals import shortened
from daf.config.suggestions import nearest
from daf.errors import Problem


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
        return Problem(
            shortened(where), "there is no such key.", nearest(str(detail["loc"][-1]), _siblings(detail["loc"]))
        )
    if detail["type"] == "missing":
        return Problem(where, "is missing.")
    message = detail["msg"].removeprefix("Value error, ")
    message = f"{message[0].lower()}{message[1:]}{'' if message.endswith(('.', '?')) else '.'}"
    if detail["type"] == "value_error":
        return Problem(where, message)
    return Problem(shortened(where), f"{shortened(repr(detail['input']))} is not valid: {message}")


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
