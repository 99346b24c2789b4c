"""Writing a status: only what changed, only when something did."""

from typing import Any

from pydantic import BaseModel


def dump_status(status: BaseModel) -> dict[str, Any]:
    return status.model_dump(mode="json", by_alias=True, exclude_none=True)


def build_patch(old: BaseModel, new: BaseModel) -> dict[str, Any]:
    """The merge patch from one status to the other; empty when they are equal."""
    return _difference(dump_status(old), dump_status(new))


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
