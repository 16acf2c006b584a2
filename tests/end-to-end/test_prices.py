"""A price changes: who has the plan is told before, and pays the new one from the first period after the notice (PRODUCT 1)."""

import csv
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from answers import refusal
from client import Client
from customer import Customer, Gateways, granted
from stack import ROOT
from studio import usd
from test_administration import administer, end_of, in_utc
from test_changes import problem, taken

DAILY = {"gateway": "stripe", "plan": "gazette-daily", "currency": "USD"}


def publish(client: Client, month: int, *, active: bool = True) -> None:
    price = {"interval": "month", "amount": usd(month), "recurring": True}
    said = {"id": "gazette-daily", "name": "Daily", "display_name": "Daily", "description": "Each morning"}
    plan = said | {"tier": 1, "pricing_model": "flat", "prices": [price], "features": [], "limits": {}, "active": active}
    family = {"id": "gazette", "name": "Gazette", "meters": [], "features": []}
    answer = client.invoke("LoadCatalogueFunction", {"family": family, "plans": [plan]})
    assert "plans" in answer, answer


@pytest.fixture
def dearer(client: Client) -> Iterator[Callable[[], None]]:
    """Daily is on sale, and costs more once this is called."""
    publish(client, 1000)
    yield lambda: publish(client, 1200)
    publish(client, 1000, active=False)


def charged(customer: Customer, gateways: Gateways) -> list[int]:
    return [amount for payment in reversed(customer.payments()) for amount in taken(gateways, payment)]


def price_change(customer: Customer) -> dict[str, Any]:
    found: dict[str, Any] = customer.subscription()["price_change"]
    return found


def test_who_is_told_pays_more_from_the_first_period_after_the_notice(
    client: Client, customer: Customer, gateways: Gateways, dearer: Callable[[], None]
) -> None:
    customer.subscribe(**DAILY)
    dearer()
    before = customer.subscription()
    assert (before["plan"]["version"], before["price_change"], before["next_amount"]) == (1, None, usd(1000))
    first_end = end_of(before)
    client.walked(customer=customer.name, to=in_utc(first_end - timedelta(days=10)))
    after = granted(administer(customer, "change_price", notice_days=20, told=False))
    expected = {"plan_version": 2, "notice_days": 20, "told": False, "at": None, "amount": None}
    assert (after["price_change"], after["next_amount"]) == (expected, usd(1000))

    client.walked(customer=customer.name, by="PT1H")
    (mail,) = customer.mails()
    assert mail["Subject"] == "The price of Daily changes"
    change = price_change(customer)
    at = datetime.fromisoformat(change["at"])
    assert (change["told"], change["amount"]) == (True, usd(1200))
    assert at > first_end, "ten days are left of a period, and twenty of the notice"
    assert "USD 10.00 a period until then, and USD 12.00 a period" in mail["BodyText"]
    assert f"{at.day} {at:%B %Y}" in mail["BodyText"]

    assert customer.subscription()["next_amount"] == usd(1000)
    client.walked(customer=customer.name, to=in_utc(first_end + timedelta(minutes=1)))
    assert end_of(customer.subscription()) == at
    assert customer.subscription()["next_amount"] == usd(1200)
    client.walked(customer=customer.name, to=in_utc(at + timedelta(minutes=1)))
    found = customer.subscription()
    assert (found["plan"]["version"], found["price"], found["price_change"]) == (2, usd(1200), None)
    assert (charged(customer, gateways), len(customer.mails())) == ([1000, 1000, 1200], 1)


def test_what_is_taken_back_is_not_done(client: Client, customer: Customer, dearer: Callable[[], None]) -> None:
    customer.subscribe(**DAILY)
    dearer()
    change = granted(administer(customer, "change_price", notice_days=1, told=True))
    assert (change["price_change"]["amount"], change["next_amount"]) == (usd(1200), usd(1200))
    assert granted(administer(customer, "keep_price"))["next_amount"] == usd(1000)
    assert (customer.mails(), price_change(customer)) == ([], None)


def test_what_makes_no_sense_names_its_field_and_changes_nothing(customer: Customer, dearer: Callable[[], None]) -> None:
    customer.subscribe(**DAILY)
    dearer()
    for wrong, field in [
        ({"notice_days": 30}, "told"),
        ({"told": True}, "notice_days"),
        ({"notice_days": 0, "told": True}, "notice_days"),
        ({"notice_days": 367, "told": True}, "notice_days"),
        ({"notice_days": 30, "told": True, "days": 3}, "days"),
    ]:
        refusal(administer(customer, "change_price", **wrong), 422, field)
    refusal(administer(customer, "keep_price", token=customer.token), 403)
    granted(customer.change("cancel", effective="now"))
    problem(administer(customer, "change_price", notice_days=30, told=True), 409, "ended")


def test_all_of_a_file_are_told_and_who_cannot_be_is_in_the_report(
    client: Client, newcomer: Callable[[], Customer], dearer: Callable[[], None], tmp_path: Path
) -> None:
    customers = [newcomer() for _ in range(3)]
    for customer in customers[:2]:
        customer.subscribe(**DAILY)
    dearer()
    file = tmp_path / "customers.csv"
    rows = [f"{customer.name},change_price,30,false" for customer in customers]
    file.write_text("\n".join(["customer,action,notice_days,told", *rows]) + "\n")
    command = [sys.executable, str(ROOT / "local" / "bulk.py"), "administer", "--local", str(client.folder), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, "2 done, 1 refused" in done.stdout) == (1, True), done
    (refused,) = csv.DictReader(file.with_name("customers.csv.refused.csv").open())
    assert refused["customer"] == customers[2].name and "never ordered" in refused["refused_because"]
    for customer in customers[:2]:
        client.walked(customer=customer.name, by="PT1H")
        assert [mail["Subject"] for mail in customer.mails()] == ["The price of Daily changes"]
        assert price_change(customer)["amount"] == usd(1200)
    again = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "3 rows were done before" in again.stdout and again.returncode == 1
