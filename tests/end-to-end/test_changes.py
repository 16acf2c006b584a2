"""Changing what is bought: shown first, charged exactly as shown, made once; and what is refused changes nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pytest
from answers import refusal, substance
from client import Client
from customer import Customer, Gateways, granted
from records import Records

UPGRADE = {"action": "upgrade", "plan": "estates-enterprise", "effective": "now"}
BY_THE_YEAR = {"action": "change_interval", "interval": "year", "effective": "now"}
LATER = {"action": "downgrade", "plan": "estates-starter", "effective": "period_end", "confirm": True}
SEATS = {"gateway": "stripe", "plan": "crm-professional", "currency": "GEL", "quantity": 2}


def passes(client: Client, by: str) -> None:
    client.advance(by)
    client.sweep()
    client.settle()


def moment(text: str) -> int:
    """In whole seconds, as periods are divided."""
    return int(datetime.fromisoformat(text).timestamp())


def half_way(client: Client, customer: Customer) -> None:
    period = customer.subscription()["current_period"]
    client.advance(f"PT{(moment(period['end']) - moment(period['start'])) // 2}S")


def subscribed(client: Client, customer: Customer, **wanted: Any) -> None:
    """A preview says to the second when it was made: no change is asked for in the very second of the first payment."""
    customer.subscribe(**wanted)
    client.advance("PT1S")


def shown(customer: Customer, **wanted: Any) -> dict[str, Any]:
    return granted(customer.preview(**wanted))["preview"]


def rest(customer: Customer, at: str, minor: int) -> int:
    """What is left at `at` of an amount for the running period, to the nearest minor unit."""
    period = customer.subscription()["current_period"]
    left, whole = moment(period["end"]) - moment(at), moment(period["end"]) - moment(period["start"])
    return (2 * minor * left + whole) // (2 * whole)


def taken(gateways: Gateways, payment: dict[str, Any]) -> list[int]:
    """By the gateway's own books."""
    return [charge["amount"]["minor"] for charge in gateways.taken(payment["reference"])]


def problem(answer: Any, status: int, slug: str) -> dict[str, Any]:
    said = refusal(answer, status)
    assert said["type"].rpartition("/")[2] == slug, said
    return said


# -- Shown, then made


