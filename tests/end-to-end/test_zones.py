"""Customers are elsewhere: what they buy is counted on the clock of where they are, from the token's word to the last renewal."""

from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from answers import refusal
from client import Client
from customer import Customer, granted
from issuer import Issuer
from studio import TEAM
from test_changes import shown
from test_living import ends, period

NEW_YORK = "America/New_York"

# From midnight in New York on the first of each month, in winter and in summer: the clocks are put forward in March,
# between the 8th and the 14th, and back in November, between the 1st and the 7th.
MARCH = timedelta(days=31, hours=-1)
APRIL = timedelta(days=30)


@pytest.fixture
def year(client: Client) -> int:
    """One whose first of March nobody has seen yet."""
    return int(granted(client.call("GET", "/health"))["clock"]["now"][:4]) + 1


@pytest.fixture
def traveller(client: Client, newcomer: Callable[[], Customer], year: int) -> Customer:
    """On a clock of their own, at midnight in New York on the first of March."""
    made = newcomer()
    assert client.walked(customer=made.name, to=f"{year}-03-01T05:00:00Z") == 0
    return made


def is_in(customer: Customer) -> str:
    return customer.subscription()["time_zone"]


def test_a_month_is_renewed_at_the_hour_at_which_it_began_there(client: Client, traveller: Customer) -> None:
    traveller.subscribe(time_zone=NEW_YORK)
    found = traveller.subscription()
    start, end = period(traveller)
    assert (found["time_zone"], end - start, found["end_date"][5:]) == (NEW_YORK, MARCH, "04-01")
    upgrade = {"action": "upgrade", "plan": "estates-enterprise", "effective": "now"}
    assert shown(traveller, **upgrade)["next_invoice"]["at"] == found["current_period"]["end"]

    before = (end - timedelta(seconds=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    client.walked(customer=traveller.name, to=before)
    assert (period(traveller), len(traveller.payments())) == ((start, end), 1), "it is not over yet"
    client.walked(customer=traveller.name, by="PT2S")
    renewed = period(traveller)
    assert (renewed[0], renewed[1] - renewed[0], traveller.subscription()["status"]) == (end, APRIL, "active")
    assert [payment["status"] for payment in traveller.payments()] == ["succeeded", "succeeded"]


@pytest.mark.usefixtures("studio")
def test_a_trial_ends_at_the_hour_at_which_it_began_there(traveller: Customer) -> None:
    begun = granted(traveller.change("subscribe", **TEAM, quantity=3, time_zone=NEW_YORK))["subscription"]
    assert (begun["status"], begun["time_zone"], begun["end_date"][5:]) == ("trialing", NEW_YORK, "03-15")
    start, end = period(traveller)
    assert (end - start, begun["trial"]["ends_at"]) == (timedelta(days=14, hours=-1), begun["current_period"]["end"])


def test_the_token_says_where_its_customer_is_and_the_request_knows_better(issuer: Issuer, customer: Customer) -> None:
    customer.token = issuer.mint(customer.name, zoneinfo="Pacific/Kiritimati")
    customer.subscribe()
    # Fourteen hours ahead of everyone's clock, all year.
    assert (is_in(customer), customer.subscription()["end_date"]) == (
        "Pacific/Kiritimati",
        str((ends(customer).astimezone(UTC) + timedelta(hours=14)).date()),
    )
    # Whose token says something else, or nothing, is counted as they were; and so is who comes again.
    customer.token = issuer.mint(customer.name)
    granted(customer.change("cancel", effective="now"))
    customer.subscribe()
    assert is_in(customer) == "Pacific/Kiritimati"
    granted(customer.change("cancel", effective="now"))
    customer.token = issuer.mint(customer.name, zoneinfo="Asia/Tbilisi")
    customer.subscribe(time_zone="Africa/Lagos")
    assert is_in(customer) == "Africa/Lagos"


def test_who_says_nothing_or_nothing_that_is_known_is_counted_in_utc(
    issuer: Issuer, customer: Customer, other: Customer
) -> None:
    other.token = issuer.mint(other.name, zoneinfo="W. Europe Standard Time")
    for one in (customer, other):
        one.subscribe()
        assert (is_in(one), one.subscription()["end_date"]) == ("UTC", str(ends(one).astimezone(UTC).date()))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "+01:00", "Etc/Unknown", 1, ["Africa/Lagos"]])
def test_what_is_not_a_time_zone_is_refused_by_name_and_changes_nothing(customer: Customer, zone: Any) -> None:
    refusal(customer.order(time_zone=zone), 400, "time_zone")
    refusal(customer.account(time_zone=zone), 400, "time_zone")
    refusal(customer.change("subscribe", plan="estates-professional", interval="month", time_zone=zone), 400, "time_zone")
    assert customer.payments() == []
    assert customer.call("GET", "/subscription").status == 404


def test_the_clock_of_what_runs_is_not_changed(customer: Customer) -> None:
    customer.subscribe(time_zone="Africa/Lagos")
    refusal(customer.order(time_zone="Asia/Tbilisi"), 409)
    refusal(customer.change("change_seats", quantity=2, effective="now", time_zone="Asia/Tbilisi"), 422, "time_zone")
    assert is_in(customer) == "Africa/Lagos"
