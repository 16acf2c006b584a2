"""Does for every row of a CSV file what billing staff do for one customer: make bulk-assign, make import [DRY_RUN=1]

The whole file is checked first, and nothing is sent if anything is wrong with it. What was sent is noted beside the file
(customers.csv.progress): killed half-way and started again, it sends what is missing, and what has no outcome yet. A row that is
sent twice is done once: an import is known by what it says, an assignment by its key, which the file's digest is part of. Refused
rows are written to customers.csv.refused.csv, each with its reason; mended, that is the next file. A dry run's are in
customers.csv.dry-run.csv, which each dry run writes anew.

The API is the running local stack's, or the one at API=… with a token of scope billing:admin in PERENNIAL_TOKEN.
"""

import argparse
import csv
import fcntl
import hashlib
import http.client
import io
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import urlsplit

# What a request may say at most, as JSON.
MOST_BYTES = 30_000

# How often a request that got no answer, or one of 5xx, is sent in all.
TRIES = 8

REASON = ("refused_field", "refused_because")

# What became of a row that is to be sent again, and why it is.
AGAIN = {
    "awaited": "the charge has no outcome yet",
    "conflict": "something else was done for the customer at the same time",
}

# How many lines a message names.
MOST_NAMED = 20


class Wrong(Exception):
    """The file, or how it is to be sent, is not in order: nothing was sent. The message has a line for each reason."""


class Stopped(Exception):
    """The rest was not sent; the message says why."""


# -- Columns


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
    days: int | None = None  # for which a row that is sent again is known for sure; without it, for ever


TASKS = {
    # A row may wait for a gateway's charge.
    "assign": Task(
        "/admin/assignments",
        20,
        {"customer": text, "plan": slug},
        {"interval": interval, "currency": currency, **BOTH, "comp_percent": whole(1), "comp_periods": periods},
        days=3,  # a key holds for four
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
    ),
}


# -- The file


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


# -- What was done


class Progress:
    """What became of each row, noted as it is known: a line a request, written before the next."""

    def __init__(self, sheet: Sheet, what: str, api: str) -> None:
        self.sheet, self.days = sheet, TASKS[what].days
        self.path = sheet.path.with_name(f"{sheet.path.name}.progress")
        self.outcomes: dict[int, tuple[str, str, str]] = {}  # of a line: in a word; if refused, where and why
        self.reports: set[str] = set()  # the digests of those that were written
        self.head = {"what": what, "digest": sheet.digest, "api": api}
        self.began = time.time()
        self.file: TextIO | None = None

    def begin(self) -> None:
        """Goes on from what was noted, and lets no other run do so meanwhile."""
        self.file = self.path.open("a", encoding="utf-8")
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Wrong(f"{self.path.name}: another run of this file is under way") from None
        # What was cut off while it was written was not done as far as anyone knows.
        *notes, torn = self.path.read_bytes().split(b"\n")
        self.recall(notes)
        if torn:
            os.truncate(self.path, self.path.stat().st_size - len(torn))
        if not notes:
            self.write(self.head | {"began": self.began})

    def recall(self, notes: list[bytes]) -> None:
        for n, note in enumerate(notes, 1):
            try:
                noted = json.loads(note)
                if n == 1:
                    self.began = float(noted.pop("began"))
                elif isinstance(noted, dict):
                    self.reports.add(noted["report"])
                else:
                    self.outcomes |= {line: (outcome, field, why) for line, outcome, field, why in noted}
            except (ValueError, TypeError, KeyError, AttributeError):
                raise Wrong(f"{self.path.name}:{n}: cannot be read: move the file away to begin anew") from None
            if n == 1 and noted != self.head:
                raise Wrong(f"{self.path.name} is of another file, task or API: move it away to begin anew")
        self.outcomes = {line: it for line, it in self.outcomes.items() if it[0] not in AGAIN}
        done = all(row.line in self.outcomes for row in self.sheet.rows)
        # It counts from the first request: whose outcome is awaited since then is known by the key that was sent then.
        if not done and self.days is not None and time.time() - self.began > self.days * 86_400:
            raise Wrong(
                f"{self.path.name}: was begun more than {self.days} days ago, and what was sent then may be taken for new. "
                "Move it away and run again: who has a subscription by now is refused, and keeps it"
            )

    def write(self, what: Any) -> None:
        if self.file is not None:
            self.file.write(json.dumps(what) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())

    def note(self, done: dict[int, tuple[str, str, str]]) -> None:
        self.outcomes |= done
        self.write([[line, *outcome] for line, outcome in done.items()])

    def note_report(self, digest: str) -> None:
        self.reports.add(digest)
        self.write({"report": digest})

    def lines(self, word: str) -> list[int]:
        return [row.line for row in self.sheet.rows if self.outcomes[row.line][0] == word]

    def counts(self) -> dict[str, int]:
        words = [outcome for outcome, _, _ in self.outcomes.values()]
        return {word: words.count(word) for word in sorted(set(words))}


