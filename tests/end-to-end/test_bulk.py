"""Many customers from a CSV file: make import, make bulk-assign; checked first, killed half-way, sent once (PRODUCT 8 and 31)."""

import csv
import fcntl
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

import outcomes
import pytest
from answers import refusal
from client import Client
from customer import Customer, granted
from outcomes import Progress
from records import Records
from sheet import TASKS, Sheet, Wrong, read
from stack import ROOT

IMPORT = "customer,plan,interval,currency,period_start,period_end,gateway,method_token,method_payer,card_brand,card_last4"


def written(folder: Path, name: str, header: str, rows: list[str]) -> Path:
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


# What differs with the file and the moment: times with parts of a second, seconds of the epoch, digests, keys of staff.
OF_A_RUN = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+\.\d+Z|\b\d{10}\b|\b[0-9a-f]{64}\b|staff:[a-z2-7]{52}|(?<=CLAIM#)[^\"]+")


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
            return written(tmp_path, name, IMPORT, elsewhere(names, month))
        gifts = [f"{customer},estates-starter,month,100,all" for customer in names]
        return written(tmp_path, name, "customer,plan,interval,comp_percent,comp_periods", gifts)

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
    file = written(tmp_path, "three.csv", IMPORT, rows)
    would = run(client, "import", file, "--dry-run")
    assert (would.returncode, "would be 1 imported, 2 refused" in would.stdout) == (1, True), would
    assert "refused" in file.with_name("three.csv.dry-run.csv").read_text()
    assert not file.with_name("three.csv.refused.csv").exists()
    assert client.call("GET", "/subscription", token=Customer.fresh(client).token).status == 404
    assert not file.with_name("three.csv.progress").exists()

    done = run(client, "import", file)
    assert (done.returncode, "1 imported, 2 refused" in done.stdout) == (1, True), done
    report = file.with_name("three.csv.refused.csv")
    refused = list(csv.DictReader(report.open()))
    assert [(row["customer"], row["refused_field"]) for row in refused] == [(customer.name, ""), (mendable, "plan")]
    assert all(row["refused_because"] for row in refused)

    assert run(client, "import", file).returncode == 1, "they are refused still"
    assert sorted(path.name for path in tmp_path.glob("three.csv.refused*")) == [report.name]
    lines = report.read_text().replace("estates-gold", "estates-professional").splitlines()
    report.write_text("\n".join([lines[0], lines[2]]) + "\n")
    again = run(client, "import", file)
    assert (again.returncode, "is kept as it is" in again.stderr or again.stderr) == (1, True)
    assert list(csv.DictReader(file.with_name("three.csv.refused-2.csv").open())) == refused
    done = run(client, "import", report)
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
    assert run(client, "import", written(tmp_path, "one.csv", IMPORT, [f"{customer.name},{said}"])).returncode == 0
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
    with pytest.raises(Wrong) as wrong:
        read(written(tmp_path, "file.csv", header, rows), TASKS["assign"])
    assert any(line.startswith(expected) for line in str(wrong.value).splitlines()), wrong.value


TOKEN = "AUTH_72btv547"

OF_METHODS = {
    "a method of two customers": (
        ["a,paystack,,2026-11-05T00:00:00Z", "b,paystack,,2026-11-05T00:00:00Z", "c,stripe,,2026-11-05T00:00:00Z"],
        ["file.csv:3: method_token: is in line 2 already"],
    ),
    "a token that has slipped into another column": (
        [f"a,{TOKEN},,2026-11-05T00:00:00Z", f"b,paystack,{TOKEN},{TOKEN}"],
        [
            "file.csv:2: gateway: is not a gateway: stripe, paystack, flitt or paypal",
            "file.csv:3: period_start: is not a time with its offset, such as 2026-03-31T00:00:00Z",
        ],
    ),
}


@pytest.mark.parametrize("case", OF_METHODS)
def test_a_method_is_one_customer_s_and_no_error_repeats_what_could_be_a_token(case: str, tmp_path: Path) -> None:
    rows, expected = OF_METHODS[case]
    header = "customer,gateway,method_payer,period_start,plan,interval,currency,period_end,method_token"
    rows = [f"{row},estates-professional,month,NGN,2026-12-05T00:00:00Z,{TOKEN}" for row in rows]
    with pytest.raises(Wrong) as wrong:
        read(written(tmp_path, "file.csv", header, rows), TASKS["import"])
    assert str(wrong.value).splitlines() == expected


def test_a_row_where_the_header_should_be_is_not_repeated_either(tmp_path: Path) -> None:
    with pytest.raises(Wrong) as wrong:
        read(written(tmp_path, "file.csv", f"acme,{TOKEN}", []), TASKS["import"])
    assert "file.csv:1: column 2: there is no such column" in str(wrong.value)
    assert TOKEN not in str(wrong.value) and "acme" not in str(wrong.value)


# -- Going on where a run stopped, of which the command alone knows


@pytest.fixture
def half(tmp_path: Path) -> tuple[Sheet, Path]:
    """A file of three customers, and the progress of a run that never got an answer."""
    path = written(tmp_path, "three.csv", "customer,plan", ["a,crm-basic", "b,crm-basic", "c,crm-basic"])
    three = read(path, TASKS["assign"])
    progress = resumed(three)
    assert progress.outcomes == {}
    return three, progress.path


def resumed(of: Sheet, api: str = "https://api.example") -> Progress:
    progress = Progress(of, "assign", api)
    progress.begin()
    assert progress.file is not None
    progress.file.close()
    return progress


def test_one_run_of_a_file_is_under_way_at_a_time(half: tuple[Sheet, Path], tmp_path: Path) -> None:
    three, path = half
    (tmp_path / "stack.json").write_text(json.dumps({"api": "http://127.0.0.1:9", "tokens": {"admin": "none"}}))
    asked = [sys.executable, str(ROOT / "local" / "bulk.py"), "assign", "--local", str(tmp_path), str(three.path)]
    before = path.read_bytes()
    with path.open("a") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        second = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    assert (second.returncode, second.stderr) == (2, "three.csv.progress: another run of this file is under way\n")
    assert path.read_bytes() == before
    resumed(three)


def test_a_file_that_came_to_nothing_at_another_api_is_begun_anew_at_this_one(half: tuple[Sheet, Path]) -> None:
    three, path = half
    resumed(three, "https://other.example")
    assert json.loads(path.read_bytes())["api"] == "https://other.example"
    with path.open("a") as file:
        file.write('[[2, "assigned", "", ""]]\n')
    assert resumed(three, "https://other.example").outcomes == {2: ("assigned", "", "")}
    with pytest.raises(Wrong, match="three.csv.progress is of another file, task or API"):
        resumed(three)


@pytest.mark.parametrize("what", ["bulk-assign", "bulk-administer"])
def test_what_has_no_dry_run_is_not_done_instead(what: str, half: tuple[Sheet, Path]) -> None:
    three, path = half
    before = path.read_bytes()
    asked = ["make", "-s", "-C", str(ROOT), what, f"FILE={three.path}", "DRY_RUN=1"]
    answer = subprocess.run(asked, capture_output=True, text=True, timeout=60)
    assert answer.returncode == 2 and answer.stderr.startswith("There is no dry run of this")
    assert path.read_bytes() == before


@pytest.mark.parametrize("note", ["{", "17", "null", "{}", "[17]", '[[17, "assigned"]]', '[[[], "assigned", "", ""]]', "\x00"])
def test_progress_that_cannot_be_read_is_said_to_be_so(note: str, half: tuple[Sheet, Path]) -> None:
    three, path = half
    with path.open("a") as file:
        file.write(f'[[2, "assigned", "", ""]]\n{note}\n')
    with pytest.raises(Wrong, match="three.csv.progress:3: cannot be read: move the file away"):
        resumed(three)


def test_what_has_no_outcome_yet_is_sent_again_and_named_until_it_has(
    half: tuple[Sheet, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    three, path = half
    raced = {"outcome": "refused", "problem": {"type": "https://perennial.example/problems/conflict", "detail": "Again."}}
    became = [outcomes.outcome(it) for it in ({"outcome": "assigned"}, {"outcome": "awaited"}, raced)]
    with path.open("a") as file:
        file.write(json.dumps([[line, *it] for line, it in enumerate(became, 2)]) + "\n")
    progress = resumed(three)
    assert progress.outcomes == {2: ("assigned", "", "")}
    progress.outcomes |= {3: became[1], 4: became[2]}
    assert outcomes.tell_again(three, progress) and outcomes.report(three, progress, dry_run=False) is None
    told = capsys.readouterr().err
    assert "three.csv: awaited, as the charge has no outcome yet: line 3\n" in told
    assert ": line 4\n" in told and "run it again" in told
    progress.outcomes |= {3: became[0], 4: became[0]}
    assert not outcomes.tell_again(three, progress)


def test_an_assignment_whose_keys_may_be_forgotten_does_not_go_on(half: tuple[Sheet, Path]) -> None:
    three, path = half
    head = json.loads(path.read_text())
    for days, goes_on in ((2.9, True), (3.1, False)):
        path.write_text(json.dumps(head | {"began": time.time() - days * 86_400}) + "\n")
        if goes_on:
            resumed(three)
            continue
        with pytest.raises(Wrong, match="begun more than 3 days ago.*Move it away and run again"):
            resumed(three)
    with path.open("a") as file:
        file.write('[[2, "assigned", "", ""], [3, "assigned", "", ""], [4, "refused", "plan", "no"]]\n')
    assert len(resumed(three).outcomes) == 3, "nothing is left to send"


COLUMNS = {
    "plan": "plan",
    "method": "method_token",
    "method.token": "method_token",
    "method.payer": "method_payer",
    "method.card": "card_brand",
    "method.card.last4": "card_last4",
    "comp": "comp_percent",
    "comp.periods": "comp_periods",
    "rows[0].customer": "customer",
    "Idempotency-Key": "Idempotency-Key",
    "": "",
}


def test_a_refusal_names_the_column_that_is_meant() -> None:
    refused = {field: outcomes.refusal({"field": field, "detail": "no"}) for field in COLUMNS}
    assert refused == {field: ("refused", column, "no") for field, column in COLUMNS.items()}
    known = {name for task in TASKS.values() for name in (*task.needs, *task.takes)}
    assert {*COLUMNS.values()} - {"", "Idempotency-Key"} <= known


def test_a_time_says_its_offset(tmp_path: Path) -> None:
    row = "a,b,month,NGN,2026-03-01,2026-04-01T00:00:00Z"
    with pytest.raises(Wrong, match="file.csv:2: period_start: is not a time with its offset"):
        read(written(tmp_path, "file.csv", ",".join(TASKS["import"].needs), [row]), TASKS["import"])


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
