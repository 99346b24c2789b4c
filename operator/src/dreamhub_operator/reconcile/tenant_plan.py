"""What to do about a Tenant, decided from what was observed. Pure: fresh random values are part of what is observed.

A plan holds what can be done now. It is applied, everything is observed again, and the next plan holds what has become
possible; an empty plan means that the tenant is as it should be.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dreamhub.crd.tenant import Tenant, TenantReason
from dreamhub.domain.key_ring import KeyRing
from dreamhub.errors import InvalidInputError
from dreamhub.names import namespace
from dreamhub_operator.cluster import ObjectKey, key_of
from dreamhub_operator.desired.credentials import (
    KEYS,
    Addresses,
    Credentials,
    build_credentials,
    is_forged,
    read_credentials,
    read_entry,
)
from dreamhub_operator.desired.namespace import build_namespace
from dreamhub_operator.kinds import Manifest
from dreamhub_operator.reconcile.drift import RIGHT, Finding, find_differences, find_editor, is_stamped_alike, stamp
from dreamhub_operator.reconcile.fence import explain_foreign
from dreamhub_operator.reconcile.store_owners import StoreOwners, explain_adoption

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

    ring: KeyRing


@dataclass(frozen=True, slots=True)
class ProvisionDatabase:
    credentials: Credentials
    changed: tuple[str, ...] = ()
    """What somebody else changed."""


@dataclass(frozen=True, slots=True)
class SetCacheUser:
    credentials: Credentials
    changed: tuple[str, ...] = ()
    """As above."""


@dataclass(frozen=True, slots=True)
class ExpectNamespace:
    """Note in the status that a namespace is about to become ours: none that was not expected is ever deleted."""


@dataclass(frozen=True, slots=True)
class ClaimStores:
    """Make the stores of the tenant's name this Tenant's, before anything is made in them."""


Action = AddFinalizer | ExpectNamespace | Write | Remove | ClaimStores | StoreKeys | ProvisionDatabase | SetCacheUser


@dataclass(frozen=True, slots=True)
class Inside:
    """What the tenant's namespace holds, and what lies outside of Kubernetes."""

    children: Mapping[ObjectKey, Manifest]
    """Objects that we own or that bear a name of ours."""
    credentials: Manifest | None
    ring: KeyRing | None
    """The tenant's entry in the system namespace."""
    fresh_credentials: Credentials
    fresh_ring: KeyRing
    database: Finding
    """What in the database is not as this process has made it, or would."""
    cache: Finding
    owners: StoreOwners | None = None
    """Whose the stores are; None when they were found to be this Tenant's a short while ago."""
    keys_fault: str | None = None
    """Why there is an entry in the system namespace that cannot be read."""

    def are_stores_ours(self, tenant: Tenant) -> bool:
        """Nothing under the tenant's name belongs to anybody else, or to nobody."""
        owners, uid = self.owners, tenant.metadata.uid
        if owners is None:
            return True
        has_keys = self.ring is not None or owners.keys is not None
        return owners.database == uid and (owners.keys == uid or not has_keys)


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
    recorded = tenant.status.namespace
    if observed.namespace is None:
        make = Write(wanted, ("the whole object",) if recorded is not None and recorded.uid else ())
        return TenantPlan((make,) if recorded is not None and not recorded.uid else (ExpectNamespace(), make))
    obstacle = _find_namespace_obstacle(tenant, observed.namespace)
    if obstacle is not None:
        return TenantPlan(obstacle=obstacle)
    actions: list[Action] = [ExpectNamespace()] if recorded is None else []
    actions += _updates(wanted, observed.namespace)
    binding = stamp(desired.binding)
    actions += _plan_child(binding, observed.binding, settled=is_settled(tenant))
    if observed.inside is None or actions:
        return TenantPlan(tuple(actions))
    actions += _plan_children(tenant, observed.inside, [binding, *map(stamp, desired.children)])
    claim, obstacle = _plan_claim(tenant, observed.inside)
    if claim or obstacle is not None:
        return TenantPlan((*actions, *claim), obstacle)
    secrets, obstacle = _plan_credentials(tenant, observed.inside, desired.addresses)
    if obstacle is None and observed.unknown_model is not None:
        obstacle = Obstacle(TenantReason.UNKNOWN_MODEL, observed.unknown_model)
    return TenantPlan((*actions, *secrets), obstacle)