# -- Sending


class Api:
    def __init__(self, url: str, token: str, task: Task, key: str, dry_run: bool) -> None:
        self.address = urlsplit(url)
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": key}
        self.task, self.dry_run = task, dry_run

    def send(self, batch: list[Row]) -> dict[int, tuple[str, str, str]]:
        """What became of each row, by its line."""
        status, answer = self.answer([row.said for row in batch])
        if status == 200:
            return {row.line: outcome(it) for row, it in zip(batch, answer["rows"], strict=True)}
        if status in (401, 403, 404):
            raise Stopped(f"{self.address.netloc} answers {status}: {reason(answer)}")
        if len(batch) == 1:
            return {batch[0].line: refusal(answer)}
        # The request as a whole was refused, and nothing done: what is wrong is in one of its rows.
        half = len(batch) // 2
        return self.send(batch[:half]) | self.send(batch[half:])

    def answer(self, rows: list[dict[str, Any]]) -> tuple[int, Any]:
        """The answer of one request, which is sent again while there is none."""
        body = json.dumps({"rows": rows} | ({"dry_run": True} if self.dry_run else {})).encode()
        why = ""
        for tried in range(TRIES):
            if tried:
                time.sleep(min(2.0**tried / 4, 20))
            try:
                status, answer = self.once(body)
            except (OSError, http.client.HTTPException) as error:
                why = str(error) or type(error).__name__
                continue
            if status < 500 and status != 429:
                return status, answer
            why = f"{status}: {reason(answer)}"
        raise Stopped(f"{self.address.netloc} does not answer: {why}")

    def once(self, body: bytes) -> tuple[int, Any]:
        secure = self.address.scheme == "https"
        connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(self.address.netloc, timeout=40)
        try:
            connection.request("POST", f"{self.address.path.rstrip('/')}{self.task.path}", body, self.headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content)
        except ValueError:
            return answer.status, {"detail": content.decode(errors="replace")[:200]}


def outcome(answered: dict[str, Any]) -> tuple[str, str, str]:
    problem = answered.get("problem")
    return refusal(problem) if problem else (answered["outcome"], "", "")


def refusal(problem: Any) -> tuple[str, str, str]:
    document = problem if isinstance(problem, dict) else {}
    word = "conflict" if str(document.get("type")).endswith("/conflict") else "refused"
    return word, column(document.get("field", "")), reason(problem)


def reason(problem: Any) -> str:
    return str(problem.get("detail") or problem.get("message") or problem) if isinstance(problem, dict) else str(problem)


def send_all(sheet: Sheet, api: Api, progress: Progress, rows: int, at_once: int) -> None:
    missing = [row for row in sheet.rows if row.line not in progress.outcomes]
    before, began, told = len(sheet.rows) - len(missing), time.monotonic(), 0.0
    if before:
        print(f"  {before:,} rows were done before", flush=True)
    waiting = batches(missing, rows)
    with ThreadPoolExecutor(at_once) as pool:
        running: set[Future[dict[int, tuple[str, str, str]]]] = set()
        try:
            while True:
                while len(running) < at_once and (batch := next(waiting, None)):
                    running.add(pool.submit(api.send, batch))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                failed = [each for each in done if each.exception()]
                for each in done.difference(failed):
                    progress.note(each.result())
                for each in failed:
                    each.result()
                if time.monotonic() - told >= 2 or not running:
                    told = time.monotonic()
                    tell(len(sheet.rows), progress, before, told - began)
        finally:
            # What is under way comes to its end, and is noted: it need not be sent again.
            for each in running:
                if each.exception() is None:
                    progress.note(each.result())


def tell(rows: int, progress: Progress, before: int, seconds: float) -> None:
    done, refused = len(progress.outcomes), progress.counts().get("refused", 0)
    print(f"  {done:,} of {rows:,} rows, {refused:,} refused, {(done - before) / max(seconds, 0.001):,.0f} a second", flush=True)


