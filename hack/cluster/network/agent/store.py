"""What the agent knows of the cluster, and who waits for it to be in force."""

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .model import Node, Pod, Policy


@dataclass(frozen=True, slots=True)
class Claim:
    """An address that CNI gave to a pod of this node; the API server tells it about a second later."""

    namespace: str
    name: str
    uid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One consistent view; `revision` tells which changes it holds."""

    revision: int
    pods: tuple[Pod, ...]
    policies: tuple[Policy, ...]
    namespaces: Mapping[str, Mapping[str, str]]
    nodes: tuple[Node, ...]


@dataclass
class Store:
    """Shared by the watching threads, the CNI server and the loop that applies."""

    kinds: tuple[str, ...] = ("nodes", "namespaces", "pods", "networkpolicies")
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: dict[str, Claim] = field(default_factory=dict)
    revision: int = 0
    applied: int = -1
    changed: threading.Condition = field(default_factory=threading.Condition)

    def replace_all(self, kind: str, found: Mapping[str, Any]) -> None:
        """A fresh list of a kind."""
        with self.changed:
            self.objects[kind] = dict(found)
            self._touch()

    def put(self, kind: str, key: str, value: Any) -> None:
        """One object added, changed, or gone (None); unchanged ones wake nobody."""
        with self.changed:
            known = self.objects[kind]
            if known.get(key) == value:
                return
            if value is None:
                del known[key]
            else:
                known[key] = value
            self._touch()

    def claim(self, container: str, claim: Claim | None) -> int:
        """CNI gave an address to a sandbox, or took it back; returns the revision that holds it."""
        with self.changed:
            if claim is None:
                self.claims.pop(container, None)
            else:
                self.claims[container] = claim
            self._touch()
            return self.revision

    def wait_for_pod(self, namespace: str, name: str, uid: str, seconds: float) -> bool:
        """Whether the watch tells of this very pod in time; an older one of its name does not count."""

        def known() -> bool:
            pod: Pod | None = self.objects.get("pods", {}).get(f"{namespace}/{name}")
            return pod is not None and uid == pod.uid

        with self.changed:
            return self.changed.wait_for(known, seconds)

    def wait_until_applied(self, revision: int, seconds: float) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.applied >= revision, seconds)

    def mark_applied(self, revision: int) -> None:
        with self.changed:
            self.applied = revision
            self.changed.notify_all()

    def next_snapshot(self, gather_seconds: float) -> Snapshot:
        """Wait for a change, a little longer for those that come with it, and return everything."""
        with self.changed:
            self.changed.wait_for(lambda: self._is_complete() and self.revision > self.applied)
        time.sleep(gather_seconds)
        with self.changed:
            return self._snapshot()

    def _touch(self) -> None:
        self.revision += 1
        self.changed.notify_all()

    def _is_complete(self) -> bool:
        return all(kind in self.objects for kind in self.kinds)

    def _snapshot(self) -> Snapshot:
        owners = {address: claim.uid for claim in self.claims.values() for address in claim.addresses}
        pods: dict[str, Pod] = self.objects["pods"]
        return Snapshot(
            revision=self.revision,
            pods=tuple(_with_addresses(pod, owners) for pod in pods.values()),
            policies=tuple(self.objects["networkpolicies"].values()),
            namespaces=dict(self.objects["namespaces"]),
            nodes=tuple(self.objects["nodes"].values()),
        )


def _with_addresses(pod: Pod, owners: Mapping[str, str]) -> Pod:
    """What CNI gave wins over what the API server tells: its word of a pod that has left may be old."""
    if pod.finished:
        return pod
    told = [address for address in pod.addresses if owners.get(address, pod.uid) == pod.uid]
    given = [address for address, uid in owners.items() if uid == pod.uid]
    return replace(pod, addresses=tuple(dict.fromkeys((*told, *given))))