def may_trust_memory(tenant: Tenant, plan: TenantPlan) -> bool:
    """Whether a plan made from memory may stand: it does nothing, or it only adds to a tenant still being made.

    What somebody else may have changed or put there is looked at live before anything is done about it.
    """
    if plan.obstacle is not None:
        return False
    if all(isinstance(action, ProvisionDatabase | SetCacheUser) for action in plan.actions):
        return True
    return not is_settled(tenant) and all(map(_only_adds, plan.actions))


def _only_adds(action: Action) -> bool:
    match action:
        case Write(manifest):
            replaces = "resourceVersion" in manifest["metadata"]
            return not action.is_drift and not replaces and manifest["kind"] != "Namespace"
        case AddFinalizer() | ClaimStores() | StoreKeys() | ProvisionDatabase() | SetCacheUser():
            return True
        case _:
            return False


def _find_namespace_obstacle(tenant: Tenant, live: Manifest) -> Obstacle | None:
    foreign = explain_foreign(tenant, live)
    if foreign is not None:
        return Obstacle(TenantReason.NAMESPACE_FOREIGN, foreign)
    if live["metadata"].get("deletionTimestamp"):
        message = f"namespace {live['metadata']['name']} is being deleted; it will be made again when it is gone"
        return Obstacle(TenantReason.NAMESPACE_TERMINATING, message, passes=True)
    return None


def _plan_claim(tenant: Tenant, inside: Inside) -> tuple[list[Action], Obstacle | None]:
    """What bears the tenant's name outside of Kubernetes is claimed before it is used, and never taken from another."""
    owners = inside.owners
    strangers = owners.find_strangers(tenant) if owners is not None else ()
    if owners is not None and strangers:
        return [], Obstacle(TenantReason.STORES_FOREIGN, _explain_strangers(tenant, owners, strangers))
    return [] if inside.are_stores_ours(tenant) else [ClaimStores()], None


def _explain_strangers(tenant: Tenant, owners: StoreOwners, strangers: tuple[str, ...]) -> str:
    former = next(uid for uid in (owners.database, owners.keys) if uid not in (None, tenant.metadata.uid))
    return (
        f"{'; '.join(strangers)}, which was deleted under Retain, by force or with its definition; nothing of it is "
        f"touched. Choose another name, or take it over with its documents: {explain_adoption(tenant, str(former))}"
    )


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
    if not {"spec", "subjects", "data"} & desired.keys():
        return desired
    metadata = {
        key: value for key, value in live["metadata"].items() if key not in {"managedFields", "generation", "selfLink"}
    }
    for name in ("labels", "annotations"):
        metadata[name] = {**(live["metadata"].get(name) or {}), **desired["metadata"].get(name, {})}
    return {**desired, "metadata": metadata}


def _plan_credentials(tenant: Tenant, observed: Inside, addresses: Addresses) -> tuple[list[Action], Obstacle | None]:
    if observed.keys_fault is not None:
        return [], Obstacle(TenantReason.KEYS_LOST, observed.keys_fault)
    ring = observed.ring or _read_copy(observed.credentials)
    if ring is None and _was_ready(tenant):
        return [], Obstacle(TenantReason.KEYS_LOST, _keys_lost(tenant))
    ring = ring or observed.fresh_ring
    known = read_credentials(observed.credentials)
    forged = known is not None and is_forged(observed.credentials, known)
    credentials = observed.fresh_credentials if known is None or forged else known
    actions: list[Action] = [StoreKeys(ring)] if observed.ring is None else []
    secret = stamp(build_credentials(tenant, credentials, ring.keys.dump(), addresses))
    actions += _plan_secret(secret, observed.credentials, settled=is_settled(tenant), forged=forged)
    if observed.database != RIGHT or forged:
        actions.append(ProvisionDatabase(credentials, _drift_of(tenant, observed.database)))
    if observed.cache != RIGHT or forged:
        actions.append(SetCacheUser(credentials, _drift_of(tenant, observed.cache)))
    return actions, None


def _plan_secret(desired: Manifest, live: Manifest | None, *, settled: bool, forged: bool) -> Sequence[Action]:
    if live is not None and forged:
        return [Write(_replacement(desired, live), find_differences(desired, live), find_editor(live))]
    return _plan_child(desired, live, settled=settled)


def _drift_of(tenant: Tenant, finding: Finding) -> tuple[str, ...]:
    """What others changed in a store; nothing while the tenant is still being made."""
    return finding.faults if finding.foreign and is_settled(tenant) else ()


def _read_copy(secret: Manifest | None) -> KeyRing | None:
    """The keys that the tenant's pods have, when the system namespace has none."""
    copy = read_entry(secret, KEYS)
    try:
        return KeyRing.parse(copy) if copy is not None else None
    except InvalidInputError:
        return None


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
