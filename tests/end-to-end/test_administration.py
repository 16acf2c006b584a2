"""What billing staff do on behalf of a customer, with a token of scope `billing:admin` (PRODUCT 8 and 31)."""

import secrets
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import refusal
from client import Client, Response
from customer import Customer, granted, pay
from records import Records
from studio import leave_card, tries

TOKENS = {"plan": "tokens-basic", "interval": "30_days", "currency": "USD", "gateway": "stripe"}


def administer(of: Customer, action: str, *, key: str | None = None, token: str | None = None, **how: Any) -> Response:
    client = of.client
    return client.call(
        "POST",
        f"/admin/customers/{of.name}/subscription/changes",
        token=token or client.stack["tokens"]["admin"],
        body={"action": action} | how,
        headers={"idempotency-key": key or secrets.token_hex(12)},
    )


def end_of(subscription: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(subscription["current_period"]["end"])


def in_utc(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def test_a_period_is_extended_and_charged_for_when_it_is_over(client: Client, customer: Customer) -> None:
    customer.subscribe()
    before = customer.subscription()
    after = granted(administer(customer, "extend", days=14, key="kind"))
    assert end_of(after) == end_of(before) + timedelta(days=14)
    assert after["current_period"]["start"] == before["current_period"]["start"]
    assert granted(administer(customer, "extend", days=14, key="kind")) == after == customer.subscription()
    refusal(administer(customer, "extend", days=15, key="kind"), 422, "Idempotency-Key")
    client.walked(customer=customer.name, to=in_utc(end_of(after) - timedelta(seconds=1)))
    assert len(customer.payments()) == 1
    client.walked(customer=customer.name, by="PT2S")
    assert customer.subscription()["current_period"]["start"] == after["current_period"]["end"]
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", "succeeded"]


def test_a_period_is_made_to_end_on_a_date_and_what_follows_is_counted_from_there(client: Client, customer: Customer) -> None:
    customer.subscribe()
    end = end_of(customer.subscription()) - timedelta(days=10)
    after = granted(administer(customer, "change_dates", end=in_utc(end)))
    assert end_of(after) == end
    client.walked(customer=customer.name, to=in_utc(end))
    assert datetime.fromisoformat(customer.subscription()["current_period"]["start"]) == end


@pytest.mark.usefixtures("studio")
def test_an_extended_trial_ends_later_and_its_mail_comes_later(client: Client, customer: Customer) -> None:
    trial = tries(customer)
    leave_card(client, customer)
    after = granted(administer(customer, "extend", days=30))
    assert (after["status"], after["trial"]["ends_at"]) == ("trialing", after["current_period"]["end"])
    assert end_of(after) == end_of(trial) + timedelta(days=30)
    client.walked(customer=customer.name, to=in_utc(end_of(after) - timedelta(days=3, minutes=1)))
    assert (customer.mails(), customer.subscription()["status"]) == ([], "trialing")
    client.walked(customer=customer.name, by="PT1H")
    (mail,) = customer.mails()
    assert mail["Subject"] == "Your trial of Team is about to end"
    client.walked(customer=customer.name, by="P4D")
    assert customer.subscription()["status"] == "active"


def test_tokens_are_reset_to_what_the_plan_includes(client: Client, customer: Customer) -> None:
    customer.subscribe(**TOKENS)
    client.walked(customer=customer.name, by="P31D")
    assert customer.subscription()["tokens"] == {"balance": 2000, "included": 1000, "active": True}
    reset = granted(administer(customer, "reset_tokens"))["tokens"]
    assert reset == {"balance": 1000, "included": 1000, "active": True}
    assert customer.subscription()["tokens"]["balance"] == 1000


def test_what_makes_no_sense_is_refused_and_changes_nothing(customer: Customer, records: Records) -> None:
    refusal(administer(customer, "extend", days=1), 404)
    customer.subscribe()
    before = records.of(customer.name)
    start = customer.subscription()["current_period"]["start"]
    cases = [
        ({"action": "extend"}, 422, "days"),
        ({"action": "extend", "days": 0}, 422, "days"),
        ({"action": "extend", "days": -1}, 400, "days"),
        ({"action": "extend", "days": 65535}, 422, "days"),
        ({"action": "extend", "days": 1, "end": "2199-01-01T00:00:00Z"}, 422, "end"),
        ({"action": "change_dates"}, 422, "end"),
        ({"action": "change_dates", "end": start}, 422, "end"),
        ({"action": "change_dates", "end": "2199-01-01T00:00:00Z"}, 422, "end"),
        ({"action": "change_dates", "end": "tomorrow"}, 400, "end"),
        ({"action": "reset_tokens"}, 409, None),
        ({"action": "forgive"}, 400, "action"),
        ({"action": "extend", "days": 1, "customer": "other"}, 422, "customer"),
    ]
    for body, status, field in cases:
        refusal(administer(customer, **body), status, field)
    assert records.of(customer.name) == before


def test_only_staff_may(customer: Customer) -> None:
    customer.subscribe()
    refusal(administer(customer, "extend", days=1, token=customer.token), 403)


# -- Giving


def assign(of: Customer, *, key: str | None = None, token: str | None = None, **wanted: Any) -> Response:
    client = of.client
    return client.call(
        "POST",
        f"/admin/customers/{of.name}/subscription",
        token=token or client.stack["tokens"]["admin"],
        body={"plan": "estates-starter", "interval": "month"} | wanted,
        headers={"idempotency-key": key or secrets.token_hex(12)},
    )


def test_a_key_that_the_customer_chose_too_does_not_stand_in_the_way_of_staff(customer: Customer) -> None:
    granted(customer.order(key="same"), 201)
    for _ in range(2):
        granted(assign(customer, key="same", comp={"percent": 100, "periods": 1}), 201)


def test_nor_does_it_stand_in_the_way_of_an_extension(customer: Customer) -> None:
    customer.subscribe(key="same")
    granted(administer(customer, "extend", key="same", days=1))


def test_a_plan_is_given_for_nothing_for_three_months_and_paid_for_afterwards(client: Client, customer: Customer) -> None:
    refusal(assign(customer), 409)  # nobody has left a card
    for _ in range(2):
        answer = granted(assign(customer, key="gift", comp={"percent": 100, "periods": 3}), 201)
        assert (answer["subscription"]["status"], answer["payment"]) == ("active", None)
    refusal(assign(customer, comp={"percent": 100, "periods": None}), 409)
    client.walked(customer=customer.name, by="P85D")
    assert (customer.subscription()["status"], customer.payments()) == ("active", [])
    setup = customer.add_method("paystack", "NGN")
    pay(client, setup)
    customer.verify(setup["id"])
    client.walked(customer=customer.name, by="P10D")
    paid = [payment["amount"]["minor"] for payment in customer.payments() if payment["status"] == "succeeded"]
    assert 300_000 in paid


def test_a_running_subscription_is_given_its_next_periods(client: Client, customer: Customer) -> None:
    customer.subscribe()
    after = granted(administer(customer, "comp", percent=50, periods=1))
    assert after["amount"]["minor"] == 700_000, "what is paid is paid"
    client.walked(customer=customer.name, by="P65D")
    assert [payment["amount"]["minor"] for payment in customer.payments()] == [700_000, 350_000, 700_000]
    refusal(administer(customer, "comp", percent=100), 422, "periods")
    refusal(administer(customer, "comp", percent=101, periods=1), 422, "percent")
    refusal(administer(customer, "comp", percent=100, periods=0), 422, "periods")


def test_what_cannot_be_given_is_refused_and_changes_nothing(customer: Customer, records: Records) -> None:
    cases = [
        ({"plan": "estates-gold"}, 422, "plan"),
        ({"interval": "week"}, 422, "interval"),
        ({"quantity": 0}, 422, "quantity"),
        ({"comp": {"percent": 100}}, 400, "comp.periods"),
        ({"comp": {"percent": 0, "periods": 1}}, 422, "comp.percent"),
        ({"customer": "other"}, 422, "customer"),
        ({"gateway": "stripe"}, 422, "gateway"),
    ]
    for wanted, status, field in cases:
        refusal(assign(customer, **wanted), status)
        assert refusal(assign(customer, **wanted), status).get("field", field) in (field, "comp")
    refusal(assign(customer, token=customer.token), 403)
    assert records.of(customer.name) == []
