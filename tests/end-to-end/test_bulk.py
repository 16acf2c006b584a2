"""Many customers from a CSV file: make import, make bulk-assign; checked first, killed half-way, sent once (PRODUCT 8 and 31)."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bulk
import pytest
from answers import refusal
from client import Client
from customer import Customer, granted
from records import Records
from stack import ROOT

IMPORT = "customer,plan,interval,currency,period_start,period_end,gateway,method_token,method_payer,card_brand,card_last4"


def sheet(folder: Path, name: str, header: str, rows: list[str]) -> Path:
    path = folder / name
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def command(client: Client, what: str, file: Path, *more: str) -> list[str]:
    return [sys.executable, str(ROOT / "local" / "bulk.py"), what, "--local", str(client.folder), *more, str(file)]


def run(client: Client, what: str, file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(client, what, file, *more), capture_output=True, text=True, timeout=300)


@pytest.fixture
def crowd(records: Records) -> Iterator[Callable[[str, int], list[str]]]:
    """Names of customers, who are forgotten afterwards."""
    made: list[str] = []

    def make(family: str, count: int) -> list[str]:
        made.extend(f"{family}-{os.urandom(3).hex()}-{n}" for n in range(count))
        return made[-count:]

    yield make
    for name in made:
        records.forget(name)


@pytest.fixture
def month(client: Client) -> tuple[str, str]:
    """A month that is running."""
    now = client.call("GET", "/health").json()["clock"]["now"]
    year, number = int(now[:4]), int(now[5:7])
    after = (year, number + 1) if number < 12 else (year + 1, 1)
    return f"{year:04}-{number:02}-01T00:00:00Z", f"{after[0]:04}-{after[1]:02}-01T00:00:00Z"


def elsewhere(names: list[str], month: tuple[str, str]) -> list[str]:
    said = f"estates-professional,month,NGN,{month[0]},{month[1]},paystack,AUTH_%s,billing@acme.example,visa,4081"
    return [f"{name},{said % name}" for name in names]


# What differs with the file and the moment: times with parts of a second, seconds of the epoch, digests, keys.
OF_A_RUN = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\.\d+Z|\b\d{10}\b|\b[0-9a-f]{64}\b|bulk-[0-9a-f]{40}|(?<=CLAIM#)[^\"]+")


def canonical(records: Records, names: list[str]) -> list[list[str]]:
    """What is stored of each, whoever they are and whenever it was."""
    return [sorted(OF_A_RUN.sub("…", line) for line in records.canonical(name)) for name in names]


@pytest.mark.parametrize("what", ["import", "assign"])
def test_a_run_that_was_killed_half_way_and_started_again_leaves_what_one_that_was_not_does(
    what: str,
    client: Client,
    records: Records,
    crowd: Callable[[str, int], list[str]],
    month: tuple[str, str],
    tmp_path: Path,
) -> None:
    def file(name: str, names: list[str]) -> Path:
        if what == "import":
            return sheet(tmp_path, name, IMPORT, elsewhere(names, month))
        gifts = [f"{customer},estates-starter,month,100,all" for customer in names]
        return sheet(tmp_path, name, "customer,plan,interval,comp_percent,comp_periods", gifts)

    whole, killed = crowd("whole", 30), crowd("kill", 30)
    done = run(client, what, file("whole.csv", whole), "--rows", "3")
    assert done.returncode == 0, done.stderr

    half = file("killed.csv", killed)
    process = subprocess.Popen(command(client, what, half, "--rows", "3", "--at-once", "2"), stdout=subprocess.DEVNULL)
    progress = half.with_name("killed.csv.progress")
    began = time.monotonic()
    while process.poll() is None and not (progress.exists() and progress.read_text().count("\n") >= 4):
        assert time.monotonic() - began < 60
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    noted = sum(len(json.loads(line)) for line in progress.read_text().splitlines()[1:] if line.endswith("]"))
    assert 0 < noted < 30, "it was killed half-way"
    with progress.open("a") as torn:
        torn.write('[[17, "impor')

    again = run(client, what, half, "--rows", "3")
    assert again.returncode == 0, again.stderr
    assert f"{noted} rows were done before" in again.stdout
    assert canonical(records, killed) == canonical(records, whole)
    once_more = run(client, what, half)
    assert "30 rows were done before" in once_more.stdout and once_more.returncode == 0


def test_refused_rows_are_reported_and_the_report_is_the_next_file(
    client: Client, customer: Customer, crowd: Callable[[str, int], list[str]], month: tuple[str, str], tmp_path: Path
) -> None:
    customer.subscribe()
    good, mendable = crowd("good", 2)
    rows = elsewhere([good, customer.name, mendable], month)
    rows[2] = rows[2].replace("estates-professional", "estates-gold")
    file = sheet(tmp_path, "three.csv", IMPORT, rows)
    would = run(client, "import", file, "--dry-run")
    assert (would.returncode, "would be 1 imported, 2 refused" in would.stdout) == (1, True), would
    assert client.call("GET", "/subscription", token=Customer.fresh(client).token).status == 404
    assert not file.with_name("three.csv.progress").exists()

    done = run(client, "import", file)
    assert (done.returncode, "1 imported, 2 refused" in done.stdout) == (1, True), done
    report = file.with_name("three.csv.refused.csv")
    refused = list(csv.DictReader(report.open()))
    assert [(row["customer"], row["refused_field"]) for row in refused] == [(customer.name, ""), (mendable, "plan")]
    assert all(row["refused_because"] for row in refused)

    mended = file.with_name("mended.csv")
    lines = report.read_text().replace("estates-gold", "estates-professional").splitlines()
    mended.write_text("\n".join([lines[0], lines[2]]) + "\n")
    done = run(client, "import", mended)
    assert (done.returncode, "1 imported" in done.stdout) == (0, True), done


def test_what_is_taken_over_is_charged_when_its_period_is_over(
    client: Client, customer: Customer, records: Records, month: tuple[str, str], tmp_path: Path
) -> None:
    other = Customer.fresh(client)
    other.subscribe()
    card = next(item for item in records.of(other.name) if item["sk"]["S"] == "LIVE#WALLET")
    token = json.dumps(card)
    method = next(part for part in token.split('"') if part.startswith("AUTH_"))
    said = f"estates-professional,month,NGN,{month[0]},{month[1]},paystack,{method},billing@{other.name}.example,visa,4081"
    assert run(client, "import", sheet(tmp_path, "one.csv", IMPORT, [f"{customer.name},{said}"])).returncode == 0
    found = customer.subscription()
    assert (found["status"], found["end_date"], customer.payments()) == ("active", month[1][:10], [])
    client.walked(customer=customer.name, to=month[1])
    (payment,) = customer.payments()
    assert (payment["amount"]["minor"], payment["status"]) == (700_000, "succeeded")
    records.forget(other.name)


WRONG = {
    "no header": ("", [], "file.csv:1: customer: this column is needed"),
    "a column that is missing": ("customer,interval", ["a,month"], "file.csv:1: plan: this column is needed"),
    "a column of nobody's": ("customer,plan,colour", ["a,b,red"], "file.csv:1: colour: there is no such column"),
    "a column twice": ("customer,plan,plan", ["a,b,c"], "file.csv:1: plan: this column is there twice"),
    "no rows": ("customer,plan", [], "file.csv: has no rows"),
    "a row that is short": ("customer,plan", ["a,b", "c"], "file.csv:3: has 1 columns, and the first line 2"),
    "nothing where something is needed": ("customer,plan", ["a,b", ",b"], "file.csv:3: customer: is empty"),
    "a number that is none": ("customer,plan,quantity", ["a,b,two"], "file.csv:2: quantity: is not a whole number from 1 on"),
    "half a gift": ("customer,plan,comp_percent", ["a,b,100"], "file.csv:2: comp_periods: is needed"),
    "a customer twice": ("customer,plan", ["a,b", "c,b", "a,b"], "file.csv:4: customer: is in line 2 already"),
    "a quote that is open": ("customer,plan", ['a,"b'], "file.csv:2: unexpected end of data"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_file_with_anything_wrong_is_not_sent_and_every_error_names_line_and_column(case: str, tmp_path: Path) -> None:
    header, rows, expected = WRONG[case]
    with pytest.raises(bulk.Wrong) as wrong:
        bulk.read(sheet(tmp_path, "file.csv", header, rows), bulk.TASKS["assign"])
    assert any(line.startswith(expected) for line in str(wrong.value).splitlines()), wrong.value


def test_a_time_says_its_offset(tmp_path: Path) -> None:
    row = "a,b,month,NGN,2026-03-01,2026-04-01T00:00:00Z"
    with pytest.raises(bulk.Wrong, match="file.csv:2: period_start: is not a time with its offset"):
        bulk.read(sheet(tmp_path, "file.csv", ",".join(bulk.TASKS["import"].needs), [row]), bulk.TASKS["import"])


def test_a_batch_is_of_a_hundred_rows_of_different_customers_at_most(client: Client) -> None:
    def ask(path: str, body: Any, token: str | None = None) -> Any:
        token = token or client.stack["tokens"]["admin"]
        return client.call("POST", path, token=token, body=body, headers={"idempotency-key": "batch"})

    gift = {"plan": "estates-starter", "interval": "month"}
    for path in ("/admin/imports", "/admin/assignments"):
        refusal(ask(path, {"rows": []}), 422, "rows")
        refusal(ask(path, {"rows": [{"customer": f"c{n}"} for n in range(101)]}), 422, "rows")
        refusal(ask(path, {"rows": [{"customer": "a"}, {"customer": "a"}]}), 422, "rows[1].customer")
        refusal(ask(path, {"rows": [{}]}, Customer.fresh(client).token), 403)
    refusal(ask("/admin/assignments", {"rows": [{"customer": "a", **gift}], "dry_run": True}), 422, "dry_run")
    answer = granted(ask("/admin/assignments", {"rows": [{"customer": "nobody-pays", **gift}, gift]}))
    assert answer["counts"] == {"refused": 2}
    assert [row["problem"].get("field") for row in answer["rows"]] == [None, "customer"]
