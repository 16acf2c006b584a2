"""One customer of a running stack, and the gateways they pay at: for the story and the end-to-end tests."""

import re
import secrets
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

from client import Client, Response, get_json, post_json, request, wait_for
from issuer import Issuer

# What works at each gateway, whenever it is charged: a card, or at PayPal the money in the buyer's account.
GOOD_CARDS = {
    "paystack": "4084084084084081",
    "stripe": "4242424242424242",
    "flitt": "4444555511116666",
    "paypal": "balance",
}

PATIENCE = 20.0


class Failed(Exception):
    """Something is not as it was told to be; the message says what."""


class Customer:
    """Someone whom the issuer gives tokens, with what they ask of the API."""

    def __init__(self, client: Client, issuer: Issuer, name: str) -> None:
        self.client = client
        self.name = name
        self.token = issuer.mint(name)

    @classmethod
    def fresh(cls, client: Client, family: str = "customer") -> "Customer":
        """One that nobody has seen before."""
        issuer = Issuer(client.stack["issuer"], client.folder / "issuer.pem")
        return cls(client, issuer, f"{family}-{secrets.token_hex(4)}")

    def call(self, method: str, path: str, **how: Any) -> Response:
        return self.client.call(method, path, **{"token": self.token, **how})

    def order(self, *, key: str | None = None, **wanted: Any) -> Response:
        """POST /payments: the estates' middle plan at Paystack, unless told otherwise."""
        body = {
            "plan": "estates-professional",
            "interval": "month",
            "currency": "NGN",
            "quantity": 1,
            "gateway": "paystack",
        }
        headers = {"idempotency-key": key or secrets.token_hex(12)}
        return self.call("POST", "/payments", body=body | wanted, headers=headers)

    def checkout(self, **wanted: Any) -> dict[str, Any]:
        """A payment that is open, and where it can be paid."""
        return granted(self.order(**wanted), 201)["payment"]

    def subscribe(self, *, card: str | None = None, **wanted: Any) -> dict[str, Any]:
        """Order, pay, and wait until that has reached us. Gives the payment."""
        payment = self.checkout(**wanted)
        pay(self.client, payment, card)
        self.becomes("active")
        return payment

    def pay_owed(self, gateway: str, **how: Any) -> dict[str, Any]:
        """A page for what was declined."""
        headers = {"idempotency-key": secrets.token_hex(12)}
        answer = self.call("POST", "/subscription/payments", body={"gateway": gateway} | how, headers=headers)
        return granted(answer, 201)["payment"]

    def preview(self, action: str, **wanted: Any) -> Response:
        """POST /subscription/preview: what a change would do and cost."""
        return self.call("POST", "/subscription/preview", body={"action": action} | wanted)

    def change(self, action: str, *, key: str | None = None, **wanted: Any) -> Response:
        """POST /subscription/changes."""
        headers = {"idempotency-key": key or secrets.token_hex(12)}
        return self.call("POST", "/subscription/changes", body={"action": action} | wanted, headers=headers)

    def account(self, **wanted: Any) -> Response:
        """POST /virtual-accounts: the estates' middle plan, to be paid by bank transfer."""
        body = {
            "plan": "estates-professional",
            "interval": "month",
            "currency": "NGN",
            "quantity": 1,
            "gateway": "paystack",
            "first_name": "Ada",
            "last_name": "Obi",
            "phone": "+2348012345678",
        }
        headers = {"idempotency-key": secrets.token_hex(12)}
        return self.call("POST", "/virtual-accounts", body=body | wanted, headers=headers)

    def methods(self) -> list[dict[str, Any]]:
        return granted(self.call("GET", "/payment-methods"))["payment_methods"]

    def add_method(self, gateway: str, currency: str) -> dict[str, Any]:
        """A page on which a method is left."""
        headers = {"idempotency-key": secrets.token_hex(12)}
        body = {"gateway": gateway, "currency": currency}
        return granted(self.call("POST", "/payment-methods", body=body, headers=headers), 201)["payment"]

    def refund(self, payment: str, amount: Any, *, key: str | None = None, reason: str = "other") -> Response:
        """The SaaS gives back money of a payment of theirs."""
        return self.client.call(
            "POST",
            f"/admin/customers/{self.name}/payments/{payment}/refunds",
            token=self.client.stack["tokens"]["admin"],
            body={"amount": amount, "reason": reason},
            headers={"idempotency-key": key or secrets.token_hex(12)},
        )

    def payment(self, payment: str) -> dict[str, Any]:
        return granted(self.call("GET", f"/payments/{payment}"))["payment"]

    def payments(self) -> list[dict[str, Any]]:
        return granted(self.call("GET", "/payments"))["payments"]

    def verify(self, payment: str) -> dict[str, Any]:
        return granted(self.call("POST", f"/payments/{payment}/verify"))

    def subscription(self) -> dict[str, Any]:
        return granted(self.call("GET", "/subscription"))

    @property
    def email(self) -> str:
        """As their tokens say it."""
        return f"billing@{self.name}.example"

    def mails(self) -> list[dict[str, Any]]:
        """What was sent to them, oldest first: `Source`, `Subject`, `BodyText`, `BodyHtml`."""
        accounts = get_json(f"{self.client.endpoint}/_ministack/ses/messages")["messages"]
        return [mail for sent in accounts.values() for mail in sent if mail["To"] == [self.email]]

    def follow(self, link: str) -> Response:
        """What their browser does with a link of a mail. The template's ApiUrl is AWS's; the emulator has its own."""
        return self.client.call("GET", urlsplit(link).path)

    def use(self, meter: str, value: int) -> dict[str, Any]:
        return granted(self.call("PUT", f"/usage/{meter}", body={"value": value}))

    def consume(self, tokens: Any, *, key: str | None = None, token: str | None = None, **more: Any) -> Response:
        """POST /tokens/consume, by the customer or whom `token` names."""
        headers = {"idempotency-key": key or secrets.token_hex(12)}
        body = {"tokens": tokens} | more
        return self.call("POST", "/tokens/consume", body=body, headers=headers, token=token or self.token)

    def count(self, value: Any, *, id: Any = None, token: str | None = None, **more: Any) -> Response:
        """POST /usage: so many minutes, unless told otherwise, by the customer or whom `token` names."""
        body = {"meter": "minutes", "value": value, "id": id or unique()} | more
        return self.call("POST", "/usage", body=body, token=token or self.token)

    def increment(
        self, value: Any, *, meter: str = "minutes", key: str | None = None, token: str | None = None, **more: Any
    ) -> Response:
        """POST /usage/{meter}/increment: the same."""
        headers = {"idempotency-key": key or unique()}
        body = {"value": value} | more
        return self.call("POST", f"/usage/{meter}/increment", body=body, headers=headers, token=token or self.token)

    def downgrade(self, plan: str) -> dict[str, Any]:
        return granted(self.call("POST", "/subscription/validate-downgrade", body={"plan": plan}))

    def becomes(self, status: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Wait until the subscription is in that status."""
        return self.until(lambda found: found["status"] == status, f"the subscription to be {status}", seconds)

    def until(
        self, accepts: Callable[[dict[str, Any]], bool], what: str, seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until the subscription is as wanted."""
        seen: dict[str, Any] = {}

        def look() -> dict[str, Any] | None:
            seen.update(self.subscription())
            return dict(seen) if accepts(seen) else None

        try:
            return wait_for(look, seconds, what, pause=0.05)
        except TimeoutError as over:
            dunning = f", dunning {seen['dunning']}" if seen.get("dunning") else ""
            last = f"{seen.get('status')} until {seen.get('end_date')}{dunning}"
            raise Failed(f"{over}; {self.name} is {last}") from None


def unique() -> str:
    """An id of a use, too short to be taken for a card number."""
    return f"use-{secrets.token_hex(4)}"


def link_in(mail: dict[str, Any]) -> str:
    """The one link in a mail, which both of its forms have."""
    (link,) = re.findall(r"https://\S+", mail["BodyText"])
    if f'<a href="{link}"' not in mail["BodyHtml"]:
        raise Failed("the two forms of the mail have different links")
    return link


def granted(answer: Response, status: int = 200) -> Any:
    """The body of an answer that has to be a good one."""
    if answer.status != status:
        raise Failed(f"expected {status}, got {answer.status}: {answer.body.decode(errors='replace')}")
    return answer.json()


def pay(client: Client, payment: dict[str, Any], card: str | None = None, action: str = "pay") -> Response:
    """What the customer does on the gateway's page: choose a card, and click Pay or Decline."""
    page = payment["checkout_url"] or f"{client.simulator}/stripe/elements/{payment['client_secret']}"
    means = "funding" if payment["gateway"] == "paypal" else "card"
    form = urlencode({"action": action, means: card or GOOD_CARDS[payment["gateway"]]})
    answer = request("POST", page, raw=form.encode(), headers={"content-type": "application/x-www-form-urlencoded"})
    if answer.status >= 400 and card is None and action == "pay":
        raise Failed(f"{page} answered {answer.status} to a good card")
    return answer


class Gateways:
    """The hand that makes the simulated gateways go wrong, and the eye on their books."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def fault(self, gateway: str, on: str, kind: str, *, times: int = 1, **details: Any) -> None:
        order = {"gateway": gateway, "on": on, "fault": {"kind": kind, **details}, "times": times}
        self.order("faults", order)

    def webhooks(self, gateway: str, mode: str) -> None:
        self.order("webhooks", {"gateway": gateway, "mode": mode})

    def no_faults(self) -> None:
        granted(request("DELETE", f"{self.client.simulator}/admin/faults"))

    def calm(self) -> None:
        """Everything works again."""
        self.no_faults()
        for gateway in GOOD_CARDS:
            self.webhooks(gateway, "deliver")

    def order(self, command: str, body: dict[str, Any]) -> Any:
        return post_json(f"{self.client.simulator}/admin/{command}", body)

    def books(self, **only: str) -> dict[str, Any]:
        return granted(request("GET", f"{self.client.simulator}/admin/books?{urlencode(only)}"))

    def have_told(self, customer: Customer) -> None:
        """Wait until nothing that they tell of the customer's payments is on its way. Stripe tells of each more than once."""
        for payment in customer.payments():
            self.have_told_of(payment["reference"])

    def have_told_of(self, reference: str) -> None:
        def done() -> bool:
            return all(told["fate"] != "waiting" for told in self.books(reference=reference)["deliveries"])

        wait_for(done, 2 * PATIENCE, f"the webhooks of {reference}", pause=0.05)

    def taken(self, reference: str) -> list[dict[str, Any]]:
        """Every time that money was really taken for a reference."""
        return [charge for charge in self.books(reference=reference)["charges"] if charge["status"] == "succeeded"]
