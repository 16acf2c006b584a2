"""One life of a customer at each gateway: it ends the same whether webhooks come, are all lost, or come thrice and backwards."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from answers import refusal
from client import Client, wait_for
from customer import Customer, Failed, Gateways, granted, link_in, pay

# What is bought where, and how a saved method is declined softly and for good.
LIVES: dict[str, dict[str, Any]] = {
    "stripe": {
        "order": {"plan": "minutes-pro", "currency": "USD"},
        "soft": "insufficient_funds",
        "hard": "lost_card",
    },
    "paystack": {
        "order": {"plan": "estates-professional", "currency": "NGN"},
        "soft": "insufficient_funds",
        "hard": "expired_card",
    },
    "flitt": {
        "order": {"plan": "crm-professional", "currency": "GEL"},
        "soft": "1037",
        "hard": "1042",
    },
    "paypal": {
        "order": {"plan": "minutes-pro", "currency": "USD"},
        "soft": "TRANSACTION_LIMIT_EXCEEDED",
        "hard": "PAYER_ACCOUNT_RESTRICTED",
    },
}

# How often it is looked whether what happened has reached us. Without webhooks the sweeper has to find it out.
LOOKS = 25


class Life:
    """A customer of one gateway, in a world where its webhooks come as `mode` says."""

    def __init__(self, client: Client, customer: Customer, gateways: Gateways, gateway: str, mode: str) -> None:
        self.client, self.customer, self.gateways = client, customer, gateways
        self.gateway, self.mode = gateway, mode
        self.hears("lose" if mode == "lost" else "hold" if mode == "reversed" else "deliver")

    def hears(self, mode: str) -> None:
        self.gateways.webhooks(self.gateway, mode)

    def reaches_us(self, seen: Callable[[], Any], what: str, wait: str = "PT1H") -> Any:
        """Until `seen` sees it: by webhooks, or where they are lost by letting time pass and asking."""
        if self.mode == "delivered":
            return wait_for(seen, 20, what)
        for _ in range(LOOKS):
            if self.mode == "reversed":
                self.hears("duplicate")  # three times each
                self.gateways.order("webhooks/release", {"gateway": self.gateway, "order": "reverse"})
                self.hears("hold")
            else:
                passes(self.client, wait)
            if found := seen():
                return found
            if self.mode == "reversed":
                passes(self.client, "PT5M")
                time.sleep(0.2)  # gateways take their time, and it is the world's
        raise Failed(f"{what} did not reach us; {self.customer.subscription()}, {self.customer.payments()}")

    def is_active_from(self, start: str | None) -> Callable[[], Any]:
        def seen() -> Any:
            found = self.customer.subscription()
            began = found["current_period"] and found["current_period"]["start"]
            return found["status"] == "active" and (start is None or began == start) and found

        return seen

    def newest(self, status: str) -> Callable[[], Any]:
        def seen() -> Any:
            (newest, *_) = self.customer.payments()
            return newest["status"] == status and newest

        return seen

    def period_ends(self) -> str:
        """Past the end of the period that is paid for, and what follows is begun. Gives that end."""
        end = self.customer.subscription()["current_period"]["end"]
        passes(self.client, "P32D")  # longer than any month
        return end

    def comes_back(self) -> dict[str, Any]:
        """To the page for what is owed: by the link of the mail, or signed in, as `mode` has it."""
        if self.mode != "delivered":
            return self.customer.pay_owed(self.gateway)
        self.client.sweep()
        self.client.settle()
        (mail,) = self.customer.mails()
        led = self.customer.follow(link_in(mail))
        back = self.customer.payments()[0]
        assert (led.status, led.headers.get("location")) == (303, back["checkout_url"])
        return back

    def declined(self, kind: str) -> None:
        code = LIVES[self.gateway][kind]
        self.gateways.fault(self.gateway, "off_session", "decline", code=code)


def passes(client: Client, by: str) -> None:
    client.advance(by)
    client.sweep()
    client.settle()


@pytest.mark.parametrize("mode", ["delivered", "lost", "reversed"])
@pytest.mark.parametrize("gateway", LIVES)
def test_a_life_ends_the_same_however_webhooks_come(
    client: Client, customer: Customer, gateways: Gateways, gateway: str, mode: str
) -> None:
    life = Life(client, customer, gateways, gateway, mode)
    order = LIVES[gateway]["order"]

    # Checkout, and what the page brought.
    pay(client, customer.checkout(gateway=gateway, **order))
    life.reaches_us(life.is_active_from(None), "the first payment")
    assert customer.subscription()["payment_method"]["gateway"] == gateway

    # Renewal, with nobody there.
    end = life.period_ends()
    life.reaches_us(life.is_active_from(end), "the renewal")

    # Declined softly: tried again a day later, and paid.
    life.declined("soft")
    end = life.period_ends()
    life.reaches_us(life.newest("failed"), "the soft decline")
    assert customer.subscription()["dunning"]["stage"] == "retry"
    passes(client, "P1DT1H")
    life.reaches_us(life.is_active_from(end), "the retry")

    # Declined for good: not tried again, and the customer comes back to pay.
    life.declined("hard")
    end = life.period_ends()
    life.reaches_us(life.newest("failed"), "the hard decline")
    dunning = customer.subscription()["dunning"]
    assert (dunning["stage"], dunning["pay"]["href"]) == ("grace", "/subscription/payments")
    back = life.comes_back()
    pay(client, back)
    life.reaches_us(life.is_active_from(end), "what was owed")

    # A part goes back, and then the bank is asked for the rest.
    part = {"minor": 100, "currency": order["currency"]}
    granted(customer.refund(back["id"], part, reason="requested_by_customer"), 201)
    life.reaches_us(life.newest("partially_refunded"), "the refund")
    gateways.order("dispute", {"gateway": gateway, "reference": back["reference"], "outcome": "open"})
    ended = "refunded" if gateway == "flitt" else "disputed"  # Flitt says no more than that the money is gone
    life.reaches_us(life.newest(ended), "the dispute", wait="P1D")

    # The same end in every world.
    payments = [(it["status"], it["method"], it["amount"]["minor"]) for it in customer.payments()]
    price = back["amount"]["minor"]
    assert payments == [
        (ended, "checkout", price),
        ("failed", "saved", price),
        ("succeeded", "saved", price),
        ("failed", "saved", price),
        ("succeeded", "saved", price),
        ("succeeded", "checkout", price),
    ]
    found = customer.subscription()
    assert found["status"] == "active"
    assert found["current_period"]["start"] == end
    assert found["disputed_payment"] == (None if gateway == "flitt" else back["id"])
    for payment in customer.payments():
        times = 0 if payment["status"] == "failed" else 1
        assert len(gateways.taken(payment["reference"])) == times, payment


@pytest.mark.parametrize("gateway", LIVES)
def test_a_disputed_payment_is_not_given_back_besides_and_nothing_more_is_charged(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    payment = customer.subscribe(gateway=gateway, **LIVES[gateway]["order"])
    gateways.order("dispute", {"gateway": gateway, "reference": payment["reference"], "outcome": "open"})
    wait_for(lambda: customer.payment(payment["id"])["status"] in ("disputed", "refunded"), 20, "the dispute")
    refusal(customer.refund(payment["id"], "all"), 409)
    passes(client, "P1M")
    if gateway != "flitt":
        assert customer.subscription()["status"] == "canceled"
        assert len(customer.payments()) == 1


@pytest.mark.parametrize("gateway", LIVES)
def test_a_method_is_added_shown_preferred_and_removed(
    client: Client, customer: Customer, gateways: Gateways, gateway: str
) -> None:
    order = LIVES[gateway]["order"]
    setup = customer.add_method(gateway, order["currency"])
    assert (setup["plan"], setup["status"]) == (None, "pending")
    pay(client, setup)
    customer.verify(setup["id"])  # as the page does that the customer comes back to
    (method,) = wait_for(customer.methods, 20, "the method")
    assert (method["gateway"], method["default"]) == (gateway, True)
    answer = customer.call("DELETE", f"/payment-methods/{method['id']}")
    assert granted(answer)["payment_methods"] == []
    refusal(customer.call("DELETE", f"/payment-methods/{method['id']}"), 404)
