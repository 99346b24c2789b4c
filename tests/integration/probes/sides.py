"""What the tests of probes have in common."""

from collections.abc import Iterable

from dreamhub_operator.isolation.outcome import Leaked, Probe


def leaks(probes: Iterable[Probe]) -> dict[str, str]:
    """What got through, by the probe's name."""
    return {probe.name: probe.outcome.what for probe in probes if isinstance(probe.outcome, Leaked)}
