"""A policy, and the short ways to name one."""

import json
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BeforeValidator, Field

from daf.config.schemas.values import PolicyClass, Schema, Text
from daf.records import PolicySpec
from daf.redaction import redactor


class DAFPolicyConfig(Schema):
    """A policy: its class, weights and init arguments."""

    name: Text | None = None
    class_path: PolicyClass
    weights: Text | None = None
    init_kwargs: dict[str, Any] = Field(default_factory=dict)

    def spec(self) -> PolicySpec:
        """The same policy as plain data, with a display name."""
        name = self.name or self.class_path.rpartition(".")[2] + (f"-{Path(self.weights).stem}" if self.weights else "")
        return PolicySpec(
            name=redactor().text(name),
            class_path=self.class_path,
            weights=self.weights,
            init_kwargs=dict(self.init_kwargs),
        )


def policy_from_text(item: object) -> object:
    """Reads the ways in which a policy may be named in a list; anything but text is returned as it is.

    Accepts a short name or class path (``starter``), a checkpoint folder or bundle (``./run/checkpoints``) and CoGames'
    own ``class=lstm,data=model.pt,kw.hidden=64``. Unlike in CoGames, ``kw.`` values are read as YAML, so that a number
    is a number.

    Raises:
        ValueError: the text has none of these forms.
    """
    if not isinstance(item, str):
        return item
    if "=" in item:
        return _policy_from_pairs(item)
    if "/" in item or item.endswith(".zip"):
        return _policy_from_path(Path(item).expanduser())
    return {"class_path": item}


def _policy_from_pairs(text: str) -> dict[str, Any]:
    policy: dict[str, Any] = {"init_kwargs": {}}
    names = {"class": "class_path", "data": "weights", "name": "name"}
    for pair in text.split(","):
        key, _, value = pair.partition("=")
        if key.startswith("kw."):
            policy["init_kwargs"][key.removeprefix("kw.")] = yaml.safe_load(value)
        elif key in names:
            policy[names[key]] = value
        else:
            raise ValueError(
                f"{pair!r} is not part of a policy; use class=..., data=..., name=... or kw.<argument>=..."
            )
    return policy


def _policy_from_path(path: Path) -> dict[str, Any]:
    spec = path / "policy_spec.json"
    if path.is_dir() and spec.is_file():
        return {"class_path": json.loads(spec.read_text())["class_path"], "weights": str(path)}
    if path.suffix == ".zip" and path.is_file():
        import zipfile

        with zipfile.ZipFile(path) as bundle:
            return {"class_path": json.loads(bundle.read("policy_spec.json"))["class_path"], "weights": str(path)}
    raise ValueError(
        f"{path} is neither a checkpoint folder with policy_spec.json nor a bundle (.zip); for a bare weights file"
        " name its class: class=lstm,data=model.pt"
    )


ListedPolicy = Annotated[DAFPolicyConfig, BeforeValidator(policy_from_text)]
