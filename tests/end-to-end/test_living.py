"""What a subscription goes through besides its payments: tried out, begun without a page, paused, with things bought onto it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from math import ceil
from typing import Any

import pytest
from answers import refusal, substance
from client import Client
from customer import Customer, Gateways, granted, link_in, pay
from records import Records
from studio import BASIC, TEAM, leave_card, tries, usd
from test_changes import half_way, moment, passes, problem, rest, shown, taken

pytestmark = pytest.mark.usefixtures("studio")

STORAGE = {"addon": "storage", "effective": "now"}
PHONE = {"addon": "phone", "effective": "now"}


def now(client: Client) -> datetime:
    return datetime.fromisoformat(granted(client.call("GET", "/health"))["clock"]["now"])


def reaches(client: Client, time: datetime) -> None:
    """What is due by then is done then, and what that makes due."""
    passes(client, f"PT{ceil((time - now(client)).total_seconds())}S")
    client.sweep()
    client.settle()


def period(customer: Customer) -> tuple[datetime, datetime]:
    found = customer.subscription()["current_period"]
    return datetime.fromisoformat(found["start"]), datetime.fromisoformat(found["end"])


def ends(customer: Customer) -> datetime:
    return period(customer)[1]


def buys(client: Client, customer: Customer, seats: int, **wanted: Any) -> None:
    """On a page, and a second later: a preview says to the second when it was made."""
    customer.subscribe(**BASIC | wanted, quantity=seats)
    client.advance("PT1S")


def has(customer: Customer) -> tuple[dict[str, bool], dict[str, Any]]:
    """What is switched on, and how storage stands."""
    found = customer.subscription()
    (standing,) = found["usage"]
    return found["features"], standing


# -- Trials


def test_a_trial_costs_nothing_and_is_paid_with_the_card_that_its_mail_asks_for(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    answer = granted(customer.change("subscribe", **TEAM, quantity=3))
    assert (answer["payment"], answer["subscription"]["status"]) == (None, "trialing")
    found = customer.subscription()
    begun, end = period(customer)
    assert end - begun == timedelta(days=14)
    assert found["trial"] == {"started_at": found["current_period"]["start"], "ends_at": found["current_period"]["end"]}
    assert (found["amount"], found["features"]["reports"], customer.payments()) == (usd(4500), True, [])

    reaches(client, end - timedelta(days=3, minutes=10))
    assert customer.mails() == []
    reaches(client, end - timedelta(days=3))
    (mail,) = customer.mails()
    assert mail["Subject"] == "Your trial of Team is about to end"
    assert "USD 45.00 is to be paid for the first period." in mail["BodyText"]
    led = customer.follow(link_in(mail))
    assert led.status == 303, led.body
    pay(client, {"checkout_url": led.headers["location"], "gateway": "stripe"})
    customer.until(lambda it: it["payment_method"] is not None, "the card")
    assert customer.subscription()["status"] == "trialing"

    reaches(client, end)
    found = customer.subscription()
    assert (found["status"], period(customer)[0], found["trial"]["ends_at"]) == (
        ("active", end, found["current_period"]["start"])
    )
    paid, *others = customer.payments()
    assert (paid["status"], paid["amount"], taken(gateways, paid)) == ("succeeded", usd(4500), [4500])
    assert [other["amount"]["minor"] for other in others] == [0], "and the page where the card was left"
    assert len(customer.mails()) == 1
    reaches(client, ends(customer))
    assert [taken(gateways, payment) for payment in customer.payments()[:2]] == [[4500], [4500]]


def test_who_has_a_card_is_told_what_it_will_be_charged(client: Client, customer: Customer) -> None:
    leave_card(client, customer)
    tries(customer)
    reaches(client, ends(customer) - timedelta(days=3))
    (mail,) = customer.mails()
    assert "Then USD 45.00 is charged for the first period" in mail["BodyText"]


def test_who_leaves_no_card_is_asked_to_pay_and_served_to_the_end_of_grace(client: Client, customer: Customer) -> None:
    tries(customer)
    reaches(client, ends(customer) - timedelta(days=3))
    reaches(client, ends(customer))
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"], found["features"]["reports"]) == ("past_due", "grace", True)
    assert [mail["Subject"] for mail in customer.mails()] == ["Your trial of Team is about to end", "Please pay for Team"]
    reaches(client, now(client) + timedelta(days=3, minutes=1))
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"]) == ("past_due", "suspended")
    assert (found["features"]["reports"], customer.payments()) == (False, [])
    assert [mail["Subject"] for mail in customer.mails()][2:] == ["Team is suspended"]


def test_subscribing_is_shown_first_and_costs_what_was_shown(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    preview = granted(customer.preview("subscribe", **TEAM, quantity=3))["preview"]
    assert (preview["due_now"], preview["lines"], preview["features_gained"]) == (usd(0), [], ["reports"])
    assert preview["next_invoice"]["amount"] == usd(4500)
    assert customer.call("GET", "/subscription").status == 404, "nothing has changed"
    granted(customer.change("subscribe", **TEAM, quantity=3, preview=preview["id"]))
    # Counted from when it begins, which is as long after it was shown as the customer took.
    later = int(ends(customer).timestamp()) - moment(preview["next_invoice"]["at"])
    assert 0 <= later < 5 * 60
    granted(customer.change("cancel", effective="now"))
    leave_card(client, customer)
    preview = granted(customer.preview("subscribe", **TEAM, quantity=3))["preview"]
    assert [(line["description"], line["amount"]) for line in preview["lines"]] == [("Team × 3", usd(4500))]
    assert (preview["total"], preview["from_balance"], preview["due_now"]) == (usd(4500), usd(0), usd(4500))
    problem(customer.change("subscribe", **TEAM, quantity=4, preview=preview["id"]), 409, "preview-stale")
    again = granted(customer.change("subscribe", **TEAM, quantity=3, preview=preview["id"]))
    assert taken(gateways, again["payment"]) == [4500]


def test_a_second_trial_is_not_had(client: Client, customer: Customer, gateways: Gateways) -> None:
    assert tries(customer)["status"] == "trialing"
    problem(customer.change("subscribe", **TEAM, quantity=3), 409, "already-subscribed")
    granted(customer.change("cancel", effective="now"))
    problem(customer.change("subscribe", **TEAM, quantity=3), 409, "no-payment-method")
    assert customer.subscription()["status"] == "canceled"
    leave_card(client, customer)
    again = granted(customer.change("subscribe", **TEAM, quantity=3))
    assert (again["subscription"]["status"], again["subscription"]["trial"]) == ("active", None)
    assert taken(gateways, again["payment"]) == [4500]


def test_who_cancels_a_trial_is_served_to_its_end_and_charged_nothing(client: Client, customer: Customer) -> None:
    leave_card(client, customer)
    tries(customer)
    (left,) = customer.payments()
    granted(customer.change("cancel", effective="period_end"))
    end = ends(customer)
    reaches(client, end - timedelta(days=3))
    assert customer.subscription()["features"]["reports"] is True
    reaches(client, end)
    assert (customer.subscription()["status"], customer.mails(), customer.payments()) == ("canceled", [], [left])


def test_what_is_changed_in_a_trial_is_paid_at_its_end(client: Client, customer: Customer, gateways: Gateways) -> None:
    leave_card(client, customer)
    tries(customer)
    client.advance("P1D")
    more = {"action": "change_seats", "quantity": 5, "effective": "now"}
    preview = shown(customer, **more)
    assert (preview["lines"], preview["due_now"], preview["next_invoice"]["amount"]) == ([], usd(0), usd(7500))
    changed = granted(customer.change(**more, preview=preview["id"]))
    assert (changed["payment"], changed["subscription"]["quantity"]) == (None, 5)
    problem(customer.change("pause", effective="now"), 409, "trialing")
    reaches(client, ends(customer))
    assert taken(gateways, customer.payments()[0]) == [7500]


def test_one_click_on_try_it_begins_one_trial(customer: Customer, records: Records) -> None:
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: customer.change("subscribe", **TEAM, quantity=3, key="try"), range(4)))
    assert {answer.status for answer in answers} <= {200, 409}, answers
    before = records.of(customer.name)
    last = customer.change("subscribe", **TEAM, quantity=3, key="try")
    assert (last.status, records.of(customer.name)) == (200, before)
    refusal(customer.change("subscribe", **TEAM, quantity=4, key="try"), 422, "Idempotency-Key")


# -- Without a page


def test_who_has_left_a_card_subscribes_by_a_charge(client: Client, customer: Customer, gateways: Gateways) -> None:
    wanted = {**BASIC, "quantity": 2}
    problem(customer.change("subscribe", **wanted), 409, "no-payment-method")
    assert customer.call("GET", "/subscription").status == 404
    leave_card(client, customer)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: customer.change("subscribe", **wanted, key="buy"), range(4)))
    assert {answer.status for answer in answers} <= {200, 202, 409}, answers
    bought = granted(customer.change("subscribe", **wanted, key="buy"))
    assert (bought["subscription"]["status"], bought["payment"]["method"]) == ("active", "saved")
    assert taken(gateways, bought["payment"]) == [2000]
    problem(customer.change("subscribe", **wanted), 409, "already-subscribed")
    assert len(customer.payments()) == 2
    reaches(client, ends(customer))
    assert taken(gateways, customer.payments()[0]) == [2000]


def test_a_first_charge_that_is_declined_buys_nothing(client: Client, customer: Customer, gateways: Gateways) -> None:
    leave_card(client, customer)
    gateways.fault("stripe", "off_session", "decline", code="insufficient_funds")
    first = customer.change("subscribe", **BASIC, quantity=2, key="declined")
    said = problem(first, 402, "payment-declined")
    assert (said["decline"]["code"], said["decline"]["link"]) == ("insufficient_funds", None)
    assert substance(customer.change("subscribe", **BASIC, quantity=2, key="declined")) == substance(first)
    found = customer.subscription()
    assert (found["status"], any(found["features"].values())) == ("expired", False)
    bought = granted(customer.change("subscribe", **BASIC, quantity=2))
    assert (bought["subscription"]["status"], taken(gateways, bought["payment"])) == ("active", [2000])


def test_a_first_charge_without_an_outcome_is_waited_for(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    leave_card(client, customer)
    gateways.webhooks("stripe", "lose")
    gateways.fault("stripe", "off_session", "timeout_after", ms=100)
    waiting = granted(customer.change("subscribe", **BASIC, quantity=2, key="k"), 202)
    assert (waiting["payment"]["status"], waiting["subscription"]["status"]) == ("processing", "incomplete")
    problem(customer.change("subscribe", **BASIC, quantity=2), 409, "charge-running")
    for _ in range(3):
        passes(client, "PT1H")
    done = granted(customer.change("subscribe", **BASIC, quantity=2, key="k"))
    assert (done["subscription"]["status"], done["payment"]["id"]) == ("active", waiting["payment"]["id"])
    assert taken(gateways, done["payment"]) == [2000]


# -- Pauses


def test_a_pause_moves_the_end_by_as_long_as_it_lasts_and_costs_nothing(
    client: Client, customer: Customer, gateways: Gateways, records: Records
) -> None:
    buys(client, customer, 6, plan="studio-team")
    half_way(client, customer)
    start, end = period(customer)
    paused = granted(customer.change("pause", effective="now"))
    assert (paused["payment"], paused["subscription"]["status"]) == (None, "paused")
    assert customer.subscription()["features"] == {"phone": False, "reports": False}
    for action in ({"action": "change_seats", "quantity": 9, "effective": "now"}, {"action": "resume"}):
        problem(customer.change(**action), 409, "paused")
    problem(customer.change("subscribe", **BASIC, quantity=2), 409, "already-subscribed")

    requests = gateways.books()["requests"]["stripe"]["off_session"]
    for _ in range(4):  # past where the period would have ended
        passes(client, "P10D")
    assert (customer.subscription()["status"], len(customer.payments())) == ("paused", 1)
    assert gateways.books()["requests"]["stripe"]["off_session"] == requests

    going = granted(customer.change("unpause"))
    assert (going["payment"], going["subscription"]["status"]) == (None, "active")
    then = period(customer)
    # As long as it was, and later by as long as the pause was.
    assert then[1] - then[0] == end - start
    happened = {event["type"]["S"]: event.get("at") for event in records.of(customer.name, "EVENT#")}
    began, over = (datetime.fromisoformat(happened[name]["S"]) for name in ("paused", "unpaused"))
    assert timedelta(days=40) < over - began < timedelta(days=40, minutes=10)
    assert abs((then[1] - end) - (over - began)) < timedelta(milliseconds=1)
    assert customer.subscription()["features"]["reports"] is True

    # What is left of it is worth as much as before: half of 3 × 15.00 for 3 more seats.
    more = shown(customer, action="change_seats", quantity=9, effective="now")
    at, (credit, charge) = more["takes_effect_at"], (line["amount"]["minor"] for line in more["lines"])
    for amount, exact, half in ((-credit, rest(customer, at, 9000), 4500), (charge, rest(customer, at, 13_500), 6750)):
        assert abs(amount - exact) <= 1
        assert half - 5 <= amount <= half  # the stack's time runs on while this does
    reaches(client, then[1] - timedelta(minutes=10))
    assert len(customer.payments()) == 1
    reaches(client, then[1])
    assert (taken(gateways, customer.payments()[0]), period(customer)[0]) == ([9000], then[1])


def test_a_pause_at_the_periods_end_is_shown_taken_back_and_made(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    buys(client, customer, 2)
    end = customer.subscription()["current_period"]["end"]
    for _ in range(2):
        to_come = granted(customer.change("pause", effective="period_end"))["subscription"]
        assert (to_come["status"], to_come["scheduled_change"]) == ("active", {"action": "pause", "at": end})
    granted(customer.change("resume"))
    assert customer.subscription()["scheduled_change"] is None
    granted(customer.change("pause", effective="period_end"))
    reaches(client, ends(customer))
    found = customer.subscription()
    assert (found["status"], found["scheduled_change"], len(customer.payments())) == ("paused", None, 1)
    passes(client, "P10D")
    asked = now(client)
    granted(customer.change("unpause"))
    # Nothing was left: a new period begins, and is paid.
    client.sweep()
    client.settle()
    found = customer.subscription()
    assert (found["status"], len(customer.payments())) == ("active", 2)
    assert timedelta() <= period(customer)[0] - asked < timedelta(minutes=5)
    assert taken(gateways, customer.payments()[0]) == [2000]


def test_a_pause_is_not_for_who_leaves_or_owes_and_may_be_the_end(
    client: Client, customer: Customer, other: Customer, gateways: Gateways
) -> None:
    buys(client, customer, 2)
    granted(customer.change("unpause"))  # nothing to do
    granted(customer.change("cancel", effective="period_end"))
    problem(customer.change("pause", effective="now"), 409, "leaving")
    granted(customer.change("resume"))
    granted(customer.change("pause", effective="now"))
    assert granted(customer.change("cancel", effective="now"))["subscription"]["status"] == "canceled"
    for action in ({"action": "pause", "effective": "now"}, {"action": "unpause"}):
        problem(customer.change(**action), 409, "ended")
        problem(other.change(**action), 404, "no-subscription")
    buys(client, other, 2)
    gateways.fault("stripe", "off_session", "decline", code="insufficient_funds")
    reaches(client, ends(other))
    problem(other.change("pause", effective="now"), 409, "payment-owed")


# -- Add-ons


def test_what_is_bought_onto_the_plan_within_a_period_is_charged_for_its_rest(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    buys(client, customer, 6, plan="studio-team")
    assert has(customer)[1]["limit"] == 50
    half_way(client, customer)
    wanted = {"action": "add_addon", **STORAGE, "quantity": 2}
    preview = shown(customer, **wanted)
    [line] = preview["lines"]  # the plan goes on as it is
    assert (line["description"], line["kind"], line["addon"], line["quantity"]) == (
        ("More storage × 2", "charge", "storage", 2)
    )
    assert preview["due_now"]["minor"] == rest(customer, preview["takes_effect_at"], 1000) == 500
    assert preview["next_invoice"]["amount"] == usd(10_000)
    changed = granted(customer.change(**wanted, preview=preview["id"]))
    assert taken(gateways, changed["payment"]) == [500]
    found = customer.subscription()
    assert found["addons"] == [{"id": "storage", "name": "More storage", "price": usd(500), "quantity": 2}]
    assert (found["amount"], has(customer)[1]["limit"]) == (usd(10_000), 150)

    client.advance("PT1S")
    assert shown(customer, action="add_addon", **PHONE)["features_gained"] == ["phone"]
    changed = granted(customer.change("add_addon", **PHONE))
    assert taken(gateways, changed["payment"]) == [1000]
    assert has(customer)[0] == {"phone": True, "reports": True}
    reaches(client, ends(customer))
    assert taken(gateways, customer.payments()[0]) == [12_000]  # 6 × 15.00 + 2 × 5.00 + 20.00


def test_an_addon_that_is_used_is_not_removed_and_what_is_removed_is_credited(
    client: Client, customer: Customer, gateways: Gateways, records: Records
) -> None:
    buys(client, customer, 6, plan="studio-team")
    granted(customer.change("add_addon", **STORAGE, quantity=3))
    granted(customer.change("add_addon", **PHONE))
    customer.use("storage", 101)  # of 200
    before = records.of(customer.name)
    fewer = {"action": "remove_addon", **STORAGE, "quantity": 1}
    said = problem(customer.change(**fewer, confirm=True), 409, "downgrade-blocked")
    assert said["exceeds"] == [{"resource": "storage", "current": 101, "limit": 100, "overage": 1}]
    assert said["steps"] == ["Storage: delete 1 (reduce from 101 to 100 max)", "Or keep what you have"]
    check = granted(customer.preview(**fewer))["downgrade"]
    assert (check["can_downgrade"], check["exceeds"]) == (False, said["exceeds"])
    none = problem(customer.change("remove_addon", **STORAGE, confirm=True), 409, "downgrade-blocked")
    assert none["exceeds"][0]["limit"] == 50
    said = problem(customer.change("remove_addon", **PHONE), 409, "confirmation-required")
    assert (said["field"], said["features_lost"]) == ("confirm", ["phone"])
    assert records.of(customer.name) == before

    customer.use("storage", 100)
    half_way(client, customer)
    preview = shown(customer, **fewer)
    assert [line["amount"]["minor"] for line in preview["lines"]] == [-750, 250]
    changed = granted(customer.change(**fewer, confirm=True, preview=preview["id"]))
    assert (changed["payment"], changed["subscription"]["balance"]) == (None, [usd(500)])
    assert (has(customer)[1]["limit"], has(customer)[1]["remaining"]) == (100, 0)
    reaches(client, ends(customer))
    assert taken(gateways, customer.payments()[0]) == [11_000]  # 6 × 15.00 + 5.00 + 20.00, less the 5.00


def test_the_addons_that_a_smaller_plan_offers_too_count_for_it(client: Client, customer: Customer) -> None:
    buys(client, customer, 6, plan="studio-team")
    granted(customer.change("add_addon", **STORAGE, quantity=2))
    down = {"action": "downgrade", "plan": "studio-basic", "effective": "period_end"}
    # Basic has 10 gigabytes, and each of its add-ons 10 more.
    customer.use("storage", 31)
    check = customer.downgrade("studio-basic")
    assert (check["can_downgrade"], check["exceeds"][0]["limit"], check["exceeds"][0]["overage"]) == (False, 30, 1)
    problem(customer.change(**down, confirm=True), 409, "downgrade-blocked")
    customer.use("storage", 30)
    check = customer.downgrade("studio-basic")
    assert (check["can_downgrade"], check["features_lost"]) == (True, ["reports"])
    assert granted(customer.preview(**down))["preview"]["next_invoice"]["amount"] == usd(7000)
    to_come = granted(customer.change(**down, confirm=True))["subscription"]["scheduled_change"]
    assert [(addon["id"], addon["quantity"]) for addon in to_come["addons"]] == [("storage", 2)]
    # A part of what is had is not to undo the whole that is to come.
    for part in (
        {"action": "change_seats", "quantity": 7, "effective": "now"},
        {"action": "add_addon", **PHONE},
        {"action": "remove_addon", **STORAGE, "confirm": True},
    ):
        problem(customer.change(**part), 409, "change-scheduled")
    reaches(client, ends(customer))
    assert (has(customer)[1]["limit"], customer.payments()[0]["amount"]) == (30, usd(7000))


def test_what_is_too_little_to_charge_comes_with_the_next_invoice(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    buys(client, customer, 2)
    reaches(client, ends(customer) - timedelta(days=1))
    wanted = {"action": "change_seats", "quantity": 3, "effective": "now"}
    preview = shown(customer, **wanted)
    owed = preview["total"]["minor"]
    assert 30 <= owed <= 36  # a day of a month's 10.00
    assert (preview["due_now"], preview["next_invoice"]["amount"]) == (usd(0), usd(3000 + owed))
    changed = granted(customer.change(**wanted, preview=preview["id"]))
    assert (changed["payment"], changed["subscription"]["balance"]) == (None, [usd(-owed)])
    reaches(client, ends(customer))
    assert taken(gateways, customer.payments()[0]) == [3000 + owed]
    assert customer.subscription()["balance"] == []


# -- What makes no sense

SUBSCRIBE = {"action": "subscribe", "plan": "studio-basic", "interval": "month", "quantity": 2}
ADD = {"action": "add_addon", **STORAGE}
REMOVE = {"action": "remove_addon", **STORAGE}
PAUSE = {"action": "pause", "effective": "now"}

# Of someone who has Basic and one of its storages.
WRONG: dict[str, tuple[dict[str, Any], int, str | None]] = {
    "subscribe to what is had": (SUBSCRIBE, 409, None),
    "no plan": ({"action": "subscribe"}, 422, "plan"),
    "unknown plan": ({**SUBSCRIBE, "plan": "studio-none"}, 422, "plan"),
    "several prices": ({"action": "subscribe", "plan": "studio-basic", "quantity": 2}, 422, "interval"),
    "no price by the week": ({**SUBSCRIBE, "interval": "week"}, 422, "interval"),
    "no price in that currency": ({**SUBSCRIBE, "currency": "NGN"}, 422, "currency"),
    "how many seats": ({"action": "subscribe", "plan": "studio-basic", "interval": "month"}, 422, "quantity"),
    "no seats": ({**SUBSCRIBE, "quantity": 0}, 422, "quantity"),
    "two of a flat plan": ({**SUBSCRIBE, "plan": "crm-basic", "quantity": 2}, 422, "quantity"),
    "subscribe later": ({**SUBSCRIBE, "effective": "period_end"}, 422, "effective"),
    "unknown gateway": ({**SUBSCRIBE, "gateway": "square"}, 400, "gateway"),
    "sent elsewhere": ({**SUBSCRIBE, "return_url": "https://evil.example"}, 422, "return_url"),
    "subscribe with an add-on": ({**SUBSCRIBE, "addon": "storage"}, 422, "addon"),
    "subscribe by no preview": ({**SUBSCRIBE, "preview": "prv_1"}, 400, "preview"),
    "a trial of one's own": ({**SUBSCRIBE, "trial_days": 900}, 400, "trial_days"),
    "a price of one's own": ({**SUBSCRIBE, "amount": usd(1)}, 400, "amount"),
    "somebody else": ({**SUBSCRIBE, "customer": "globex"}, 400, "customer"),
    "pause when": ({"action": "pause"}, 422, "effective"),
    "pause later": ({**PAUSE, "effective": "later"}, 400, "effective"),
    "pause a plan": ({**PAUSE, "plan": "studio-basic"}, 422, "plan"),
    "pause for free": ({**PAUSE, "confirm": True}, 422, "confirm"),
    "unpause later": ({"action": "unpause", "effective": "period_end"}, 422, "effective"),
    "unpause with more": ({"action": "unpause", "quantity": 3}, 422, "quantity"),
    "no add-on": ({"action": "add_addon", "effective": "now"}, 422, "addon"),
    "unknown add-on": ({**ADD, "addon": "fax"}, 422, "addon"),
    "no add-on of this plan": ({**ADD, "addon": "phone"}, 422, "addon"),
    "no id": ({**ADD, "addon": "a#b"}, 400, "addon"),
    "add when": ({"action": "add_addon", "addon": "storage"}, 422, "effective"),
    "how many to add": (ADD, 422, "quantity"),
    "none to add": ({**ADD, "quantity": 0}, 422, "quantity"),
    "fewer than none to add": ({**ADD, "quantity": -1}, 400, "quantity"),
    "as many as there are": ({**ADD, "quantity": 1}, 422, "action"),
    "confirm what is added": ({**ADD, "confirm": True}, 422, "confirm"),
    "an add-on and a plan": ({**ADD, "plan": "studio-team"}, 422, "plan"),
    "an add-on in another currency": ({**ADD, "currency": "USD"}, 422, "currency"),
    "remove what": ({"action": "remove_addon", "effective": "now"}, 422, "addon"),
    "remove when": ({"action": "remove_addon", "addon": "storage"}, 422, "effective"),
    "remove what is not had": ({**REMOVE, "addon": "phone", "confirm": True}, 422, "addon"),
    "leave as many": ({**REMOVE, "quantity": 1, "confirm": True}, 422, "addon"),
    "leave more": ({**REMOVE, "quantity": 2, "confirm": True}, 422, "addon"),
}


@pytest.fixture(scope="module")
def subscriber(studio: None, client: Client, records: Records) -> Any:
    customer = Customer.fresh(client)
    buys(client, customer, 2)
    granted(customer.change("add_addon", **STORAGE, quantity=1))
    client.advance("PT1S")
    Gateways(client).have_told(customer)
    yield customer
    records.forget(customer.name)


@pytest.mark.parametrize("name", WRONG)
def test_what_makes_no_sense_names_its_field_and_changes_nothing(
    subscriber: Customer, records: Records, gateways: Gateways, name: str
) -> None:
    body, status, field = WRONG[name]
    before, asked = records.all(), gateways.books()["requests"]
    refusal(subscriber.call("POST", "/subscription/changes", body=body, headers={"idempotency-key": "k"}), status, field)
    refusal(subscriber.call("POST", "/subscription/preview", body=body), status, field)
    assert records.all() == before
    assert gateways.books()["requests"] == asked


@pytest.mark.parametrize("body", [SUBSCRIBE, ADD, REMOVE, PAUSE, {"action": "unpause"}])
def test_s36_each_of_them_needs_a_key(subscriber: Customer, records: Records, body: dict[str, Any]) -> None:
    before = records.all()
    refusal(subscriber.call("POST", "/subscription/changes", body=body), 400, "Idempotency-Key")
    assert records.all() == before


def test_an_addon_is_not_sold_where_it_has_no_price(client: Client, customer: Customer) -> None:
    buys(client, customer, 2, interval="year")
    refusal(customer.change(**ADD), 422, "addon")
    granted(customer.change("change_interval", interval="month", effective="period_end"))
    assert moment(customer.subscription()["scheduled_change"]["at"]) == int(ends(customer).timestamp())
