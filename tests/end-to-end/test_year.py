"""A year of one customer, on the deployed stack, with every amount worked out by hand. The README tells it too."""

import time
from datetime import UTC, datetime

import pytest
from client import Client
from customer import Customer, Gateways, granted
from studio import leave_card, tries, usd
from test_changes import problem, shown, taken
from test_living import ends, now, reaches

pytestmark = pytest.mark.usefixtures("studio")


def test_a_year_is_lived_in_under_a_minute(client: Client, customer: Customer, gateways: Gateways) -> None:
    began, today = time.monotonic(), now(client)
    # Its months are the same in every year: February comes when all is paid.
    year = today.year + (today >= datetime(today.year, 3, 1, tzinfo=UTC))

    def comes(month: int, day: int, hour: int = 0) -> None:
        reaches(client, datetime(year + (month < 3), month, day, hour, tzinfo=UTC))

    def renews(until: str, charged: int) -> None:
        """The period ends, and the next one, until then, costs this much."""
        reaches(client, ends(customer))
        found = customer.subscription()
        assert (found["status"], found["end_date"][5:], found["balance"]) == ("active", until, [])
        assert taken(gateways, customer.payments()[0]) == [charged]

    # An hour after midnight: each time is a little later than it is asked for, and a date is to be the same all the while.
    comes(3, 1, 1)
    trial = tries(customer, seats=5)
    assert (trial["status"], trial["end_date"][5:]) == ("trialing", "03-15")
    comes(3, 5)
    leave_card(client, customer)
    comes(3, 12, 2)
    (mail,) = customer.mails()
    assert "Then USD 75.00 is charged for the first period" in mail["BodyText"]
    renews("04-15", 5 * 1500)

    comes(3, 30, 13)  # half of 31 days is left: −75.00 ÷ 2 + 120.00 ÷ 2
    seats = {"action": "change_seats", "quantity": 8, "effective": "now"}
    preview = shown(customer, **seats)
    assert [line["amount"]["minor"] for line in preview["lines"]] == [-3750, 6000]
    paid = granted(customer.change(**seats, preview=preview["id"]))["payment"]
    assert (preview["due_now"], taken(gateways, paid)) == (usd(2250), [2250])
    renews("05-15", 8 * 1500)

    comes(4, 20)
    down = {"action": "downgrade", "plan": "studio-basic", "effective": "period_end"}
    assert problem(customer.change(**down), 409, "confirmation-required")["features_lost"] == ["reports"]
    scheduled = granted(customer.change(**down, confirm=True))
    assert (scheduled["payment"], scheduled["subscription"]["scheduled_change"]["plan"]) == (None, "studio-basic")

    gateways.fault("stripe", "off_session", "decline", code="insufficient_funds", times=2)
    # A day after the first decline, and three.
    for day, hour, retry in ((15, 2, "05-16"), (16, 3, "05-18")):
        comes(5, day, hour)
        found = customer.subscription()
        assert (found["status"], found["plan"]["id"]) == ("past_due", "studio-team")
        assert found["dunning"]["next_retry_at"][5:10] == retry
    comes(5, 18, 4)  # each retry is counted from when the last one was declined
    found = customer.subscription()
    assert (found["status"], found["plan"]["id"], found["end_date"][5:]) == ("active", "studio-basic", "06-15")
    paid, *failed = customer.payments()[:3]
    assert (taken(gateways, paid), [payment["status"] for payment in failed]) == ([8 * 1000], ["failed", "failed"])

    comes(5, 25, 1)  # with 21 days to go
    granted(customer.change("pause", effective="now"))
    comes(7, 4, 1)
    assert customer.subscription()["status"] == "paused"
    granted(customer.change("unpause"))
    assert customer.subscription()["end_date"][5:] == "07-25"
    for until in ("08-25", "09-25", "10-25", "11-25", "12-25", "01-25", "02-25"):
        renews(until, 8 * 1000)

    comes(2, 1)
    granted(customer.change("cancel", effective="period_end"))
    reaches(client, ends(customer))
    assert customer.subscription()["status"] == "canceled"
    reaches(client, datetime(year + 1, 3, 1, tzinfo=UTC))
    charged = [sum(taken(gateways, payment)) for payment in customer.payments()]
    # 75.00 + 22.50 + 120.00 + 80.00 + 7 × 80.00
    assert (sum(charged), len([minor for minor in charged if minor])) == (85_750, 11)
    assert customer.mails() == [mail]
    assert time.monotonic() - began < 60
