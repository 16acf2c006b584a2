"""What a customer may use, and why not (PRODUCT 27): of each feature and meter of their plan's family, in one read."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
from answers import refusal
from client import Client
from customer import Customer, granted
from test_administration import assign

PRO = {"plan": "minutes-pro", "interval": "month", "comp": {"percent": 100, "periods": None}}


def entitled(customer: Customer, feature: str) -> dict[str, Any]:
    return granted(customer.call("GET", f"/entitlements/{feature}"))


def reason(customer: Customer, feature: str = "analytics") -> str | None:
    answer = entitled(customer, feature)
    assert answer["on"] is (answer["reason"] is None)
    return answer["reason"]


@pytest.fixture
def pro(customer: Customer) -> Customer:
    granted(assign(customer, **PRO), 201)
    return customer


def test_all_that_the_family_has_is_told_by_name(pro: Customer) -> None:
    on, off = {"on": True, "reason": None}, {"on": False, "reason": "not_in_plan"}
    answer = granted(pro.call("GET", "/entitlements"))
    assert (answer["plan"], answer["status"]) == ("minutes-pro", "active")
    metered = {"used": 0, "percentage": 0.0} | on
    assert answer["entitlements"] == {
        "agents": {"meter": "agents", "limit": 5, "remaining": 5} | metered,
        "analytics": on,
        "api_access": off,
        "minutes": {"meter": "minutes", "limit": 3000, "remaining": 3000} | metered,
    }
    assert entitled(pro, "analytics") == {"feature": "analytics"} | on
    assert entitled(pro, "api_access") == {"feature": "api_access"} | off
    assert entitled(pro, "never-heard-of") == {"feature": "never-heard-of"} | off


def test_what_is_metered_may_be_used_until_its_limit(pro: Customer) -> None:
    for used, remaining, expected in ((4, 1, None), (5, 0, "limit_reached"), (6, 0, "limit_reached"), (0, 5, None)):
        pro.use("agents", used)
        answer = entitled(pro, "agents")
        assert (answer["used"], answer["limit"], answer["remaining"], answer["reason"]) == (used, 5, remaining, expected)
        assert answer["on"] is (expected is None)


def test_who_has_no_subscription_may_use_nothing(customer: Customer) -> None:
    assert granted(customer.call("GET", "/entitlements")) == {"plan": None, "status": None, "entitlements": {}}
    assert entitled(customer, "analytics") == {"feature": "analytics", "on": False, "reason": "no_subscription"}


def test_who_ordered_and_has_not_paid_may_use_nothing(customer: Customer) -> None:
    customer.checkout()
    assert reason(customer, "estates") == "no_subscription"


def test_a_pause_switches_off_and_its_end_on(pro: Customer) -> None:
    assert reason(pro) is None
    granted(pro.change("pause", effective="now"))
    assert reason(pro) == "suspended"
    granted(pro.change("unpause"))
    assert reason(pro) is None
    granted(pro.change("cancel", effective="now"))
    assert reason(pro) == "no_subscription"


def test_who_does_not_pay_is_served_through_grace_and_not_after(client: Client, customer: Customer) -> None:
    granted(assign(customer, **PRO | {"comp": {"percent": 100, "periods": 1}}), 201)
    client.walked(customer=customer.name, by="P1M")
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"], reason(customer)) == ("past_due", "grace", None)
    client.walked(customer=customer.name, by="P3DT1M")
    assert (customer.subscription()["status"], reason(customer)) == ("past_due", "suspended")
    assert customer.subscription()["dunning"]["stage"] == "suspended"
    client.walked(customer=customer.name, by="P30D")
    assert (customer.subscription()["status"], reason(customer)) == ("canceled", "suspended")


@pytest.fixture
def prepaid(client: Client, customer: Customer) -> Iterator[Customer]:
    """Of a plan that brings ten tokens a period, and lets its owner have reports and make calls while some are left."""
    calls = {"id": "calls", "name": "Calls", "kind": "counter", "unit": {"one": "call", "many": "calls"}, "reduce": "make fewer:"}
    family = {"id": "letters", "name": "Letters", "meters": [calls], "features": [{"id": "reports", "name": "Reports"}]}
    plan = {
        "id": "letters-ten", "name": "Ten", "display_name": "Ten", "description": "Ten letters", "tier": 1,
        "pricing_model": "tokens", "features": ["reports"], "limits": {"calls": 5}, "tokens_included": 10,
        "prices": [{"interval": "month", "amount": {"minor": 500, "currency": "USD"}, "recurring": True}],
    }  # fmt: skip

    def publish(active: bool) -> Any:
        return client.invoke("LoadCatalogueFunction", {"family": family, "plans": [plan | {"active": active}]})

    assert "plans" in publish(True)
    granted(assign(customer, plan="letters-ten", interval="month", comp={"percent": 100, "periods": None}), 201)
    yield customer
    publish(False)


def test_a_plan_that_brings_tokens_is_off_while_there_are_none(client: Client, prepaid: Customer) -> None:
    def shown() -> tuple[Any, ...]:
        found = prepaid.subscription()
        said = prepaid.call("GET", "/entitlements/token").json()["token"].split(".")[1]
        signed = json.loads(base64.urlsafe_b64decode(said + "=" * (-len(said) % 4)))["features"]
        all_of_them = granted(prepaid.call("GET", "/entitlements"))["entitlements"]
        reasons = {reason(prepaid, name) for name in ("reports", "calls")}
        reasons |= {it["reason"] for it in all_of_them.values()} | {it.get("reason") for it in signed.values()}
        return found["status"], found["tokens"], found["features"], reasons

    with_all = ("active", {"balance": 10, "included": 10, "active": True}, {"reports": True}, {None})
    without = ("active", {"balance": 0, "included": 10, "active": False}, {"reports": False}, {"out_of_tokens"})
    assert shown() == with_all
    granted(prepaid.consume(10))
    assert shown() == without
    assert reason(prepaid, "never-heard-of") == "not_in_plan"
    assert entitled(prepaid, "calls")["remaining"] == 5
    client.walked(customer=prepaid.name, by="P32D")
    assert shown() == with_all, "the period that followed brought more"


def test_s17_nobody_is_told_what_another_may_use(pro: Customer, other: Customer) -> None:
    for query in ("", f"?customer={pro.name}", f"?sub={pro.name}"):
        assert entitled(other, f"analytics{query}")["reason"] == "no_subscription"


@pytest.mark.parametrize("name", ["Analytics", "a%20b", "..", "x" * 65, "%C3%A9"])
def test_what_is_no_name_of_a_feature_is_not_there(pro: Customer, name: str) -> None:
    refusal(pro.call("GET", f"/entitlements/{name}"), 404)
