"""What is logged of one run: its artifacts, read from wherever the store keeps them."""

import json
import shlex
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import yaml

from daf.episodes.kept import RECORDS, daf_read_records
from daf.errors import DAFError
from daf.records import EpisodeRecord
from daf.runs.find import KIND_TAG, logged_config, logged_file, logged_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@dataclass(frozen=True)
class Logged:
    """A run and the way to its artifacts; nothing of its output folder is needed."""

    client: "MlflowClient"
    run: "Run"

    @property
    def run_id(self) -> str:
        """Of the run."""
        return str(self.run.info.run_id)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The whole config, secrets blanked."""
        return logged_config(self.client, self.run)

    def has(self, path: str) -> bool:
        """Whether there is such an artifact."""
        return path in self.files(str(PurePosixPath(path).parent))

    def files(self, folder: str) -> list[str]:
        """Paths of the files that lie directly in an artifact folder; "." is the topmost."""
        found = self.client.list_artifacts(self.run_id, None if folder == "." else folder)
        return [item.path for item in found if not item.is_dir]

    def text(self, path: str) -> str:
        """The text of an artifact.

        Raises:
            DAFError: there is no such one.
        """
        found = logged_text(self.client, self.run_id, path)
        if found is None:
            raise DAFError(f"MLflow run {self.run_id} has no {path} among its artifacts")
        return found

    def json(self, path: str) -> Any:
        """What a JSON artifact holds; errors as of `text`."""
        return json.loads(self.text(path))

    def records(self, folder: str) -> list[EpisodeRecord]:
        """The episodes that a folder of the artifacts keeps.

        Raises:
            DAFError: there are none.
        """
        with TemporaryDirectory(prefix="daf-artifact-") as scratch:
            path = logged_file(self.client, self.run_id, f"{folder}/{RECORDS}", Path(scratch))
            records = daf_read_records(path) if path else []
        if not records:
            raise DAFError(f"MLflow run {self.run_id} has no episodes in {folder}/{RECORDS} among its artifacts")
        return records

    def bring(self, path: str, folder: Path) -> Path | None:
        """Brings an artifact into a folder under its own path; None where there is no such one."""
        with TemporaryDirectory(prefix="daf-artifact-") as scratch:
            found = logged_file(self.client, self.run_id, path, Path(scratch))
            if found is None:
                return None
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target)
        return target

    def overrides(self) -> list[str]:
        """What the run was asked for on the command line, secrets blanked."""
        text = logged_text(self.client, self.run_id, "overrides.yaml")
        return [str(override) for override in yaml.safe_load(text) or []] if text else []

    def command(self) -> str:
        """The command that the run was asked for with, secrets blanked, as far as it was one."""
        tags = self.run.data.tags
        many = ["-m"] if "daf.sweep" in tags or tags.get(KIND_TAG) in ("sweep", "multirun") else []
        return shlex.join(["python", "-m", "daf.run", *many, *self.overrides()])
