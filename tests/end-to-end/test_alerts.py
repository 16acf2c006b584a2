"""Alerts as a limit comes near: raised once a period, whoever reports at the same moment, and acknowledged (PRODUCT 26)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import patiently, refusal
from customer import Customer, granted
from issuer import Issuer
from records import Records
from test_administration import assign

# 3000 minutes a month, and five agents.
PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}

WARNING, LIMIT = ("usage_warning", 80), ("usage_limit", 100)


@pytest.fixture
def pro(customer: Customer) -> Customer:
    granted(assign(customer, **PRO), 201)
    return customer


def alerts(customer: Customer) -> list[dict[str, Any]]:
    return granted(customer.call("GET", "/alerts"))["alerts"]


def kinds(listed: list[dict[str, Any]] | None) -> list[tuple[str, int]]:
    return [(it["kind"], it["percent"]) for it in listed or []]


def acknowledge(customer: Customer, meter: str, *, acknowledged: Any = True) -> Any:
    return customer.call("PUT", f"/alerts/{meter}", body={"acknowledged": acknowledged})


def test_a_customer_is_warned_at_80_per_cent_and_told_at_100(pro: Customer) -> None:
    granted(pro.count(2399))
    assert alerts(pro) == [] and pro.subscription()["alerts"] is None
    granted(pro.count(1))
    (warning,) = alerts(pro)
    assert warning.pop("raised_at")
    expected = {"kind": "usage_warning", "meter": "minutes", "percent": 80, "limit": 3000, "used": 2400}
    assert warning == expected | {"overage": None, "acknowledged_at": None}
    assert kinds(pro.subscription()["alerts"]) == [WARNING]
    granted(pro.count(600))
    assert kinds(alerts(pro)) == [WARNING, LIMIT]


def test_what_was_acknowledged_is_shown_with_the_subscription_no_more(pro: Customer, records: Records) -> None:
    granted(pro.count(2400))
    answer = granted(acknowledge(pro, "minutes"))
    assert answer["alerts"] == alerts(pro) and answer["alerts"][0]["acknowledged_at"]
    assert pro.subscription()["alerts"] is None
    before = records.of(pro.name)
    assert granted(acknowledge(pro, "minutes")) == answer
    assert records.of(pro.name) == before, "said again, it changes nothing"
    granted(pro.count(1))
    assert alerts(pro)[0]["acknowledged_at"] == answer["alerts"][0]["acknowledged_at"]
    assert granted(acknowledge(pro, "minutes", acknowledged=False))["alerts"][0]["acknowledged_at"] is None
    assert kinds(pro.subscription()["alerts"]) == [WARNING]


def test_a_level_that_falls_ends_them(pro: Customer) -> None:
    granted(pro.call("PUT", "/usage/agents", body={"value": 5}))
    assert kinds(alerts(pro)) == [WARNING, LIMIT]
    granted(pro.call("PUT", "/usage/agents", body={"value": 4}))
    assert kinds(alerts(pro)) == [WARNING]
    granted(pro.call("PUT", "/usage/agents", body={"value": 3}))
    assert alerts(pro) == []


def test_of_many_who_report_at_once_one_raises_each(pro: Customer, records: Records) -> None:
    granted(pro.count(2350))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: patiently(lambda: pro.count(1, id=f"call-{n}")), range(100)))
    assert {answer.status for answer in answers} == {200}
    assert kinds(alerts(pro)) == [WARNING]
    (used,) = [usage["used"] for usage in pro.subscription()["usage"] if usage["meter"] == "minutes"]
    assert used == 2450


def test_a_day_far_above_the_customers_habit_is_told_beside_them(pro: Customer) -> None:
    began = datetime.fromisoformat(pro.subscription()["current_period"]["start"])
    for days in range(1, 8):
        granted(pro.count(10, at=(began - timedelta(days=days)).isoformat()))
    granted(pro.count(30))
    assert granted(pro.call("GET", "/alerts")) == {"alerts": [], "unusual": []}
    granted(pro.count(1))
    today = granted(pro.call("GET", "/usage/statistics"))["date"]
    unusual = {"kind": "usage_unusual", "meter": "minutes", "date": today, "used": 31, "usual": 10}
    assert granted(pro.call("GET", "/alerts")) == {"alerts": [], "unusual": [unusual]}


def test_who_has_nothing_is_alerted_of_nothing(customer: Customer) -> None:
    assert granted(customer.call("GET", "/alerts")) == {"alerts": [], "unusual": []}
    assert granted(acknowledge(customer, "minutes"))["alerts"] == []


@pytest.mark.parametrize(
    ("path", "body", "status", "field"),
    [
        ("/alerts/faxes", {"acknowledged": True}, 404, None),
        ("/alerts/Minutes", {"acknowledged": True}, 404, None),
        ("/alerts/minutes", {}, 400, "acknowledged"),
        ("/alerts/minutes", {"acknowledged": "yes"}, 400, "acknowledged"),
        ("/alerts/minutes", {"acknowledged": True, "percent": 80}, 400, "percent"),
    ],
)
def test_bad_input_names_its_field_and_changes_nothing(
    pro: Customer, records: Records, path: str, body: Any, status: int, field: str | None
) -> None:
    granted(pro.count(3000))
    before = records.of(pro.name)
    refusal(pro.call("PUT", path, body=body), status, field)
    assert records.of(pro.name) == before


def test_a_token_that_reads_acknowledges_nothing(pro: Customer, issuer: Issuer) -> None:
    granted(pro.count(3000))
    token = issuer.mint(pro.name, scope="billing:read")
    refusal(pro.call("PUT", "/alerts/minutes", body={"acknowledged": True}, token=token), 403)
    assert [it["acknowledged_at"] for it in alerts(pro)] == [None, None]