def report(sheet: Sheet, progress: Progress, dry_run: bool) -> Path | None:
    """The refused rows as they were, each with its reason.

    A report that is no longer as it was written is being mended, and one with progress of its own is a file that is being
    sent: it is kept, and this one goes by a number.
    """

    def named(name: str) -> Path:
        return sheet.path.with_name(f"{sheet.path.name}.{name}.csv")

    def is_free(path: Path) -> bool:
        if dry_run or not path.exists():
            return True
        return digest(path.read_bytes()) in progress.reports and not path.with_name(f"{path.name}.progress").exists()

    first = path = named("dry-run" if dry_run else "refused")
    refused = set(progress.lines("refused"))
    if not refused:
        if is_free(path):
            path.unlink(missing_ok=True)
        return None
    kept = [n for n, name in enumerate(sheet.header) if name not in REASON]
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([*(sheet.header[n] for n in kept), *REASON])
    for row in sheet.rows:
        if row.line in refused:
            writer.writerow([*(row.cells[n] for n in kept), *progress.outcomes[row.line][1:]])
    content = file.getvalue().encode()
    number = 1
    while not is_free(path) and path.read_bytes() != content:
        number += 1
        path = named(f"refused-{number}")
    if path != first:
        print(f"{first.name} is no longer as it was written, or was sent itself: it is kept as it is.", file=sys.stderr)
    if not path.exists() or path.read_bytes() != content:
        progress.note_report(digest(content))
        path.write_bytes(content)
    return path


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def tell_again(sheet: Sheet, progress: Progress) -> bool:
    """Names the rows that are to be sent again, if there are any."""
    found = {word: lines for word in AGAIN if (lines := progress.lines(word))}
    for word, lines in found.items():
        named = ", ".join(str(line) for line in lines[:MOST_NAMED])
        more = f" and {len(lines) - MOST_NAMED} more" if len(lines) > MOST_NAMED else ""
        print(f"{sheet.path.name}: {word}, as {AGAIN[word]}: line {named}{more}", file=sys.stderr)
    if found:
        print("These are not done yet: run it again, and they are sent again. Nothing is done twice.", file=sys.stderr)
    return bool(found)


# -- The command


def main() -> int:
    parser = argparse.ArgumentParser(description="Assign plans to, or import the subscriptions of, the customers of a CSV file")
    parser.add_argument("what", choices=TASKS)
    parser.add_argument("file", type=Path)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--api", help="the API's address, as the stack's output ApiUrl has it")
    where.add_argument("--local", type=Path, metavar="FOLDER", help="a running local stack, by its folder (.local)")
    parser.add_argument("--dry-run", action="store_true", help="say what would come of it")
    parser.add_argument("--rows", type=int, help="at most, in one request")
    parser.add_argument("--at-once", type=int, default=4, help="requests under way")
    arguments = parser.parse_args()
    task = TASKS[arguments.what]
    try:
        if arguments.dry_run and arguments.what == "assign":
            raise Wrong("An assignment has no dry run: whether a charge succeeds, only the charge tells.")
        url, token = reached(arguments.api, arguments.local)
        sheet = read(arguments.file, task)
        progress = Progress(sheet, arguments.what, url)
        if not arguments.dry_run:
            progress.begin()
        api = Api(url, token, task, f"bulk-{sheet.digest[:40]}", arguments.dry_run)
        send_all(sheet, api, progress, min(arguments.rows or task.rows, task.rows), max(arguments.at_once, 1))
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    except (Stopped, KeyboardInterrupt) as stopped:
        print(f"{stopped or 'Interrupted.'}\nRun it again to go on where it stopped.", file=sys.stderr)
        return 2
    counts = ", ".join(f"{count:,} {word}" for word, count in progress.counts().items())
    print(f"{sheet.path.name}: {'would be ' if arguments.dry_run else ''}{counts}", flush=True)
    refused = report(sheet, progress, arguments.dry_run)
    if refused:
        print(f"The refused rows and why: {refused}", file=sys.stderr)
    return 1 if tell_again(sheet, progress) or refused else 0


def reached(api: str | None, folder: Path | None) -> tuple[str, str]:
    """The API's address, and a token for it."""
    if folder is not None:
        try:
            stack = json.loads((folder / "stack.json").read_text())
        except FileNotFoundError:
            raise Wrong("No local stack is running. Start one with make run, or name an API: API=https://…") from None
        return stack["api"], stack["tokens"]["admin"]
    token = os.environ.get("PERENNIAL_TOKEN", "")
    if not token:
        raise Wrong("PERENNIAL_TOKEN is to be a token of scope billing:admin.")
    return str(api), token


if __name__ == "__main__":
    sys.exit(main())
