"""Puts the pieces together: this machine's Docker daemon, a base image, the images of the tree as it is now."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from hack.cluster.daemon import Daemon, open_daemon
from hack.cluster.debian import ensure_base_image
from hack.cluster.images import load
from hack.cluster.progress import Progress
from hack.cluster.settings import Settings, read_settings
from hack.images.build import Plan, build_missing, name_by_content, plan_images


@dataclass(frozen=True)
class Images:
    settings: Settings
    progress: Progress
    daemon: Daemon
    plan: Plan

    @classmethod
    def of_tree(cls, targets: Sequence[str]) -> Self:
        """Look at the tree; starts a Docker daemon and makes a base image where they are missing."""
        settings, progress = read_settings(), Progress()
        daemon = open_daemon(settings, progress)
        base = ensure_base_image(settings, daemon, progress)
        return cls(settings, progress, daemon, plan_images(daemon, base, targets))

    def build(self) -> Mapping[str, str]:
        """Build what is missing; returns each target's image name."""
        built = build_missing(self.plan, self.daemon, self.settings, self.progress)
        self.progress.say(f"{len(built)} images built, {len(self.plan.names) - len(built)} there already")
        return name_by_content(self.plan, self.daemon)

    def load(self, names: Mapping[str, str]) -> None:
        """Put images into the nodes of the local cluster."""
        load(self.settings, names.values(), self.progress)
