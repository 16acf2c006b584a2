"""What became of each row of a file: noted beside it as it is known, so that a run goes on where another stopped, and told at
its end."""

import csv
import fcntl
import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any, TextIO

from sheet import MOST_NAMED, REASON, TASKS, Sheet, Wrong, column, digest

# What became of a row that is to be sent again, and why it is.
AGAIN = {
    "awaited": "the charge has no outcome yet",
    "conflict": "something else was done for the customer at the same time",
}

# In a word; and of a refused row, the column, and why.
Outcome = tuple[str, str, str]


def outcome(answered: dict[str, Any]) -> Outcome:
    problem = answered.get("problem")
    return refusal(problem) if problem else (answered["outcome"], "", "")


def refusal(problem: Any) -> Outcome:
    document = problem if isinstance(problem, dict) else {}
    word = "conflict" if str(document.get("type")).endswith("/conflict") else "refused"
    return word, column(document.get("field", "")), reason(problem)


def reason(problem: Any) -> str:
    return str(problem.get("detail") or problem.get("message") or problem) if isinstance(problem, dict) else str(problem)


class Progress:
    """What became of each row, noted as it is known: a line a request, written before the next."""

    def __init__(self, sheet: Sheet, what: str, api: str) -> None:
        self.sheet, self.task = sheet, TASKS[what]
        self.path = sheet.path.with_name(f"{sheet.path.name}.progress")
        self.outcomes: dict[int, Outcome] = {}  # of a line: in a word; if refused, where and why
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
        if len(notes) == 1 and self.is_elsewhere(notes[0]):
            os.truncate(self.path, 0)
            notes, torn = [], b""
        self.recall(notes)
        if torn:
            os.truncate(self.path, self.path.stat().st_size - len(torn))
        if not notes:
            self.write(self.head | {"began": self.began})

    def is_elsewhere(self, head: bytes) -> bool:
        """Whether this file was begun at another API: where nothing more was noted, nothing is known that is to be kept."""
        try:
            noted = json.loads(head)
        except ValueError:
            return False
        if not isinstance(noted, dict) or noted.get("api") == self.head["api"]:
            return False
        return all(noted.get(name) == self.head[name] for name in ("what", "digest"))

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
        days = self.task.days
        if not done and days is not None and time.time() - self.began > days * 86_400:
            begun = f"{self.path.name}: was begun more than {days} days ago, and what was sent then may be taken for new."
            raise Wrong(f"{begun} {self.task.after}")

    def write(self, what: Any) -> None:
        if self.file is not None:
            self.file.write(json.dumps(what) + "\n")
            self.file.flush()
            os.fsync(self.file.fileno())

    def note(self, done: dict[int, Outcome]) -> None:
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
