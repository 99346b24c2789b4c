"""Listing and watching: what is dealt with, what is begun again."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from dreamhub.errors import UnavailableError
from dreamhub_operator import reflector as module
from dreamhub_operator.children import Children
from dreamhub_operator.cluster import ExpiredError
from dreamhub_operator.freshness import Freshness
from dreamhub_operator.kinds import NETWORK_POLICY, RESOURCE_QUOTA
from dreamhub_operator.reflector import Reflector
from tests.unit.operator.test_children import body


class EndOfScriptError(Exception):
    """The API server of the test has nothing more to say."""


class Script:
    """An API server that answers in turn: lists are lists, watches are tuples of events or an error at their end."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.watched_from: list[str] = []

    def _next(self) -> Any:
        if not self.answers:
            raise EndOfScriptError
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def pages(self, *_: Any) -> AsyncIterator[dict[str, Any]]:
        for page in self._next():
            yield page

    async def watch(self, _kind: Any, _selector: str, version: str) -> AsyncIterator[dict[str, Any]]:
        self.watched_from.append(version)
        for event in self._next():
            if isinstance(event, Exception):
                raise event
            yield event


def page(version: int, *items: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": str(version)}, "items": list(items)}


def event(change: str, version: int, **parts: Any) -> dict[str, Any]:
    return {"type": change, "object": body(version, **parts)}


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(module, "backoff", lambda *_: 0)


def play(*answers: Any) -> tuple[Reflector, Script, list[str]]:
    script, changed = Script(*answers), list[str]()
    reflector = Reflector(NETWORK_POLICY, cast("Any", script), Children(), Freshness(), changed.append)
    with pytest.raises(EndOfScriptError):
        asyncio.run(reflector.run())
    return reflector, script, changed


def test_a_list_in_pages_then_what_happens() -> None:
    other = body(3, space="dh-other")
    reflector, script, changed = play([page(9, body(2)), page(9, other)], [event("MODIFIED", 12, spec={})])
    assert changed == ["dh-acme", "dh-other", "dh-acme"]
    assert script.watched_from == ["9", "12"]
    assert reflector.listed.is_set()
    assert "networkpolicies" in reflector.freshness.ages()


def test_a_bookmark_moves_on_and_is_no_news() -> None:
    bookmark = {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "50"}}}
    _, script, changed = play([page(9)], [bookmark], [])
    assert changed == []
    assert script.watched_from == ["9", "50", "50"]


def test_what_is_deleted_is_forgotten() -> None:
    reflector, _, changed = play([page(9, body(2))], [event("DELETED", 10)])
    assert changed == ["dh-acme", "dh-acme"]
    assert len(reflector.children) == 0


def test_too_old_a_version_means_a_new_list_that_shows_what_is_gone() -> None:
    reflector, script, changed = play([page(9, body(2))], [ExpiredError("too old")], [page(20)], [])
    assert script.watched_from == ["9", "20", "20"]
    assert changed == ["dh-acme", "dh-acme"]
    assert len(reflector.children) == 0


def test_an_api_server_that_is_away_is_asked_again_from_where_it_was() -> None:
    away = UnavailableError("away")
    _, script, _ = play(away, [page(9)], [event("ADDED", 11), away], [])
    assert script.watched_from == ["9", "11", "11"]


def test_only_kinds_that_open_are_watched_of_everybody() -> None:
    def selector(kind: Any) -> str:
        return Reflector(kind, cast("Any", None), Children(), Freshness(), lambda _: None).selector

    assert selector(NETWORK_POLICY) == ""
    assert selector(RESOURCE_QUOTA) == "dreamhub.dev/owner-uid"
