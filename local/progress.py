"""Saying what is going on, a line a step, and showing that long steps are alive."""

import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from processes import StackError

PATIENCE = 15


def say(text: str = "") -> None:
    print(text, flush=True)


@contextmanager
def step(title: str) -> Iterator[None]:
    say(f"• {title}")
    began = time.monotonic()
    over = threading.Event()

    def keep_company() -> None:
        while not over.wait(PATIENCE):
            say(f"  … {time.monotonic() - began:.0f} s")

    company = threading.Thread(target=keep_company, daemon=True)
    company.start()
    try:
        yield
    finally:
        over.set()
        company.join()
    took = time.monotonic() - began
    if took >= 1:
        say(f"  {took:.1f} s")


def run_logged(command: Sequence[str | Path], log: Path, environment: Mapping[str, str], folder: Path) -> None:
    """Run a chatty tool out of sight; show the end of what it said only when it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    words = [str(word) for word in command]
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(words)}\n".encode())
        output.flush()
        began = output.tell()
        done = subprocess.run(
            words, cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    if done.returncode != 0:
        said = log.read_bytes()[began:].decode(errors="replace").strip().splitlines()[-50:]
        raise StackError("\n".join([f"{os.path.basename(words[0])} {words[1]} failed ({log}):", *said]))
