"""The table from errors to outcomes and exit codes."""

import pytest

from dreamhub.errors import (
    BugError,
    ConflictError,
    DreamHubError,
    FencedError,
    InvalidInputError,
    LimitExceededError,
    UnavailableError,
)
from dreamhub_worker.context import StoppingError
from dreamhub_worker.failures import as_ours, document_error, ends_run, exit_code, is_final


@pytest.mark.parametrize(
    ("error", "code", "final", "ends"),
    [
        (InvalidInputError("m", code="EncryptedPDF"), 42, True, False),
        (UnavailableError("m", code="ObjectStoreUnavailable"), 75, False, False),
        (UnavailableError("m", code="DatabaseUnavailable"), 75, False, True),
        (UnavailableError("m", code="ProviderLimited"), 75, False, True),
        (UnavailableError("m", code="ProviderUnauthorized"), 42, True, True),
        (LimitExceededError("m", code="ProviderQuota"), 42, True, True),
        (ConflictError("m", code="EmbeddingModelChanged"), 42, True, True),
        (FencedError("m"), 75, False, True),
        (StoppingError("m"), 75, False, True),
        (BugError("m"), 75, True, False),
    ],
    ids=lambda value: value.code if isinstance(value, DreamHubError) else "",
)
def test_what_an_error_means(error: DreamHubError, code: int, *, final: bool, ends: bool) -> None:
    assert (exit_code(error), is_final(error), ends_run(error)) == (code, final, ends)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInputError("m"), "Permanent"),
        (LimitExceededError("m"), "Quota"),
        (UnavailableError("m"), "Transient"),
        (UnavailableError("m", code="ProviderUnauthorized"), "Permanent"),
        (BugError("m"), "Permanent"),
    ],
)
def test_the_class_of_a_documents_error(error: DreamHubError, kind: str) -> None:
    told = document_error("doc_1", error)
    assert (told.document, told.error_class, told.reason, told.message) == ("doc_1", kind, error.code, "m")


def test_a_bug_is_told_without_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception's text may quote the document it met."""
    ours = as_ours(KeyError("the secret paragraph"))
    assert isinstance(ours, BugError)
    assert "KeyError" in ours.message
    assert "secret" not in ours.message + capsys.readouterr().out
