"""Which routers there are: given at the start, found by DNS, told by routers. Pure.

`unix:PATH` is one router. `tls:HOST:PORT` names a Service whose addresses are the routers; each of
those is `tls:ADDRESS:PORT`, and so is what routers tell.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Place:
    """Host and port of a `tls:` address."""

    host: str
    port: int

    @property
    def is_literal(self) -> bool:
        """Whether the host is an IP address: nothing to look up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True

    def __str__(self) -> str:
        return (
            f"tls:[{self.host}]:{self.port}" if ":" in self.host else f"tls:{self.host}:{self.port}"
        )


def place_of(address: str) -> Place | None:
    """Host and port of `tls:HOST:PORT` (an IPv6 host in brackets); None: it is something else."""
    scheme, _, rest = address.partition(":")
    host, _, port = rest.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if scheme != "tls" or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        return None
    return Place(host, int(port))


def is_address(address: str) -> bool:
    """Whether it is `unix:PATH` or `tls:HOST:PORT`."""
    return (address.startswith("unix:") and len(address) > 5) or place_of(address) is not None


class AddressBook:
    """The routers that this worker should be linked to.

    What open routers tell wins over DNS, which is for first contact and for when all are lost.
    """

    def __init__(self, given: Iterable[str]) -> None:
        self._fixed: set[str] = set()
        self._found: set[str] = set()
        self._told: dict[str, frozenset[str]] = {}
        self._last_told: frozenset[str] = frozenset()
        self.services: list[Place] = []
        for address in given:
            place = place_of(address)
            if place is not None and not place.is_literal:
                self.services.append(place)
            else:
                self._fixed.add(address)

    @property
    def wanted(self) -> set[str]:
        """The addresses to keep a link to."""
        told = frozenset[str]().union(*self._told.values())
        return self._fixed | (told or self._found | self._last_told)

    def found(self, service: Place, hosts: Iterable[str]) -> None:
        """DNS has these hosts for a service; none: what it had before stays."""
        found = {str(Place(host, service.port)) for host in hosts}
        self._found = found or self._found

    def told(self, router: str, addresses: Iterable[str]) -> None:
        """A router says which routers there are; an empty list is no news."""
        known = frozenset(address for address in addresses if is_address(address))
        if known:
            self._told[router] = self._last_told = known

    def lost(self, router: str) -> None:
        """The link to that router is gone: what it told may be old."""
        self._told.pop(router, None)
