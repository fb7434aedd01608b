"""Records of a run as they come: whatever ends it, those that were finished by then are on disk."""

import json
import logging
import os
from pathlib import Path

from daf.records import EpisodeRecord
from daf.redaction import redactor

RECORDS = "episodes.jsonl"

logger = logging.getLogger(__name__)


class KeptRecords:
    """Adds records to the JSON lines in a folder, which is made with the first.

    Args:
        folder: of one task of a run.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder.absolute() / RECORDS
        self._warned = False

    def add(self, record: EpisodeRecord) -> None:
        """Appends a record. Where that fails, the user is warned once; the record is still in memory."""
        line = redactor().text(json.dumps(record.to_dict())).encode() + b"\n"
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("ab+", buffering=0) as file:
                end = file.tell()
                if end and os.pread(file.fileno(), 1, end - 1) != b"\n":  # cut off by an earlier end
                    line = b"\n" + line
                file.write(line)
        except OSError as error:
            if not self._warned:
                logger.warning("Records are not being kept as they come: %s", error)
            self._warned = True


def daf_read_records(path: Path) -> list[EpisodeRecord]:
    """The records in a file of JSON lines; what is no record, such as a last line that was cut off, is left out."""
    records = []
    for line in path.read_bytes().splitlines():
        try:
            records.append(EpisodeRecord.from_dict(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            logger.warning("A line of %s is no record and is left out.", path)
    return records
