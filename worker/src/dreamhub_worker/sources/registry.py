"""Readers by the name of their kind: DreamHub's own and those that a worker image adds, registered the same way."""

from importlib.metadata import EntryPoint, entry_points

from dreamhub.errors import InvalidInputError
from dreamhub_worker.sources.source import SourceFactory

GROUP = "dreamhub.sources"


def find_factory(kind: str) -> SourceFactory:
    """Import the reader of a kind, and nothing else. Raises InvalidInputError `UnknownSource`."""
    found = [point for point in entry_points(group=GROUP) if point.name == kind]
    if not found:
        raise InvalidInputError(
            f"this worker has no source named {kind}; it has: {', '.join(list_kinds())}. "
            "Check the name, or run a worker image that has the plug-in",
            code="UnknownSource",
        )
    return _load(found[0])


def list_kinds() -> tuple[str, ...]:
    return tuple(sorted({point.name for point in entry_points(group=GROUP)}))


def _load(point: EntryPoint) -> SourceFactory:
    try:
        factory: SourceFactory = point.load()
    except (ImportError, AttributeError) as error:
        raise InvalidInputError(
            f"the source {point.name} of this worker image cannot be imported ({type(error).__name__}); "
            "build the image with all that the plug-in needs",
            code="UnknownSource",
        ) from error
    return factory
