"""What an answer of clamd means, and where the scanner is."""

import pytest

from dreamhub.errors import InvalidInputError, UnavailableError
from dreamhub_worker.scan import Scanner, judge, parse_scanner


def test_only_its_ok_is_a_clean_document() -> None:
    assert judge("stream: OK", 9) is None


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        ("stream: Win.Test.EICAR_HDB-1 FOUND", "MalwareFound"),
        ("stream: Odd name (with) words FOUND", "MalwareFound"),
        ("stream: Heuristics.Encrypted.Zip FOUND", "MalwareFound"),
        ("stream: Heuristics.Limits.Exceeded.MaxFiles FOUND", "ScanIncomplete"),
        ("INSTREAM size limit exceeded. ERROR", "TooLargeToScan"),
        ("stream: Can't allocate memory ERROR", "ScanFailed"),
        ("COMMAND READ TIMED OUT", "ScanFailed"),
        ("UNKNOWN COMMAND", "ScanFailed"),
        ("OK", "ScanFailed"),
        ("stream: OK\nstream: X FOUND", "ScanFailed"),
        ("", "ScanFailed"),
    ],
)
def test_everything_else_keeps_the_document_out(reply: str, code: str) -> None:
    error = judge(reply, 9)
    assert error is not None
    assert error.code == code
    assert isinstance(error, UnavailableError) == (code == "ScanFailed")


@pytest.mark.parametrize(
    ("address", "host", "port"), [("clamav.dh.svc:3310", "clamav.dh.svc", 3310), ("[fd00::1]:3310", "fd00::1", 3310)]
)
def test_an_address_is_host_and_port(address: str, host: str, port: int) -> None:
    assert parse_scanner(address, 5) == Scanner(host, port, 5)


@pytest.mark.parametrize("address", ["clamav", "clamav:", ":3310", "clamav:x", "clamav:0", "clamav:70000"])
def test_another_address_is_named(address: str) -> None:
    with pytest.raises(InvalidInputError, match="host:port"):
        parse_scanner(address)
