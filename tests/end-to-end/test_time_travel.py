"""Years pass in a walk: each thing is done at its own instant, whoever walks and in however many steps; also alone."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from answers import refusal
from client import Client
from customer import Customer, Gateways, granted
from records import Records


def moment(year: int, month: int = 1, day: int = 31) -> str:
    return datetime(year, month, day, 10, tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def months(first: int, count: int) -> list[str]:
    """The same day of each month that follows the January of `first`; the last one, where a month is shorter."""
    lengths = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
    found = []
    for number in range(1, count + 1):
        year, month = first + number // 12, number % 12
        leap = month == 1 and year % 4 == 0
        found.append(moment(year, month + 1, lengths[month] + leap))
    return found


@pytest.fixture
def opening(client: Client) -> int:
    """A year whose 31 January nobody has seen yet."""
    return int(granted(client.call("GET", "/health"))["clock"]["now"][:4]) + 1


@pytest.fixture
def traveller(client: Client, newcomer: Callable[[], Customer], opening: int) -> Callable[..., Customer]:
    """Makes customers who subscribe on that day, on clocks of their own."""

    def make(**wanted: Any) -> Customer:
        made = newcomer()
        assert client.walked(customer=made.name, to=moment(opening)) == 0
        made.subscribe(**wanted)
        return made

    return make


def declines(gateways: Gateways, after: str) -> Callable[[str], None]:
    """Once it is then, the next two charges are declined."""
    told = []

    def look(now: str) -> None:
        if now >= after and not told:
            told.append(now)
            gateways.fault("paystack", "off_session", "decline", code="insufficient_funds", times=2)

    return look


@pytest.mark.parametrize("interval", ["month", "year"])
def test_five_years_in_one_step_are_sixty_months(
    client: Client,
    traveller: Callable[..., Customer],
    gateways: Gateways,
    records: Records,
    opening: int,
    interval: str,
) -> None:
    at_once, in_steps = (traveller(key="first", interval=interval) for _ in range(2))
    gateways.webhooks("paystack", "lose")  # that a charge was made is known without
    assert records.canonical(at_once.name) == records.canonical(in_steps.name)

    sixty = months(opening, 60)
    stood: dict[str, list[str]] = {at_once.name: [], in_steps.name: []}
    for customer, goals in ((at_once, sixty[-1:]), (in_steps, sixty)):
        decline = declines(gateways, moment(opening + 1, 3, 1))
        for goal in goals:
            for step in client.walk(customer=customer.name, to=goal):
                stood[customer.name].append(step["now"])
                decline(step["now"])

    assert stood[at_once.name] == stood[in_steps.name]
    assert records.canonical(at_once.name) == records.canonical(in_steps.name)
    assert at_once.subscription()["current_period"]["start"] == moment(opening + 5)
    attempts = [(it["status"]["M"]["status"]["S"], it["created_at"]["S"]) for it in records.of(at_once.name, "PAY#")]
    paid = [at for status, at in attempts if status == "paid"]
    declined = [at for status, at in attempts if status == "failed"]
    assert (len(paid), len(declined)) == ({"month": 61, "year": 6}[interval], 2)
    # Each at its own instant, but the one that was declined: that is paid on the second retry.
    first, second = declined
    expected = [day for day in [moment(opening), *sixty] if interval == "month" or day[5:10] == "01-31"]
    assert first == {"month": moment(opening + 1, 3, 31), "year": moment(opening + 2)}[interval]
    assert [at for at in expected if at not in paid] == [first]
    (late,) = set(paid) - set(expected)
    assert first < second < late


def test_one_customer_is_in_the_future_and_the_rest_now(
    client: Client, traveller: Callable[..., Customer], customer: Customer, records: Records, opening: int
) -> None:
    ahead = traveller()
    customer.subscribe()
    before, day = records.of(customer.name), granted(client.call("GET", "/health"))["clock"]["now"][:10]
    assert client.walked(customer=ahead.name, by="P1Y") > 12
    client.sweep()
    client.settle()
    assert records.of(customer.name) == before
    assert granted(client.call("GET", "/health"))["clock"]["now"][:10] == day
    assert ahead.subscription()["current_period"]["start"] == moment(opening + 1)
    assert [payment["created_at"] for payment in reversed(ahead.payments())] == [moment(opening), *months(opening, 12)]

    # The time is theirs for all that they do, and for the sweep of every minute.
    ahead.use("estates", 3)
    (usage,) = records.of(ahead.name, "LIVE#USAGE")
    assert usage["at"]["S"] == moment(opening + 1)
    renewed = ahead.subscription()["current_period"]["end"]
    step = client.move("walk", {"customer": ahead.name, "to": renewed})
    while step["now"] != renewed:
        client.settle()
        step = client.move("walk", {"customer": ahead.name})
    client.settle()
    client.sweep()
    client.settle()
    assert ahead.subscription()["current_period"]["start"] == renewed


def test_everyone_walks_and_ticks_on_when_time_is_set(
    client: Client, customer: Customer, other: Customer, records: Records
) -> None:
    def now() -> str:
        return granted(client.call("GET", "/health"))["clock"]["now"]

    try:
        began = client.move("walk", {"by": "PT0S"})["now"]
        assert now() == began
        for each in (customer, other):
            each.subscribe()
        client.walked(by="P1M")
        for each in (customer, other):
            _, renewal = records.of(each.name, "PAY#")
            assert renewal["created_at"]["S"] == each.subscription()["current_period"]["start"] == now()
    finally:
        client.advance("PT1S")
    assert now() < now()


def test_whoever_is_killed_on_the_way_goes_on_to_the_goal(
    client: Client, traveller: Callable[..., Customer], opening: int
) -> None:
    customer = traveller()
    walk = client.walk(customer=customer.name, by="P3M")
    for _ in range(3):
        next(walk)
    walk.close()
    assert customer.subscription()["current_period"]["start"] < months(opening, 3)[-1]

    admin = client.stack["tokens"]["admin"]
    again = client.call("POST", "/test-clock/walk", token=admin, body={"customer": customer.name, "by": "P3M"})
    assert "walk-under-way" in refusal(again, 409)["type"]
    assert client.walked(customer=customer.name) > 3
    assert customer.subscription()["current_period"]["start"] == months(opening, 3)[-1]
    assert client.walked(customer=customer.name) == 0


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "by"),
        ({"to": "2001-01-31T10:00:00Z"}, "to"),
        ({"to": "tomorrow"}, "to"),
        ({"by": "P1M", "to": "2101-01-31T10:00:00Z"}, "to"),
        ({"by": "P1M", "how": "fast"}, None),
    ],
)
def test_a_walk_that_leads_nowhere_is_refused(
    client: Client, customer: Customer, records: Records, body: dict[str, str], field: str | None
) -> None:
    before = records.all()
    admin = client.stack["tokens"]["admin"]
    answer = client.call("POST", "/test-clock/walk", token=admin, body={"customer": customer.name} | body)
    assert answer.status in (400, 422)
    refusal(answer, answer.status, field)
    assert records.all() == before
