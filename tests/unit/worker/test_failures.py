"""The table from errors to outcomes and exit codes."""

from datetime import UTC, datetime

import pytest

from dreamhub.errors import (
    BugError,
    CapacityExceededError,
    ConflictError,
    DreamHubError,
    FencedError,
    InvalidInputError,
    LimitExceededError,
    QuotaExceededError,
    QuotaFigures,
    UnavailableError,
)
from dreamhub_worker.context import StoppingError
from dreamhub_worker.failures import Verdict, as_ours, document_error, exit_code, judge

MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "code", "verdict"),
    [
        (InvalidInputError("m", code="EncryptedPDF"), 42, Verdict.FAIL),
        (QuotaExceededError("m", QuotaFigures("tokensPerDay", 1, 1, 1)), 42, Verdict.FAIL),
        (QuotaExceededError("m", QuotaFigures("tokensPerDay", 9, 9, 1, MIDNIGHT)), 42, Verdict.PAUSE),
        (QuotaExceededError("m", QuotaFigures("tokensPerDay", 9, 0, 10, MIDNIGHT)), 42, Verdict.FAIL),
        (CapacityExceededError("m", QuotaFigures("chunks", 9, 9, 1)), 42, Verdict.FAIL),
        (UnavailableError("m", code="ObjectStoreUnavailable"), 75, Verdict.AGAIN),
        (UnavailableError("m", code="DocumentHeld"), 75, Verdict.LATER),
        (UnavailableError("m", code="DatabaseUnavailable"), 75, Verdict.WAIT),
        (UnavailableError("m", code="ProviderLimited"), 75, Verdict.WAIT),
        (UnavailableError("m", code="ProviderUnauthorized"), 42, Verdict.HOPELESS),
        (LimitExceededError("m", code="ProviderQuota"), 42, Verdict.HOPELESS),
        (ConflictError("m", code="EmbeddingModelChanged"), 42, Verdict.HOPELESS),
        (FencedError("m"), 75, Verdict.LATER),
        (FencedError("m", code="ItemSettled"), 75, Verdict.SETTLED),
        (FencedError("m", code="Overtaken"), 75, Verdict.END),
        (StoppingError("m"), 75, Verdict.END),
        (BugError("m"), 70, Verdict.FAIL),
    ],
    ids=lambda value: value.code if isinstance(value, DreamHubError) else "",
)
def test_what_an_error_means(error: DreamHubError, code: int, verdict: Verdict) -> None:
    assert (exit_code(error), judge(error)) == (code, verdict)


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
