"""The API server of the operator's tests."""

from tests.integration.operator.conftest import api, control_plane

__all__ = ["api", "control_plane"]