def test_a_preview_is_charged_to_the_kobo(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe()
    half_way(client, customer)
    before = customer.subscription()
    answer = granted(customer.preview(**UPGRADE))
    preview = answer["preview"]
    credit, charge = preview["lines"]
    at = preview["takes_effect_at"]
    assert (credit["kind"], credit["plan"], charge["kind"], charge["plan"]) == (
        ("credit", "estates-professional", "charge", "estates-enterprise")
    )
    for line, minor in ((credit, -rest(customer, at, 700_000)), (charge, rest(customer, at, 1_500_000))):
        assert abs(line["amount"]["minor"] - minor) <= 1
        assert line["period"] == {"start": at, "end": before["current_period"]["end"]}
    due = credit["amount"]["minor"] + charge["amount"]["minor"]
    assert 399_000 < due <= 400_000  # half of a month's difference; the stack's time runs on while this does
    assert preview["total"] == preview["due_now"] == {"minor": due, "currency": "NGN"}
    assert preview["from_balance"]["minor"] == 0
    next_amount = {"minor": 1_500_000, "currency": "NGN"}
    assert preview["next_invoice"] == {"at": before["current_period"]["end"], "amount": next_amount}
    assert answer["downgrade"] is None
    assert customer.subscription() == before

    client.advance("PT5M")  # by which it would cost less
    assert shown(customer, **UPGRADE)["due_now"]["minor"] < due
    changed = granted(customer.change(**UPGRADE, preview=preview["id"]))
    assert changed["payment"]["amount"] == preview["due_now"]
    assert (changed["payment"]["status"], changed["payment"]["method"]) == ("succeeded", "saved")
    assert changed["subscription"]["plan"]["id"] == "estates-enterprise"
    assert taken(gateways, changed["payment"]) == [due]
    found = customer.subscription()
    assert (found["plan"]["id"], found["current_period"]) == ("estates-enterprise", before["current_period"])
    assert (found["pending_change"], found["scheduled_change"], found["balance"]) == (None, None, [])

    passes(client, "P1M")
    assert customer.payments()[0]["amount"] == next_amount


def test_a_preview_that_is_old_or_overtaken_or_of_something_else_is_stale(
    client: Client, customer: Customer, records: Records
) -> None:
    subscribed(client, customer)
    old = shown(customer, **UPGRADE)["id"]
    client.advance("PT16M")
    another = shown(customer, **BY_THE_YEAR)["id"]
    overtaken = shown(customer, **UPGRADE)["id"]
    granted(customer.change(**LATER))
    before = records.of(customer.name)
    for preview in (old, another, overtaken):
        problem(customer.change(**UPGRADE, preview=preview), 409, "preview-stale")
    assert records.of(customer.name) == before


def test_seats_are_paid_for_the_rest_of_the_period(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe(**SEATS)
    half_way(client, customer)
    seats = {"action": "change_seats", "quantity": 5, "effective": "now"}
    preview = shown(customer, **seats)
    assert [line["quantity"] for line in preview["lines"]] == [2, 5]
    assert abs(preview["due_now"]["minor"] - rest(customer, preview["takes_effect_at"], 4_500)) <= 1
    changed = granted(customer.change(**seats, preview=preview["id"]))
    assert taken(gateways, changed["payment"]) == [preview["due_now"]["minor"]]
    assert customer.subscription()["quantity"] == 5


def test_credit_is_kept_and_used_first(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe()
    half_way(client, customer)
    down = {**LATER, "effective": "now"}
    preview = shown(customer, **{name: value for name, value in down.items() if name != "confirm"})
    changed = granted(customer.change(**down, preview=preview["id"]))
    assert changed["payment"] is None
    credit = -preview["total"]["minor"]
    assert 199_000 < credit <= 200_000
    assert customer.subscription()["balance"] == [{"minor": credit, "currency": "NGN"}]
    passes(client, "P1M")
    renewal = customer.payments()[0]
    assert preview["next_invoice"]["amount"] == renewal["amount"]
    assert taken(gateways, renewal) == [300_000 - credit]
    assert customer.subscription()["balance"] == []


def test_another_interval_begins_a_new_period_that_is_paid_whole(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    customer.subscribe()
    half_way(client, customer)
    preview = shown(customer, **BY_THE_YEAR)
    credit, charge = (line["amount"]["minor"] for line in preview["lines"])
    assert (-350_000 <= credit < -349_000, charge) == (True, 7_000_000)
    changed = granted(customer.change(**BY_THE_YEAR, preview=preview["id"]))
    assert taken(gateways, changed["payment"]) == [charge + credit]
    found = customer.subscription()
    assert (found["interval"], found["current_period"]["start"]) == ("year", preview["takes_effect_at"])
    assert preview["next_invoice"]["at"] == found["current_period"]["end"]


# -- Downgrades


def possible(check: dict[str, Any]) -> tuple[bool, bool]:
    """Now, and when the period ends."""
    return check["can_downgrade"], check["can_downgrade_at_period_end"]


def test_a_downgrade_is_blocked_above_a_limit_and_made_at_it_once_confirmed(
    client: Client, customer: Customer, records: Records
) -> None:
    subscribed(client, customer)
    customer.use("estates", 26)
    down = {"action": "downgrade", "plan": "estates-starter", "effective": "now"}
    before = records.of(customer.name)
    said = problem(customer.change(**down, confirm=True), 409, "downgrade-blocked")
    assert said["exceeds"] == [{"resource": "estates", "current": 26, "limit": 25, "overage": 1}]
    assert said["steps"] == ["Estates: delete or archive 1 (reduce from 26 to 25 max)", "Or stay on Professional"]
    check = granted(customer.preview(**down))["downgrade"]
    amount = {"minor": 700_000, "currency": "NGN"}
    fit = {"plan": "estates-professional", "display_name": "Professional", "amount": amount}
    assert customer.downgrade("estates-starter") == check | {"cheapest_fit": fit}
    assert (possible(check), check["possible_from"]) == ((False, False), None)
    assert records.of(customer.name) == before

    customer.use("estates", 25)
    before = records.of(customer.name)
    for unconfirmed in ({}, {"confirm": False}):
        said = problem(customer.change(**down, **unconfirmed), 409, "confirmation-required")
        assert (said["field"], said["features_lost"]) == ("confirm", [])
    assert records.of(customer.name) == before
    granted(customer.change(**down, confirm=True))
    assert customer.subscription()["plan"]["id"] == "estates-starter"


def test_minutes_that_are_used_up_are_in_the_way_now_and_not_at_the_end_of_the_period(
    client: Client, customer: Customer, records: Records
) -> None:
    subscribed(client, customer, gateway="stripe", plan="minutes-pro", currency="USD")
    granted(customer.count(1500))
    end = customer.subscription()["current_period"]["end"]
    check = customer.downgrade("minutes-starter")
    assert (possible(check), check["possible_from"]) == ((False, True), end)
    assert check["exceeds"] == [
        {"resource": "minutes", "current": 1500, "limit": 1000, "overage": 500, "resets_at": end}
    ]
    above = "Monthly Call Minutes: 500 above the limit (1500 used, 1000 max)"
    assert check["steps"] == [f"{above}: possible from the next period, {end[:10]}", "Or stay on Pro"]
    assert check["cheapest_fit"] == {
        "plan": "minutes-pro",
        "display_name": "Pro",
        "amount": {"minor": 9900, "currency": "USD"},
    }

    down = {"action": "downgrade", "plan": "minutes-starter", "confirm": True}
    before = records.of(customer.name)
    said = problem(customer.change(**down, effective="now"), 409, "downgrade-blocked")
    assert (said["exceeds"], said["steps"]) == (check["exceeds"], check["steps"])
    assert records.of(customer.name) == before
    # An agent too many is in the way whenever it is to be.
    customer.use("agents", 2)
    said = problem(customer.change(**down, effective="period_end"), 409, "downgrade-blocked")
    assert [it["resource"] for it in said["exceeds"]] == ["minutes", "agents"]
    assert "Number of Agents: remove 1 (reduce from 2 to 1 max)" in said["steps"]
    customer.use("agents", 1)
    granted(customer.change(**down, effective="period_end"))
    granted(customer.count(1500))
    passes(client, "P1M")
    found = customer.subscription()
    assert (found["plan"]["id"], found["scheduled_change"]) == ("minutes-starter", None)
    assert [payment["amount"]["minor"] for payment in customer.payments()] == [2900, 9900]
    assert granted(customer.count(1000))["remaining"] == 0


def test_the_features_that_are_lost_or_gained_are_named(client: Client, customer: Customer) -> None:
    subscribed(client, customer, gateway="stripe", plan="minutes-pro", currency="USD")
    down = {"action": "downgrade", "plan": "minutes-starter", "effective": "period_end"}
    preview = shown(customer, **down)
    assert (preview["features_gained"], preview["features_lost"]) == ([], ["analytics"])
    assert problem(customer.change(**down), 409, "confirmation-required")["features_lost"] == ["analytics"]
    preview = shown(customer, action="upgrade", plan="minutes-enterprise", effective="now")
    assert (preview["features_gained"], preview["features_lost"]) == (["api_access"], [])


def test_what_is_scheduled_is_shown_and_can_be_taken_back(client: Client, customer: Customer) -> None:
    subscribed(client, customer)
    end = customer.subscription()["current_period"]["end"]
    order = {"plan": "estates-starter", "quantity": 1, "interval": "month", "addons": []}
    expected = {"action": "downgrade", **order, "at": end}
    changed = granted(customer.change(**LATER))
    assert (changed["payment"], changed["subscription"]["scheduled_change"]) == (None, expected)
    found = customer.subscription()
    assert (found["scheduled_change"], found["plan"]["id"]) == (expected, "estates-professional")
    granted(customer.change("resume"))
    assert customer.subscription()["scheduled_change"] is None

    granted(customer.change(**LATER))
    passes(client, "P1M")
    found = customer.subscription()
    assert (found["plan"]["id"], found["scheduled_change"]) == ("estates-starter", None)
    assert customer.payments()[0]["amount"] == {"minor": 300_000, "currency": "NGN"}


# -- Payments that do not come at once


def test_a_declined_card_changes_nothing(client: Client, customer: Customer, gateways: Gateways) -> None:
    subscribed(client, customer)
    before = customer.subscription()
    gateways.fault("paystack", "off_session", "decline", code="insufficient_funds")
    first = customer.change(**UPGRADE, key="declined")
    said = problem(first, 402, "payment-declined")
    assert said["decline"]["code"] == "insufficient_funds"
    assert said["decline"]["remedy"] == "retry_later"
    failed = customer.payment(said["payment"])
    assert failed["status"] == "failed"
    assert taken(gateways, failed) == []
    assert customer.subscription() == before
    # The same click has the same answer, and charges nothing; another one may have more luck.
    assert substance(customer.change(**UPGRADE, key="declined")) == substance(first)
    assert len(customer.payments()) == 2
    granted(customer.change(**UPGRADE))
    assert customer.subscription()["plan"]["id"] == "estates-enterprise"


def test_a_payment_without_an_outcome_is_waited_for(client: Client, customer: Customer, gateways: Gateways) -> None:
    subscribed(client, customer)
    gateways.webhooks("paystack", "lose")
    gateways.fault("paystack", "off_session", "timeout_after", ms=100)
    waiting = granted(customer.change(**UPGRADE, key="k"), 202)
    assert waiting["payment"]["status"] == "processing"
    assert waiting["subscription"]["plan"]["id"] == "estates-professional"
    order = {"plan": "estates-enterprise", "quantity": 1, "interval": "month", "addons": []}
    assert customer.subscription()["pending_change"] == {"payment": waiting["payment"]["id"], **order}
    problem(customer.change(**BY_THE_YEAR), 409, "charge-running")
    for _ in range(3):
        passes(client, "PT1H")
    found = customer.subscription()
    assert (found["plan"]["id"], found["pending_change"]) == ("estates-enterprise", None)
    done = granted(customer.change(**UPGRADE, key="k"))
    assert (done["payment"]["id"], done["payment"]["status"]) == (waiting["payment"]["id"], "succeeded")
    assert taken(gateways, done["payment"]) == [waiting["payment"]["amount"]["minor"]]


# -- At once


def test_a_double_click_charges_once(client: Client, customer: Customer, gateways: Gateways) -> None:
    subscribed(client, customer)
    gateways.fault("paystack", "off_session", "delay", ms=300, times=2)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: customer.change(**UPGRADE, key="click"), range(4)))
    assert {answer.status for answer in answers} <= {200, 202, 409}, answers
    last = granted(customer.change(**UPGRADE, key="click"))
    upgrade, _ = customer.payments()
    assert last["payment"]["id"] == upgrade["id"]
    assert taken(gateways, upgrade) == [upgrade["amount"]["minor"]]
    for answer in answers:
        if answer.status != 409:
            assert answer.json()["payment"]["id"] == upgrade["id"]
    refusal(customer.change(**BY_THE_YEAR, key="click"), 422, "Idempotency-Key")
    assert len(customer.payments()) == 2


def test_of_two_changes_at_once_one_is_made(client: Client, customer: Customer, gateways: Gateways) -> None:
    subscribed(client, customer)
    wanted = [{**each, "preview": shown(customer, **each)["id"]} for each in (UPGRADE, BY_THE_YEAR)]
    gateways.fault("paystack", "off_session", "delay", ms=300, times=2)
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda each: customer.change(**each), wanted))
    assert sorted(answer.status for answer in answers) == [200, 409], [answer.body for answer in answers]
    (made,) = (each for each, answer in zip(wanted, answers, strict=True) if answer.status == 200)
    found = customer.subscription()
    assert found["plan"]["id"] == made.get("plan", "estates-professional")
    assert found["interval"] == made.get("interval", "month")
    change, _ = customer.payments()
    assert taken(gateways, change) == [change["amount"]["minor"]]


