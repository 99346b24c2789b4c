"""What to do about a Tenant, decided from what was observed. Pure: fresh random values are part of what is observed.

A plan holds what can be done now. It is applied, everything is observed again, and the next plan holds what has become
possible; an empty plan means that the tenant is as it should be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamhub.crd.tenant import Tenant, TenantReason
from dreamhub.names import OWNER_UID_LABEL, namespace
from dreamhub_operator.cluster import ObjectKey, key_of
from dreamhub_operator.desired.credentials import (
    KEYS,
    Addresses,
    Passwords,
    build_credentials,
    read_entry,
    read_passwords,
)
from dreamhub_operator.desired.namespace import build_namespace
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.drift import find_differences, find_editor, is_stamped_alike, stamp

FINALIZER = "dreamhub.dev/operator"


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """First of all: from then on nothing of the tenant can be left behind."""


@dataclass(frozen=True, slots=True)
class Write:
    """Make an object as it should be. With a resourceVersion in it, it replaces what others changed."""

    manifest: Manifest
    changed: tuple[str, ...] = ()
    """Fields that somebody else changed; empty when it is new or we changed our mind."""
    editor: str | None = None

    @property
    def is_drift(self) -> bool:
        return bool(self.changed)


@dataclass(frozen=True, slots=True)
class Remove:
    key: ObjectKey
    uid: str


@dataclass(frozen=True, slots=True)
class StoreKeys:
    """Put the tenant's data keys into the system namespace."""

    keys: str


@dataclass(frozen=True, slots=True)
class ProvisionDatabase:
    password: str


@dataclass(frozen=True, slots=True)
class SetCacheUser:
    password: str


Action = AddFinalizer | Write | Remove | StoreKeys | ProvisionDatabase | SetCacheUser


@dataclass(frozen=True, slots=True)
class Inside:
    """What the tenant's namespace holds, and what lies outside of Kubernetes."""

    children: Mapping[ObjectKey, Manifest]
    """Objects that we own or that bear a name of ours."""
    credentials: Manifest | None
    vault_keys: str | None
    """The tenant's entry in the system namespace."""
    fresh_passwords: Passwords
    fresh_keys: str
    database_current: bool
    """Whether this process has provisioned the database lately, with the present password."""
    cache_current: bool


@dataclass(frozen=True, slots=True)
class TenantObserved:
    namespace: Manifest | None = None
    binding: Manifest | None = None
    """The RoleBinding that gives us our rights in the namespace."""
    inside: Inside | None = None
    """None while there is no namespace, or no right to look into it."""
    unknown_model: str | None = None
    """Why a model of the spec cannot be used."""


@dataclass(frozen=True, slots=True)
class Desired:
    """What a tenant's namespace should hold."""

    binding: Manifest
    children: Sequence[Manifest]
    addresses: Addresses


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why the tenant cannot be made as it should be without somebody's help, or without waiting."""

    reason: TenantReason
    message: str
    passes: bool = False
    """Whether waiting helps."""


@dataclass(frozen=True, slots=True)
class TenantPlan:
    actions: tuple[Action, ...] = ()
    obstacle: Obstacle | None = None


def plan_tenant(tenant: Tenant, observed: TenantObserved, desired: Desired) -> TenantPlan:
    if FINALIZER not in tenant.metadata.finalizers:
        return TenantPlan((AddFinalizer(),))
    wanted = stamp(build_namespace(tenant))
    if observed.namespace is None:
        return TenantPlan((Write(wanted, ("the whole object",) if tenant.status.namespace else ()),))
    obstacle = _namespace_obstacle(tenant, observed.namespace)
    if obstacle is not None:
        return TenantPlan(obstacle=obstacle)
    actions: list[Action] = [*_updates(wanted, observed.namespace)]
    binding = stamp(desired.binding)
    actions += _plan_child(binding, observed.binding, settled=is_settled(tenant))
    if observed.inside is None or actions:
        return TenantPlan(tuple(actions))
    actions += _plan_children(tenant, observed.inside, [binding, *map(stamp, desired.children)])
    secrets, obstacle = _plan_credentials(tenant, observed.inside, desired.addresses)
    if obstacle is None and observed.unknown_model is not None:
        obstacle = Obstacle(TenantReason.UNKNOWN_MODEL, observed.unknown_model)
    return TenantPlan((*actions, *secrets), obstacle)


