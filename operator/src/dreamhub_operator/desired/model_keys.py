"""The provider's keys in a worker's order: which files its Secret holds, and where the worker finds them.

A file's name tells its model, so that a key never reaches a worker of another provider's model under a known name.
"""

import base64
import hashlib
import json
from collections.abc import Mapping

from dreamhub.llm.models import ModelSettings
from dreamhub_operator.kinds import Manifest

_PREFIX = "api-key"


def key_file(model: ModelSettings, index: int) -> str:
    return f"{_PREFIX}-{hashlib.sha256(model.name.encode()).hexdigest()[:12]}-{index}"


def render_models(model: ModelSettings, folder: str) -> str:
    """The model list of one worker: its own model only, with the keys in `folder`. JSON, which is YAML."""
    entry = model.model_dump(mode="json", by_alias=True, exclude_none=True, exclude={"api_key_file", "api_key_files"})
    if model.key_files:
        entry["apiKeyFiles"] = [f"{folder}/{key_file(model, index)}" for index in range(len(model.key_files))]
    return json.dumps({"models": [entry]})


def read_keys(model: ModelSettings) -> dict[str, str]:
    """The files of the Secret, as the keys are now. Raises InvalidInputError."""
    return {key_file(model, index): key for index, key in enumerate(model.read_api_keys())}


def build_key_patch(keys: Mapping[str, str]) -> Manifest:
    """What changes in a Secret that holds more than these."""
    return {"data": {name: base64.b64encode(key.encode()).decode() for name, key in keys.items()}}
