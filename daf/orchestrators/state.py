"""What a stage has left on disk: whether it is done, with which inputs, and what it gave."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from daf.bridge.policies import policy_digest
from daf.config.schemas import DAFConfig
from daf.config.sections import FREE
from daf.errors import DAFError
from daf.files import is_there, sha256_of, user_path, write_whole
from daf.orchestrators.plan import Stage
from daf.orchestrators.results import StageResult
from daf.records import digest
from daf.redaction import redactor
from daf.results import ResultTable, json_ready
from daf.tasks import find_task

FILE = "stage.json"


def inputs_digest(config: DAFConfig, stage: Stage, results: Mapping[str, StageResult]) -> str:
    """Equal for stages that would give the same again.

    It holds the config without what decides nothing, the runs of the stages that it needs, and the content of the
    files that it is given.
    """
    task = find_task(config.task)
    unread: frozenset[str] = frozenset() if stage.config.sweep else task.only_scores
    free = {**FREE, **dict.fromkeys(unread, True)}
    data = config.model_dump(mode="json", include=task.decided_by, exclude=free)  # type: ignore[arg-type]
    sweep = config.sweep.model_dump(mode="json") if stage.config.sweep else None
    read = (policy for key, policy in task.policies(config) if key.partition(".")[0] not in unread)
    policies = [_policy_digest(policy.spec()) for policy in read]
    given = {
        "task": config.task.model_dump(mode="json"),
        "config": data,
        "sweep": sweep,
        "needs": {name: results[name].run_id for name in stage.needs if name in results},
        "policies": policies,
        "files": dict(_file_digests(config)),
    }
    return digest(redactor().tree(given))


def _policy_digest(spec: Any) -> str | None:
    try:
        return policy_digest(spec)
    except Exception:  # a policy is anybody's code; the check of the stage says what is wrong
        return None


def _file_digests(config: DAFConfig) -> Iterable[tuple[str, str]]:
    """Files that a config names beside its policies."""
    deployment = config.deployment
    for name in filter(None, (deployment.bundle, *deployment.files, config.training.resume)):
        path = user_path(name)
        if is_there(path) and path.is_file():
            yield name, sha256_of(path)


class StageState:
    """The state of one stage in its folder, written whole each time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._data = self._read()

    def _read(self) -> dict[str, Any]:
        try:
            data = json.loads(self._path.read_text())
        except (OSError, ValueError):  # there is none, or it is no state of ours
            return {}
        return data if isinstance(data, dict) else {}

    @property
    def digest(self) -> str | None:
        """Of the inputs that the stage was begun with last; None where it never was."""
        found = self._data.get("inputs")
        return found if isinstance(found, str) else None

    def finished(self, inputs: str) -> StageResult | None:
        """What the stage gave with these inputs, if it is done and all its files are still there."""
        result = self._result() if self.digest == inputs else None
        whole = result is not None and result.done and all(map(is_there, result.files.values()))
        return replace(result, attempts=0) if result and whole else None

    def _result(self) -> StageResult | None:
        with suppress(KeyError, TypeError, ValueError):
            data = dict(self._data["result"])
            objective = data["objective"]
            files = {name: Path(path) for name, path in data["files"].items()}
            tables = tuple(
                ResultTable(t["title"], tuple(t["columns"]), tuple(map(tuple, t["rows"]))) for t in data["tables"]
            )
            changed = {
                "output_dir": self.folder,
                "objective": tuple(objective) if isinstance(objective, list) else objective,
                "files": files,
                "tables": tables,
                "notes": tuple(data["notes"]),
            }
            return StageResult(**{**data, **changed})
        return None

    def begin(self, inputs: str) -> None:
        """Notes that the stage begins. A finished one, and one with other inputs, is set aside first, and kept.

        Raises:
            DAFError: the folder takes nothing.
        """
        done = isinstance(self._data.get("result"), dict) and self._data["result"].get("status") in ("ok", "warning")
        try:
            if self.digest is not None and (done or self.digest != inputs):
                self.folder.rename(self._free_name())
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write({"inputs": inputs, "result": None})
        except OSError as error:
            raise DAFError(f"{self.folder} cannot be written: {error.strerror or error}") from error

    def end(self, result: StageResult) -> None:
        """Notes what became of the stage.

        Raises:
            DAFError: the folder does not take it.
        """
        data = {**asdict(result), "files": {name: str(path) for name, path in result.files.items()}}
        data["output_dir"] = str(result.output_dir)
        try:
            self._write({"inputs": self.digest, "result": redactor().tree(json_ready(data))})
        except OSError as error:
            raise DAFError(f"{self._path} cannot be written: {error.strerror or error}") from error

    def _write(self, data: dict[str, Any]) -> None:
        write_whole(self._path, json.dumps(data, indent=1) + "\n")
        self._data = data

    def _free_name(self) -> Path:
        """A name beside the folder that no stage has, for a dot is no part of a stage's name."""
        number = 1
        while (path := self.folder.with_name(f"{self.folder.name}.{number}")).exists():
            number += 1
        return path
