"""What is for sale: public, and exactly as the catalogues say."""

import json

import pytest
from answers import refusal, substance
from client import Client
from customer import Customer, granted

COMPARISON = {
    "features": ["Monthly Call Minutes", "Number of Agents", "Analytics", "API Access"],
    "packages": {
        "Starter": ["1000 minutes", "1 agent", "❌ No", "❌ No"],
        "Pro": ["3000 minutes", "5 agents", "✅ Yes", "❌ No"],
        "Enterprise": ["10000 minutes", "25 agents", "✅ Yes", "✅ Yes"],
    },
}


def test_health_says_what_is_configured_and_nothing_secret(client: Client) -> None:
    health = granted(client.call("GET", "/health"))
    assert health["status"] == "ok"
    assert health["gateways"] == {name: {"configured": True} for name in ("stripe", "paystack", "flitt", "paypal")}
    assert set(health) == {"status", "version", "clock", "gateways"}


def test_all_four_catalogues_are_listed_without_a_token(client: Client) -> None:
    plans = granted(client.call("GET", "/plans"))["plans"]
    assert [plan["id"] for plan in plans] == [
        "crm-basic",
        "crm-professional",
        "estates-starter",
        "estates-professional",
        "estates-enterprise",
        "minutes-starter",
        "minutes-pro",
        "minutes-enterprise",
        "tokens-basic",
        "tokens-pro",
    ]


def test_plans_are_grouped_by_pricing_model(client: Client) -> None:
    groups = granted(client.call("GET", "/plans?group_by=pricing_model"))["groups"]
    ids = {model: sorted(plan["id"] for plan in plans) for model, plans in groups.items()}
    assert ids["per_seat"] == ["crm-professional"]
    assert ids["tokens"] == ["tokens-basic", "tokens-pro"]
    assert len(ids["flat"]) == 7
    assert "crm-basic" in ids["flat"]


def test_a_plan_says_what_it_costs_and_allows(client: Client) -> None:
    plan = granted(client.call("GET", "/plans/estates-enterprise"))["plan"]
    amounts = {price["interval"]: price["amount"] for price in plan["prices"]}
    assert amounts == {
        "month": {"minor": 1500000, "currency": "NGN"},
        "year": {"minor": 15000000, "currency": "NGN"},
    }
    assert plan["limits"] == dict.fromkeys(["allocations", "clients", "estates", "marketers"])


def test_a_plan_says_what_it_switches_on(client: Client) -> None:
    found = granted(client.call("GET", "/plans/crm-professional/features"))
    assert found["features"]["sip_calling"] is True
    assert found["features"]["whatsapp_integration"] is True
    assert len(found["features"]) == 11


