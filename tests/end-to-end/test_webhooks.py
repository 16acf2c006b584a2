"""What gateways tell us: only what they signed is taken in, and it is never believed (RELIABILITY S41–S63, I-17, I-18)."""

import hashlib
import hmac
import time
from collections.abc import Callable
from typing import Any

import pytest
import signing
from answers import refusal
from client import Client, wait_for
from customer import Customer, Gateways, pay
from records import Records
from signing import Headers

BOTH = pytest.mark.parametrize("gateway", ["paystack", "stripe"])

WAYS = {"paystack": {}, "stripe": {"gateway": "stripe", "plan": "minutes-pro", "currency": "USD"}}


# -- Forged


def digest(secret: str, body: bytes, algorithm: Any) -> str:
    return hmac.new(secret.encode(), body, algorithm).hexdigest()


def stripe_signatures(secret: str, body: bytes, number: int, genuine: int | None) -> Headers:
    """Many signatures, of which at most one is right."""
    sent = int(time.time())
    right = signing.stripe_digest(secret, sent, body)
    values = [right if place == genuine else "0" * 64 for place in range(number)]
    return {"stripe-signature": ",".join([f"t={sent}", *(f"v1={value}" for value in values)])}


# What is sent in place of the body and headers that would be right.
Forgery = Callable[[str, bytes], tuple[bytes, Headers]]

FORGED: dict[str, tuple[str, Forgery]] = {
    "S41 stripe unsigned": ("stripe", lambda secret, body: (body, {})),
    "S41 stripe empty": ("stripe", lambda secret, body: (body, {"stripe-signature": ""})),
    "S41 stripe no time": (
        "stripe",
        lambda secret, body: (body, {"stripe-signature": f"v1={digest(secret, body, hashlib.sha256)}"}),
    ),
    "S42 stripe with an empty key": ("stripe", lambda secret, body: (body, signing.stripe("", body))),
    "S43 stripe one byte more": ("stripe", lambda secret, body: (body + b" ", signing.stripe(secret, body))),
    "S43 stripe a newline": ("stripe", lambda secret, body: (body + b"\n", signing.stripe(secret, body))),
    "S43 stripe a byte order mark": (
        "stripe",
        lambda secret, body: (b"\xef\xbb\xbf" + body, signing.stripe(secret, body)),
    ),
    "S43 stripe spelt otherwise": (
        "stripe",
        lambda secret, body: (body.replace(b":", b": "), signing.stripe(secret, body)),
    ),
    "S44 stripe too old": ("stripe", lambda secret, body: (body, signing.stripe(secret, body, age=302))),
    "S44 stripe from the future": ("stripe", lambda secret, body: (body, signing.stripe(secret, body, age=-400))),
    "S44 stripe a time that is none": (
        "stripe",
        lambda secret, body: (body, {"stripe-signature": f"t=now,v1={digest(secret, b'now.' + body, hashlib.sha256)}"}),
    ),
    "S45 stripe v0 only": ("stripe", lambda secret, body: (body, signing.stripe(secret, body, scheme="v0"))),
    "S45 stripe a hundred signatures": (
        "stripe",
        lambda secret, body: (body, stripe_signatures(secret, body, 100, 99)),
    ),
    "S58 stripe with Paystack's signature": ("stripe", lambda secret, body: (body, signing.paystack(secret, body))),
    "S41 paystack unsigned": ("paystack", lambda secret, body: (body, {})),
    "S41 paystack empty": ("paystack", lambda secret, body: (body, {"x-paystack-signature": ""})),
    "S42 paystack with an empty key": ("paystack", lambda secret, body: (body, signing.paystack("", body))),
    "S43 paystack one byte more": ("paystack", lambda secret, body: (body + b" ", signing.paystack(secret, body))),
    "S43 paystack another amount": (
        "paystack",
        lambda secret, body: (body.replace(b"success", b"successs"), signing.paystack(secret, body)),
    ),
    "S48 paystack SHA-256": (
        "paystack",
        lambda secret, body: (body, {"x-paystack-signature": digest(secret, body, hashlib.sha256)}),
    ),
    "S48 paystack upper case": (
        "paystack",
        lambda secret, body: (body, {"x-paystack-signature": digest(secret, body, hashlib.sha512).upper()}),
    ),
    "S48 paystack cut short": (
        "paystack",
        lambda secret, body: (body, {"x-paystack-signature": digest(secret, body, hashlib.sha512)[:64]}),
    ),
    "S58 paystack with Stripe's signature": ("paystack", lambda secret, body: (body, signing.stripe(secret, body))),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_delivery_is_refused_and_nothing_is_stored(
    client: Client, records: Records, gateways: Gateways, customer: Customer, name: str
) -> None:
    gateway, forge = FORGED[name]
    payment = customer.checkout(**WAYS[gateway])
    # What the gateways still tell of other stories comes when it comes.
    before, asked = records.about(payment["reference"]), gateways.books()["requests"]
    body = signing.encode(signing.event_of(gateway, reference=payment["reference"]))
    refusal(signing.post(client, gateway, *forge(client.stack["webhook_secrets"][gateway], body)), 401)
    assert records.about(payment["reference"]) == before
    assert gateways.books()["requests"] == asked


@BOTH
def test_s58_the_other_gateways_secret_opens_nothing(client: Client, records: Records, gateway: str) -> None:
    other = {"paystack": "stripe", "stripe": "paystack"}[gateway]
    secret = client.stack["webhook_secrets"][other]
    body = signing.encode(signing.event_of(gateway))
    before = records.all()
    sign = signing.stripe if gateway == "stripe" else signing.paystack
    refusal(signing.post(client, gateway, body, sign(secret, body)), 401)
    assert records.all() == before


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b'{"id":1}', b'{"id":"evt_1"', b"\x00", b"[" * 10_000], ids=range(8)
)
@BOTH
def test_what_is_signed_but_makes_no_sense_is_refused(
    client: Client, records: Records, gateway: str, body: bytes
) -> None:
    before = records.all()
    refusal(signing.post(client, gateway, body, signing.signed(client, gateway, body)), 400)
    assert records.all() == before


