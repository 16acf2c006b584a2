"""A CSV file of customers: what its columns are for each task, whether all of it is in order, and its rows as the API takes them."""

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

# What a request may say at most, as JSON.
MOST_BYTES = 30_000

# What a report has besides the file's own columns.
REASON = ("refused_field", "refused_because")

# How many lines a message names.
MOST_NAMED = 20


class Wrong(Exception):
    """The file, or how it is to be sent, is not in order: nothing was sent. The message has a line for each reason."""


def text(value: str) -> str:
    if value != value.strip() or not value.isprintable():
        raise ValueError("has spaces at an end, or what cannot be printed")
    return value


def like(pattern: str, what: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(f"is not {what}")
        return value

    return parse


def whole(least: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", value) or int(value) < least:
            raise ValueError(f"is not a whole number from {least} on")
        return int(value)

    return parse


def instant(value: str) -> str:
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None:
        raise ValueError("is not a time with its offset, such as 2026-03-31T00:00:00Z")
    return value


def periods(value: str) -> int | None:
    return None if value == "all" else whole(1)(value)


def brand(value: str) -> str | None:
    """`-` takes off what there is: no brand goes by that name."""
    return None if value == "-" else like(r"[a-z0-9][a-z0-9_-]*", "a brand, such as acme-telecom, or - for none")(value)


def yes_or_no(value: str) -> bool:
    if value not in ("true", "false"):
        raise ValueError("is not true or false")
    return value == "true"


Column = Callable[[str], Any]

slug = like(r"[a-z0-9][a-z0-9-]*", "the id of a plan, such as crm-basic")
interval = like(r"week|month|year|[1-9][0-9]*_(days|weeks|months|years)", "an interval: month, year, 30_days, …")
currency = like(r"[A-Z]{3}", "the code of a currency, such as USD")
email = like(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")
gateway = like(r"stripe|paystack|flitt|paypal", "a gateway: stripe, paystack, flitt or paypal")

BOTH: dict[str, Column] = {"quantity": whole(1), "time_zone": text, "email": email, "gateway": gateway}


@dataclass(frozen=True)
class Task:
    """What is done with the rows, and what they say."""

    path: str
    rows: int  # at most, in one request
    needs: Mapping[str, Column]
    takes: Mapping[str, Column]
    has_dry_run: bool = False
    days: int | None = None  # for which a row that is sent again is known for sure; without it, for ever
    after: str = ""  # what is to be done when they are over


TASKS = {
    # A row may wait for a gateway's charge.
    "assign": Task(
        "/admin/assignments",
        20,
        {"customer": text, "plan": slug},
        {"interval": interval, "currency": currency, **BOTH, "comp_percent": whole(1), "comp_periods": periods},
        days=3,  # a key holds for four
        after="Move it away and run again: who has a subscription by now is refused, and keeps it",
    ),
    "administer": Task(
        "/admin/interventions",
        100,
        {"customer": text, "action": like(r"[a-z_]+", "an action, such as extend")},
        {
            "days": whole(1),
            "end": instant,
            "percent": whole(1),
            "periods": periods,
            "notice_days": whole(1),
            "told": yes_or_no,
            "brand": brand,
        },
        days=3,
        after="It names the lines that are done: make a new file of the others, and see what the first of them have got",
    ),
    "import": Task(
        "/admin/imports",
        100,
        {
            "customer": text,
            "plan": slug,
            "interval": interval,
            "currency": currency,
            "period_start": instant,
            "period_end": instant,
        },
        {
            **BOTH,
            "anchor": instant,
            "paid_minor": whole(0),
            "tokens": whole(0),
            "method_token": text,
            "method_payer": text,
            "card_brand": text,
            "card_last4": like(r"[0-9]{4}", "four digits"),
            "card_expires": like(r"[0-9]{4}-[0-9]{2}", "a month, such as 2027-04"),
        },
        has_dry_run=True,
    ),
}


@dataclass(frozen=True)
class Row:
    line: int
    cells: list[str]
    said: dict[str, Any]  # as the API takes it

    @property
    def size(self) -> int:
        return len(json.dumps(self.said)) + 2


@dataclass(frozen=True)
class Sheet:
    path: Path
    digest: str
    header: list[str]
    rows: list[Row]


def read(path: Path, task: Task) -> Sheet:
    """The whole file, or all that is wrong with it."""
    try:
        content = path.read_bytes()
        lines = csv.reader(content.decode("utf-8-sig").splitlines(keepends=True), strict=True)
        header = [name.strip() for name in next(lines, [])]
        wrong = [f"{path.name}:1: {problem}" for problem in wrong_with_header(header, task)]
        if wrong:
            raise Wrong("\n".join(wrong))
        # A token is money: of a file that has any, no cell is repeated, whichever column it has slipped into.
        secret = any(name.startswith("method_") for name in header)
        rows, customers, methods = [], dict[str, int](), dict[tuple[str, str], int]()
        for cells in lines:
            if not cells:
                continue
            try:
                if len(cells) != len(header):
                    raise ValueError(f"has {len(cells)} columns, and the first line {len(header)}")
                row = Row(lines.line_num, cells, said(dict(zip(header, cells, strict=True)), task, secret))
            except ValueError as error:
                wrong.append(f"{path.name}:{lines.line_num}: {error}")
                continue
            first = customers.setdefault(row.said["customer"], row.line)
            if first != row.line:
                wrong.append(f"{path.name}:{row.line}: customer: is in line {first} already")
            if method := row.said.get("method"):
                first = methods.setdefault((row.said.get("gateway", ""), method["token"]), row.line)
                if first != row.line:
                    wrong.append(f"{path.name}:{row.line}: method_token: is in line {first} already")
            rows.append(row)
    except OSError as error:
        raise Wrong(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Wrong(f"{path.name}: is not UTF-8 at byte {error.start}") from None
    except csv.Error as error:
        raise Wrong(f"{path.name}:{lines.line_num}: {error}") from None
    if not rows and not wrong:
        wrong.append(f"{path.name}: has no rows")
    if wrong:
        more = [f"… and {len(wrong) - MOST_NAMED} more"] if len(wrong) > MOST_NAMED else []
        raise Wrong("\n".join([*wrong[:MOST_NAMED], *more]))
    return Sheet(path, digest(content), header, rows)


def wrong_with_header(header: list[str], task: Task) -> Iterator[str]:
    known = {*task.needs, *task.takes, *REASON}
    # The first line of a file without a header is a row, and may hold a token.
    names = header if "customer" in header else [f"column {n}" for n in range(1, len(header) + 1)]
    yield from (f"{name}: this column is needed" for name in task.needs if name not in header)
    yield from (
        f"{shown or '(nothing)'}: there is no such column"
        for name, shown in zip(header, names, strict=True)
        if name not in known
    )
    yield from (f"{name}: this column is there twice" for name in sorted(known) if header.count(name) > 1)


def said(cells: dict[str, str], task: Task, secret: bool) -> dict[str, Any]:
    """The row as the API takes it. What is empty is not said. An error repeats what is wrong, unless that is `secret`."""
    row: dict[str, Any] = {}
    for name, parse in {**task.needs, **task.takes}.items():
        value = cells.get(name, "")
        if not value and name in task.needs:
            raise ValueError(f"{name}: is empty")
        if value:
            try:
                row[name] = parse(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}{'' if secret else f': {value!r}'}") from None
    method = {name: row.pop(f"method_{name}") for name in ("token", "payer") if f"method_{name}" in row}
    card = {name: row.pop(f"card_{name}") for name in ("brand", "last4", "expires") if f"card_{name}" in row}
    if (method or card) and "token" not in method:
        raise ValueError("method_token: is needed where something is said of a method")
    if card and not {"brand", "last4"} <= card.keys():
        raise ValueError("card_last4: is needed with card_brand, and the other way round")
    comp = {name: row.pop(f"comp_{name}") for name in ("percent", "periods") if f"comp_{name}" in row}
    if comp and len(comp) < 2:
        raise ValueError("comp_periods: is needed with comp_percent, and the other way round: a number, or all")
    if comp:
        row["comp"] = comp
    if method:
        row["method"] = method | ({"card": card} if card else {})
    return row


def column(field: str) -> str:
    """The column of what the API calls `method.card.last4`."""
    field = re.sub(r"^rows\[\d+\]\.?", "", field)
    # Of these the API may miss, or not take, the whole.
    field = {"method": "method.token", "method.card": "method.card.brand", "comp": "comp.percent"}.get(field, field)
    return field.replace("method.card.", "card.").replace(".", "_")


def batches(rows: list[Row], most: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        if batch and (len(batch) == most or sum(it.size for it in [*batch, row]) > MOST_BYTES):
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
