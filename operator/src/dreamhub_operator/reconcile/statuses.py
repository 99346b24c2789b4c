"""Writing a status: only what changed, only when something did."""

from typing import Any

from pydantic import BaseModel

from dreamhub.crd.schema import ObjectMeta


def dump_status(status: BaseModel) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def fence(metadata: ObjectMeta) -> dict[str, str]:
    """Metadata of a patch that applies to the very version that was read: not to a later one, not to a namesake.

    A UID alone would not do: status writes of custom resources ignore it.
    """
    return {"resourceVersion": metadata.resource_version}


def build_patch(old: BaseModel, new: BaseModel) -> dict[str, Any]:
    """The merge patch from one status to the other; empty when they are equal.

    `old` was read from the cluster: a field that is not set in it is not there, whatever its default says.
    """
    there = old.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
    return _difference(there, dump_status(new))


def _difference(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386: null removes, lists are replaced as a whole."""
    patch: dict[str, Any] = {key: None for key in old if key not in new}
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict):
            inner = _difference(old[key], value)
            if inner:
                patch[key] = inner
        elif key not in old or old[key] != value:
            patch[key] = value
    return patch
