"""Subscriptions that Stripe drives: imported, followed with webhooks and without, and never charged from here (PRODUCT 23, I-18)."""

import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
import signing
from answers import refusal
from client import Client, Response, request, wait_for
from customer import Customer, Failed, Gateways, granted
from records import Records
from stack import Stack

# Whether the customer's subscription is as it is to be.
Seen = Callable[[dict[str, Any]], bool]

# How many days pass at most until what no webhook told of is found.
DAYS = 3


class Shop:
    """The merchant's subscriptions at Stripe, as they were before Perennial."""

    def __init__(self, stack: Stack, gateways: Gateways) -> None:
        self.gateways = gateways
        self.api = f"{stack.simulator}/stripe/v1"
        self.headers = {
            "authorization": f"Bearer {stack.keys()['stripe']['secret_key']}",
            "stripe-version": "2026-10-28.endive",
            "content-type": "application/x-www-form-urlencoded",
        }

    def post(self, path: str, **fields: str) -> dict[str, Any]:
        return granted(request("POST", f"{self.api}/{path}", raw=urlencode(fields).encode(), headers=self.headers))

    def price(self, plan: str | None, minor: str = "1500") -> str:
        """A price made by hand, marked with the plan that it is of, if of any."""
        product = self.post("products", name=plan or "Gold")["id"]
        terms = {"currency": "usd", "unit_amount": minor, "product": product, "recurring[interval]": "month"}
        marks = {"metadata[plan]": plan} if plan else {}
        return self.post("prices", **terms, **marks)["id"]

    def moves(self, action: str, **how: Any) -> dict[str, Any]:
        return self.gateways.order("stripe/subscription", {"action": action, **how})

    def begin(self, plan: str | None = "minutes-pro", **how: Any) -> dict[str, Any]:
        return self.moves("create", price=self.price(plan), email="billing@acme.example", **how)["subscription"]


@pytest.fixture
def shop(stack: Stack, gateways: Gateways) -> Shop:
    return Shop(stack, gateways)


def ask(client: Client, customer: Customer, subscription: str, **how: Any) -> Response:
    """POST /admin/customers/{customer}/imports, as the SaaS itself."""
    body = {"gateway": "stripe", "subscription": subscription}
    token = client.stack["tokens"]["admin"]
    return client.call("POST", f"/admin/customers/{customer.name}/imports", token=token, body=body | how)


def seconds(time: str) -> int:
    return int(datetime.fromisoformat(time).timestamp())


def has_period_of(stripe: dict[str, Any]) -> Seen:
    (item,) = stripe["items"]["data"]
    counted = item["current_period_start"], item["current_period_end"]

    def seen(found: dict[str, Any]) -> bool:
        period = found["current_period"]
        return (seconds(period["start"]), seconds(period["end"])) == counted

    return seen


def owes_after(attempts: int) -> Seen:
    return lambda found: found["dunning"] is not None and found["dunning"]["attempts"] == attempts


def charged_by_us(gateways: Gateways) -> int:
    """How often Stripe was asked for money without the customer."""
    return gateways.books()["requests"]["stripe"].get("off_session", 0)


