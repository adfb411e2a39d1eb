"""Pairs of timings taken in turn, so that a ratio holds when the machine's speed drifts."""

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Pairs:
    """Seconds of A and B, run by run, in turn."""

    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median of the ratios ours/bare, pair by pair."""
        return statistics.median(a / b for a, b in zip(self.ours, self.bare, strict=True))

    def as_json(self) -> dict[str, object]:
        return {**asdict(self), "ratio": round(self.ratio, 2)}

    def __str__(self) -> str:
        ours, bare = statistics.median(self.ours), statistics.median(self.bare)
        return f"{self.ratio:.2f} x   (medians: {ours:.2f} s against {bare:.2f} s)"


def in_turn(ours: Callable[[], None], bare: Callable[[], None], runs: int) -> Pairs:
    """Time both `runs` times, A B A B …, after a warm-up of each that does not count."""
    ours()
    bare()
    pairs = [(_seconds(ours), _seconds(bare)) for _ in range(runs)]
    return Pairs(tuple(a for a, _ in pairs), tuple(b for _, b in pairs))


def _seconds(action: Callable[[], None]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start
