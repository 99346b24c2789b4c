"""What may happen between two tenants, in any order, as a machine that Hypothesis drives."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from typing_extensions import override

from tests.integration.isolation.world import WORDS, Side, World

SIDES = st.integers(0, 1)
PLACES = st.integers(0, 9)
NAMES = st.sampled_from([f"{word}.md" for word in WORDS])


class TenantMachine(RuleBasedStateMachine):
    """Each rule is one step: `done` counts them over all runs."""

    make_world: Callable[[], World]
    done: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.new_event_loop()
        self._world = type(self).make_world()
        self._loop.run_until_complete(self._world.open())

    @override
    def teardown(self) -> None:
        try:
            for side in self._world.sides:
                self._loop.run_until_complete(self._world.check_rows(side))
        finally:
            self._loop.run_until_complete(self._world.close())
            self._loop.close()

    def _do(self, what: str, step: Coroutine[Any, Any, None]) -> None:
        self._loop.run_until_complete(step)
        self.done[what] += 1

    def _side(self, at: int) -> Side:
        return self._world.sides[at]

    @rule(at=SIDES, name=NAMES, word=st.sampled_from(WORDS))
    def upload(self, at: int, name: str, word: str) -> None:
        self._do("upload", self._world.upload(self._side(at), name, word))

    @rule(at=SIDES, place=PLACES, finish=st.booleans())
    def land(self, at: int, place: int, *, finish: bool) -> None:
        self._do("land", self._world.land(self._side(at), place, finish=finish))

    @rule(at=SIDES, asked=SIDES, word=st.sampled_from(WORDS))
    def search(self, at: int, asked: int, word: str) -> None:
        self._do("search", self._world.search(self._side(at), self._side(asked), word))

    @rule(at=SIDES)
    def list_all(self, at: int) -> None:
        self._do("list", self._world.list_all(self._side(at)))

    @rule(at=SIDES, place=PLACES)
    def read(self, at: int, place: int) -> None:
        self._do("read", self._world.read(self._side(at), place))

    @rule(at=SIDES, place=PLACES)
    def ask_for_foreign(self, at: int, place: int) -> None:
        self._do("ask for foreign", self._world.ask_for_foreign(self._side(at), place))

    @rule(at=SIDES, place=PLACES)
    def delete(self, at: int, place: int) -> None:
        self._do("delete", self._world.delete(self._side(at), place))

    @rule(at=SIDES, place=PLACES)
    def run_job(self, at: int, place: int) -> None:
        self._do("job", self._world.run_job(self._side(at), place))

    @rule(at=SIDES, percent=st.integers(0, 100))
    def tell_progress(self, at: int, percent: int) -> None:
        self._do("progress", self._world.tell_progress(self._side(at), percent))

    @rule()
    def switch_roles(self) -> None:
        self._do("switch roles", self._world.switch_roles())

    @rule(at=SIDES)
    def leave_role_behind(self, at: int) -> None:
        self._do("leave a role behind", self._world.leave_role_behind(self._side(at)))

    @rule()
    def forget_role(self) -> None:
        self._do("forget the role", self._world.forget_role())

    @rule()
    def cut_api(self) -> None:
        self._do("cut the API", self._world.cut("dreamhub_api"))

    @rule(at=SIDES)
    def cut_worker(self, at: int) -> None:
        self._do("cut a worker", self._world.cut_worker(self._side(at)))

    @rule(at=SIDES, room=st.one_of(st.none(), st.integers(0, 3)), suspended=st.sampled_from([False, False, True]))
    def limit(self, at: int, room: int | None, *, suspended: bool) -> None:
        self._do("limit", self._world.limit(self._side(at), room, suspended=suspended))

    @rule(at=SIDES)
    def rotate_login(self, at: int) -> None:
        self._do("rotate a login", self._world.rotate_login(self._side(at)))

    @rule(at=SIDES)
    def rotate_key(self, at: int) -> None:
        self._world.rotate_key(self._side(at))
        self.done["rotate a key"] += 1

    @rule(at=SIDES)
    def hold(self, at: int) -> None:
        self._do("hold a transaction", self._world.hold(self._side(at)))

    @rule()
    def look_again(self) -> None:
        self._do("look again", self._world.look_again())

    @rule(commit=st.booleans())
    def end_held(self, *, commit: bool) -> None:
        self._do("end a transaction", self._world.end_held(commit=commit))

    @rule(at=SIDES)
    def check_rows(self, at: int) -> None:
        self._do("check rows", self._world.check_rows(self._side(at)))
