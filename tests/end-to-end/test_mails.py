"""A customer who has to act is written to, and the link in the mail leads to where they pay: without signing in, and nowhere else."""

import re
import time
from collections.abc import Iterator

import pytest
from client import Client, Response
from customer import Customer, Gateways, link_in, pay
from roles import Roles, sees_processes
from stack import MAIL_FROM
from test_deployment import denied

ORDER = {"gateway": "stripe", "plan": "minutes-pro", "currency": "USD"}


def catch_up(client: Client) -> None:
    """What is due is done, and then what that made due: a mail is due as soon as its charge was declined."""
    for _ in range(2):
        client.sweep()
        client.settle()


@pytest.fixture
def owing(client: Client, customer: Customer, gateways: Gateways) -> Iterator[Customer]:
    """Someone whose bank wants them to confirm their renewal."""
    customer.subscribe(**ORDER)
    gateways.fault("stripe", "off_session", "decline", code="authentication_required")
    client.advance("P1M")
    catch_up(client)
    yield customer


POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def shows(answer: Response, status: int, title: str, policy: str = POLICY) -> None:
    """A page for a person, which nobody keeps and which runs nothing."""
    assert answer.status == status, f"{answer.status}: {answer.body[:500]!r}"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert f"<h1>{title}</h1>" in answer.body.decode()
    is_private(answer, policy)


def is_private(answer: Response, policy: str = POLICY) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == policy


def test_who_must_act_gets_one_mail_and_pays_by_its_link(client: Client, owing: Customer) -> None:
    found = owing.subscription()
    assert (found["status"], found["dunning"]["stage"]) == ("past_due", "grace")
    (mail,) = owing.mails()
    assert (mail["Source"], mail["To"], mail["CC"], mail["BCC"]) == (MAIL_FROM, [owing.email], [], [])
    assert mail["Subject"] == f"Please pay for {found['plan']['display_name']}"
    renewal, *_ = owing.payments()
    exact = f"{renewal['amount']['currency']} {renewal['amount']['minor'] // 100}.{renewal['amount']['minor'] % 100:02}"
    assert f"your bank wants you to confirm the payment of {exact}" in mail["BodyText"]
    link = link_in(mail)
    assert link.startswith(f"{client.outputs['ApiUrl']}/pay/mail_")

    led = owing.follow(link)
    assert led.status == 303, led.body
    assert led.headers["location"].startswith(client.simulator)
    is_private(led)
    page, *_ = owing.payments()
    assert (page["checkout_url"], page["amount"]) == (led.headers["location"], renewal["amount"])

    # Whoever looks at it first, a scanner say, leaves the same page to the one who pays.
    assert owing.follow(f"{link}/").headers["location"] == led.headers["location"]
    assert len(owing.payments()) == 3
    pay(client, page)
    owing.becomes("active")
    shows(owing.follow(link), 200, "There is nothing to pay")
    catch_up(client)
    assert len(owing.mails()) == 1
    assert len(owing.payments()) == 3


def test_a_soft_decline_writes_to_nobody_until_the_ladder_is_over(
    client: Client, customer: Customer, gateways: Gateways
) -> None:
    customer.subscribe(**ORDER)
    gateways.fault("stripe", "off_session", "decline", code="insufficient_funds", times=4)
    client.advance("P1M")
    for by in ("P1DT1H", "P2D", "P2D"):
        catch_up(client)
        assert customer.subscription()["dunning"]["stage"] == "retry"
        assert customer.mails() == []
        client.advance(by)
    catch_up(client)
    assert customer.subscription()["dunning"]["stage"] == "grace"
    (mail,) = customer.mails()
    assert "was declined" in mail["BodyText"]


def test_a_link_that_is_not_ours_or_is_over_opens_nothing(client: Client, owing: Customer, other: Customer) -> None:
    (mail,) = owing.mails()
    link = link_in(mail)
    address, _, capability = link.rpartition("/")
    name, until, mac = capability.split(".")
    payments = owing.payments()
    bad = [
        f"{name}.{int(until) + 86_400}.{mac}",
        f"{name[:-1]}{'a' if name[-1] != 'a' else 'b'}.{until}.{mac}",
        f"{name}.{until}.{'A' * 43}",
        f"{name}.{until}.{mac[:-4]}",
        f"{name}.0{until}.{mac}",
        f"{name}.{until}",
        name,
        owing.name,
        "mail_" + "a" * 24,
        "%00%20.%3C.%22",
    ]
    for each in bad:
        shows(owing.follow(f"{address}/{each}"), 404, "This link is no longer valid")
    # Signing in makes no difference.
    answer = other.call("GET", f"/pay/{bad[0]}")
    shows(answer, 404, "This link is no longer valid")
    assert owing.payments() == payments
    client.advance("P3DT1H")
    shows(owing.follow(link), 404, "This link is no longer valid")
    assert owing.payments() == payments


@pytest.mark.usefixtures("unswept")
def test_who_paid_elsewhere_meanwhile_is_not_written_to(client: Client, customer: Customer, gateways: Gateways) -> None:
    customer.subscribe(**ORDER)
    gateways.fault("stripe", "off_session", "decline", code="authentication_required")
    client.advance("P1M")
    client.sweep()
    client.settle()  # declined, and the mail is due
    assert customer.subscription()["dunning"]["stage"] == "grace"
    pay(client, customer.pay_owed("stripe"))
    customer.becomes("active")
    catch_up(client)
    assert customer.mails() == []


def test_neither_address_nor_link_is_logged(client: Client, customer: Customer, gateways: Gateways) -> None:
    start = time.time() - 1
    customer.subscribe(**ORDER)
    gateways.fault("stripe", "off_session", "decline", code="authentication_required")
    client.advance("P1M")
    catch_up(client)
    (mail,) = customer.mails()
    link = link_in(mail)
    assert customer.follow(link).status == 303
    shows(customer.follow(link[:-1]), 404, "This link is no longer valid")
    emulated = (client.folder / "logs" / "emulator.log").read_text(errors="replace").splitlines()
    lines = [*client.logs(since=start), *emulated]
    assert any("link refused" in line for line in lines), "nothing was logged at all"
    secret = link.rpartition(".")[2][:-1]
    assert not [line for line in lines if secret in line or customer.email in line]
    assert not [line for line in lines if re.search(r"mail_\w{24}\.\d", line)]


@sees_processes
def test_s28_mails_come_from_one_address(client: Client, owing: Customer) -> None:
    """With the credentials of the running function, which has just sent from its own."""
    assert len(owing.mails()) == 1
    mails = Roles(client).as_function("MailWorker", "sesv2")
    part = {"Data": "x"}
    wanted = {"Destination": {"ToAddresses": [owing.email]}, "Content": {"Simple": {"Subject": part, "Body": {"Text": part}}}}
    for address in ("owner@perennial.example", "billing@other.example", f"{MAIL_FROM}.example", f'"{MAIL_FROM}" <owner@perennial.example>'):
        assert denied(mails.send_email, FromEmailAddress=address, **wanted), address
    assert len(owing.mails()) == 1
