"""Which keys take whole numbers and no others, as the schema says."""

from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from daf.config.schemas import DAFConfig, Schema


def takes_whole_numbers(path: str) -> bool:
    """Whether the key at a dotted path is a number, and every number that it takes is whole."""
    annotation: Any = DAFConfig
    for part in path.split("."):
        if not (isinstance(annotation, type) and issubclass(annotation, Schema)):
            return False
        field = annotation.model_fields.get(part)
        annotation = field.annotation if field else None
    kinds = set(_kinds(annotation))
    return int in kinds and float not in kinds


def _kinds(annotation: Any) -> list[Any]:
    """The types that an annotation consists of."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _kinds(get_args(annotation)[0])
    if origin in (Union, UnionType):
        return [kind for each in get_args(annotation) for kind in _kinds(each)]
    return [annotation]