@BOTH
@pytest.mark.parametrize("size", [256 * 1024 + 1, 1024 * 1024])
def test_s61_a_delivery_of_more_than_256_kib_is_refused_unread(
    client: Client, records: Records, gateway: str, size: int
) -> None:
    before = records.all()
    body = signing.encode(signing.event_of(gateway, padding=""))
    body += b" " * (size - len(body))
    refusal(signing.post(client, gateway, body, signing.signed(client, gateway, body)), 413)
    assert records.all() == before


@BOTH
def test_s61_a_delivery_of_exactly_256_kib_is_taken(client: Client, records: Records, gateway: str) -> None:
    event = signing.event_of(gateway)
    body = signing.encode(event)
    body += b" " * (256 * 1024 - len(body))
    assert signing.post(client, gateway, body, signing.signed(client, gateway, body)).status == 200
    assert records.delivery(gateway, signing.identity(gateway, event))


@pytest.mark.parametrize("gateway", ["none", "STRIPE", "..", "%00"])
def test_another_gateway_does_not_exist(client: Client, records: Records, gateway: str) -> None:
    before = records.all()
    assert signing.post(client, gateway, b"{}", {}).status == 404
    assert records.all() == before


# -- Genuine


@BOTH
@pytest.mark.parametrize("kind", ["something.new", "transfer.success", "invoice.created", "charge.dispute.create"])
def test_s57_an_unknown_type_is_kept_and_does_nothing(
    client: Client, records: Records, gateway: str, kind: str
) -> None:
    event = signing.event_of(gateway, kind)
    before = records.all()
    assert signing.deliver(client, gateway, event).status == 200
    kept = records.delivery(gateway, signing.identity(gateway, event))
    assert kept and kept["kind"]["S"] == kind
    assert len(records.all()) == len(before) + 1
    assert {key: item for key, item in records.all().items() if key in before} == before


@BOTH
def test_a_reference_that_is_not_ours_is_kept_and_does_nothing(
    client: Client, records: Records, gateways: Gateways, gateway: str
) -> None:
    event = signing.event_of(gateway, reference="r" + "a" * 25)
    asked = gateways.books()["requests"]
    assert signing.deliver(client, gateway, event).status == 200
    assert records.delivery(gateway, signing.identity(gateway, event))
    assert gateways.books()["requests"] == asked


