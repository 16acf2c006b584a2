"""White label: customers of a brand are written to under its name and in its colours, and so are their pages (PRODUCT 13)."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answers import refusal
from client import Client, Response
from customer import Customer, Gateways, granted, link_in
from records import Records
from roles import Roles, sees_processes
from sheet import TASKS, Wrong, read
from stack import MAIL_FROM, ROOT
from test_administration import administer
from test_deployment import denied
from test_mails import ORDER, catch_up, shows

ACME = {
    "name": "Acme Telecom",
    "logo": "https://cdn.acme.example/logo.png",
    "colours": {"primary": "#003399", "background": "#fff8e1"},
    "sender": {"name": "Acme Telecom, Rechnungen für Sie", "reply_to": "help@acme.example"},
}


def keep(client: Client, name: str, body: Any, token: str | None = None) -> Response:
    return client.call("PUT", f"/admin/brands/{name}", token=token or client.stack["tokens"]["admin"], body=body)


def brands(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = granted(client.call("GET", "/admin/brands", token=client.stack["tokens"]["admin"]))["brands"]
    return found


@pytest.fixture
def acme(client: Client, records: Records) -> Iterator[str]:
    granted(keep(client, "acme-telecom", ACME))
    yield "acme-telecom"
    for pk, sk in records.all():
        if pk == "BRANDS":
            records.table.delete_item(TableName=records.name, Key={"pk": {"S": pk}, "sk": {"S": sk}})


def owes(client: Client, gateways: Gateways, *customers: Customer) -> None:
    """Their banks want them to confirm their renewals, and they are told so."""
    for each in customers:
        each.subscribe(**ORDER)
    gateways.fault("stripe", "off_session", "decline", code="authentication_required", times=len(customers))
    client.advance("P1M")


def administered(client: Client, folder: Path, rows: list[str]) -> subprocess.CompletedProcess[str]:
    file = folder / f"{len(list(folder.iterdir()))}.csv"
    file.write_text("\n".join(["customer,action,brand", *rows]) + "\n")
    command = [sys.executable, str(ROOT / "local" / "bulk.py"), "administer", "--local", str(client.folder), str(file)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.usefixtures("unswept")
def test_two_customers_get_a_brand_by_a_file_and_their_mails_and_pages_follow_it(
    client: Client, customer: Customer, other: Customer, gateways: Gateways, acme: str, tmp_path: Path
) -> None:
    owes(client, gateways, customer, other)
    client.sweep()
    client.settle()  # declined, and the mails are due
    done = administered(client, tmp_path, [f"{each.name},brand,{acme}" for each in (customer, other)])
    assert (done.returncode, "2 done" in done.stdout) == (0, True), done
    assert [each.subscription()["brand"] for each in (customer, other)] == [acme, acme]
    assert granted(keep(client, acme, ACME | {"name": "Acme Mobile"}))["name"] == "Acme Mobile"
    catch_up(client)
    for each in (customer, other):
        (mail,) = each.mails()
        assert mail["Source"] == f"=?UTF-8?B?QWNtZSBUZWxlY29tLCBSZWNobnVuZ2VuIGbDvHIgU2ll?= <{MAIL_FROM}>"
        assert mail["BodyText"].startswith("Acme Mobile\n\nHello, your bank wants you to confirm")
        assert '<img src="https://cdn.acme.example/logo.png"' in mail["BodyHtml"]
        assert "background:#003399;color:#ffffff;" in mail["BodyHtml"] and ">Acme Mobile</p>" in mail["BodyHtml"]

    (mail,) = customer.mails()
    link = link_in(mail)
    assert customer.follow(link).status == 303
    granted(customer.change("cancel", effective="now"))
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src https://cdn.acme.example"
    page = customer.follow(link)
    shows(page, 200, "There is nothing to pay", policy)
    html = page.body.decode()
    assert '<img src="https://cdn.acme.example/logo.png"' in html and ">Acme Mobile</p>" in html
    assert "background:#fff8e1;color:#000000" in html
    granted(keep(client, acme, ACME | {"name": "<b>Acme</b> & Co", "logo": None}))
    page = customer.follow(link)
    shows(page, 200, "There is nothing to pay")
    assert "&lt;b&gt;Acme&lt;/b&gt; &amp; Co</p>" in page.body.decode() and "<img" not in page.body.decode()
    # A link that is not ours is shown under nobody's name.
    forged = customer.follow(link[:-4] + "AAAA")
    shows(forged, 404, "This link is no longer valid")
    assert "Acme" not in forged.body.decode()

    done = administered(client, tmp_path, [f"{customer.name},brand,-"])
    assert done.returncode == 0, done
    assert (customer.subscription()["brand"], other.subscription()["brand"]) == (None, acme)
    page = customer.follow(link)
    shows(page, 200, "There is nothing to pay")
    assert "Acme" not in page.body.decode()
    granted(other.change("cancel", effective="now"))
    theirs = link_in(other.mails()[0])
    assert "Acme" in other.follow(theirs).body.decode()
    client.advance("P40D")
    over = other.follow(theirs)
    assert over.status == 404 and "This link is no longer valid" in over.body.decode()
    assert "Acme" in over.body.decode(), "their own link, and it is over"


def test_a_brand_stays_when_its_customer_leaves_and_comes_back(customer: Customer, acme: str) -> None:
    customer.subscribe(**ORDER)
    first = granted(administer(customer, "brand", brand=acme, key="label"))
    assert first["brand"] == acme
    assert granted(administer(customer, "brand", brand=acme, key="label")) == first == customer.subscription()
    refusal(administer(customer, "brand", brand=None, key="label"), 422, "Idempotency-Key")
    granted(customer.change("cancel", effective="now"))
    customer.subscribe(**ORDER)
    assert (customer.subscription()["status"], customer.subscription()["brand"]) == ("active", acme)
    assert granted(administer(customer, "brand", brand=None))["brand"] is None


def test_brands_are_kept_whole_and_listed(client: Client, records: Records, acme: str) -> None:
    first = keep(client, acme, ACME)
    assert granted(first) == {"id": acme} | ACME
    before = records.all()
    assert keep(client, acme + "/", ACME).json() == first.json()
    assert records.all() == before, "the same again changes nothing"
    plain = {name: value for name, value in ACME.items() if name != "logo"}
    assert granted(keep(client, "a-1", plain)) == {"id": "a-1", "logo": None} | plain
    assert brands(client) == [{"id": "a-1", "logo": None} | plain, {"id": acme} | ACME]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "Acme\r\nBcc: all@victim.example"}, "name"),
        ({"name": "x" * 61}, "name"),
        ({"logo": "http://cdn.acme.example/logo.png"}, "logo"),
        ({"logo": "javascript:alert(1)"}, "logo"),
        ({"colours": {"primary": "red", "background": "#ffffff"}}, "colours.primary"),
        ({"colours": {"primary": "#003399", "background": "#fff;}"}}, "colours.background"),
        ({"colours": {"primary": "#003399"}}, "colours"),
        ({"sender": ACME["sender"] | {"name": "Acme\nBilling"}}, "sender.name"),
        ({"sender": ACME["sender"] | {"reply_to": "help@acme.example, all@victim.example"}}, "sender.reply_to"),
        ({"sender": ACME["sender"] | {"from": "us@acme.example"}}, "sender.from"),
        ({"id": "other"}, "id"),
        ({"css": "*{}"}, "css"),
    ],
)
def test_what_makes_no_sense_is_refused_and_changes_nothing(
    client: Client, records: Records, acme: str, wrong: dict[str, Any], field: str
) -> None:
    before = records.all()
    refusal(keep(client, acme, ACME | wrong), 400, field)
    assert records.all() == before


def test_only_staff_make_brands_and_give_them(
    client: Client, customer: Customer, gateways: Gateways, records: Records, acme: str
) -> None:
    customer.subscribe(**ORDER)
    gateways.have_told(customer)
    before = records.all()
    for token in (customer.token, client.stack["tokens"]["service"]):
        refusal(keep(client, acme, ACME | {"name": "Mine"}, token), 403)
        refusal(client.call("GET", "/admin/brands", token=token), 403)
        refusal(administer(customer, "brand", brand=acme, token=token), 403)
    assert client.call("GET", "/admin/brands").status == 401
    for name in ("Acme", "-", "_a", "a%20b", "x" * 65):
        refusal(keep(client, name, ACME), 404)
    refusal(administer(customer, "brand", brand="acne"), 422, "brand")
    refusal(administer(customer, "brand", brand="No Such"), 400, "brand")
    refusal(administer(customer, "brand"), 422, "brand")
    refusal(administer(customer, "brand", brand=acme, days=1), 422, "days")
    assert records.all() == before


@sees_processes
def test_who_keeps_brands_touches_nothing_else(client: Client, customer: Customer, acme: str) -> None:
    """With the credentials of the running functions."""
    customer.subscribe(**ORDER)
    assert [brand["id"] for brand in brands(client)] == [acme]
    table, roles = client.stack["table"], Roles(client)
    theirs = {"pk": {"S": f"CUST#{customer.name}"}, "sk": {"S": "LIVE#SUB"}}
    keeper = roles.as_function("SetBrand", "dynamodb")
    assert denied(keeper.get_item, TableName=table, Key=theirs)
    assert denied(keeper.put_item, TableName=table, Item=theirs)
    # Of a query the emulator does not look at the partition, as AWS does: test_deployment sees that the role says it.
    lister = roles.as_function("ListBrands", "dynamodb")
    assert denied(lister.get_item, TableName=table, Key=theirs)
    assert denied(lister.put_item, TableName=table, Item=theirs)


def test_a_row_names_a_brand_or_none(tmp_path: Path) -> None:
    def said(cell: str) -> Any:
        file = tmp_path / "file.csv"
        file.write_text(f"customer,action,brand\na,brand,{cell}\n")
        (row,) = read(file, TASKS["administer"]).rows
        return row.said

    assert said("3-mobile_2") == {"customer": "a", "action": "brand", "brand": "3-mobile_2"}
    assert said("-") == {"customer": "a", "action": "brand", "brand": None}
    for wrong in ("Acme", "-acme", "acme telecom", "null?"):
        with pytest.raises(Wrong, match="file.csv:2: brand: is not a brand"):
            said(wrong)
