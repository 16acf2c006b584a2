"""Time passes: renewals, declines, lost answers, killed functions. Whatever happens, a period is paid for once."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from answers import refusal
from client import Client, wait_for
from customer import PATIENCE, Customer, Failed, Gateways, granted, pay, request
from processes import signal_quietly
from records import Records
from roles import sees_processes

BOTH = pytest.mark.parametrize("gateway", ["paystack", "stripe"])

WAYS = {"paystack": {}, "stripe": {"gateway": "stripe", "plan": "minutes-pro", "currency": "USD"}}


def passes(client: Client, by: str) -> None:
    """Time passes, and everything that is due by then is done."""
    client.advance(by)
    catch_up(client)


def catch_up(client: Client) -> None:
    client.sweep()
    client.settle()


def counted(gateways: Gateways, payments: list[dict[str, Any]]) -> list[int]:
    """How often money was taken for each payment, by the gateway's books."""
    return [len(gateways.taken(payment["reference"])) for payment in payments]


# -- Renewal


@BOTH
def test_a_month_passes_and_is_charged_exactly_once(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    first = customer.subscribe(**WAYS[gateway])
    before = customer.subscription()["current_period"]
    client.advance("P1M")
    for _ in range(3):  # sweeps overlap, and that is harmless
        client.sweep()
    client.settle()
    catch_up(client)
    found = customer.subscription()
    assert found["status"] == "active"
    assert found["current_period"]["start"] == before["end"]
    renewal, original = customer.payments()
    assert original["id"] == first["id"]
    assert (renewal["status"], renewal["method"], renewal["amount"]) == ("succeeded", "saved", first["amount"])
    assert counted(gateways, [renewal, original]) == [1, 1]


def test_months_that_passed_unnoticed_are_each_paid(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe()
    client.advance("P3M")
    for _ in range(4):
        catch_up(client)
    payments = customer.payments()
    assert len(payments) == 4
    assert counted(gateways, payments) == [1, 1, 1, 1]
    assert len({payment["reference"] for payment in payments}) == 4


def test_a_plan_for_seats_renews_for_as_many(client: Client, customer: Customer) -> None:
    customer.subscribe(gateway="stripe", plan="crm-professional", currency="GEL", quantity=3)
    passes(client, "P1M")
    assert customer.payments()[0]["amount"] == {"minor": 4500, "currency": "GEL"}


def test_tokens_come_again_with_each_period(client: Client, customer: Customer) -> None:
    customer.subscribe(gateway="stripe", plan="tokens-basic", currency="USD", interval="30_days")
    passes(client, "P30D")
    assert customer.subscription()["tokens"]["balance"] == 2000


def test_a_card_that_was_used_once_only_is_not_charged(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    customer.subscribe(card="507850785078507812")  # Paystack says of this one that it cannot be charged again
    assert customer.subscription()["payment_method"] is None
    asked = gateways.books()["requests"]["paystack"]["off_session"]
    passes(client, "P1M")
    found = customer.subscription()
    assert found["status"] == "past_due"
    assert found["dunning"]["grace_ends_at"]
    assert gateways.books()["requests"]["paystack"]["off_session"] == asked


# -- The queues


@pytest.fixture
def impatient(client: Client) -> Iterator[None]:
    """Queues that deliver again after a second, and not after three minutes."""
    client.redeliver_after(1)
    yield
    client.settle()
    client.redeliver_after(180)


def send(client: Client, queue: str, *bodies: str) -> None:
    for body in bodies:
        client.queues.send_message(QueueUrl=client.outputs[queue], MessageBody=body)


def message(kind: str, version: int = 1, **ids: Any) -> str:
    return json.dumps({"v": version, "kind": kind, **ids})


@BOTH
def test_f13_the_same_message_five_times_charges_once(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    customer.subscribe(**WAYS[gateway])
    client.advance("P1M")
    send(client, "RenewalsUrl", *[message("subscription", customer=customer.name)] * 5)
    client.settle()
    renewal, _ = customer.payments()
    assert renewal["status"] == "succeeded"
    assert counted(gateways, [renewal]) == [1]
    # Also when it comes back weeks later (F14), to either worker.
    again = message("payment", customer=customer.name, payment=renewal["id"])
    send(client, "PaymentRetriesUrl", *[message("subscription", customer=customer.name)] * 3, again, again)
    client.settle()
    assert len(customer.payments()) == 2
    assert counted(gateways, [renewal]) == [1]


def dead(client: Client, queue: str) -> list[str]:
    """What lies among the dead letters; taken away, so that the next test finds none."""
    url = client.outputs[queue]
    found = []
    while messages := client.queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for each in messages:
            found.append(each["Body"])
            client.queues.delete_message(QueueUrl=url, ReceiptHandle=each["ReceiptHandle"])
    return sorted(found)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("queue", "letters"),
    [("RenewalsUrl", "RenewalsDeadLettersUrl"), ("PaymentRetriesUrl", "PaymentRetriesDeadLettersUrl")],
)
def test_f16_i24_what_cannot_be_read_ends_among_the_dead_letters_and_holds_up_nobody(
    client: Client, customer: Customer, queue: str, letters: str
) -> None:
    customer.subscribe()
    client.advance("P1M")
    good = message("subscription", customer=customer.name)
    poison = [
        "not JSON",
        "{}",
        message("subscription", customer="a#b"),
        message("subscription", version=2, customer=customer.name),
        message("something.new", customer=customer.name),
    ]
    assert dead(client, letters) == []
    send(client, queue, poison[0], poison[1], good, *poison[2:])

    def paid() -> list[str]:
        return [it["status"] for it in customer.payments()]

    customer.until(lambda _: paid() == ["succeeded"] * 2, "the good message to be done")
    renewed = customer.subscription()
    wait_for(lambda: client.waiting(letters) == len(poison), 40, "the others to be given up")
    client.settle()
    assert dead(client, letters) == sorted(poison)
    # Not the records: meanwhile a sweep looks after what was paid a month ago.
    assert (paid(), customer.subscription()) == (["succeeded"] * 2, renewed)


# -- kill -9


def killed(client: Client, function: str) -> int:
    """End every process of a function as if its machine had gone. Only its own: by the name that the emulator gave it."""
    processes = client.running(function)
    for process in processes:
        signal_quietly(os.kill, process, signal.SIGKILL)
    return len(processes)


def struck(client: Client) -> bool:
    """Whether the fault that was ordered has met its request: the worker is waiting for an answer."""
    return not granted(request("GET", f"{client.simulator}/admin/faults"))["faults"]


@sees_processes
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("fault", "details"),
    [
        ("timeout_after", {"ms": 6_000}),  # the gateway has charged
        ("timeout_before", {"ms": 6_000}),  # it has not, and never will
        ("delay", {"ms": 1_500}),  # it has not yet, and will after we have asked
    ],
    ids=["charged", "never charged", "charged later"],
)
@BOTH
def test_f3_a_worker_killed_while_it_charges_charges_once(
    client: Client, customer: Customer, gateways: Gateways, gateway: str, fault: str, details: dict[str, Any]
) -> None:
    customer.subscribe(**WAYS[gateway])
    end = customer.subscription()["current_period"]["end"]
    gateways.webhooks(gateway, "lose")  # which would tell at once what asking has to find out
    gateways.fault(gateway, "off_session", fault, **details)
    client.advance("P1M")
    client.sweep()
    wait_for(lambda: struck(client), PATIENCE, "the charge to be under way", pause=0.02)
    assert killed(client, "RenewalWorkerFunction") >= 1

    renewal = customer.payments()[0]
    assert renewal["status"] == "processing"  # written down before the gateway heard of it (R1)
    for _ in range(6):  # 5 minutes, and then twice as long each time
        passes(client, "PT1H")
        if customer.subscription()["current_period"]["start"] == end:
            break
    else:
        raise Failed(f"{customer.name} was not renewed: {customer.payments()}")
    if fault == "delay":  # what was under way when the worker died has arrived by now, and changes nothing
        wait_for(lambda: counted(gateways, [renewal]) == [1], PATIENCE, "the late charge")
        passes(client, "PT1H")
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", "succeeded"]
    assert counted(gateways, customer.payments()) == [1, 1]
    assert customer.subscription()["status"] == "active"


@sees_processes
@pytest.mark.usefixtures("impatient")
def test_f27_workers_killed_again_and_again_lose_nothing(
    client: Client, newcomer: Callable[[], Customer], gateways: Gateways
) -> None:
    customers = [newcomer() for _ in range(8)]
    for customer in customers:
        customer.subscribe()
    ends = [customer.subscription()["current_period"]["end"] for customer in customers]
    gateways.fault("paystack", "off_session", "delay", ms=300, times=8)
    client.advance("P1M")
    client.sweep()
    kills = 0
    for _ in range(3):
        # Also where all that was to be done was done before the worker was found.
        send(client, "RenewalsUrl", message("subscription", customer=customers[0].name))
        wait_for(lambda: client.running("RenewalWorkerFunction"), PATIENCE, "a worker", pause=0.02)
        kills += killed(client, "RenewalWorkerFunction")
    assert kills >= 3
    for _ in range(8):
        passes(client, "PT1H")
        if [customer.subscription()["current_period"]["start"] for customer in customers] == ends:
            break
    for customer, end in zip(customers, ends, strict=True):
        assert customer.subscription()["current_period"]["start"] == end
        assert [payment["status"] for payment in customer.payments()] == ["succeeded", "succeeded"]
        assert counted(gateways, customer.payments()) == [1, 1]


# -- Answers that do not come


@pytest.mark.parametrize(
    ("gateway", "fault", "details"),
    [
        ("paystack", "error_500", {}),
        ("paystack", "error_500_after", {}),
        ("paystack", "timeout_before", {"ms": 100}),
        ("paystack", "timeout_after", {"ms": 100}),
        ("stripe", "error_500_after", {}),
        ("stripe", "timeout_before", {"ms": 100}),
        ("stripe", "timeout_after", {"ms": 100}),
    ],
)
def test_f4_silence_is_not_a_decline(
    client: Client, customer: Customer, gateways: Gateways, gateway: str, fault: str, details: dict[str, Any]
) -> None:
    customer.subscribe(**WAYS[gateway])
    gateways.webhooks(gateway, "lose")
    gateways.fault(gateway, "off_session", fault, **details)
    passes(client, "P1M")
    assert customer.payments()[0]["status"] == "processing"
    assert customer.subscription()["status"] == "active"
    for _ in range(3):
        passes(client, "PT1H")
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", "succeeded"]
    assert counted(gateways, customer.payments()) == [1, 1]


@pytest.mark.usefixtures("impatient")
def test_f7_f33_what_nobody_can_tell_is_left_to_a_person(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    """Stripe repeats a 500 under its key for a day, and from then on a charge under that key might be a second one."""
    customer.subscribe(**WAYS["stripe"])
    gateways.webhooks("stripe", "lose")
    gateways.fault("stripe", "off_session", "error_500")
    passes(client, "P1M")
    for _ in range(10):
        passes(client, "PT18H")
        if customer.payments()[0]["status"] == "unresolved":
            break
    assert customer.payments()[0]["status"] == "unresolved"
    assert customer.subscription()["status"] == "active"
    assert counted(gateways, customer.payments()) == [0, 1]
    assert len(customer.payments()) == 2

    # Now that a person knows, and Stripe has never heard of it, it is given up and charged anew.
    passes(client, "P2D")
    passes(client, "PT1H")
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", "expired", "succeeded"]
    assert customer.subscription()["status"] == "active"


# -- Declines


def test_the_ladder_to_the_end(client: Client, customer: Customer, gateways: Gateways, records: Records) -> None:
    customer.subscribe()
    gateways.fault("paystack", "off_session", "decline", code="insufficient_funds", times=1_000)
    steps = []
    for by in ("P1M", "P1D", "P2D", "P2D"):  # the first attempt, and retries on days 1, 3 and 5
        passes(client, by)
        found = customer.subscription()
        assert found["status"] == "past_due"
        steps.append((found["dunning"]["attempts"], bool(found["dunning"]["next_retry_at"])))
    assert steps == [(1, True), (2, True), (3, True), (4, False)]
    assert customer.subscription()["dunning"]["grace_ends_at"]

    passes(client, "P2DT23H")
    assert customer.subscription()["status"] == "past_due"  # served until grace ends
    passes(client, "PT2H")
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"]) == ("past_due", "suspended")
    failed = [payment for payment in customer.payments() if payment["status"] == "failed"]
    assert len(failed) == 4
    assert len({payment["reference"] for payment in failed}) == 4
    assert counted(gateways, failed) == [0] * 4

    gateways.no_faults()
    attempts = len(customer.payments())
    passes(client, "P2M")
    assert len(customer.payments()) == attempts
    assert customer.subscription()["status"] == "canceled"
    kinds = [event["type"]["S"] for event in records.of(customer.name, "EVENT#")]
    assert kinds == ["activated", *["payment_missed"] * 4, "suspended", "canceled"]


@pytest.mark.parametrize("retries", [1, 2, 3])
def test_a_retry_that_works_ends_the_dunning(
    client: Client, customer: Customer, gateways: Gateways, retries: int
) -> None:
    customer.subscribe()
    before = customer.subscription()["current_period"]
    gateways.fault("paystack", "off_session", "decline", code="insufficient_funds", times=1_000)
    for by in ("P1M", "P1D", "P2D")[:retries]:
        passes(client, by)
    gateways.no_faults()
    passes(client, "P2D")
    found = customer.subscription()
    assert (found["status"], found["dunning"]) == ("active", None)
    assert found["current_period"]["start"] == before["end"]  # the period that was owed, not one from today
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", *["failed"] * retries, "succeeded"]


@BOTH
def test_a_stolen_card_is_not_tried_again(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    customer.subscribe(**WAYS[gateway])
    gateways.fault(gateway, "off_session", "decline", code="stolen_card", times=1_000)
    passes(client, "P1M")
    found = customer.subscription()
    assert found["status"] == "past_due"
    assert found["dunning"]["next_retry_at"] is None
    passes(client, "P4D")
    assert customer.subscription()["dunning"]["stage"] == "suspended"
    assert len(customer.payments()) == 2


@BOTH
def test_who_is_suspended_pays_and_has_the_same_subscription_back_with_what_was_left(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    customer.subscribe(**WAYS[gateway])
    gateways.fault(gateway, "off_session", "decline", code="stolen_card", times=1_000)
    passes(client, "P1M")
    before = customer.subscription()
    owed = datetime.fromisoformat(before["current_period"]["end"])
    grace_ends = datetime.fromisoformat(before["dunning"]["grace_ends_at"])
    passes(client, "P10D")
    found = customer.subscription()
    assert (found["status"], found["dunning"]["stage"]) == ("past_due", "suspended")
    assert found["dunning"]["suspended_at"] == before["dunning"]["grace_ends_at"]
    assert not any(found["features"].values())
    pay(client, customer.pay_owed(gateway))
    after = customer.becomes("active")
    assert (after["id"], after["dunning"]) == (before["id"], None)
    paid_at = datetime.fromisoformat(after["current_period"]["start"]) + (grace_ends - owed)
    now = datetime.fromisoformat(granted(client.call("GET", "/health"))["clock"]["now"])
    assert timedelta(0) <= now - paid_at < timedelta(minutes=5), "it goes on where it was when grace ended"
    assert len(customer.payments()) == 3
    passes(client, "P20D")
    assert customer.subscription()["status"] == "active"
    assert len(customer.payments()) == 3, "the month is not over"


def test_who_was_canceled_may_subscribe_again(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe()
    first = customer.subscription()["id"]
    gateways.fault("paystack", "off_session", "decline", code="stolen_card", times=1_000)
    passes(client, "P1M")
    passes(client, "P4D")
    passes(client, "P30D")
    gateways.no_faults()
    payment = customer.checkout(plan="estates-starter")
    pay(client, payment)
    found = customer.becomes("active")
    assert found["id"] != first
    assert found["plan"]["id"] == "estates-starter"


# -- Money that is not what was asked for


def given_back(client: Client, customer: Customer, payment: str) -> None:
    """Wait until a refund is done: asked for, and then asked about, since Paystack's take a second of the world's time."""

    def refunded() -> bool:
        passes(client, "PT6H")
        return customer.payment(payment)["status"] == "refunded"

    wait_for(refunded, PATIENCE, f"the refund of {payment}", pause=0.3)


@BOTH
def test_i9_s56_another_amount_grants_nothing_and_goes_back(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    payment = customer.checkout(**WAYS[gateway])
    gateways.fault(gateway, "hosted", "wrong_amount", minor=100)
    pay(client, payment)
    wait_for(lambda: customer.payment(payment["id"])["status"] != "pending", PATIENCE, "the webhook", pause=0.05)
    given_back(client, customer, payment["id"])
    assert customer.subscription()["status"] == "expired"
    (charge,) = gateways.taken(payment["reference"])
    assert (charge["amount"]["minor"], charge["refunded"]) == (100, 100)
    assert len(gateways.books(reference=payment["reference"])["refunds"]) == 1


@BOTH
def test_i9_another_amount_renews_nothing_and_goes_back(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    customer.subscribe(**WAYS[gateway])
    gateways.fault(gateway, "off_session", "wrong_amount", minor=100, times=1)
    passes(client, "P1M")
    assert customer.subscription()["status"] == "past_due"
    wrong = customer.payments()[0]
    given_back(client, customer, wrong["id"])
    (charge,) = gateways.taken(wrong["reference"])
    assert charge["refunded"] == 100


# -- Webhooks that never come


@BOTH
def test_f20_without_any_webhook_everything_still_happens(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    gateways.webhooks(gateway, "lose")
    payment = customer.checkout(**WAYS[gateway])
    pay(client, payment)
    assert customer.subscription()["status"] == "incomplete"
    passes(client, "PT5M")
    assert customer.subscription()["status"] == "active"
    passes(client, "P1M")
    assert [payment["status"] for payment in customer.payments()] == ["succeeded", "succeeded"]
    assert counted(gateways, customer.payments()) == [1, 1]
    fates = {told["fate"] for told in gateways.books(reference=payment["reference"])["deliveries"]}
    assert fates == {"lost"}


def test_i20_f22_webhook_verify_and_worker_at_once_grant_once(
    client: Client, customer: Customer, gateways: Gateways, records: Records
) -> None:
    gateways.webhooks("paystack", "hold")
    payment = customer.checkout()
    pay(client, payment)
    client.advance("PT5M")
    gateways.webhooks("paystack", "duplicate")
    body = message("payment", customer=customer.name, payment=payment["id"])
    doers: list[Callable[[], Any]] = [
        lambda: gateways.order("webhooks/release", {"gateway": "paystack"}),
        lambda: send(client, "RenewalsUrl", body, body),
        lambda: send(client, "PaymentRetriesUrl", body, body),
        client.sweep,
        *[lambda: customer.call("POST", f"/payments/{payment['id']}/verify")] * 6,
    ]
    with ThreadPoolExecutor(len(doers)) as crowd:
        answers = [done.result() for done in [crowd.submit(doer) for doer in doers]]
    assert {answer.status for answer in answers[4:]} == {200}
    client.settle()
    assert customer.becomes("active")["current_period"]
    assert [event["type"]["S"] for event in records.of(customer.name, "EVENT#")] == ["activated"]
    assert counted(gateways, [payment]) == [1]


# -- Checkouts that nobody pays


@BOTH
def test_a_checkout_that_nobody_pays_ends_after_a_day(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    payment = customer.checkout(**WAYS[gateway])
    passes(client, "PT23H")
    assert customer.payment(payment["id"])["status"] == "pending"
    for _ in range(2):
        passes(client, "PT7H")
    assert customer.payment(payment["id"])["status"] == "expired"
    assert customer.subscription()["status"] == "expired"
    asked = gateways.books()["requests"][gateway]
    passes(client, "P10D")
    assert gateways.books()["requests"][gateway] == asked  # nothing is left to be asked


def test_i3_who_pays_after_all_is_served_after_all(client: Client, customer: Customer) -> None:
    """Paystack's pages cannot be closed: what is paid on one a week later was still paid."""
    payment = customer.checkout()
    for by in ("P1D", "PT7H"):
        passes(client, by)
    assert customer.payment(payment["id"])["status"] == "expired"
    pay(client, payment)
    customer.becomes("active")
    assert customer.payment(payment["id"])["status"] == "succeeded"


def test_stripes_page_is_closed_when_its_time_is_over(client: Client, customer: Customer) -> None:
    payment = customer.checkout(**WAYS["stripe"])
    for by in ("P1D", "PT7H"):
        passes(client, by)
    assert customer.payment(payment["id"])["status"] == "expired"
    assert pay(client, payment, card="4242424242424242").status >= 400
    refusal(customer.call("POST", f"/payments/{payment['id']}x/verify"), 404)
