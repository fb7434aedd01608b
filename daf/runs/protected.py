"""What cleaning must leave: kept by its user, deployed, referred to by what is deployed, or in use."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from daf.config.paths import CONF_DIR
from daf.runs.find import TASK_TAG, logged_text

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run
    from mlflow.store.entities import PagedList

KEEP_TAG, KEEP_FILE = "daf.keep", ".keep"
#: Tasks whose runs name what is deployed, here or on a server.
DEPLOY = ("deploy", "submit")
PAGE = 500


@dataclass(frozen=True)
class Protected:
    """Asks a store what is not to be removed. Whatever is doubtful is protected.

    Attributes:
        client: of the store; None where there is none.
    """

    client: "MlflowClient | None"
    _runs: dict[str, "Run | None"] = field(default_factory=dict)

    def afresh(self) -> "Protected":
        """The same, asked anew: much may have happened since."""
        return Protected(self.client)

    def why(self, run_id: str | None, places: Iterable[Path]) -> str | None:
        """Why a run's files are to be left, or None.

        Args:
            run_id: of the MLflow run; None where there was none.
            places: folders of the run.
        """
        run = self.run(run_id) if run_id else None
        if run_id and run is None:
            return "its MLflow run is not in this store (tracking.uri), so that nobody knows what it is used for"
        if run is not None and run.data.tags.get(KEEP_TAG, "").lower() == "true":
            return f"its MLflow run has the tag {KEEP_TAG}"
        if run is not None and run.info.run_id in self._in_use:
            return "its MLflow run goes on"
        if run_id and run_id in self._registered:
            return "a version in the model registry comes from its MLflow run"
        names = [*([run_id] if run_id else []), *(name for place in places for name in _names(place))]
        return next((f"{who} refers to it" for who, text in self._texts if _mentions(text, names)), None)

    def run(self, run_id: str) -> "Run | None":
        """A run of the store, deleted ones included; None where it has no such one."""
        from mlflow.exceptions import MlflowException

        if run_id not in self._runs:
            try:
                self._runs[run_id] = self.client.get_run(run_id) if self.client else None
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise
                self._runs[run_id] = None
        return self._runs[run_id]

    def deleted(self) -> "Iterator[Run]":
        """Runs that were deleted, and can still be restored."""
        from mlflow.entities import ViewType

        yield from self._search("", ViewType.DELETED_ONLY)

    @cached_property
    def anything_runs(self) -> bool:
        """Whether some run goes on."""
        return bool(self._in_use)

    @cached_property
    def _in_use(self) -> "dict[str, Run]":
        return {run.info.run_id: run for run in self._search("attributes.status = 'RUNNING'")}

    @cached_property
    def _registered(self) -> set[str]:
        return {run_id for run_id, _ in self._versions}

    @cached_property
    def _versions(self) -> list[tuple[str, str]]:
        """Run id of each version in the registry, and what it says."""
        found: list[tuple[str, str]] = []
        token = None
        while self.client is not None:
            page = self.client.search_model_versions(max_results=PAGE, page_token=token)
            found += [(str(v.run_id or ""), f"{v.source} {v.run_link} {v.tags} {v.description}") for v in page]
            token = page.token
            if not token:
                break
        return found

    @cached_property
    def _texts(self) -> list[tuple[str, str]]:
        """Who may refer to files of other runs, and its whole text; what those runs were made from included."""
        texts = [(f"a running run ({run_id})", self._said_by(run, whole=True)) for run_id, run in self._in_use.items()]
        texts += [("a version in the model registry", text) for _, text in self._versions]
        runs = [run for task in DEPLOY for run in self._search(f"tags.`{TASK_TAG}` = '{task}'")]
        texts += [(f"what is deployed ({run.info.run_id})", self._said_by(run)) for run in runs]
        texts += self._behind([*runs, *filter(None, map(self.run, self._registered - {""}))])
        winners = sorted((CONF_DIR / "experiment").glob("*.yaml"))
        return texts + [(str(path), path.read_text(encoding="utf-8", errors="replace")) for path in winners]

    def _behind(self, runs: "list[Run]") -> list[tuple[str, str]]:
        """The same for the runs that deployed ones were made from, and those behind these."""
        texts, seen, queue = [], {run.info.run_id for run in runs}, list(runs)
        for run in queue:
            said = self._said_by(run)
            texts.append((f"what is deployed ({run.info.run_id})", said))
            for run_id in set(re.findall(r"\b[0-9a-f]{32}\b", said)) - seen:
                seen.add(run_id)
                queue += filter(None, [self.run(run_id)])
            queue += [made for made in self._made_in(said) if made.info.run_id not in seen]
            seen |= {each.info.run_id for each in queue}
        return texts

    def _made_in(self, said: str) -> "list[Run]":
        """The runs whose output folders a text names."""
        folders = {str(run.data.tags.get("daf.output_dir", "")): run for run in self._packers}
        return [run for folder, run in folders.items() if folder and _mentions(said, [folder])]

    @cached_property
    def _packers(self) -> "list[Run]":
        """The runs that weights and bundles come from."""
        tasks = ("package", "train", "quickstart", "pipeline")
        return [run for task in tasks for run in self._search(f"tags.`{TASK_TAG}` = '{task}'")]

    def _said_by(self, run: "Run", *, whole: bool = False) -> str:
        assert self.client is not None, "it found the run"
        config = logged_text(self.client, run.info.run_id, "config.yaml") if whole else ""
        # Where it works itself is no reference to anything.
        tags = {key: value for key, value in run.data.tags.items() if not key.startswith(("hardware.", "version."))}
        return f"{run.data.params} {tags} {config}"

    def _search(self, asked: str, view: int | None = None) -> "Iterator[Run]":
        from mlflow.entities import ViewType

        token = None
        while self.client is not None:
            experiments = [each.experiment_id for each in self.client.search_experiments(view_type=ViewType.ALL)]
            page: PagedList[Run] = self.client.search_runs(
                experiments, asked, run_view_type=view or ViewType.ACTIVE_ONLY, max_results=PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return


def _names(place: Path) -> set[str]:
    """The ways in which a config may name a folder."""
    absolute = place.absolute()
    return {str(absolute), os.path.realpath(place), os.path.relpath(absolute)}


def _mentions(text: str, names: Iterable[str]) -> bool:
    """Whether a text holds one of the names, and not as a part of a longer name."""
    return any(re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w.-])", text) for name in names if name in text)
