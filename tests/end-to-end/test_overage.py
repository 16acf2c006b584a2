"""What is used beyond a limit is sold by the plan's own price, and charged with the next invoice (PRODUCT 24 and 26)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import patiently, refusal
from client import Client
from customer import Customer, Gateways, granted, unique
from records import Records
from stack import MAIL_FROM
from studio import usd
from test_prices import charged

BASIC = {"gateway": "stripe", "plan": "dial-basic", "currency": "USD"}

# A hundred calls are included in ten dollars a month. Of more, the first fifty cost 20 cents each, and up to 500 more 15.
PRICE = {"per": 1, "tiers": [{"up_to": 50, "amount": usd(20)}, {"up_to": 550, "amount": usd(15)}]}


def publish(client: Client, *, active: bool = True, **more: Any) -> Any:
    meters = [
        {"id": "calls", "name": "Calls", "kind": "counter", "unit": {"one": "call", "many": "calls"}, "reduce": "make fewer:"}
    ]
    plan = {
        "id": "dial-basic", "name": "Basic", "display_name": "Basic", "description": "A hundred calls",
        "tier": 1, "pricing_model": "flat", "features": [], "limits": {"calls": 100}, "active": active,
        "prices": [{"interval": "month", "amount": usd(1000), "recurring": True}],
        "overage": {"calls": [PRICE]},
    }  # fmt: skip
    family = {"id": "dial", "name": "Dial", "meters": meters, "features": []}
    return client.invoke("LoadCatalogueFunction", {"family": family, "plans": [plan | more]})


@pytest.fixture(scope="module", autouse=True)
def sold(client: Client) -> Iterator[None]:
    assert "plans" in publish(client)
    yield
    publish(client, active=False)


@pytest.fixture
def dialling(customer: Customer) -> Customer:
    customer.subscribe(**BASIC)
    return customer


def calls(customer: Customer, value: int, **more: Any) -> Any:
    return customer.call("POST", "/usage", body={"meter": "calls", "value": value, "id": unique()} | more)


def period_ends(client: Client, customer: Customer) -> None:
    client.walked(customer=customer.name, to=customer.subscription()["current_period"]["end"])
    client.walked(customer=customer.name, by="PT1M")


def test_what_is_beyond_the_limit_is_on_the_next_invoice(
    client: Client, dialling: Customer, gateways: Gateways
) -> None:
    answer = granted(calls(dialling, 160))
    assert answer["overage"] == {"units": 60, "amount": usd(50 * 20 + 10 * 15)}
    assert (answer["used"], answer["limit"], answer["remaining"], answer["percentage"]) == (160, 100, 0, 160.0)
    (shown,) = dialling.subscription()["usage"]
    assert shown == answer
    entitlement = granted(dialling.call("GET", "/entitlements/calls"))
    assert (entitlement["on"], entitlement["reason"]) == (True, None)

    period_ends(client, dialling)
    assert charged(dialling, gateways) == [1000, 1000 + 1150]
    newest, first = dialling.payments()
    (line,) = newest["usage_charges"]
    assert line.pop("period").endswith("-1-0"), "of the first subscription's first period"
    assert line == {"meter": "calls", "used": 160, "included": 100, "amount": usd(1150)}
    assert (newest["amount"], first["usage_charges"]) == (usd(2150), None)
    assert (dialling.subscription()["usage_charges"], dialling.subscription()["usage"][0]["used"]) == (None, 0)

    period_ends(client, dialling)
    assert charged(dialling, gateways) == [1000, 2150, 1000], "it is on one invoice"


def test_what_is_told_late_is_of_its_own_period_and_on_the_next_invoice(
    client: Client, dialling: Customer, gateways: Gateways
) -> None:
    then = dialling.subscription()["current_period"]["start"]
    granted(calls(dialling, 120))
    period_ends(client, dialling)
    granted(calls(dialling, 7))
    late = granted(calls(dialling, 40, at=then, id="late"))
    # 120 of them are paid for: 30 more at 20 cents, and 10 at 15.
    assert (late["used"], late["limit"], late["overage"]) == (160, 100, {"units": 60, "amount": usd(1150)})
    assert granted(calls(dialling, 40, at=then, id="late")) == late, "told again, it is counted"
    found = dialling.subscription()
    (line,) = found["usage_charges"]
    assert (line["used"], line["included"], line["amount"]) == (160, 120, usd(750))
    assert found["usage"][0]["used"] == 7
    assert refusal(calls(dialling, 491, at=then), 403, "value")["used"] == 160
    period_ends(client, dialling)
    assert charged(dialling, gateways) == [1000, 1000 + 400, 1000 + 750]


def test_a_mail_says_when_it_begins_once_a_period_however_many_report_at_once(
    client: Client, dialling: Customer
) -> None:
    def mails() -> list[Any]:
        client.sweep()
        client.settle()
        return dialling.mails()

    granted(calls(dialling, 100))
    assert mails() == [], "what is included costs nothing"
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: patiently(lambda: calls(dialling, 1, id=f"call-{n}")), range(60)))
    assert {answer.status for answer in answers} == {200}
    (mail,) = mails()
    assert (mail["Source"], mail["To"]) == (MAIL_FROM, [dialling.email])
    assert mail["Subject"] == "You have used more than Basic includes"
    assert "Calls: 100 are included. More costs USD 0.20 a call up to 50 more, then USD 0.15" in mail["BodyText"]

    period_ends(client, dialling)
    granted(calls(dialling, 150))
    assert len(mails()) == 2, "in the next period again"


def test_an_alert_says_when_it_begins(dialling: Customer) -> None:
    granted(calls(dialling, 101))
    listed = granted(dialling.call("GET", "/alerts"))["alerts"]
    assert [(it["kind"], it["percent"]) for it in listed] == [("usage_warning", 80), ("usage_overage", 100)]
    assert {str(it["overage"]) for it in listed} == {str({"units": 1, "amount": usd(20)})}


def test_beyond_the_last_tier_nothing_is_sold_however_many_ask_at_once(dialling: Customer, records: Records) -> None:
    granted(calls(dialling, 600))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: patiently(lambda: calls(dialling, 1, id=f"call-{n}")), range(100)))
    counted = [answer for answer in answers if answer.status == 200]
    refused = [refusal(answer, 403, "value") for answer in answers if answer.status == 403]
    assert (len(counted), len(refused)) == (50, 50)
    assert {(problem["limit"], problem["used"]) for problem in refused} == {(100, 650)}
    assert len(records.of(dialling.name, "COUNT#")) == 51


def test_who_leaves_is_sold_nothing_more(client: Client, dialling: Customer, gateways: Gateways) -> None:
    granted(calls(dialling, 110))
    granted(dialling.change("cancel", effective="period_end"))
    assert refusal(calls(dialling, 1), 403, "value")["type"].endswith("/limit-reached")
    period_ends(client, dialling)
    found = dialling.subscription()
    assert (found["status"], charged(dialling, gateways)) == ("canceled", [1000])
    (line,) = found["usage_charges"]
    assert (line["used"], line["included"], line["amount"]) == (110, 100, usd(200))


@pytest.mark.parametrize(
    ("overage", "field"),
    [
        ({"calls": []}, "overage.calls"),
        ({"calls": [PRICE, PRICE]}, "overage.calls[1]"),
        ({"faxes": [PRICE]}, "overage.faxes"),
        ({"calls": [PRICE | {"tiers": []}]}, "overage.calls[0].tiers"),
    ],
)
def test_a_catalogue_that_sells_what_it_cannot_is_refused(client: Client, overage: Any, field: str) -> None:
    answer = publish(client, overage=overage)
    assert field in str(answer) and "plans" not in answer, answer