class Follows:
    """What happens at Stripe shows here: by webhooks, or where they are lost by the daily look."""

    def __init__(self, client: Client, customer: Customer, mode: str) -> None:
        self.client, self.customer, self.mode = client, customer, mode

    def until(self, accepts: Seen, what: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.customer.subscription()
            return found if accepts(found) else None

        if self.mode == "delivered":
            return wait_for(look, 20, what)
        for _ in range(DAYS):
            self.client.advance("P1D")
            self.client.sweep()
            self.client.settle()
            if found := look():
                return found
        raise Failed(f"{what} was not found; {self.customer.subscription()}")


@pytest.mark.parametrize("mode", ["delivered", "lost"])
def test_a_driven_subscription_is_followed_to_its_end_and_never_charged(
    client: Client, customer: Customer, shop: Shop, gateways: Gateways, records: Records, mode: str
) -> None:
    gateways.webhooks("stripe", "deliver" if mode == "delivered" else "lose")
    begun = shop.begin()
    stripes = begun["id"]
    imported = granted(ask(client, customer, stripes), 201)["subscription"]
    assert (imported["status"], imported["plan"]["id"]) == ("active", "minutes-pro")
    assert imported["driven"] == {"gateway": "stripe", "subscription": stripes, "unknown_price": None}
    (card,) = customer.methods()
    assert (card["gateway"], card["last4"], card["default"]) == ("stripe", "4242", True)
    follows, before = Follows(client, customer, mode), charged_by_us(gateways)

    renewed = shop.moves("renew", subscription=stripes)["subscription"]
    follows.until(has_period_of(renewed), "the next period")

    for attempts in (1, 2):
        shop.moves("renew", subscription=stripes, declined="insufficient_funds")
        owing = follows.until(owes_after(attempts), f"decline {attempts}")
        assert (owing["status"], owing["dunning"]["stage"]) == ("past_due", "retry")
        assert owing["dunning"]["failure"] == {"code": "insufficient_funds", "remedy": "retry_later"}
        assert owing["dunning"]["pay"] is None  # it is paid where it is driven
    refusal(customer.call("POST", "/subscription/payments", body={"gateway": "stripe"}, headers=key()), 409)

    paid = shop.moves("renew", subscription=stripes)["subscription"]
    active = follows.until(lambda found: found["status"] == "active", "the payment")
    assert active["dunning"] is None and has_period_of(paid)(active)

    shop.moves("change_price", subscription=stripes, price=shop.price("minutes-enterprise", "4000"))
    changed = follows.until(lambda found: found["plan"]["id"] == "minutes-enterprise", "the other plan")
    assert changed["price"] == {"minor": 4000, "currency": "USD"}

    shop.moves("cancel", subscription=stripes, at_period_end=True)
    leaving = follows.until(lambda found: found["scheduled_change"] is not None, "the cancellation")
    assert leaving["scheduled_change"] == {"action": "cancel", "at": leaving["current_period"]["end"]}
    refusal(customer.order(plan="minutes-pro", gateway="stripe", currency="USD"), 409)

    ended = shop.moves("cancel", subscription=stripes)["subscription"]
    follows.until(lambda found: found["status"] == "canceled", "the end")
    (stored,) = records.of(customer.name, "LIVE#SUB")
    on = datetime.fromtimestamp(ended["ended_at"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert on in json.dumps(stored), "canceled with the date on which it was"
    assert charged_by_us(gateways) == before
    assert customer.payments() == []


def key() -> dict[str, str]:
    return {"idempotency-key": secrets.token_hex(12)}


def test_a_dry_run_tells_what_would_be_and_an_import_is_made_once(
    client: Client, customer: Customer, shop: Shop, records: Records
) -> None:
    stripes = shop.begin()["id"]
    # Stripe may still be telling of it; nothing of that is the customer's.
    would_be = granted(ask(client, customer, stripes, dry_run=True), 200)
    assert would_be["dry_run"] is True and records.of(customer.name) == []
    imported = granted(ask(client, customer, stripes), 201)
    assert imported["subscription"] == would_be["subscription"]
    before = records.of(customer.name)
    assert granted(ask(client, customer, stripes), 201) == imported
    assert records.of(customer.name) == before


def test_what_cannot_be_imported_is_refused_by_its_field(
    client: Client, customer: Customer, other: Customer, shop: Shop, records: Records
) -> None:
    for unknown in ("sub_1Unknown", "cus_1", "", "sub_1/../../customers"):
        refusal(ask(client, customer, unknown), 422, "subscription")
    refusal(ask(client, customer, shop.begin(plan=None)["id"]), 422, "subscription")
    refusal(ask(client, customer, shop.begin(plan="tokens-basic")["id"]), 422, "subscription")
    ended = shop.begin()["id"]
    shop.moves("cancel", subscription=ended)
    refusal(ask(client, customer, ended), 422, "subscription")
    assert records.of(customer.name) == []

    taken = shop.begin()["id"]
    granted(ask(client, other, taken), 201)
    refusal(ask(client, customer, taken), 409)
    customer.subscribe()
    refusal(ask(client, customer, shop.begin()["id"]), 409)


def test_only_the_saas_itself_imports(client: Client, customer: Customer, shop: Shop, records: Records) -> None:
    body = {"gateway": "stripe", "subscription": shop.begin()["id"]}
    refusal(customer.call("POST", f"/admin/customers/{customer.name}/imports", body=body), 403)
    assert records.of(customer.name) == []


def test_nobody_becomes_a_customer_because_stripe_says_so(
    client: Client, customer: Customer, shop: Shop, records: Records
) -> None:
    """Whoever can write metadata at Stripe could otherwise write themselves a plan."""
    begun = shop.begin(metadata={"customer": customer.name})
    event = signing.stripe_event("customer.subscription.created", **begun)
    assert signing.deliver(client, "stripe", event).status == 200
    assert records.delivery("stripe", event["id"])
    assert records.of(customer.name) == []


def test_i18_a_delivery_about_it_is_a_hint_and_no_more(
    client: Client, customer: Customer, shop: Shop, gateways: Gateways
) -> None:
    begun = shop.begin()
    granted(ask(client, customer, begun["id"]), 201)
    before = customer.subscription()
    lie = signing.stripe_event("customer.subscription.deleted", **begun | {"status": "canceled", "ended_at": 1})
    asked = gateways.books()["requests"]["stripe"].get("find", 0)
    assert signing.deliver(client, "stripe", lie).status == 200
    assert gateways.books()["requests"]["stripe"]["find"] > asked
    assert customer.subscription() == before
