"""Which routers a worker dials: given, found by DNS, told by routers."""

import pytest

from pythonpool_worker.agent.addresses import AddressBook, Place, is_address, place_of

SERVICE = "tls:pythonpool-links.shop.svc:7443"


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (SERVICE, Place("pythonpool-links.shop.svc", 7443)),
        ("tls:10.1.2.3:7443", Place("10.1.2.3", 7443)),
        ("tls:[fd00::1]:7443", Place("fd00::1", 7443)),
        ("tls::7443", None),
        ("tls:host", None),
        ("tls:host:0", None),
        ("tls:host:65536", None),
        ("tls:host:7443x", None),
        ("tcp:host:7443", None),
        ("unix:/run/link.sock", None),
    ],
)
def test_host_and_port(address: str, place: Place | None) -> None:
    assert place_of(address) == place
    assert is_address(address) == (place is not None or address.startswith("unix:"))
    assert place is None or str(place) == address


def test_on_one_machine_the_given_sockets_are_all() -> None:
    book = AddressBook(["unix:/a", "unix:/b"])
    assert book.wanted == {"unix:/a", "unix:/b"}
    assert book.services == []


def test_an_address_needs_no_dns() -> None:
    book = AddressBook(["tls:10.0.0.1:7443"])
    assert book.wanted == {"tls:10.0.0.1:7443"}
    assert book.services == []


def test_first_contact_is_every_address_of_the_service() -> None:
    book = AddressBook([SERVICE])
    (service,) = book.services
    assert book.wanted == set()
    book.found(service, ["10.0.0.1", "fd00::1"])
    assert book.wanted == {"tls:10.0.0.1:7443", "tls:[fd00::1]:7443"}


def test_what_routers_tell_wins_over_dns() -> None:
    book = AddressBook([SERVICE])
    book.found(book.services[0], ["10.0.0.1"])
    book.told("a", ["tls:10.0.0.2:7443"])
    book.told("b", ["tls:10.0.0.2:7443", "tls:10.0.0.3:7443"])
    assert book.wanted == {"tls:10.0.0.2:7443", "tls:10.0.0.3:7443"}
    book.lost("b")
    assert book.wanted == {"tls:10.0.0.2:7443"}


def test_when_all_routers_are_lost_dns_is_asked_and_what_they_told_is_kept() -> None:
    book = AddressBook([SERVICE])
    book.told("a", ["tls:10.0.0.2:7443"])
    book.lost("a")
    assert book.wanted == {"tls:10.0.0.2:7443"}
    book.found(book.services[0], ["10.0.0.9"])
    assert book.wanted == {"tls:10.0.0.2:7443", "tls:10.0.0.9:7443"}


@pytest.mark.parametrize("nonsense", [[], ["http://10.0.0.1"], ["tls:"]])
def test_an_empty_or_foreign_list_is_no_news(nonsense: list[str]) -> None:
    book = AddressBook([SERVICE])
    book.told("a", ["tls:10.0.0.2:7443"])
    book.told("a", nonsense)
    assert book.wanted == {"tls:10.0.0.2:7443"}


def test_a_dns_without_an_answer_forgets_nothing() -> None:
    book = AddressBook([SERVICE])
    book.found(book.services[0], ["10.0.0.1"])
    book.found(book.services[0], [])
    assert book.wanted == {"tls:10.0.0.1:7443"}
