"""Which node image and which base image are used, by what the machine has and can reach."""

from dataclasses import dataclass

import pytest
from typing_extensions import override

from hack.cluster import cluster, debian
from hack.cluster.daemon import Daemon
from hack.cluster.node_image import own_node_image
from hack.cluster.progress import Progress
from hack.cluster.settings import OWN_BASE_IMAGE, STOCK_BASE_IMAGE, STOCK_NODE_IMAGE, read_settings

OWN = own_node_image()
REGISTRY = frozenset({STOCK_NODE_IMAGE, STOCK_BASE_IMAGE})


@dataclass(frozen=True, slots=True)
class FakeDaemon(Daemon):
    """Has some images, and reaches a registry that has some more."""

    images: frozenset[str] = frozenset()
    registry: frozenset[str] = frozenset()

    @override
    def has_image(self, name: str) -> bool:
        return name in self.images

    @override
    def can_pull(self, name: str) -> bool:
        return name in self.registry


@pytest.mark.parametrize(
    ("images", "registry", "expected"),
    [
        pytest.param({STOCK_NODE_IMAGE, OWN}, set(), (STOCK_NODE_IMAGE, False), id="kind's own is there"),
        pytest.param({OWN}, REGISTRY, (OWN, True), id="ours is there: no registry is asked"),
        pytest.param(set(), REGISTRY, (STOCK_NODE_IMAGE, False), id="kind's own can be pulled"),
        pytest.param(set(), set(), ("built", True), id="neither: ours is built"),
    ],
)
def test_node_image(
    monkeypatch: pytest.MonkeyPatch, images: set[str], registry: set[str], expected: tuple[str, bool]
) -> None:
    monkeypatch.setattr(cluster, "ensure_node_image", lambda _, daemon, __: OWN if daemon.has_image(OWN) else "built")
    daemon = FakeDaemon(None, frozenset(images), frozenset(registry))
    assert cluster.choose_node_image(read_settings({}), daemon, Progress()) == expected


@pytest.mark.parametrize(
    ("images", "registry", "expected"),
    [
        pytest.param({STOCK_BASE_IMAGE, OWN_BASE_IMAGE}, set(), STOCK_BASE_IMAGE, id="the public one is there"),
        pytest.param({OWN_BASE_IMAGE}, REGISTRY, OWN_BASE_IMAGE, id="ours is there: no registry is asked"),
        pytest.param(set(), REGISTRY, STOCK_BASE_IMAGE, id="the public one can be pulled"),
        pytest.param(set(), set(), "built", id="neither: ours is built"),
    ],
)
def test_base_image(monkeypatch: pytest.MonkeyPatch, images: set[str], registry: set[str], expected: str) -> None:
    monkeypatch.setattr(debian, "ensure_own_base_image", lambda *_: "built")
    daemon = FakeDaemon(None, frozenset(images), frozenset(registry))
    assert debian.ensure_base_image(read_settings({}), daemon, Progress()) == expected
