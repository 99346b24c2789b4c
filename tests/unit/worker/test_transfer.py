"""What the object store's answers mean."""

import pytest

from dreamhub.errors import DreamHubError, InvalidInputError, NotFoundError, UnavailableError
from dreamhub_worker.transfer import status_error


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (404, NotFoundError, "DocumentDeleted"),
        (403, InvalidInputError, "LinkExpired"),
        (400, InvalidInputError, "LinkExpired"),
        (500, UnavailableError, "ObjectStoreUnavailable"),
        (503, UnavailableError, "ObjectStoreUnavailable"),
        (301, UnavailableError, "ObjectStoreUnavailable"),
    ],
)
def test_what_a_status_means(status: int, kind: type[DreamHubError], code: str) -> None:
    error = status_error(status)
    assert isinstance(error, kind)
    assert error.code == code