def _namespace_obstacle(tenant: Tenant, live: Manifest) -> Obstacle | None:
    name, owner = live["metadata"]["name"], (live["metadata"].get("labels") or {}).get(OWNER_UID_LABEL)
    if owner != tenant.metadata.uid:
        whose = f"belongs to another owner (UID {owner})" if owner else "exists and was not made for this Tenant"
        handover = f"kubectl label namespace {name} --overwrite {OWNER_UID_LABEL}={tenant.metadata.uid}"
        message = f"namespace {name} {whose}; rename the Tenant, or hand the namespace over: {handover}"
        return Obstacle(TenantReason.NAMESPACE_FOREIGN, message)
    if live["metadata"].get("deletionTimestamp"):
        message = f"namespace {name} is being deleted; it will be made again when it is gone"
        return Obstacle(TenantReason.NAMESPACE_TERMINATING, message, passes=True)
    return None


def is_settled(tenant: Tenant) -> bool:
    """Whether all was made once for the present spec: what is missing now was taken away."""
    ready = any(c.type == "NamespaceReady" and c.status == "True" for c in tenant.status.conditions)
    return ready and tenant.status.observed_generation == tenant.metadata.generation


def _plan_children(tenant: Tenant, inside: Inside, desired: Sequence[Manifest]) -> list[Action]:
    wanted = {key_of(manifest): manifest for manifest in desired}
    settled = is_settled(tenant)
    actions: list[Action] = []
    for key, manifest in wanted.items():
        actions += _plan_child(manifest, inside.children.get(key), settled=settled)
    strays = [(key, live) for key, live in inside.children.items() if key not in wanted]
    return actions + [Remove(key, live["metadata"]["uid"]) for key, live in strays]


def _plan_child(desired: Manifest, live: Manifest | None, *, settled: bool) -> Sequence[Action]:
    if live is None:
        return [Write(desired, ("the whole object",) if settled else ())]
    if _role_changed(desired, live):
        return [Remove(key_of(desired), live["metadata"]["uid"])]
    return _updates(desired, live)


def _role_changed(desired: Manifest, live: Manifest) -> bool:
    """A RoleBinding's role cannot be changed: it has to go, and the next plan makes it again."""
    return bool(desired.get("roleRef") != live.get("roleRef"))


def _updates(desired: Manifest, live: Manifest) -> list[Write]:
    changed = find_differences(desired, live)
    if not changed:
        return []
    if not is_stamped_alike(desired, live):
        return [Write(desired)]
    return [Write(_replacement(desired, live), changed, find_editor(live))]


def _replacement(desired: Manifest, live: Manifest) -> Manifest:
    """The desired object over the live one: what others added below spec goes, their labels and annotations stay.

    Without a spec (a Namespace, a ServiceAccount) there is nothing to remove, and apply does.
    """
    if "spec" not in desired and "subjects" not in desired:
        return desired
    metadata = {
        key: value for key, value in live["metadata"].items() if key not in {"managedFields", "generation", "selfLink"}
    }
    for name in ("labels", "annotations"):
        metadata[name] = {**(live["metadata"].get(name) or {}), **desired["metadata"].get(name, {})}
    return {**desired, "metadata": metadata}


def _plan_credentials(tenant: Tenant, observed: Inside, addresses: Addresses) -> tuple[list[Action], Obstacle | None]:
    copy = read_entry(observed.credentials, KEYS)
    keys = observed.vault_keys or copy
    if keys is None and _was_ready(tenant):
        return [], Obstacle(TenantReason.KEYS_LOST, _keys_lost(tenant))
    keys = keys or observed.fresh_keys
    passwords = read_passwords(observed.credentials) or observed.fresh_passwords
    actions: list[Action] = [StoreKeys(keys)] if observed.vault_keys is None else []
    secret = build_credentials(tenant, passwords, keys, addresses)
    if observed.credentials is None or find_differences(secret, observed.credentials):
        actions.append(Write(secret))
    if not observed.database_current:
        actions.append(ProvisionDatabase(passwords.database))
    if not observed.cache_current:
        actions.append(SetCacheUser(passwords.redis))
    return actions, None


def _was_ready(tenant: Tenant) -> bool:
    return any(c.type == "CredentialsFresh" and c.status == "True" for c in tenant.status.conditions)


def _keys_lost(tenant: Tenant) -> str:
    name = tenant.metadata.name
    return (
        f"the data keys of tenant {name} are in neither Secret any more, and new ones could not read its documents; "
        f"restore {name}.json in the Secret of tenant keys from a backup, or delete the Tenant and create it again"
    )


def namespace_key(tenant: Tenant) -> ObjectKey:
    return key_of(build_namespace(tenant))


def namespace_name(tenant: Tenant) -> str:
    return namespace(tenant.metadata.name)