# -- The end


def test_who_cancels_may_stay_after_all_or_go_at_once(client: Client, customer: Customer) -> None:
    subscribed(client, customer)
    end = customer.subscription()["current_period"]["end"]
    leaving = granted(customer.change("cancel", effective="period_end"))
    expected = {"action": "cancel", "at": end}
    assert (leaving["payment"], leaving["subscription"]["scheduled_change"]) == (None, expected)
    assert customer.subscription()["status"] == "active"
    problem(customer.change(**UPGRADE), 409, "leaving")
    granted(customer.change("resume"))
    assert customer.subscription()["scheduled_change"] is None
    for _ in range(2):
        gone = granted(customer.change("cancel", effective="now"))
        assert gone["subscription"]["status"] == "canceled"
    assert customer.subscription()["status"] == "canceled"
    problem(customer.change("resume"), 409, "ended")
    problem(customer.change(**UPGRADE), 409, "ended")


# -- What makes no sense


WRONG: dict[str, tuple[dict[str, Any], int, str]] = {
    "action missing": ({"effective": "now"}, 400, "action"),
    "action unknown": ({"action": "fly"}, 400, "action"),
    "plan missing": ({"action": "upgrade", "effective": "now"}, 422, "plan"),
    "plan unknown": ({**UPGRADE, "plan": "estates-none"}, 422, "plan"),
    "plan of another family": ({**UPGRADE, "plan": "minutes-pro"}, 422, "plan"),
    "plan that is held": ({**UPGRADE, "plan": "estates-professional"}, 422, "action"),
    "down is not up": ({**UPGRADE, "plan": "estates-starter"}, 422, "action"),
    "up is not down": ({**LATER, "plan": "estates-enterprise"}, 422, "action"),
    "no price by the week": ({**UPGRADE, "interval": "week"}, 422, "interval"),
    "interval unknown": ({**BY_THE_YEAR, "interval": "moon"}, 400, "interval"),
    "interval missing": ({"action": "change_interval", "effective": "now"}, 422, "interval"),
    "effective missing": ({"action": "upgrade", "plan": "estates-enterprise"}, 422, "effective"),
    "effective of a cancellation missing": ({"action": "cancel"}, 422, "effective"),
    "effective unknown": ({**UPGRADE, "effective": "later"}, 400, "effective"),
    "resume at another time": ({"action": "resume", "effective": "now"}, 422, "effective"),
    "seats missing": ({"action": "change_seats", "effective": "now"}, 422, "quantity"),
    "seats of a flat plan": ({"action": "change_seats", "quantity": 2, "effective": "now"}, 422, "quantity"),
    "quantity 0": ({**UPGRADE, "quantity": 0}, 422, "quantity"),
    "quantity -1": ({**UPGRADE, "quantity": -1}, 400, "quantity"),
    "quantity 1.5": ({**UPGRADE, "quantity": 1.5}, 400, "quantity"),
    "quantity as text": ({**UPGRADE, "quantity": "1"}, 400, "quantity"),
    "quantity 2^32": ({**UPGRADE, "quantity": 2**32}, 400, "quantity"),
    "a plan to cancel": ({"action": "cancel", "effective": "now", "plan": "estates-starter"}, 422, "plan"),
    "a plan for seats": ({"action": "change_seats", "quantity": 1, "effective": "now", "plan": "p"}, 422, "plan"),
    "seats confirmed": ({"action": "change_seats", "quantity": 1, "effective": "now", "confirm": True}, 422, "confirm"),
    "a cancellation confirmed": ({"action": "cancel", "effective": "now", "confirm": True}, 422, "confirm"),
    "confirm as text": ({**LATER, "confirm": "yes"}, 400, "confirm"),
    "preview of no form": ({**UPGRADE, "preview": "prv_1"}, 400, "preview"),
    "S29 amount": ({**UPGRADE, "amount": 1}, 400, "amount"),
    "S29 currency": ({**UPGRADE, "currency": "USD"}, 422, "currency"),
    "S19 customer": ({**UPGRADE, "customer": "globex"}, 400, "customer"),
}


