"""Who names a coupon pays less for a time, or nothing; and of a coupon of which there are three, three are had."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import refusal
from client import Client
from customer import Customer, Gateways, granted
from records import Records
from studio import BASIC, TEAM, leave_card, tries, usd
from test_changes import half_way, problem, shown, taken
from test_living import buys, ends, reaches

pytestmark = pytest.mark.usefixtures("studio")

GIFT = {"plan": "studio-basic", "interval": "month", "quantity": 6, "coupon": "FREE-MONTH"}


def charged(customer: Customer, gateways: Gateways) -> list[int]:
    """In cents, what was first charged first."""
    return [amount for payment in reversed(customer.payments()) for amount in taken(gateways, payment)]


def test_a_fifth_is_off_two_months_and_a_change_between_them(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    buys(client, customer, 6, coupon="fifth")
    found = customer.subscription()
    assert (found["price"], found["amount"], found["discount"]) == (
        (usd(1000), usd(4800), {"coupon": "FIFTH", "off": {"percent": "20"}, "amount": usd(1200), "periods_left": 1})
    )
    half_way(client, customer)
    wanted = {"action": "change_seats", "quantity": 10, "effective": "now"}
    preview = shown(customer, **wanted)
    # Half of 48.00 back, half of 80.00.
    assert [line["amount"]["minor"] for line in preview["lines"]] == [-2400, 4000]
    assert (preview["due_now"], preview["next_invoice"]["amount"]) == (usd(1600), usd(8000))
    granted(customer.change(**wanted, preview=preview["id"]))
    for _ in range(2):
        reaches(client, ends(customer))
    assert charged(customer, gateways) == [4800, 1600, 8000, 10000]
    assert customer.subscription()["discount"] is None


def test_who_has_nothing_to_pay_needs_no_page_and_no_card_until_something_is(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    customer.checkout(**BASIC, quantity=6)
    asked = gateways.books()["requests"]
    problem(customer.order(**BASIC, quantity=6, coupon="FREE-MONTH"), 409, "nothing-to-pay")
    for _ in range(2):
        begun = granted(customer.change("subscribe", key="gift", **GIFT))
        assert (begun["payment"], begun["subscription"]["status"], begun["subscription"]["amount"]) == (None, "active", usd(0))
    assert (customer.subscription()["next_amount"], gateways.books()["requests"]) == (usd(6000), asked)
    reaches(client, ends(customer))
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"]) == ("past_due", "grace")
    granted(customer.change("cancel", effective="now"))
    refusal(customer.change("subscribe", **GIFT), 422, "coupon")


def test_a_trial_uses_up_none_of_it(client: Client, customer: Customer, gateways: Gateways) -> None:
    leave_card(client, customer)
    begun = granted(customer.change("subscribe", **TEAM, quantity=6, coupon="FIFTH"))["subscription"]
    assert (begun["status"], begun["discount"]["periods_left"], begun["next_amount"]) == ("trialing", 2, usd(7200))
    reaches(client, ends(customer))
    assert customer.subscription()["discount"]["periods_left"] == 1
    assert taken(gateways, customer.payments()[0]) == [7200]


def test_of_three_that_there_are_three_are_had_whoever_asks_at_once(
    client: Client, newcomer: Callable[[], Customer], records: Records
) -> None:
    customers = [newcomer() for _ in range(12)]
    wanted = {**GIFT, "coupon": "ONLY-THREE"}

    def asks(customer: Customer) -> int:
        return customer.change("subscribe", **wanted).status

    with ThreadPoolExecutor(12) as pool:
        statuses = sorted(pool.map(asks, customers))
    assert statuses == [200] * 3 + [422] * 9
    counted = records.all()["COUPON#ONLY-THREE", "COUPON"]
    assert counted["redeemed"] == {"N": "3"}


def test_of_two_that_there_are_two_are_charged_half_whoever_asks_at_once(
    client: Client, newcomer: Callable[[], Customer], gateways: Gateways, records: Records
) -> None:
    customers = [newcomer() for _ in range(6)]
    for customer in customers:
        leave_card(client, customer)

    def asks(customer: Customer) -> int:
        return customer.change("subscribe", **GIFT | {"coupon": "only-two"}).status

    with ThreadPoolExecutor(6) as pool:
        statuses = sorted(pool.map(asks, customers))
    assert statuses == [200] * 2 + [422] * 4
    assert sorted(sum(charged(customer, gateways)) for customer in customers) == [0] * 4 + [3000] * 2
    assert records.all()["COUPON#ONLY-TWO", "COUPON"]["redeemed"] == {"N": "2"}


# Whoever types something else gets nothing off, and nothing happens.
WRONG: dict[str, tuple[dict[str, Any], int]] = {
    "unknown": ({"coupon": "SUMMER"}, 422),
    "for another plan": ({"coupon": "TEAM-ONLY"}, 422),
    "in another currency": ({"coupon": "NAIRA"}, 422),
    "run out": ({"coupon": "LONG-GONE"}, 422),
    "too short": ({"coupon": "AB"}, 400),
    "no code": ({"coupon": "COUPON#FIFTH"}, 400),
    "a number": ({"coupon": 20}, 400),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_code_that_gives_nothing_names_its_field_and_changes_nothing(
    customer: Customer, records: Records, gateways: Gateways, name: str
) -> None:
    wrong, status = WRONG[name]
    asked = gateways.books()["requests"]
    refusal(customer.order(**BASIC, quantity=6, **wrong), status, "coupon")
    refusal(customer.change("subscribe", **GIFT | wrong), status, "coupon")
    assert (records.of(customer.name), gateways.books()["requests"]) == ([], asked)


def test_what_takes_no_coupon_says_so(customer: Customer) -> None:
    tries(customer)
    refusal(customer.change("upgrade", plan="studio-team", effective="now", coupon="FIFTH"), 422, "coupon")


def test_a_coupon_that_its_file_names_no_more_is_redeemed_no_more(client: Client, customer: Customer) -> None:
    def publish(*coupons: dict[str, Any]) -> dict[str, Any]:
        return client.invoke("LoadCatalogueFunction", {"family": family, "plans": [offer], "coupons": list(coupons)})

    family = {"id": "till", "name": "Till", "meters": [], "features": []}
    offer = {
        "id": "till-one", "name": "One", "display_name": "One", "description": "One till", "tier": 1,
        "pricing_model": "flat", "features": [], "limits": {}, "active": True,
        "prices": [{"interval": "month", "recurring": True, "amount": usd(1000)}],
    }  # fmt: skip
    mine = {"code": "TILL", "off": {"amount": usd(400)}, "lasts": "forever"}
    bad = publish({**mine, "lasts": {"periods": 0}}, {**mine, "code": "fifth"})
    assert [it["field"] for it in bad["problems"]] == ["coupons[0].lasts.periods"], bad
    bad = publish(mine, {**mine, "code": "fifth"})
    assert [(it["field"], it["problem"]) for it in bad["problems"]] == [("coupons[1].code", "is used by the family `studio`")]
    assert "plans" in publish(mine)
    wanted = {"plan": "till-one", "interval": "month", "currency": "USD", "gateway": "stripe", "quantity": 1, "coupon": "TILL"}
    page = customer.order(**wanted)
    assert granted(page, 201)["payment"]["amount"] == usd(600)
    offer["active"] = False
    assert "plans" in publish()
    refusal(customer.order(**wanted), 422)
