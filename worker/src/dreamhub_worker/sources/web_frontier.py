"""Which pages a crawl has read, has still to read, and will not read. Pure; its state is the source's checkpoint.

A first reading follows links from the start pages. A second one asks for every page that is known, so that a page
which nothing links to any more is kept for as long as it answers, and follows what links are new. A reading that was
cut short goes on with the pages it had not come to.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

MAX_STATE_CHARACTERS = 700_000
"""Of all addresses together, so that the state stays below a checkpoint's limit."""
MAX_HOPS = 5
"""Redirects one after another: what RFC 9309 asks for at least, and what browsers would still follow."""


@dataclass(frozen=True, slots=True)
class Limits:
    depth: int
    pages: int


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    depth: int
    """Links away from a start page."""
    hops: int = 0
    """Redirects that led here."""


@dataclass
class Frontier:
    limits: Limits
    scope: str
    """What the crawl may read, in one word: pages that are unchanged are read again for their links if it differs."""
    todo: dict[str, Target] = field(default_factory=dict)
    done: dict[str, int] = field(default_factory=dict)
    """Pages that stand, with their depth."""
    reread: bool = False
    """Whether the scope has changed since the last reading."""
    cut: bool = False
    """Whether there was no room for a page that was offered."""
    _seen: set[str] = field(default_factory=set)
    _characters: int = 0
    visited: int = 0

    @classmethod
    def begin(cls, limits: Limits, scope: str, starts: Iterable[str], state: Mapping[str, Any] | None) -> Self:
        """Where the last reading stopped or, if it came to its end, at the beginning of another one."""
        frontier = cls(limits, scope)
        todo, done = _entries(state, "todo"), _entries(state, "done")
        same = state is not None and state.get("scope") == scope
        frontier.cut = same and bool((state or {}).get("cut"))  # pages that are unchanged offer nothing again
        frontier.reread = state is not None and (not same or bool(state.get("reread")))
        if todo and same:
            frontier._resume(done)
        else:
            todo = done + todo
        frontier.offer(Target(url, 0) for url in starts)
        frontier.offer(Target(url, depth) for url, depth in todo)
        return frontier

    def _resume(self, done: Sequence[tuple[str, int]]) -> None:
        self.done = dict(done)
        self._seen = set(self.done)
        self._characters = sum(map(len, self.done))

    def offer(self, targets: Iterable[Target]) -> None:
        """Take up what is neither known nor too deep, as long as there is room."""
        for target in targets:
            url, size = target.url, self._characters + len(target.url)
            if url in self._seen or target.depth > self.limits.depth or target.hops > MAX_HOPS:
                continue
            if len(self.todo) + len(self.done) >= self.limits.pages or size > MAX_STATE_CHARACTERS:
                self.cut = True
                return
            self._seen.add(url)
            self._characters = size
            self.todo[url] = target

    def take(self) -> Target | None:
        """The next page. It has to be settled by `keep`, or is forgotten."""
        if not self.todo or self.visited >= 2 * self.limits.pages:
            return None
        self.visited += 1
        return self.todo.pop(next(iter(self.todo)))

    def keep(self, target: Target, url: str | None = None) -> bool:
        """The page stands, under this address if it has named another one. False when that one was told already."""
        name = url or target.url
        fresh = name not in self.done and (name == target.url or name not in self._seen)
        if fresh:
            self._seen.add(name)
            self.done[name] = target.depth
        return fresh

    def put_back(self, targets: Iterable[Target]) -> None:
        """Pages that were kept, but not read after all."""
        for target in targets:
            self.done.pop(target.url, None)
            self.todo[target.url] = target

    def state(self) -> dict[str, Any]:
        return {
            "scope": self.scope,
            "reread": self.reread and bool(self.todo),
            "cut": self.cut,
            "todo": [[target.url, target.depth] for target in self.todo.values()],
            "done": [[url, depth] for url, depth in self.done.items()],
        }


def _entries(state: Mapping[str, Any] | None, name: str) -> list[tuple[str, int]]:
    return [(str(url), int(depth)) for url, depth in (state or {}).get(name, ())]
