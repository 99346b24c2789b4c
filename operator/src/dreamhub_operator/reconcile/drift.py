"""What differs between an object as it should be and as it is, and who changed it. Pure."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dreamhub_operator.cluster import FIELD_MANAGER
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.quantities import parse_quantity

DESIRED_HASH = "dreamhub.dev/desired-hash"
"""Annotation with the hash of what we last wrote: tells a foreign change from a change of our own mind."""

COMPARED = ("spec", "subjects", "roleRef", "data", "automountServiceAccountToken")
"""The parts of an object, beside labels and annotations, that are ours to set."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What is not as it should be, by names of fields."""

    faults: tuple[str, ...] = ()
    foreign: bool = False
    """Whether others did it, and it is to be told as drift."""


RIGHT = Finding()
UNKNOWN = Finding(("not known",))
"""It has to be made again to be sure."""


def stamp(manifest: Manifest) -> Manifest:
    """The manifest with the hash of itself as an annotation."""
    digest = hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:32]
    metadata = manifest["metadata"]
    annotations = {**metadata.get("annotations", {}), DESIRED_HASH: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def is_stamped_alike(desired: Manifest, live: Manifest) -> bool:
    """Whether the live object was last written for this very content, so that a difference is somebody else's."""
    written = (live["metadata"].get("annotations") or {}).get(DESIRED_HASH)
    return bool(written == desired["metadata"]["annotations"][DESIRED_HASH])


def find_differences(desired: Manifest, live: Manifest) -> tuple[str, ...]:
    """Paths of fields that are not as desired.

    Labels and annotations of others are theirs. Below spec and its like nothing may be added either: one rule more in a
    network policy opens it.
    """
    found: list[str] = []
    for name in ("labels", "annotations"):
        for key, value in (desired["metadata"].get(name) or {}).items():
            if (live["metadata"].get(name) or {}).get(key) != value:
                found.append(f"metadata.{name}[{key}]")
    for key in COMPARED:
        if key in desired:
            found += _compare(desired[key], live.get(key), key)
    return tuple(found)


def _compare(desired: Any, live: Any, path: str) -> Iterator[str]:
    if isinstance(desired, dict):
        fields = live if isinstance(live, dict) else {}
        for key in sorted(desired.keys() | fields.keys()):
            if key in desired:
                yield from _compare(desired[key], fields.get(key), f"{path}.{key}")
            elif fields[key] not in (None, "", {}, []):
                yield f"{path}.{key}"
    elif isinstance(desired, list):
        items = live if isinstance(live, list) else []
        if len(desired) != len(items):
            yield path
        else:
            for index, (want, have) in enumerate(zip(desired, items, strict=True)):
                yield from _compare(want, have, f"{path}[{index}]")
    elif not _is_equal(desired, live):
        yield path


def _is_equal(desired: object, live: object) -> bool:
    if desired == live:
        return True
    if not (isinstance(desired, str) and isinstance(live, str)):
        return False
    amount = parse_quantity(desired)
    return amount is not None and amount == parse_quantity(live)


def find_editor(live: Manifest) -> str | None:
    """The field manager, other than us, that wrote last; None when the API server does not tell."""
    entries = [entry for entry in live["metadata"].get("managedFields") or () if entry["manager"] != FIELD_MANAGER]
    newest = max(entries, key=lambda entry: entry.get("time", ""), default=None)
    return str(newest["manager"]) if newest is not None else None