def test_the_comparison_is_exactly_this(client: Client) -> None:
    answer = client.call("GET", "/plans/comparison?family=minutes")
    assert granted(answer) == COMPARISON
    # Also the order, which a page shows as it comes.
    compact = json.dumps(COMPARISON, ensure_ascii=False, separators=(",", ":"))
    assert answer.body.decode() == compact


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/plans/none", 404, None),
        ("/plans/NONE", 404, None),
        ("/plans/%23CATALOGUE", 404, None),
        ("/plans/none/features", 404, None),
        ("/plans/comparison", 400, "family"),
        ("/plans/comparison?family=none", 404, None),
        ("/plans/comparison?family=minutes&family=crm", 400, "family"),
        ("/plans?group_by=colour", 400, "group_by"),
    ],
)
def test_what_does_not_exist_is_said_to_not_exist(client: Client, path: str, status: int, field: str | None) -> None:
    refusal(client.call("GET", path), status, field)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/nothing"),
        ("DELETE", "/plans"),
        ("POST", "/plans/estates-starter"),
        ("GET", "/webhooks/stripe"),
        ("PATCH", "/subscription"),
        ("DELETE", "/payments"),
        # S27: what has no business on the web has no address there.
        ("POST", "/sweeper"),
        ("POST", "/renewal-worker"),
        ("POST", "/payment-retry-worker"),
        ("POST", "/mail-worker"),
        ("POST", "/load-catalogue"),
        ("POST", "/sync-gateway"),
        ("POST", "/catalogue"),
    ],
)
def test_s27_s66_there_is_nothing_else(client: Client, customer: Customer, method: str, path: str) -> None:
    answer = client.call(method, path, token=client.stack["tokens"]["admin"])
    assert answer.status == 404
    assert answer.json() == {"message": "Not Found"}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/plans", None),
        ("GET", "/plans?group_by=pricing_model", None),
        ("GET", "/plans/minutes-pro", None),
        ("GET", "/plans/minutes-pro/features", None),
        ("GET", "/plans/comparison?family=minutes", None),
        ("GET", "/payments", None),
        ("GET", "/payments/{payment}", None),
        ("POST", "/payments/{payment}/verify", None),
        ("GET", "/subscription", None),
        ("POST", "/subscription/validate-downgrade", {"plan": "estates-starter"}),
        ("POST", "/subscription/preview", {"action": "cancel", "effective": "now"}),
        ("POST", "/subscription/changes", {"action": "resume"}),
        ("PUT", "/usage/estates", {"value": 3}),
        ("PUT", "/usage/none", {"value": 3}),
        ("POST", "/usage", {"meter": "estates", "value": 3, "id": "use-1"}),
        ("POST", "/usage", {"records": []}),
        ("POST", "/usage/minutes/increment", {"value": 3}),
        ("POST", "/tokens/consume", {"tokens": 3}),
        ("GET", "/tokens/history?limit=3", None),
        ("GET", "/entitlements", None),
        ("GET", "/alerts", None),
        ("GET", "/usage/statistics", None),
        ("PUT", "/alerts/minutes", {"acknowledged": True}),
        ("GET", "/entitlements/analytics", None),
        ("POST", "/payments", {"plan": "none"}),
        ("POST", "/webhooks/stripe", {}),
        ("POST", "/webhooks/none", {}),
        ("POST", "/test-clock/advance", {"by": "P1M"}),
        ("POST", "/test-clock/walk", {"by": "P1M"}),
    ],
)
def test_a_trailing_slash_changes_nothing(
    subscribed: tuple[Customer, str], method: str, path: str, body: object
) -> None:
    customer, payment = subscribed
    path, question, query = path.replace("{payment}", payment).partition("?")
    answers = [customer.call(method, at + question + query, body=body) for at in (path, path + "/")]
    assert substance(answers[0]) == substance(answers[1])


def test_a_trailing_slash_changes_nothing_about_an_order(customer: Customer) -> None:
    order = {"plan": "estates-starter", "interval": "month", "currency": "NGN", "quantity": 1, "gateway": "paystack"}
    key = {"idempotency-key": "once"}
    answers = [customer.call("POST", path, body=order, headers=key) for path in ("/payments/", "/payments")]
    assert granted(answers[0], 201) == granted(answers[1], 201)


def test_a_trailing_slash_changes_nothing_about_health(client: Client) -> None:
    with_slash, without = (granted(client.call("GET", path)) for path in ("/health/", "/health"))
    assert with_slash | {"clock": None} == without | {"clock": None}


@pytest.fixture(scope="module")
def subscribed(client: Client, records: object) -> tuple[Customer, str]:
    customer = Customer.fresh(client)
    payment = customer.subscribe()["id"]
    # On a clock of their own, which stands still: a preview says to the second when it was made.
    client.walked(customer=customer.name, by="PT12H")
    yield customer, payment
    records.forget(customer.name)


def test_s76_what_is_anyones_may_be_cached_and_what_is_a_customers_may_not(
    client: Client, subscribed: tuple[Customer, str]
) -> None:
    customer, payment = subscribed
    assert client.call("GET", "/plans").headers["cache-control"] == "public, max-age=60"
    for path in ("/subscription", "/payments", f"/payments/{payment}", "/tokens/history", "/entitlements", "/health"):
        answer = customer.call("GET", path)
        assert answer.headers["cache-control"] == "no-store", path
        assert answer.headers["x-content-type-options"] == "nosniff", path


def test_s75_a_page_elsewhere_gets_no_permission(client: Client, customer: Customer) -> None:
    evil = {"origin": "https://evil.example"}
    for answer in (customer.call("GET", "/subscription", headers=evil), client.call("GET", "/plans", headers=evil)):
        assert "access-control-allow-origin" not in answer.headers
