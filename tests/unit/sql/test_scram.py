import base64

import pytest

from dreamhub.errors import InvalidInputError
from dreamhub.sql.tenants import build_scram_verifier


def test_matches_the_example_of_rfc_7677() -> None:
    """Its client proof and server signature follow from these keys."""
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    assert build_scram_verifier("pencil", salt=salt) == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
        "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


def test_never_holds_the_password_and_never_repeats() -> None:
    first, second = build_scram_verifier("correct horse"), build_scram_verifier("correct horse")
    assert first != second
    assert "correct" not in first


@pytest.mark.parametrize("password", ["", "pässwort"])
def test_odd_passwords_are_refused(password: str) -> None:
    with pytest.raises(InvalidInputError):
        build_scram_verifier(password)
