"""What a release is given: which values name the images, which options Helm gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RELEASE = "dreamhub"
CHART = Path(__file__).resolve().parents[2] / "charts/dreamhub"

TAG_VALUES: Mapping[str, str] = {
    "operator": "operator.image.tag",
    "api-server": "apiServer.image.tag",
    "worker": "worker.image.tag",
    "postgres": "postgres.embedded.image.tag",
    "redis": "redis.embedded.image.tag",
    "s3": "s3.embedded.image.tag",
    "clamav": "scanner.embedded.image.tag",
}
"""Image target to the value of the chart that holds its tag."""


@dataclass(frozen=True)
class Upgrade:
    """One `helm upgrade --install`."""

    namespace: str
    images: Mapping[str, str]
    """Target to full image name."""
    keep_values: bool
    """Keep what the release has for everything not named here, other images included."""
    node_port: int | None
    """Serve the API on this port of the nodes, as the local cluster wants it."""
    timeout_seconds: int
    values: Sequence[Path] = ()
    settings: Sequence[str] = ()
    """`key=value` as for Helm's `--set`."""

    def command(self, helm: str) -> list[str]:
        """Helm's command line; later options win over earlier ones."""
        assignments = [f"{TAG_VALUES[target]}={name.rpartition(':')[2]}" for target, name in self.images.items()]
        if self.node_port:
            assignments += ["apiServer.service.type=NodePort"]
        return [
            *(helm, "upgrade", "--install", RELEASE, str(CHART)),
            *("--namespace", self.namespace),
            *("--reset-then-reuse-values" if self.keep_values else "--reset-values",),
            *(word for path in self.values for word in ("--values", str(path))),
            *(word for assignment in assignments for word in ("--set-string", assignment)),
            *(("--set", f"apiServer.service.nodePort={self.node_port}") if self.node_port else ()),
            *(word for setting in self.settings for word in ("--set", setting)),
            *("--wait", "--wait-for-jobs", "--timeout", f"{self.timeout_seconds}s"),
        ]
