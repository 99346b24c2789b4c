"""Builds the images that changed, with whatever builder the machine has."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.command import follow
from hack.cluster.daemon import Daemon
from hack.cluster.debian import has_builder, image_megabytes
from hack.cluster.progress import Progress
from hack.cluster.settings import Settings
from hack.images.dockerfile import Dockerfile, parse
from hack.images.tags import image_name, image_tag

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Plan:
    """What a build of the tree as it is now would be called."""

    dockerfile: Dockerfile
    base: str
    names: Mapping[str, str]
    """Target to the name that its build gets; the tag is a hash of everything that goes in."""


def plan_images(daemon: Daemon, base: str, targets: Iterable[str], root: Path = ROOT) -> Plan:
    """Name the images by what they would contain."""
    dockerfile = parse((root / "Dockerfile").read_text(encoding="utf-8"))
    identity = daemon.docker("image", "inspect", "--format", "{{.Id}}", base).strip()
    names = {target: image_name(target, image_tag(dockerfile, target, root, identity)) for target in targets}
    return Plan(dockerfile, base, names)


def build_missing(plan: Plan, daemon: Daemon, settings: Settings, progress: Progress, root: Path = ROOT) -> list[str]:
    """Build the images that the daemon does not hold yet; returns the targets that were built."""
    built: list[str] = []
    buildkit = "1" if has_builder(daemon) else "0"
    for target, name in plan.names.items():
        if daemon.has_image(name):
            continue
        with progress.stage(f"Build {name}") as stage:
            recipe = settings.logs / f"Dockerfile.{target}"
            recipe.parent.mkdir(parents=True, exist_ok=True)
            recipe.write_text(plan.dockerfile.cut(target), encoding="utf-8")
            follow(
                build_command(target, name, plan.base, recipe, root),
                settings.logs / f"build-{target}.log",
                stage.note,
                environment=daemon.environment | {"DOCKER_BUILDKIT": buildkit},
                folder=root,
            )
        progress.say(f"    {image_megabytes(daemon, name)} MB")
        built.append(target)
    return built


def name_by_content(plan: Plan, daemon: Daemon) -> dict[str, str]:
    """Target to the name to deploy: its tag is the image's own digest.

    A change that goes in but makes no difference (a developer's tool in uv.lock) makes the same image: then nothing
    is loaded and no pod restarts.
    """
    names: dict[str, str] = {}
    for target, built in plan.names.items():
        identity = daemon.docker("image", "inspect", "--format", "{{.Id}}", built).strip()
        names[target] = image_name(target, identity.removeprefix("sha256:")[:16])
        daemon.docker("tag", built, names[target])
    return names


def build_command(target: str, name: str, base: str, recipe: Path, root: Path) -> list[str]:
    """`--network host`: a builder without a bridge of its own reaches the package indexes the way the machine does."""
    options = ("--network", "host", "--build-arg", f"BASE_IMAGE={base}", "--target", target, "--tag", name)
    return ["docker", "build", *options, "--file", str(recipe), str(root)]
