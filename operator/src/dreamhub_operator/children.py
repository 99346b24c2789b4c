"""What the watches have shown of tenants' managed objects: just enough to see that all is as it should be.

A reconcile may conclude from this memory that nothing is to be done, and may add what is missing. Whatever changes or
removes something that exists is decided from live reads, so a memory that is behind costs time and nothing else.

Only what is compared is kept, as JSON text: a tenant's nine objects take about 6 kB, a tenth of what they take as
dictionaries with their managed fields.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from dreamhub.names import OWNER_UID_LABEL, tenant_of_namespace
from dreamhub_operator.cluster import ObjectKey
from dreamhub_operator.kinds import NAMESPACE, Kind, Manifest
from dreamhub_operator.reconcile.drift import COMPARED, DESIRED_HASH


@dataclass(frozen=True, slots=True)
class Kept:
    uid: str
    owner: str
    """UID of the Tenant in the object's label; empty for objects of others."""
    version: int
    content: str
    """The compared part as JSON; empty for objects of others."""


def keep(body: Manifest) -> Kept:
    metadata = body["metadata"]
    labels = metadata.get("labels") or {}
    owner = labels.get(OWNER_UID_LABEL, "")
    return Kept(metadata["uid"], owner, int(metadata["resourceVersion"]), _compared(body, labels) if owner else "")


def _compared(body: Manifest, labels: Mapping[str, str]) -> str:
    annotations = body["metadata"].get("annotations") or {}
    metadata = {
        "labels": labels,
        "annotations": {name: annotations[name] for name in (DESIRED_HASH,) if name in annotations},
        "deletionTimestamp": body["metadata"].get("deletionTimestamp"),
    }
    return json.dumps({"metadata": metadata} | {part: body[part] for part in COMPARED if part in body})


def recall(key: ObjectKey, kept: Kept) -> Manifest:
    """The object as far as it was kept. It has no managed fields and not all annotations: nothing to write back."""
    body: Manifest = json.loads(kept.content)
    own = {"name": key.name, "namespace": key.namespace, "uid": kept.uid, "resourceVersion": str(kept.version)}
    return {"apiVersion": key.kind.api_version, "kind": key.kind.name, **body, "metadata": {**body["metadata"], **own}}


def space_of(key: ObjectKey) -> str:
    """The namespace that the object is in, or is."""
    return key.name if key.kind is NAMESPACE else key.namespace or ""


@dataclass
class Children:
    """Objects by tenant namespace. Those in other namespaces are not remembered, whatever labels they bear."""

    _spaces: dict[str, dict[ObjectKey, Kept]] = field(default_factory=lambda: defaultdict(dict))

    def put(self, kind: Kind, body: Manifest) -> str | None:
        """Remember what a watch or the answer to a write shows.

        Returns the namespace when something that matters is new, None when it is an echo or none of a tenant's.
        """
        key = ObjectKey(kind, body["metadata"]["name"], body["metadata"].get("namespace"))
        space = space_of(key)
        if tenant_of_namespace(space) is None:
            return None
        known, now = self._spaces[space].get(key), keep(body)
        if known is not None and now.version <= known.version:
            return None
        self._spaces[space][key] = now
        is_echo = known is not None and (known.uid, known.owner, known.content) == (now.uid, now.owner, now.content)
        return None if is_echo else space

    def drop(self, kind: Kind, body: Manifest) -> str | None:
        """Forget what is gone; the namespace when it was known."""
        metadata = body["metadata"]
        key = ObjectKey(kind, metadata["name"], metadata.get("namespace"))
        known = self._spaces.get(space_of(key), {}).get(key)
        if known is None or known.version > int(metadata["resourceVersion"]):
            return None
        return self._forget(key)

    def settle(self, kind: Kind, listed: Collection[ObjectKey], version: int) -> set[str]:
        """After a list of the whole kind at this version: forget what it did not show; the namespaces concerned.

        What is known in a newer version than the list's, such as what was just made, is left alone.
        """
        gone = [
            key
            for space in self._spaces.values()
            for key, kept in space.items()
            if key.kind is kind and kept.version <= version and key not in listed
        ]
        return {self._forget(key) for key in gone}

    def _forget(self, key: ObjectKey) -> str:
        space = space_of(key)
        del self._spaces[space][key]
        if not self._spaces[space]:
            del self._spaces[space]
        return space

    def of(self, space: str, owner: str) -> dict[ObjectKey, Manifest]:
        """The objects of a namespace, itself included, that bear the UID of this Tenant."""
        known = self._spaces.get(space, {})
        return {key: recall(key, kept) for key, kept in known.items() if kept.owner == owner and owner}

    def foreign(self, space: str, owner: str) -> tuple[str, ...]:
        """Objects in a tenant's namespace, as Kind/name, that do not bear the UID of this Tenant."""
        known = self._spaces.get(space, {})
        return tuple(
            sorted(key.label for key, kept in known.items() if kept.owner != owner and key.kind is not NAMESPACE)
        )

    def __len__(self) -> int:
        return sum(map(len, self._spaces.values()))
