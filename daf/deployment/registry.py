"""MLflow's model registry as a target: versions are models from code, the alias is the registry's own.

The registry numbers versions 1, 2, ...; the semantic version and the bundle's digest are tags that come with the number
in one step. Of several numbers with the same semantic version the lowest counts, and whoever made another takes it
back: so one of two deployments at once wins on every store. Aliases keep no history, so every move is a run with tags:
written before the alias moves, and marked as made afterwards. A process that ends in between leaves a move that the
alias itself proves or disproves.
"""

import contextlib
import logging
import os
import shutil
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from daf import __version__
from daf.config.references import VERSION_TAG
from daf.deployment.metadata import BundleMetadata
from daf.deployment.moves import Move, Use, version_key
from daf.deployment.targets import MOVE, check_same, file_sha256, move_tags, moved_meanwhile
from daf.errors import DAFError
from daf.tracking.addresses import sqlite_file
from daf.tracking.begin import new_run
from daf.tracking.deliver import reason
from daf.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion

VERSION, DIGEST, FILE = "daf.version", VERSION_TAG, "daf.bundle"
LOCK = ".daf-registry.lock"
MODEL = "model"
#: Where MLflow puts the files of a model.
FILES = "artifacts"
PAGE = 1000


class RegistryTarget:
    """One registered model, as `daf.deployment.targets.Target` has it, in the store of the tracker's run."""

    kind = "registry"

    def __init__(self, name: str, alias: str, tracker: Tracker) -> None:
        self.name = name
        self.alias = alias
        self._tracker = tracker
        self._client = tracker.client
        # One file does not need a bar.
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

    def versions(self) -> dict[str, str]:
        found = self._numbered()
        return {version: found[version].tags[DIGEST] for version in sorted(found, key=version_key)}

    def use(self) -> Use:
        number = self._aliased()
        versions = {str(found.version): version for version, found in self._numbered().items()}
        version = versions.get(number or "")
        moves = [_move_of(run) for run in _made(self._moves(), version)]
        return Use(version, tuple(moves), f"{number}/{len(moves)}")

    def upload(self, bundle: Path, metadata: BundleMetadata, digest: str) -> bool:
        version = metadata.version
        if there := self.versions().get(version):
            check_same(self, version, there, digest)
            return False
        with _told(f"{self.name} {version} cannot be registered"):
            created = self._register(bundle, metadata, digest)
        kept = self._numbered()[version]
        if kept.version == created.version:
            return True
        with _told(f"{self.name} {version} was registered twice"):
            self._client.delete_model_version(self.name, created.version)
        check_same(self, version, kept.tags[DIGEST], digest)
        return False

    def move(self, seen: Use, move: Move) -> None:
        number = self._numbered()[move.after].version
        with self._alone(), _told(f"the alias {self.alias} of {self.name} cannot be moved"):
            now = self.use()
            if now.revision != seen.revision:
                raise moved_meanwhile(self, seen, now, move)
            self._settle(now)
            run_id = self._planned(move)
            self._client.set_registered_model_alias(self.name, self.alias, number)
            self._client.set_tag(run_id, f"{MOVE}.state", "made")

    def fetch(self, version: str, folder: Path) -> Path:
        found = self._numbered().get(version)
        if found is None:
            raise DAFError(f"the registry has no {self.name} {version}. It has: {', '.join(self.versions()) or 'none'}")
        folder.mkdir(parents=True, exist_ok=True)
        with _told(f"{self.name} {version} cannot be fetched"):
            from mlflow.artifacts import download_artifacts

            place = self._client.get_model_version_download_uri(self.name, found.version)
            path = f"{place}/{FILES}/{found.tags[FILE]}"
            bundle = Path(download_artifacts(path, dst_path=str(folder), tracking_uri=self._client.tracking_uri))
        if (digest := file_sha256(bundle)) != found.tags[DIGEST]:
            raise DAFError(
                f"the registry's file of {self.name} {version} was changed: its digest is {digest[:12]}, and "
                f"{found.tags[DIGEST][:12]} was deployed. Deploy the policy again under a new version"
            )
        return bundle

    def location(self, version: str) -> str:
        return f"models:/{self.name}/{self._numbered()[version].version}"

    def _numbered(self) -> "dict[str, ModelVersion]":
        """Semantic version to the lowest of the registry's numbers for it."""
        found: dict[str, ModelVersion] = {}
        for each in sorted(self._all(), key=lambda each: int(each.version)):
            if VERSION in each.tags:
                found.setdefault(each.tags[VERSION], each)
        return found

    def _all(self) -> "Iterator[ModelVersion]":
        token = None
        while True:
            with _told(f"the registry does not answer for {self.name}"):
                page = self._client.search_model_versions(f"name='{self.name}'", max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _aliased(self) -> str | None:
        from mlflow.exceptions import MlflowException

        try:
            return str(self._client.get_model_version_by_alias(self.name, self.alias).version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise DAFError(f"the registry does not answer for {self.name}: {reason(error)}") from error

    def _register(self, bundle: Path, metadata: BundleMetadata, digest: str) -> "ModelVersion":
        """Uploads the model first, so that a version is whole from the moment it is there."""
        model = self._tracker.output_dir / MODEL
        file = save_model(bundle, metadata, model)
        try:
            self._client.log_artifacts(self._tracker.run_id, str(model), MODEL)
        finally:
            shutil.rmtree(model, ignore_errors=True)
        place = self._client.get_run(self._tracker.run_id).info.artifact_uri
        self._make_model()
        return self._client.create_model_version(
            self.name,
            source=f"{place}/{MODEL}",
            run_id=self._tracker.run_id,
            tags={VERSION: metadata.version, DIGEST: digest, FILE: file},
            description=f"{metadata.class_path} {metadata.version}",
        )

    def _make_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self._client.create_registered_model(self.name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else moves the alias meanwhile, where all who could are on this machine: with an SQLite store."""
        database = sqlite_file(self._client.tracking_uri)
        with FileLock(database.parent / LOCK) if database else contextlib.nullcontext():
            yield

    def _moves(self) -> "list[Run]":
        """The runs that moved the alias, or were about to, in order."""
        wanted_tags = {"target": self.kind, "name": self.name, "alias": self.alias}
        wanted = " and ".join(f"tags.`{MOVE}.{key}` = '{value}'" for key, value in wanted_tags.items())
        found: list[Run] = []
        token = None
        with _told("the tracking store does not answer"):
            experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
            while True:
                page = self._client.search_runs(experiments, wanted, max_results=PAGE, page_token=token)
                found += page
                token = page.token
                if not token:
                    return sorted(found, key=lambda run: int(run.data.tags[f"{MOVE}.time_ns"]))

    def _settle(self, now: Use) -> None:
        """Marks the last move as made where its process ended before it could."""
        for run in _made(self._moves(), now.version)[-1:]:
            if run.data.tags[f"{MOVE}.state"] != "made":
                self._client.set_tag(run.info.run_id, f"{MOVE}.state", "made")

    def _planned(self, move: Move) -> str:
        """Writes down what is about to move, here and now (the tracker would deliver it later); returns the run's id.

        It is this run, unless that has moved the alias before: then one of its own below it.
        """
        from mlflow.entities import RunTag

        run_id = self._tracker.run_id
        if run_id in {run.info.run_id for run in self._moves()}:
            name = f"{self.name} {self.alias} to {move.after}"
            parent = {"mlflow.parentRunId": run_id}
            run_id = new_run(self._client, self._tracker.experiment_id, name, parent)
            self._client.set_terminated(run_id)
        tags = {**move_tags(self, move), f"{MOVE}.time_ns": str(time.time_ns()), f"{MOVE}.state": "planned"}
        self._client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        return run_id


def _made(runs: "list[Run]", version: str | None) -> "list[Run]":
    """The runs whose move was made: they say so, or the last one is where the alias is."""
    made = [run for run in runs if run.data.tags[f"{MOVE}.state"] == "made"]
    if runs and runs[-1] not in made and runs[-1].data.tags[f"{MOVE}.to"] == version:
        made.append(runs[-1])
    return made


def _move_of(run: "Run") -> Move:
    tags = run.data.tags
    return Move(
        kind="rollback" if tags[f"{MOVE}.kind"] == "rollback" else "deploy",
        before=tags[f"{MOVE}.from"] or None,
        after=tags[f"{MOVE}.to"],
        why=tags[f"{MOVE}.why"],
        run_id=run.info.run_id,
    )


def save_model(bundle: Path, metadata: BundleMetadata, folder: Path) -> str:
    """Saves a bundle as an MLflow model from code, and returns the bundle's file name in it.

    No pickle: the model's code is `daf.deployment.served_policy`, a file of DAF's, copied beside the bundle.
    """
    from mlflow import pyfunc

    from daf.deployment import signature

    shutil.rmtree(folder, ignore_errors=True)
    file = "bundle.zip" if bundle.name.endswith(".zip") else "bundle.tar.gz"
    staged = folder.with_name(f"{folder.name}-bundle") / file
    staged.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(bundle, staged)
    try:
        with _calm():
            pyfunc.save_model(
                folder,
                python_model=str(Path(__file__).with_name("served_policy.py")),
                artifacts={"bundle": str(staged)},
                signature=signature.signature(),
                pip_requirements=[f"daf=={__version__}"],
                model_config={"trust": False},
                metadata={"name": metadata.name, "version": metadata.version},
            )
    finally:
        shutil.rmtree(staged.parent, ignore_errors=True)
    return file


@contextlib.contextmanager
def _calm() -> Iterator[None]:
    """MLflow advises on what was decided here, and looks for a pip that nobody needs."""
    logger = logging.getLogger("mlflow.utils.environment")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(record=True):
            yield
    finally:
        logger.setLevel(level)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """MLflow, its stores and disks raise what they like: in a sentence."""
    try:
        yield
    except DAFError:
        raise
    except OSError as error:
        raise DAFError(f"{what}: {error.strerror or error}") from error
    except Exception as error:
        raise DAFError(f"{what}: {reason(error)}") from error
