"""Calls to an OpenAI-compatible provider: one client, one retry loop, and everything that a call has to pass.

The SDK retries on its own by default and waits ten minutes for an answer; both are switched off, so that nothing
happens twice and a caller knows for how long it can be kept. A call passes, in this order: a key that may be used, a
slot of this process, a turn of the tenant's budget. It then has as long as such calls usually take, and its end is told
to all of them.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import openai
import stamina

from dreamhub.domain.call_budget import CallRecord, Outcome
from dreamhub.errors import DreamHubError
from dreamhub.llm.api_keys import NO_KEY, ApiKey, KeyRing
from dreamhub.llm.budget import Budget
from dreamhub.llm.concurrency import Gradient, Slots
from dreamhub.llm.failures import (
    ProviderError,
    Verdict,
    judge,
    quota_error,
    reset_seconds,
    translate,
    unauthorized_error,
    waited_out_error,
)
from dreamhub.llm.latency import AttemptTime
from dreamhub.llm.models import ModelSettings
from dreamhub.llm.packing import TokenScale

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_CONNECT_SECONDS = 5.0
_LOOK_SECONDS = 1.0
"""While no key can be used, its file is read again so often."""
_JITTER = 0.05
_LEAST_SECONDS = {"embedding": 1.0, "chat": 10.0}
"""No attempt is given up before: an answer's length is the model's choice."""


class Raw(Protocol[T_co]):
    """An answer with its headers."""

    @property
    def headers(self) -> Mapping[str, str]: ...

    def parse(self) -> T_co: ...


@dataclass(frozen=True)
class Request(Generic[T]):
    size: int
    """Tokens that it is expected to take."""
    send: Callable[[Mapping[str, str]], Awaitable[Raw[T]]]
    """With the headers that carry the key."""
    count: Callable[[T], int | None]
    """Tokens that the provider says it took."""
    embedding: bool = False


@dataclass(frozen=True)
class Caller:
    """Who is charged, and how patient it is."""

    budget: Budget
    urgent: bool = False
    """Somebody waits for the answer."""


@dataclass
class Waited:
    """Seconds of a call in which no provider worked on it; told apart from work."""

    seconds: float = 0.0


@dataclass
class _Call:
    """One request on its way, with all its attempts."""

    caller: Caller
    ends_at: float
    timeouts: int = 0
    busy: float = 0.0
    """Seconds in which the provider was at work, or seemed to be."""
    error: ProviderError | None = None
    """The last one."""


class Provider:
    """Of one model. Shared by all tenants of a process; what is a tenant's own comes with the Caller."""

    def __init__(self, settings: ModelSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings = settings
        self.served_name = settings.served_name or settings.name
        self.scale = TokenScale()
        self.client = openai.AsyncOpenAI(
            base_url=settings.endpoint,
            api_key=NO_KEY,
            max_retries=0,
            timeout=openai.Timeout(settings.timeout_seconds, connect=_CONNECT_SECONDS),
        )
        self._clock = clock
        self._hurried = asyncio.Event()
        self._keys = KeyRing(settings.name, settings.key_files)
        self._slots = Slots(Gradient(settings.max_concurrency))
        self._times = AttemptTime(settings.timeout_seconds, least=_LEAST_SECONDS[settings.kind])

    def hurry(self) -> None:
        """Wait for nothing any more: what is under way ends, what would have to wait fails."""
        self._hurried.set()

    async def close(self) -> None:
        await self.client.close()

    async def call(self, caller: Caller, request: Request[T], waited: Waited | None = None) -> T:
        """Run the request until it succeeds, the error is final or the caller's patience is over.

        Raises what `translate` makes of the provider's last error.
        """
        started = self._clock()
        patience = self.settings.urgent_budget_seconds if caller.urgent else self.settings.budget_seconds
        call = _Call(caller, started + patience)
        try:
            async for attempt in stamina.retry_context(
                on=self._retry_delay, attempts=None, timeout=patience, wait_initial=0.25, wait_max=4, wait_jitter=0.5
            ):
                with attempt:
                    return await self._attempt(call, request)
        except _AttemptFailedError as failed:
            raise translate(self.settings.name, failed.error) from failed.error
        finally:
            if waited is not None:
                waited.seconds += max(0.0, self._clock() - started - call.busy)
        raise self._waited_out(call)

    def _retry_delay(self, error: Exception) -> bool | float:
        """The hook of stamina: False ends, True waits by its own schedule. What keys wait for is waited at the gate."""
        if not isinstance(error, _AttemptFailedError) or not error.verdict.retried or self._hurried.is_set():
            return False
        verdict = error.verdict
        if verdict.asked_seconds is not None or verdict.outcome in {"timeout", "unauthorized", "quota"}:
            return 0.0
        return True

    async def _attempt(self, call: _Call, request: Request[T]) -> T:
        while True:
            await self._until_key_usable(call)
            async with self._admitted(call, request.size):
                key = self._keys.claim(self._clock())
                if key is not None:
                    return await self._send(call, request, key)
            await call.caller.budget.settle(CallRecord("unreachable", 0, request.size, 0))

    @asynccontextmanager
    async def _admitted(self, call: _Call, tokens: int) -> AsyncIterator[None]:
        """With a slot and a turn. Urgent calls of many tenants share the slots: none is held for one's own turn."""
        if call.caller.urgent:
            await self._until_turn(call, tokens)
        async with self._slots.slot():
            if not call.caller.urgent:
                await self._until_turn(call, tokens)
            yield

    async def _until_key_usable(self, call: _Call) -> None:
        """Raises when the provider refuses all keys, and none takes their place in time."""
        while seconds := self._keys.seconds_until_usable(self._clock()):
            if (error := self._find_refusal(call)) is not None:
                raise error
            await self._sleep(call, min(seconds, _LOOK_SECONDS))

    def _find_refusal(self, call: _Call) -> DreamHubError | None:
        refused = self._keys.refused()
        if refused is None:
            return None
        cause, since = refused
        if cause == "quota":
            return quota_error(self.settings.name)
        patient = not call.caller.urgent and self._clock() < since + self.settings.key_grace_seconds
        return None if patient else unauthorized_error(self.settings.name)

    async def _until_turn(self, call: _Call, tokens: int) -> None:
        while True:
            turn = await call.caller.budget.take(tokens, urgent=call.caller.urgent)
            try:
                await self._sleep(call, turn.seconds)
            except (DreamHubError, asyncio.CancelledError):
                if turn.granted:
                    await call.caller.budget.settle(CallRecord("unreachable", 0, tokens, 0))
                raise
            if turn.granted:
                return

    async def _sleep(self, call: _Call, seconds: float) -> None:
        if self._clock() + seconds > call.ends_at:
            raise self._waited_out(call)
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._hurried.wait()
                raise self._waited_out(call)

    def _waited_out(self, call: _Call) -> DreamHubError:
        name = self.settings.name
        return translate(name, call.error) if call.error is not None else waited_out_error(name)

    async def _send(self, call: _Call, request: Request[T], key: ApiKey) -> T:
        """One attempt to its end, told to whoever learns from it."""
        allowed = self._times.allow(request.size, call.timeouts)
        started = self._clock()
        try:
            async with asyncio.timeout(allowed):
                raw = await request.send({"Authorization": f"Bearer {key.secret}"})
            answer = raw.parse()
        except (openai.OpenAIError, TimeoutError) as error:
            failed = _AttemptFailedError(error, judge(error, time.time()), self._clock() - started)
            await self._note_failure(call, request, key, failed)
            raise failed from error
        except BaseException:
            key.breaker.release()
            raise
        finally:
            call.busy += self._clock() - started
        seconds = self._clock() - started
        key.breaker.succeed()
        self._times.learn(request.size, seconds)
        self._slots.gradient.learn(request.size, seconds, self._slots.under_way)
        self._hold_when_used_up(key, raw.headers)
        tokens = request.count(answer)
        await call.caller.budget.settle(CallRecord("ok", seconds, request.size, tokens, embedding=request.embedding))
        return answer

    def _hold_when_used_up(self, key: ApiKey, headers: Mapping[str, str]) -> None:
        """A provider that says that nothing is left would answer the next call with 429."""
        if (seconds := reset_seconds(headers)) is not None:
            key.breaker.hold(self._clock() + seconds)

    async def _note_failure(self, call: _Call, request: Request[T], key: ApiKey, failed: "_AttemptFailedError") -> None:
        now, verdict, call.error = self._clock(), failed.verdict, failed.error
        self._tell_breaker(key, verdict, now)
        if verdict.outcome == "timeout":
            call.timeouts += 1
            self._times.learn(request.size, failed.seconds)
        if verdict.overloaded:
            self._slots.gradient.back_off()
        hold = self._keys.seconds_until_usable(now) if verdict.outcome == "limited" else 0.0
        tokens = 0 if verdict.outcome in _UNCOUNTED else None
        record = CallRecord(verdict.outcome, failed.seconds, request.size, tokens, hold)
        await call.caller.budget.settle(record)

    def _tell_breaker(self, key: ApiKey, verdict: Verdict, now: float) -> None:
        match verdict.outcome:
            case "unauthorized" | "quota" as cause:
                key.breaker.refuse(cause, now)
            case "rejected":
                key.breaker.succeed()
            case "limited":
                late = random.uniform(1, 1 + _JITTER)  # noqa: S311 - no secret: others were told the same time
                key.breaker.hold(now + (verdict.asked_seconds or 0.0) * late)
            case _:
                key.breaker.fail(now)
                if verdict.asked_seconds is not None:
                    key.breaker.hold(now + verdict.asked_seconds)


_UNCOUNTED: frozenset[Outcome] = frozenset({"unreachable", "unauthorized", "quota", "rejected"})
"""Calls that a provider did not work on: their tokens are given back."""


class _AttemptFailedError(Exception):
    """Around the provider's error, whose own text must not reach the log of retries: it may quote what was sent."""

    def __init__(self, error: ProviderError, verdict: Verdict, seconds: float) -> None:
        super().__init__(verdict.outcome)
        self.error = error
        self.verdict = verdict
        self.seconds = seconds
