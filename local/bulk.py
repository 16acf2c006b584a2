"""Does for every row of a CSV file what billing staff do for one customer: make bulk-assign, make bulk-administer, make import

The whole file is checked first, and nothing is sent if anything is wrong with it. What was sent is noted beside the file
(customers.csv.progress): killed half-way and started again, it sends what is missing, and what has no outcome yet. A row that is
sent twice is done once: an import is known by what it says, all else by its key, which the file's digest is part of. Refused
rows are written to customers.csv.refused.csv, each with its reason; mended, that is the next file. A dry run's are in
customers.csv.dry-run.csv, which each dry run writes anew.

The API is the running local stack's, or the one at API=… with a token of scope billing:admin in PERENNIAL_TOKEN.
"""

import argparse
import http.client
import json
import os
import sys
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from outcomes import Outcome, Progress, outcome, reason, refusal, report, tell_again
from sheet import TASKS, Row, Sheet, Task, Wrong, batches, read

# How often a request that got no answer, or one of 5xx, is sent in all.
TRIES = 8


class Stopped(Exception):
    """The rest was not sent; the message says why."""


class Api:
    def __init__(self, url: str, token: str, task: Task, key: str, dry_run: bool) -> None:
        self.address = urlsplit(url)
        self.headers = {"authorization": f"Bearer {token}", "content-type": "application/json", "idempotency-key": key}
        self.task, self.dry_run = task, dry_run

    def send(self, batch: list[Row]) -> dict[int, Outcome]:
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


def send_all(sheet: Sheet, api: Api, progress: Progress, rows: int, at_once: int) -> None:
    missing = [row for row in sheet.rows if row.line not in progress.outcomes]
    before, began, told = len(sheet.rows) - len(missing), time.monotonic(), 0.0
    if before:
        print(f"  {before:,} rows were done before", flush=True)
    waiting = batches(missing, rows)
    with ThreadPoolExecutor(at_once) as pool:
        running: set[Future[dict[int, Outcome]]] = set()
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


def main() -> int:
    parser = argparse.ArgumentParser(description="Do for the customers of a CSV file what billing staff do for one")
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
        if arguments.dry_run and not task.has_dry_run:
            raise Wrong("There is no dry run of this: what comes of a row is seen when it is done.")
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