@BOTH
def test_i18_a_delivery_alone_never_moves_money(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    """Genuine, about an open payment, and untrue: the gateway itself knows better when it is asked."""
    payment = customer.checkout(**WAYS[gateway])
    asked = gateways.books()["requests"][gateway].get("find", 0)
    assert signing.deliver(client, gateway, signing.event_of(gateway, reference=payment["reference"])).status == 200
    assert gateways.books()["requests"][gateway]["find"] == asked + 1
    assert customer.payment(payment["id"])["status"] == "pending"
    assert customer.subscription()["status"] == "incomplete"


def test_s55_an_event_of_the_live_mode_is_kept_and_does_nothing(
    client: Client, customer: Customer, records: Records, gateways: Gateways
) -> None:
    payment = customer.checkout(**WAYS["stripe"])
    event = signing.stripe_event(reference=payment["reference"]) | {"livemode": True}
    asked = gateways.books()["requests"]
    assert signing.deliver(client, "stripe", event).status == 200
    assert records.delivery("stripe", event["id"])
    assert gateways.books()["requests"] == asked


@BOTH
def test_s25_what_a_delivery_says_of_whose_it_is_does_not_matter(
    client: Client, customer: Customer, other: Customer, gateways: Gateways, records: Records, gateway: str
) -> None:
    gateways.webhooks(gateway, "lose")
    mine = customer.checkout(**WAYS[gateway])
    other.checkout(**WAYS[gateway])
    pay(client, mine)
    theirs = records.of(other.name)
    claim = {"customer": other.name, "tenant": other.name, "reference": mine["reference"]}
    told = {"metadata": claim} if gateway == "stripe" else {"metadata": claim, "reference": mine["reference"]}
    assert signing.deliver(client, gateway, signing.event_of(gateway, **told)).status == 200
    customer.becomes("active")
    assert records.of(other.name) == theirs


@BOTH
def test_s63_a_body_that_arrives_as_base64_is_verified_as_it_was_sent(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    gateways.webhooks(gateway, "lose")
    payment = customer.checkout(**WAYS[gateway])
    pay(client, payment)
    body = signing.encode(signing.event_of(gateway, reference=payment["reference"]))
    headers = signing.signed(client, gateway, body)
    # Anything that is not text reaches the function in base64.
    binary = "application/octet-stream"
    assert signing.post(client, gateway, body + b" ", headers, binary).status == 401
    assert signing.post(client, gateway, body, headers, binary).status == 200
    customer.becomes("active")


def test_s45_one_of_two_signatures_is_enough(client: Client, records: Records) -> None:
    event = signing.stripe_event()
    body = signing.encode(event)
    headers = stripe_signatures(client.stack["webhook_secrets"]["stripe"], body, 2, 1)
    assert signing.post(client, "stripe", body, headers).status == 200
    assert records.delivery("stripe", event["id"])


def test_s44_a_delivery_may_take_minutes(client: Client) -> None:
    """That it is five, to the second, is tested where time stands still: here the delivery itself takes some."""
    body = signing.encode(signing.stripe_event())
    headers = signing.stripe(client.stack["webhook_secrets"]["stripe"], body, age=240)
    assert signing.post(client, "stripe", body, headers).status == 200


@BOTH
def test_s46_s47_a_replay_is_answered_and_changes_nothing(
    client: Client, customer: Customer, records: Records, gateways: Gateways, gateway: str
) -> None:
    payment = customer.subscribe(**WAYS[gateway])
    gateways.have_told(customer)
    event = signing.event_of(gateway, reference=payment["reference"])
    assert signing.deliver(client, gateway, event).status == 200
    before, asked = records.all(), gateways.books()["requests"]
    for _ in range(3):
        assert signing.deliver(client, gateway, event).status == 200
    assert records.all() == before
    assert gateways.books()["requests"] == asked


# -- Twice, thrice, backwards



def delivered(gateways: Gateways, reference: str) -> bool:
    deliveries = gateways.books(reference=reference)["deliveries"]
    return bool(deliveries) and all(it["fate"] == "acknowledged" for it in deliveries)


@BOTH
def test_the_same_news_again_and_again_changes_nothing(
    customer: Customer, records: Records, gateways: Gateways, gateway: str
) -> None:
    payment = customer.subscribe(**WAYS[gateway])
    reference = payment["reference"]
    wait_for(lambda: delivered(gateways, reference), 20, "the webhooks", pause=0.05)
    before = records.all()
    for _ in range(3):
        gateways.order("webhooks/resend", {"gateway": gateway, "reference": reference})
        wait_for(lambda: delivered(gateways, reference), 20, "the webhooks", pause=0.05)
    assert records.all() == before
    assert len(records.of(customer.name, "EVENT#")) == 1


@pytest.mark.parametrize("order", ["forward", "reverse"])
@BOTH
def test_whatever_the_order_of_the_news_it_ends_the_same(
    client: Client, customer: Customer, records: Records, gateways: Gateways, gateway: str, order: str
) -> None:
    gateways.webhooks(gateway, "hold")
    payment = customer.checkout(**WAYS[gateway])
    declined = {"paystack": "4084080000670037", "stripe": "4000000000009995"}[gateway]
    pay(client, payment, card=declined)
    pay(client, payment)
    gateways.webhooks(gateway, "duplicate")
    released = gateways.order("webhooks/release", {"gateway": gateway, "order": order})["released"]
    assert released >= (2 if gateway == "stripe" else 1)
    customer.becomes("active")
    wait_for(lambda: delivered(gateways, payment["reference"]), 20, "the webhooks", pause=0.05)
    assert customer.payment(payment["id"])["status"] == "succeeded"
    assert [event["type"]["S"] for event in records.of(customer.name, "EVENT#")] == ["activated"]
    assert len(gateways.taken(payment["reference"])) == 1
    assert len(gateways.books(reference=payment["reference"])["refunds"]) == 0
