"""A family of the tests' own, with what the shipped ones have none of: trials, add-ons, and two plans for seats."""

from typing import Any

from client import Client
from customer import Customer, granted, pay

# Six seats of Team cost 90.00 a month, six of Basic 60.00.
BASIC = {"plan": "studio-basic", "interval": "month", "currency": "USD", "gateway": "stripe"}
TEAM = {**BASIC, "plan": "studio-team"}


def usd(minor: int) -> dict[str, Any]:
    return {"minor": minor, "currency": "USD"}


def by_the(interval: str, minor: int) -> dict[str, Any]:
    return {"interval": interval, "amount": usd(minor)}


def plan(id: str, name: str, seat: int, **more: Any) -> dict[str, Any]:
    prices = [{**by_the("month", seat), "recurring": True}, {**by_the("year", 10 * seat), "recurring": True}]
    said = {"id": id, "name": name, "display_name": name, "description": f"{name}, by the seat"}
    return said | {"pricing_model": "per_seat", "prices": prices} | more


def storage(raises: int) -> dict[str, Any]:
    """Sold by the month only."""
    price = by_the("month", 500)
    return {"id": "storage", "name": "More storage", "per_unit": True, "prices": [price], "limits": {"storage": raises}}


PHONE = {"id": "phone", "name": "Phone line", "per_unit": False, "prices": [by_the("month", 2000)], "features": ["phone"]}

FAMILY = {
    "id": "studio",
    "name": "Studio",
    "meters": [
        {
            "id": "storage",
            "name": "Storage",
            "kind": "gauge",
            "unit": {"one": "gigabyte", "many": "gigabytes"},
            "reduce": "delete",
        }
    ],
    "features": [{"id": "phone", "name": "Phone"}, {"id": "reports", "name": "Reports"}],
}

PLANS = [
    plan("studio-basic", "Basic", 1000, tier=1, features=[], limits={"storage": 10}, addons=[storage(10)]),
    plan(
        "studio-team",
        "Team",
        1500,
        tier=2,
        features=["reports"],
        limits={"storage": 50},
        addons=[storage(50), PHONE],
        trial={},
    ),
]


def off(code: str, off: dict[str, Any], lasts: Any, **more: Any) -> dict[str, Any]:
    return {"code": code, "off": off, "lasts": lasts} | more


COUPONS = [
    off("FIFTH", {"percent": "20"}, {"periods": 2}),
    off("FREE-MONTH", {"percent": "100"}, "once", most_per_customer=1),
    off("ONLY-THREE", {"percent": "100"}, "once", most_redemptions=3),
    off("ONLY-TWO", {"percent": "50"}, "once", most_redemptions=2),
    off("TEAM-ONLY", {"percent": "50"}, "once", plans=["studio-team"]),
    off("NAIRA", {"amount": {"minor": 100, "currency": "NGN"}}, "forever"),
    off("LONG-GONE", {"percent": "50"}, "once", redeem_by="2020-01-01T00:00:00Z"),
]


def publish(client: Client, *, active: bool) -> None:
    plans = [{**plan, "active": active} for plan in PLANS]
    answer = client.invoke("LoadCatalogueFunction", {"family": FAMILY, "plans": plans, "coupons": COUPONS})
    assert "plans" in answer, answer


def leave_card(client: Client, customer: Customer) -> None:
    setup = customer.add_method("stripe", "USD")
    pay(client, setup)
    customer.verify(setup["id"])


def tries(customer: Customer, seats: int = 3) -> dict[str, Any]:
    """Begins the trial of Team. Gives the subscription."""
    return granted(customer.change("subscribe", **TEAM, quantity=seats))["subscription"]
