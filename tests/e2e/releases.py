"""Helm as tests use it: the running release, and a second one beside it that may be taken apart."""

import json
from dataclasses import dataclass, field
from typing import Any

from hack.install.release import CHART
from tests.e2e.kube import Done, Kube, require_tool, run

BESIDE: dict[str, Any] = {
    "crds": {"install": False},
    "tenantAccess": {"install": False},
    "operator": {"replicas": 0},
}
"""Values of a second release in one cluster: what exists once for each cluster belongs to the first."""


@dataclass(frozen=True)
class Release:
    kube: Kube
    """Within the release's namespace."""
    name: str
    values: dict[str, Any] = field(default_factory=dict)

    async def helm(self, *arguments: str, stdin: str | None = None) -> Done:
        settings = self.kube.settings
        command = (require_tool(settings, "helm"), "--kubeconfig", str(settings.kubeconfig))
        return await run(*command, "--namespace", self.kube.namespace, *arguments, stdin=stdin)

    async def ask(self, *arguments: str, stdin: str | None = None) -> str:
        """Raises RuntimeError with Helm's words and the state of the pods when it fails."""
        done = await self.helm(*arguments, stdin=stdin)
        if done.code:
            pods = await self.kube.ask("get", "pods")
            raise RuntimeError(f"helm {' '.join(arguments)}: {done.err or done.out}\n{pods}")
        return done.out

    async def upgrade(self, **changes: Any) -> None:
        """Install or upgrade with the release's values and `changes`; returns when all is ready."""
        options = ("--wait", "--wait-for-jobs", "--timeout", "240s", "--values", "-")
        values = json.dumps({**self.values, **changes})
        await self.ask("upgrade", "--install", self.name, str(CHART), *options, stdin=values)

    async def rollback(self) -> None:
        await self.ask("rollback", self.name, "--wait", "--timeout", "240s")

    async def user_values(self) -> dict[str, Any]:
        """What the release was given beyond the chart's own values."""
        values: dict[str, Any] = json.loads(await self.ask("get", "values", self.name, "--output", "json"))
        return values


def images_of(values: dict[str, Any]) -> dict[str, Any]:
    """The part of a release's values that names its images."""
    embedded = {
        part: {"embedded": {"image": values[part]["embedded"]["image"]}} for part in ("postgres", "redis", "s3")
    }
    return embedded | {"apiServer": {"image": values["apiServer"]["image"]}}
