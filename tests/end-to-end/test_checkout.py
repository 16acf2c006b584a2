"""Buying: through each gateway, once for each idempotency key, and only what makes sense."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from answers import refusal
from client import Client, Response, wait_for
from customer import PATIENCE, Customer, Gateways, granted, pay
from records import Records

CARD = "4111111111111111"  # a card number in the wrong place; searched for in the logs afterwards

ORDER = {
    "plan": "estates-professional",
    "interval": "month",
    "currency": "NGN",
    "quantity": 1,
    "gateway": "paystack",
}

WAYS = {
    "paystack": {"gateway": "paystack", "plan": "estates-professional", "currency": "NGN"},
    "stripe checkout": {"gateway": "stripe", "plan": "minutes-pro", "currency": "USD"},
    "stripe client secret": {
        "gateway": "stripe",
        "plan": "minutes-pro",
        "currency": "USD",
        "method": "client_secret",
    },
    "stripe seats": {"gateway": "stripe", "plan": "crm-professional", "currency": "GEL", "quantity": 3},
    "stripe tokens": {"gateway": "stripe", "plan": "tokens-basic", "currency": "USD", "interval": "30_days"},
}
AMOUNTS = {
    "paystack": {"minor": 700000, "currency": "NGN"},
    "stripe checkout": {"minor": 9900, "currency": "USD"},
    "stripe client secret": {"minor": 9900, "currency": "USD"},
    "stripe seats": {"minor": 4500, "currency": "GEL"},
    "stripe tokens": {"minor": 1500, "currency": "USD"},
}


@pytest.mark.parametrize("way", WAYS)
def test_who_pays_is_served(client: Client, customer: Customer, gateways: Gateways, way: str) -> None:
    payment = customer.checkout(**WAYS[way])
    assert payment["status"] == "pending"
    assert payment["amount"] == AMOUNTS[way]
    assert bool(payment["checkout_url"]) != bool(payment["client_secret"])
    ordered = customer.subscription()
    assert ordered["status"] == "incomplete"
    assert not any(ordered["features"].values())

    assert pay(client, payment).status < 400
    found = customer.becomes("active")
    assert found["plan"]["id"] == WAYS[way]["plan"]
    assert found["quantity"] == WAYS[way].get("quantity", 1)
    assert found["payment_method"]["gateway"] == payment["gateway"]
    assert customer.payment(payment["id"])["status"] == "succeeded"
    assert [charge["amount"] for charge in gateways.taken(payment["reference"])] == [AMOUNTS[way]]


def test_tokens_come_with_the_period_that_is_paid(customer: Customer) -> None:
    customer.subscribe(**WAYS["stripe tokens"])
    assert customer.subscription()["tokens"] == {"balance": 1000, "included": 1000, "active": True}


def test_a_decline_on_the_page_is_not_the_end(client: Client, customer: Customer) -> None:
    payment = customer.checkout(**WAYS["stripe checkout"])
    assert pay(client, payment, card="4000000000009995").status == 402
    assert pay(client, payment).status < 400
    customer.becomes("active")


def test_verify_asks_the_gateway_and_not_the_browser(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    payment = customer.checkout()
    gateways.webhooks("paystack", "lose")
    assert customer.verify(payment["id"])["payment"]["status"] == "pending"
    pay(client, payment)
    verified = customer.verify(payment["id"])
    assert verified["payment"]["status"] == "succeeded"
    assert verified["subscription"]["status"] == "active"
    assert verified["subscription"]["end_date"]
    assert customer.verify(payment["id"]) == verified


def test_who_is_subscribed_cannot_subscribe_again(customer: Customer, records: Records) -> None:
    customer.subscribe()
    before = records.of(customer.name)
    refusal(customer.order(), 409)
    assert records.of(customer.name) == before


def test_payments_are_listed_newest_first_and_by_pages(customer: Customer) -> None:
    made = [customer.checkout(plan=plan)["id"] for plan in ("estates-starter", "estates-professional")]
    made.append(customer.checkout(plan="estates-enterprise")["id"])
    assert [payment["id"] for payment in customer.payments()] == made[::-1]
    seen, cursor = [], ""
    while True:
        page = granted(customer.call("GET", f"/payments?limit=1{cursor}"))
        seen += [payment["id"] for payment in page["payments"]]
        if page["next"] is None:
            break
        cursor = f"&before={page['next']}"
    assert seen == made[::-1]


@pytest.mark.parametrize("gateway", ["paystack", "stripe"])
def test_abandoned_for_another_only_the_paid_one_counts(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    way = WAYS["paystack" if gateway == "paystack" else "stripe checkout"]
    first, second = customer.checkout(**way), customer.checkout(**way)
    assert first["id"] != second["id"]
    pay(client, first)
    customer.becomes("active")
    pay(client, second)

    def refunded() -> bool:
        client.advance("PT6H")
        client.sweep()
        client.settle()
        return customer.payment(second["id"])["status"] == "refunded"

    # Paid twice: one is kept, and what the other took goes back.
    wait_for(refunded, PATIENCE, "the refund", pause=0.3)
    assert customer.payment(first["id"])["status"] == "succeeded"
    left = {
        payment["id"]: [charge["amount"]["minor"] - charge["refunded"] for charge in gateways.taken(payment["reference"])]
        for payment in (first, second)
    }
    assert left == {first["id"]: [first["amount"]["minor"]], second["id"]: [0]}


# -- Idempotency


def test_the_same_key_and_request_is_the_same_payment(
    customer: Customer, records: Records, gateways: Gateways
) -> None:
    first = customer.order(key="again")
    before, asked = records.all(), gateways.books()["requests"]["paystack"]["checkout"]
    again = customer.order(key="again")
    assert (again.status, again.json()) == (201, first.json())
    # Said in another order, and with the default spelt out: still the same request.
    spelt = {**dict(reversed(ORDER.items())), "return_url": None}
    answer = customer.call("POST", "/payments", body=spelt, headers={"Idempotency-Key": "again"})
    assert (answer.status, answer.json()) == (201, first.json())
    assert records.all() == before
    assert gateways.books()["requests"]["paystack"]["checkout"] == asked


@pytest.mark.parametrize(
    "change",
    [
        {"plan": "estates-starter"},
        {"interval": "year"},
        {"quantity": 2},
        {"gateway": "stripe"},
        {"return_url": "https://app.example.com/other"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_s35_the_same_key_for_another_request_is_refused(
    customer: Customer, records: Records, change: dict[str, Any]
) -> None:
    customer.checkout(key="mine")
    before = records.all()
    refusal(customer.order(key="mine", **change), 422, "Idempotency-Key")
    assert records.all() == before


def test_s21_anothers_key_means_nothing_to_me(customer: Customer, other: Customer) -> None:
    mine, theirs = customer.checkout(key="same"), other.checkout(key="same", plan="estates-starter")
    assert mine["id"] != theirs["id"]
    assert mine["reference"] != theirs["reference"]
    assert theirs["plan"] == "estates-starter"


def test_s34_fifty_at_once_with_one_key_are_one_payment(
    customer: Customer, records: Records, gateways: Gateways
) -> None:
    asked = gateways.books()["requests"]["paystack"]["checkout"]
    with ThreadPoolExecutor(50) as crowd:
        answers: list[Response] = list(crowd.map(lambda _: customer.order(key="crowd"), range(50)))
    assert {answer.status for answer in answers} <= {201, 409}
    made = {json.dumps(answer.json(), sort_keys=True) for answer in answers if answer.status == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status == 409:
            refusal(answer, 409)
            assert answer.headers["retry-after"] == "1"
    assert len(records.of(customer.name, "PAY#")) == 1
    assert len(records.of(customer.name, "CLAIM#")) == 1
    assert gateways.books()["requests"]["paystack"]["checkout"] == asked + 1
    # The losers come back, and get what the winner got.
    assert json.dumps(customer.order(key="crowd").json(), sort_keys=True) in made


@pytest.mark.parametrize("key", [None, "", " ", "with space", "a" * 256, "tab\there", "é"])
def test_s36_s37_a_key_is_needed_and_has_a_form(customer: Customer, records: Records, key: str | None) -> None:
    before = records.all()
    headers = {} if key is None else {"idempotency-key": key.encode("utf-8").decode("latin-1")}
    refusal(customer.call("POST", "/payments", body=ORDER, headers=headers), 400, "Idempotency-Key")
    assert records.all() == before


def test_s36_the_longest_key_is_good(customer: Customer) -> None:
    assert customer.checkout(key="a" * 255) == customer.checkout(key="a" * 255)


# -- What is asked for


def order(**change: Any) -> dict[str, Any]:
    return {"body": ORDER | change}


def without(name: str) -> dict[str, Any]:
    return {"body": {key: value for key, value in ORDER.items() if key != name}}


def raw(text: str | bytes, **headers: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    content = text if isinstance(text, bytes) else text.encode()
    return {"raw": content, "headers": {"content-type": "application/json", **named}}


def with_quantity(number: str) -> dict[str, Any]:
    """A number as it is written, which a serializer would not write."""
    return raw(json.dumps(ORDER | {"quantity": 0}).replace('"quantity": 0', f'"quantity": {number}'))


TEXT = json.dumps(ORDER)

WRONG: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "S19 tenant": (order(tenant_id="globex"), 400, "tenant_id"),
    "S19 customer": (order(customer="globex"), 400, "customer"),
    "S26 status": (order(status="succeeded"), 400, "status"),
    "S26 version": (order(version=1), 400, "version"),
    "S29 amount": (order(amount=1), 400, "amount"),
    "S29 amount object": (order(amount={"minor": 1, "currency": "NGN"}), 400, "amount"),
    "S29 price": (order(price=0), 400, "price"),
    "S30 quantity 0": (order(quantity=0), 400, "quantity"),
    "S30 quantity -1": (order(quantity=-1), 400, "quantity"),
    "S30 quantity 1.5": (order(quantity=1.5), 400, "quantity"),
    "S30 quantity as text": (order(quantity="100"), 400, "quantity"),
    "S30 quantity 2^63": (order(quantity=2**63), 400, "quantity"),
    "S30 quantity 2^32": (order(quantity=2**32), 400, "quantity"),
    "S30 quantity 1e309": (with_quantity("1e309"), 400, "quantity"),
    "S30 quantity NaN": (with_quantity("NaN"), 400, "quantity"),
    "S30 quantity null": (order(quantity=None), 400, "quantity"),
    "S30 two of a flat plan": (order(quantity=2), 422, "quantity"),
    "S30 more seats than money": (
        order(plan="crm-professional", currency="GEL", gateway="stripe", quantity=4_000_000_000),
        422,
        "quantity",
    ),
    "S31 currency not in the plan": (order(currency="USD"), 422, "currency"),
    "S31 no currency": (order(currency="XXY1"), 400, "currency"),
    "S31 lower case": (order(currency="ngn"), 400, "currency"),
    "interval not in the plan": (order(interval="30_days"), 422, "interval"),
    "interval unknown": (order(interval="fortnight"), 400, "interval"),
    "plan unknown": (order(plan="none"), 422, "plan"),
    "S22 plan as a key": (order(plan="PLAN#x"), 400, "plan"),
    "S22 plan too long": (order(plan="a" * 300), 400, "plan"),
    "gateway unknown": (order(gateway="cash"), 400, "gateway"),
    "method unknown": (order(method="transfer"), 400, "method"),
    "method of another gateway": (order(method="client_secret"), 422, "method"),
    "plan missing": (without("plan"), 400, "plan"),
    "gateway missing": (without("gateway"), 400, "gateway"),
    "S38 card number": (order(plan=CARD), 400, None),
    "S38 card number with blanks": (order(return_url="https://app.example.com/?c=4111 1111 1111 1111"), 400, None),
    "S38 card number elsewhere": (order(note={"deep": [CARD]}), 400, None),
    "S39 another's page": (order(return_url="https://evil.example/"), 422, "return_url"),
    "S39 a script": (order(return_url="javascript:alert(1)"), 422, "return_url"),
    "S39 no scheme": (order(return_url="//evil.example"), 422, "return_url"),
    "S39 a longer host": (order(return_url="https://app.example.com.evil.example/"), 422, "return_url"),
    "S39 a user": (order(return_url="https://app.example.com@evil.example/"), 422, "return_url"),
    "S39 plain http": (order(return_url="http://app.example.com/"), 422, "return_url"),
    "S61 32 KiB and one": (raw(TEXT[:-1] + " " * (32 * 1024 + 2 - len(TEXT)) + "}"), 413, None),
    "S61 a megabyte": (raw(b"{" + b" " * 1024 * 1024), 413, None),
    "S62 deep": (raw("[" * 10_000), 400, None),
    "S62 deep inside": (raw('{"plan":' + '{"a":' * 5_000 + "1" + "}" * 5_000 + "}"), 400, "plan"),
    "S62 many names": (raw("{" + ",".join(f'"k{n}":1' for n in range(3_000)) + "}"), 400, "k0"),
    "S62 a name twice": (raw(TEXT.replace("{", '{"plan":"estates-starter",', 1)), 400, "plan"),
    "S62 not UTF-8": (raw(TEXT.encode().replace(b"estates-", b"est\xff\xfe-")), 400, "plan"),
    "S62 half a character": (raw(TEXT.replace("estates-", "\\ud800")), 400, "plan"),
    "S62 nothing": (raw(""), 400, None),
    "S62 no object": (raw("[]"), 400, None),
    "S62 cut short": (raw(TEXT[:-1]), 400, None),
    "S62 something follows": (raw(TEXT + "{}"), 400, None),
    "S62 a byte order mark": (raw(b"\xef\xbb\xbf" + TEXT.encode()), 400, None),
    "S64 no type": (raw(TEXT, content_type=""), 415, None),
    "S64 a form": (raw("plan=x", content_type="application/x-www-form-urlencoded"), 415, None),
    "S64 text": (raw(TEXT, content_type="text/plain"), 415, None),
    "S64 almost JSON": (raw(TEXT, content_type="application/jsonp"), 415, None),
    "S64 compressed": (raw(TEXT, content_encoding="gzip"), 415, None),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    customer: Customer, records: Records, gateways: Gateways, name: str
) -> None:
    how, status, field = WRONG[name]
    before, asked = records.all(), gateways.books()["requests"]
    headers = {"idempotency-key": "wrong", **how.get("headers", {})}
    problem = refusal(customer.call("POST", "/payments", **(how | {"headers": headers})), status, field)
    assert CARD not in json.dumps(problem)
    assert records.all() == before
    assert gateways.books()["requests"] == asked


@pytest.mark.parametrize(
    "url", ["https://app.example.com/done?x=1", "http://127.0.0.1:3000/back", None], ids=["path", "local", "none"]
)
def test_s39_a_page_of_the_deployment_may_be_returned_to(customer: Customer, url: str | None) -> None:
    customer.checkout(return_url=url)


# -- Usage and downgrades


@pytest.mark.parametrize(
    ("meter", "body", "status", "field"),
    [
        ("estates", {"value": -1}, 400, "value"),
        ("estates", {"value": 1.5}, 400, "value"),
        ("estates", {"value": "3"}, 400, "value"),
        ("estates", {"value": 2**53}, 400, "value"),
        ("estates", {"value": 2**64}, 400, "value"),
        ("estates", {"value": None}, 400, "value"),
        ("estates", {}, 400, "value"),
        ("estates", {"value": 1, "customer": "globex"}, 400, "customer"),
        ("none", {"value": 1}, 404, "meter"),
        ("LIVE%23SUB", {"value": 1}, 404, None),
        ("*", {"value": 1}, 404, None),
        ("minutes", {"value": 1}, 422, "meter"),
    ],
)
def test_usage_that_makes_no_sense_is_refused(
    customer: Customer, records: Records, meter: str, body: object, status: int, field: str | None
) -> None:
    customer.checkout()
    before = records.all()
    refusal(customer.call("PUT", f"/usage/{meter}", body=body), status, field)
    assert records.all() == before


def test_usage_goes_by_any_of_its_names_and_may_exceed_the_limit(customer: Customer) -> None:
    customer.subscribe()
    standing = {"meter": "estates", "used": 104, "limit": 100, "remaining": 0, "percentage": 104.0}
    assert customer.use("plots", 104) == standing
    assert standing in customer.subscription()["usage"]


def test_a_downgrade_is_blocked_by_exactly_what_exceeds(customer: Customer, records: Records) -> None:
    customer.subscribe(plan="estates-enterprise")
    for meter, value in (("estates", 150), ("allocations", 300), ("clients", 600), ("marketers", 50)):
        customer.use(meter, value)
    before = records.all()
    answer = customer.downgrade("estates-starter")
    assert answer["can_downgrade"] is False
    overages = {exceeded["resource"]: exceeded["overage"] for exceeded in answer["exceeds"]}
    assert overages == {"estates": 125, "allocations": 250, "clients": 500, "marketers": 45}
    assert answer["steps"][0] == "Estates: delete or archive 125 (reduce from 150 to 25 max)"
    assert "stay on Enterprise" in answer["steps"][-1]
    assert records.all() == before
    # Levels are reduced; no time makes them smaller.
    assert (answer["can_downgrade_at_period_end"], answer["possible_from"]) == (False, None)
    assert answer["cheapest_fit"]["plan"] == "estates-enterprise"
    customer.use("clients", 500)
    for meter, value in (("estates", 100), ("allocations", 200), ("marketers", 25)):
        assert customer.downgrade("estates-starter")["cheapest_fit"]["plan"] == "estates-enterprise"
        customer.use(meter, value)
    before = records.all()
    assert customer.downgrade("estates-starter")["cheapest_fit"] == {
        "plan": "estates-professional",
        "display_name": "Professional",
        "amount": {"minor": 700_000, "currency": "NGN"},
    }
    assert records.all() == before


@pytest.mark.parametrize(
    ("plan", "status"),
    [("none", 422), ("estates-enterprise", 422), ("estates-professional", 422), ("minutes-starter", 422), ("#", 400)],
)
def test_only_a_lower_plan_of_the_family_is_a_downgrade(customer: Customer, plan: str, status: int) -> None:
    customer.subscribe()
    refusal(customer.call("POST", "/subscription/validate-downgrade", body={"plan": plan}), status, "plan")


def test_nobody_has_a_subscription_before_they_order_one(customer: Customer) -> None:
    refusal(customer.call("GET", "/subscription"), 404)
    refusal(customer.call("POST", "/subscription/validate-downgrade", body={"plan": "estates-starter"}), 404)
    assert granted(customer.call("GET", "/payments")) == {"payments": [], "next": None}
