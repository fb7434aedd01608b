"""A policy, and the short ways to name one."""

import logging
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)

from daf.bridge.bundles import is_bundle, read_bundle
from daf.bridge.catalogue import catalogue
from daf.config.names import policy_class_path
from daf.config.policy_names import display_name
from daf.config.references import FORMS, is_reference, local
from daf.config.schemas.values import Schema, Text
from daf.files import is_there, user_path
from daf.records import PolicySpec
from daf.redaction import redactor

Digest = Annotated[str, AfterValidator(str.lower), StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")]
#: CoGames' fields and DAF's `name`, each with the key that it stands for.
FIELDS = {"class": "class_path", "data": "weights", "name": "name"}
ELSEWHERE = ("s3", "http", "https")

logger = logging.getLogger(__name__)


class DAFPolicyConfig(Schema):
    """A policy: its class, weights and init arguments, and whether the code of a bundle may run."""

    name: Text | None = None
    weights: Text | None = None
    class_path: Text
    init_kwargs: dict[str, Any] = Field(default_factory=dict)
    trust: bool = False
    trusted: tuple[Digest, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _weights_are_here(cls, data: Any) -> Any:
        """Brings weights that are named by where they are kept."""
        weights = data.get("weights") if isinstance(data, dict) else None
        if not isinstance(weights, str) or not is_reference(weights) or is_there(Path(weights)):
            return data
        found = local(weights)
        return {**data, "weights": str(found.path), "name": data.get("name") or found.name}

    @field_validator("class_path")
    @classmethod
    def _class_is_known(cls, class_path: str, info: ValidationInfo) -> str:
        weights = info.data.get("weights")
        in_bundle = weights is not None and is_bundle(user_path(weights))
        return class_path if in_bundle and "." in class_path else policy_class_path(class_path)

    def spec(self) -> PolicySpec:
        """The same policy as plain data, with a display name."""
        name = self.name or display_name(self.class_path, self.weights)
        return PolicySpec(
            name=redactor().text(name),
            class_path=self.class_path,
            weights=self.weights,
            init_kwargs=dict(self.init_kwargs),
            trust=self.trust or self.trusted,
        )

    def trusting(self, other: "DAFPolicyConfig") -> "DAFPolicyConfig":
        """The same policy, with what another one's bundle may do as well."""
        trusted = tuple(dict.fromkeys((*self.trusted, *other.trusted)))
        return self.model_copy(update={"trust": self.trust or other.trust, "trusted": trusted})


def policy_from_text(item: object) -> object:
    """Reads the ways in which a policy may be named in a list; anything but text is returned as it is.

    Accepts what CoGames does: a short name or class path (``starter``), a checkpoint folder or bundle
    (``./run/checkpoints``, ``run/bundle.zip``, ``file:///run/checkpoints``, ``./runs:latest``), ``metta://policy/lstm``
    and ``class=lstm,data=model.pt,kw.hidden-size=64``, where ``class=`` may be left out. What exists on disk is a path,
    whatever is in its name. Unlike in CoGames, ``kw.`` values are read as YAML, so that a number is a number, and
    ``proportion=`` has no effect, since a policy plays alone or in the teams of its task.

    Beside these DAF takes what `daf.config.references` brings here: an MLflow run id, a registered model
    (``models:/name@champion``, ``models:/name/3``) and a deployed version (``daf+https://host/name@1.0.0``, or
    ``deployed:name@1.0.0`` for the server of `deployment.url`), each with ``,name=...`` behind it if need be.

    Raises:
        ValueError: the text has none of these forms, or the bundle is not sound.
    """
    if not isinstance(item, str):
        return item
    text = item.strip()
    if not text.strip(", "):
        raise ValueError("a policy needs a name: a class, or a checkpoint folder or bundle")
    if _is_path(text):
        return _policy_from_path(user_path(text))
    address, separator, rest = text.partition(",")
    if is_reference(address):
        found = local(address)
        return {"class_path": found.class_path, "weights": str(found.path), "name": found.name} | _fields(
            rest, allowed={"name"}
        )
    if address.startswith("metta://"):  # a comma may be part of its query
        address, separator, rest = text.partition(",proportion=")
        rest = f"proportion={rest}" if separator else ""
    if "://" in address or ("=" not in address and _looks_like_path(address)):
        return _policy_from_address(address) | _fields(rest, allowed={"name"})
    first = address if "=" in address else f"class={address}"
    policy = _fields(f"{first}{separator}{rest}", allowed=set(FIELDS))
    if not policy.get("class_path"):
        raise ValueError(f"{item!r} names no class; write class=..., such as class=lstm,data=model.pt")
    return policy


def _is_path(text: str) -> bool:
    path = user_path(text) if not text.startswith("~") or "/" in text else Path(text)
    known = text in catalogue().policies or text in catalogue().policies.values()
    return bool(text) and not known and is_there(path)


def _looks_like_path(text: str) -> bool:
    return "/" in text or text.startswith((".", "~")) or text.endswith((".zip", ".tar.gz", ".tgz", ":latest"))


def _fields(text: str, allowed: set[str]) -> dict[str, Any]:
    """Reads ``key=value`` pairs as CoGames does: of `FIELDS` those that are allowed, ``kw.`` beside a class."""
    policy: dict[str, Any] = {}
    for pair in filter(None, map(str.strip, text.split(","))):
        key, equals, value = (part.strip() for part in pair.partition("="))
        if key == "proportion" and equals:
            _check_proportion(value)
        elif key in allowed and value:
            policy[FIELDS[key]] = value
        elif "class" in allowed and key.startswith("kw.") and key != "kw." and equals:
            argument = key.removeprefix("kw.").replace("-", "_")
            policy.setdefault("init_kwargs", {})[argument] = _yaml(pair, value)
        else:
            has = ", ".join(f"{name}=..." for name in FIELDS if name in allowed)
            kwargs = ", kw.<argument>=..." if "class" in allowed else ""
            raise ValueError(f"{pair!r} is not part of a policy; use {has}{kwargs} or proportion=...")
    return policy


def _check_proportion(value: str) -> None:
    try:
        positive = float(value) > 0
    except ValueError:
        positive = False
    if not positive:
        raise ValueError(f"proportion={value!r} is not a number above 0")
    if float(value) != 1:
        logger.warning("proportion=%s has no effect: a policy plays alone, or in the teams of its task.", value)


def _yaml(pair: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ValueError(f"the value in {pair!r} cannot be read as YAML") from error


def _policy_from_address(address: str) -> dict[str, Any]:
    """What an address names, such as ``metta://policy/starter?x=3``, ``mock://noop`` or ``file:///run/checkpoints``."""
    if "://" not in address:
        return _policy_from_path(user_path(address))
    parts = urlsplit(address)
    arguments = {key: _yaml(f"{key}={value}", value) for key, value in parse_qsl(parts.query)}
    place = unquote(f"{parts.netloc}{parts.path}")
    if parts.scheme == "metta" and parts.netloc == "policy":
        policy: dict[str, Any] = {"class_path": parts.path.strip("/")}
    elif parts.scheme == "mock":
        policy = {"class_path": place}
    elif parts.scheme == "file":
        policy = _policy_from_path(user_path(place))
    else:
        known = "; download it and give its path" if parts.scheme in ELSEWHERE else ""
        raise ValueError(
            f"{address!r} is no address that DAF reads{known}. It reads metta://policy/, mock://, file://, {FORMS}"
        )
    if not policy["class_path"]:
        raise ValueError(f"{address!r} names no class")
    return {**policy, "init_kwargs": arguments} if arguments else policy


def _policy_from_path(path: Path) -> dict[str, Any]:
    path = _newest(path)
    if is_bundle(path):
        return {"class_path": read_bundle(path).class_path, "weights": str(path)}
    if not is_there(path):
        raise ValueError(f"there is nothing at {path}")
    raise ValueError(
        f"{path} is neither a checkpoint folder with policy_spec.json nor a bundle (.zip, .tar.gz); for a bare weights"
        " file name its class: class=lstm,data=model.pt"
    )


def _newest(path: Path) -> Path:
    """Of a folder with ``run:v1``, ``run:v2.zip``, ... in it the newest, as CoGames takes it; else the path itself."""
    folder = path.with_name(path.name.removesuffix(":latest")) if path.name.endswith(":latest") else path
    if is_there(path) and (not path.is_dir() or is_bundle(path)):
        return path
    versions = [(re.search(r":v(\d+)(\.zip)?$", entry.name), entry) for entry in _entries(folder)]
    found = [(int(version[1]), entry) for version, entry in versions if version and is_bundle(entry)]
    if not found and folder != path:
        raise ValueError(f"{folder} holds no checkpoint that is called <run>:v<number>")
    return max(found)[1] if found else path


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if is_there(folder) and folder.is_dir() else []


ListedPolicy = Annotated[DAFPolicyConfig, BeforeValidator(policy_from_text)]
