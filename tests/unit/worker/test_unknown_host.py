"""Names that do not exist are a person's to mend; names that could not be looked up are not."""

import socket
import ssl

import pytest
from yarl import URL

from dreamhub.errors import DreamHubError
from dreamhub_worker.fetch_guard import FetchGuard
from dreamhub_worker.sources.mail_client import Account, open_mailbox
from dreamhub_worker.sources.web_fetch import Login, open_fetcher

CODES = [(socket.EAI_NONAME, "UnknownHost"), (socket.EAI_AGAIN, "SourceUnavailable")]


@pytest.fixture(params=CODES)
def code(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What is to be told of a name whose lookup ends this way."""
    number, code = request.param

    def look_up(*_: object, **__: object) -> None:
        raise socket.gaierror(number, "no answer")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return str(code)


async def test_of_a_site(code: str) -> None:
    async with open_fetcher(FetchGuard(), ssl.create_default_context(), Login()) as fetcher:
        with pytest.raises(DreamHubError) as failed:
            await fetcher.request("GET", URL("https://mistyped.example"), 1_000)
    assert failed.value.code == code


async def test_of_a_mail_server(code: str) -> None:
    account = Account("mistyped.example", 993, True, "u", "p")
    with pytest.raises(DreamHubError) as failed:
        async with open_mailbox(account, FetchGuard(), ssl.create_default_context()):
            pass
    assert failed.value.code == code
