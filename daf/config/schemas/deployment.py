"""How a policy leaves the house: its bundle, the checks before, the place where it is served, and the season."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, StringConstraints

from daf.bridge.bundles import exists
from daf.config.references import is_reference, local
from daf.config.schemas.policies import ListedPolicy
from daf.config.schemas.values import Count, NonNegative, Positive, Schema, Text

#: As https://semver.org has it, without its build metadata, which orders nothing.
SemanticVersion = Annotated[
    str, StringConstraints(pattern=r"^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$", max_length=64)
]
#: A name that can stand in a file's name, an address and MLflow's registry.
DeploymentName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$", max_length=100)]


def _bundle_here(text: str) -> str:
    """A bundle's path, also where it is named by where it is kept."""
    if not is_reference(text) or exists(Path(text)):
        return text
    found = local(text).path
    if not found.is_file():
        raise ValueError(f"{text} is a checkpoint and no bundle; name it in deployment.policy, and it is packed")
    return str(found)


class DAFDeploymentConfig(Schema):
    """Which policy is packed, checked and served, under which name and version, and where."""

    policy: ListedPolicy | None
    name: DeploymentName | None
    version: SemanticVersion
    bundle: Annotated[Text, AfterValidator(_bundle_here)] | None
    files: tuple[Text, ...]
    roots: tuple[Text, ...]
    validation: Literal["smoke", "qualifying"]
    latency_ms: Positive
    memory_gib: Positive
    pool: tuple[ListedPolicy, ...]
    unvalidated: bool
    target: Literal["registry", "http"]
    alias: DeploymentName
    url: Text | None
    retries: Count
    timeout_s: Positive
    monitored: SemanticVersion | None
    champion: ListedPolicy | None
    margin: NonNegative
    require: tuple[Text, ...]


class DAFSeasonConfig(Schema):
    """The season's server, and what is submitted to it."""

    server: Text
    login_server: Text
    name: Text | None
    trust_server: bool
    dry_run: bool
    unvalidated: bool
    matches: Count
