"""Whether what is wanted of a host fits into what it has, in numbers."""

from typing import Literal

from infra.model.base import Model

#: The share of what a host has from which on it is called tight.
TIGHT = 0.9
MIB = 1024 * 1024


class Claim(Model):
    """Who wants how much; `place` is where the site file says so, empty where it does not."""

    who: str
    bytes: int
    place: str = ""


class Room(Model):
    """One thing that a host has only so much of, and all that want some of it."""

    host: str
    what: Literal["memory", "disk"]
    claims: tuple[Claim, ...]
    has_bytes: int
    has: str

    @property
    def wanted_bytes(self) -> int:
        return sum(claim.bytes for claim in self.claims)

    @property
    def fits(self) -> bool:
        return self.wanted_bytes <= self.has_bytes

    @property
    def tight(self) -> bool:
        return self.wanted_bytes >= TIGHT * self.has_bytes

    def describe(self) -> str:
        """What is wanted, what is there, and a line for each who wants some, largest first."""
        degree = "fits tightly" if self.fits else "does not fit"
        head = (
            f"{self.host}: the {self.what} that is wanted {degree}: {mib(self.wanted_bytes)} of "
            f"{mib(self.has_bytes)} ({self.has})."
        )
        return "\n".join([head, *(_line(claim) for claim in by_size(self.claims))])


class Admission(Model):
    """What fits on a host, and what does not."""

    refused: tuple[Room, ...] = ()
    tight: tuple[Room, ...] = ()

    def describe(self) -> str:
        """Empty where all fits well."""
        return "\n".join(room.describe() for room in (*self.refused, *self.tight))


def by_size(claims: tuple[Claim, ...]) -> list[Claim]:
    return sorted(claims, key=lambda claim: (-claim.bytes, claim.who))


def mib(size: int) -> str:
    return f"{-(-size // MIB)} MiB"


def _line(claim: Claim) -> str:
    return f"  {mib(claim.bytes):>9}  {claim.who}{f' ({claim.place})' if claim.place else ''}"