@pytest.fixture(scope="module")
def subscriber(client: Client, records: Records) -> Any:
    customer = Customer.fresh(client)
    subscribed(client, customer)
    yield customer
    records.forget(customer.name)


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_names_its_field_and_changes_nothing(
    subscriber: Customer, records: Records, gateways: Gateways, name: str
) -> None:
    body, status, field = WRONG[name]
    before, asked = records.all(), gateways.books()["requests"]
    headers = {"idempotency-key": "wrong"}
    refusal(subscriber.call("POST", "/subscription/changes", body=body, headers=headers), status, field)
    refusal(subscriber.call("POST", "/subscription/preview", body=body), status, field)
    assert records.all() == before
    assert gateways.books()["requests"] == asked


@pytest.mark.parametrize("body", [UPGRADE, {"action": "cancel", "effective": "now"}, {"action": "resume"}])
def test_s36_every_change_needs_a_key(subscriber: Customer, records: Records, body: dict[str, Any]) -> None:
    before = records.all()
    refusal(subscriber.call("POST", "/subscription/changes", body=body), 400, "Idempotency-Key")
    assert records.all() == before


def test_leaving_is_shown_with_what_is_lost_and_done_as_it_was_shown(client: Client, customer: Customer) -> None:
    subscribed(client, customer)
    end = customer.subscription()["current_period"]["end"]
    later = {"action": "cancel", "effective": "period_end"}
    shown = granted(customer.preview(**later))["preview"]
    assert (shown["action"], shown["effective"], shown["takes_effect_at"]) == ("cancel", "period_end", end)
    assert (shown["total"]["minor"], shown["due_now"]["minor"], shown["lines"], shown["next_invoice"]) == (0, 0, [], None)
    problem(customer.change("cancel", effective="now", preview=shown["id"]), 409, "preview-stale")
    granted(customer.change("cancel", effective="period_end", preview=shown["id"]))
    assert customer.subscription()["scheduled_change"] == {"action": "cancel", "at": end}
    problem(customer.change("resume", preview=shown["id"]), 409, "preview-stale")
    back = granted(customer.preview(action="resume"))["preview"]
    assert back["next_invoice"]["at"] == end
    granted(customer.change("resume", preview=back["id"]))
    assert customer.subscription()["scheduled_change"] is None


def test_who_has_nothing_has_nothing_to_change(customer: Customer) -> None:
    for body in (UPGRADE, {"action": "cancel", "effective": "now"}, {"action": "resume"}):
        problem(customer.change(**body), 404, "no-subscription")
    problem(customer.preview(**UPGRADE), 404, "no-subscription")
    customer.checkout()
    problem(customer.change(**UPGRADE), 409, "not-active")
