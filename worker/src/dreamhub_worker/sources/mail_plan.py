"""What a reading of mail folders has to tell, from what the last one saw. Pure.

IMAP numbers messages: a number is never given twice while UIDVALIDITY stays. So a folder in which everything below the
last known number is still as it was has only new messages to tell. Where anything vanished or was marked as deleted,
or the numbering began anew, all that stands is told again, which fetches nothing that is known.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class FolderNow:
    """A folder as the server shows it."""

    validity: int
    uids: Sequence[int]
    """Of the messages that are not marked as deleted, ascending."""


class Mark:
    """How far a folder was told: up to which number, and a fingerprint of what stood below it."""

    def __init__(self, validity: int, uids: Iterable[int] = ()) -> None:
        self.validity = validity
        self.next = 1
        self._digest = hashlib.sha256()
        self.advance(uids)

    def advance(self, uids: Iterable[int]) -> None:
        """These were told as well; all of them above what was told before."""
        for uid in uids:
            self._digest.update(b"%d," % uid)
            self.next = uid + 1

    def to_json(self) -> dict[str, Any]:
        return {"validity": self.validity, "next": self.next, "digest": self._digest.hexdigest()}

    @classmethod
    def of_told(cls, now: FolderNow, next_uid: int) -> Self:
        """The mark that a folder would have if exactly what stands below a number now had been told."""
        mark = cls(now.validity, now.uids[: bisect_left(now.uids, next_uid)])
        mark.next = next_uid
        return mark


@dataclass(frozen=True, slots=True)
class Plan:
    todo: Mapping[str, Sequence[int]]
    """Numbers to tell, by folder."""
    marks: Mapping[str, Mark]
    """Where each folder stands before that."""
    everything: bool
    """Whether all that stands is told, so that what is known beside it is gone."""


def plan_reading(now: Mapping[str, FolderNow], state: Mapping[str, Any] | None) -> Plan:
    """`state` holds the marks of the last reading under `folders`; None: there was none."""
    before = (state or {}).get("folders", {})
    marks = {name: _still_valid(folder, before.get(name)) for name, folder in now.items()}
    if state is None or any(mark is None for mark in marks.values()):
        return Plan(
            {name: folder.uids for name, folder in now.items()},
            {name: Mark(folder.validity) for name, folder in now.items()},
            everything=True,
        )
    held = {name: mark for name, mark in marks.items() if mark is not None}
    todo = {name: folder.uids[bisect_left(folder.uids, held[name].next) :] for name, folder in now.items()}
    return Plan(todo, held, everything=False)


def _still_valid(folder: FolderNow, stored: Mapping[str, Any] | None) -> Mark | None:
    """The mark, if all that was told still stands and nothing else came among it."""
    if stored is None:
        return Mark(folder.validity)
    mark = Mark.of_told(folder, int(stored["next"]))
    return mark if mark.to_json() == dict(stored) else None
