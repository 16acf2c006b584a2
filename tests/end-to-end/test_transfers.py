"""Money that comes in by bank transfer: in any amount, at any time, told of or not. Every naira is accounted for."""

import pytest
from answers import refusal
from client import Client, wait_for
from customer import Customer, Gateways, granted

PRICE = 700_000  # kobo a month: estates-professional


def opened(customer: Customer) -> tuple[str, dict]:
    """The number of their account, and the payment that waits for a transfer."""
    answer = granted(customer.account(), 201)
    assert answer["reference"] == answer["payment"]["reference"]
    assert set(answer["account"]) == {"account_number", "account_name", "bank_name", "bank_id"}
    return answer["account"]["account_number"], answer["payment"]


def transfer(gateways: Gateways, number: str, kobo: int) -> None:
    gateways.order("paystack/transfer", {"account_number": number, "amount": kobo, "sender": "Ada"})


def credit(customer: Customer) -> int:
    return customer.subscription()["account"]["credit"]["minor"]


def settles(client: Client, by: str = "P1DT1H") -> None:
    client.advance(by)
    client.sweep()
    client.settle()


def balances(customer: Customer, gateways: Gateways, number: str) -> None:
    """What came in, by the gateway's books, is what was paid with it and what is left."""
    came_in = sum(it["amount"]["minor"] for it in gateways.books()["transfers"] if it["account"] == number)
    paid = [it for it in customer.payments() if it["method"] == "virtual_account" and it["paid_at"]]
    assert came_in == sum(it["amount"]["minor"] for it in paid) + credit(customer)
    told = [it["amount"]["minor"] for it in customer.payments() if it["kind"] == "transfer"]
    assert sum(told) == came_in


def test_an_exact_transfer_is_told_of_and_activates(client: Client, customer: Customer, gateways: Gateways) -> None:
    number, payment = opened(customer)
    assert payment["status"] == "pending"
    transfer(gateways, number, PRICE)
    customer.becomes("active")
    assert customer.payment(payment["id"])["status"] == "succeeded"
    assert credit(customer) == 0
    balances(customer, gateways, number)


def test_without_webhooks_it_is_found_by_asking(client: Client, customer: Customer, gateways: Gateways) -> None:
    gateways.webhooks("paystack", "lose")
    number, payment = opened(customer)
    transfer(gateways, number, PRICE)
    assert customer.verify(payment["id"])["payment"]["status"] == "succeeded"
    transfer(gateways, number, 500)  # for nothing that is open: nobody asks, but the daily look
    settles(client)
    assert credit(customer) == 500
    balances(customer, gateways, number)


def test_parts_add_up_and_what_is_too_much_pays_the_next_month(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    number, _ = opened(customer)
    transfer(gateways, number, PRICE - 1)
    wait_for(lambda: credit(customer) == PRICE - 1, 20, "the first part")
    assert customer.subscription()["status"] == "incomplete"
    transfer(gateways, number, PRICE + 1)
    customer.becomes("active")
    assert credit(customer) == PRICE
    balances(customer, gateways, number)
    end = customer.subscription()["current_period"]["end"]
    settles(client, "P32D")
    found = customer.subscription()
    assert (found["status"], found["current_period"]["start"], credit(customer)) == ("active", end, 0)
    balances(customer, gateways, number)


def test_webhooks_three_times_and_backwards_count_once(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    number, _ = opened(customer)
    gateways.webhooks("paystack", "hold")
    for part in (PRICE - 1_000, 1_500):
        transfer(gateways, number, part)
    gateways.webhooks("paystack", "duplicate")
    gateways.order("webhooks/release", {"gateway": "paystack", "order": "reverse"})
    customer.becomes("active")
    settles(client)
    assert credit(customer) == 500
    balances(customer, gateways, number)


def test_money_for_nothing_can_go_back_and_what_was_spent_cannot(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    number, _ = opened(customer)
    transfer(gateways, number, PRICE)
    customer.becomes("active")
    transfer(gateways, number, 10_000)
    wait_for(lambda: credit(customer) == 10_000, 20, "the second transfer")
    small, large = sorted(
        (it for it in customer.payments() if it["kind"] == "transfer"), key=lambda it: it["amount"]["minor"]
    )
    refusal(customer.refund(large["id"], "all"), 409)
    granted(customer.refund(small["id"], "all"), 201)
    assert credit(customer) == 0
    wait_for(lambda: bool(gateways.books()["refunds"]), 20, "the refund")


def test_the_account_stays_the_same(client: Client, customer: Customer, gateways: Gateways) -> None:
    number, payment = opened(customer)
    again, other = opened(customer)
    assert (again, other["id"] == payment["id"]) == (number, False)
    transfer(gateways, number, PRICE)
    customer.becomes("active")
    refusal(customer.account(), 409)


@pytest.mark.parametrize("left_out", ["first_name", "last_name", "phone", "gateway", "plan"])
def test_what_is_missing_is_named(customer: Customer, left_out: str) -> None:
    body = {"plan": "estates-professional", "interval": "month", "currency": "NGN", "quantity": 1, "gateway": "paystack"}
    body |= {"first_name": "Ada", "last_name": "Obi", "phone": "+2348012345678"}
    del body[left_out]
    answer = customer.call("POST", "/virtual-accounts", body=body, headers={"idempotency-key": "missing"})
    assert left_out in refusal(answer, 400)["detail"]


def test_an_account_is_not_opened_by_the_way(customer: Customer) -> None:
    refusal(customer.order(method="virtual_account"), 422, "method")
    assert customer.payments() == []
