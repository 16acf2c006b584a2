"""Starting, recognising and ending the processes of a local stack.

A process is recorded with the time it began, because a pid alone lies: after a crash or a reboot it may be someone else's.
"""

import itertools
import json
import os
import random
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


class StackError(Exception):
    """Something the person at the keyboard can do something about; the message says what."""


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    began: str

    @classmethod
    def of(cls, name: str, pid: int) -> "Process":
        return cls(name, pid, beginning(pid) or "")

    def alive(self) -> bool:
        return bool(self.began) and beginning(self.pid) == self.began


def beginning(pid: int) -> str | None:
    """When a process began, in whatever form the system tells it; None when there is none, or only its zombie."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # The name, in brackets, may hold anything; what follows it is the state and, 19 fields on, the start.
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] in "ZX" else fields[19]
    shown = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
    state, _, start = shown.stdout.strip().partition(" ")
    return None if not start or state.startswith("Z") else start.strip()


class Register:
    """The file that says which processes a stack consists of."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> list[Process]:
        try:
            return [Process(**entry) for entry in json.loads(self.file.read_text())]
        except (OSError, ValueError, TypeError):
            return []  # absent, or cut short by a crash

    def add(self, process: Process) -> None:
        self.write([other for other in self.read() if other.alive()] + [process])

    def write(self, processes: Sequence[Process]) -> None:
        write_whole(self.file, json.dumps([asdict(process) for process in processes], indent=2) + "\n")

    def find(self, name: str) -> Process | None:
        return next((process for process in self.read() if process.name == name and process.alive()), None)


def start(name: str, command: Sequence[str | Path], environment: Mapping[str, str], log: Path) -> Process:
    """Start in a session of its own, so that Ctrl-C reaches only the one who knows in which order to stop."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        started = subprocess.Popen(
            [str(word) for word in command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Process.of(name, started.pid)


def stop(process: Process, seconds: float = 30) -> None:
    """Ask it to end, wait while it saves its state, and clear away what is left of its session (the functions)."""
    if process.alive():
        signal_quietly(os.kill, process.pid, signal.SIGTERM)
        if not eventually(lambda: not process.alive(), seconds):
            signal_quietly(os.kill, process.pid, signal.SIGKILL)
            eventually(lambda: not process.alive(), 5)
        signal_quietly(os.killpg, process.pid, signal.SIGKILL)
    reap(process.pid)


def signal_quietly(send: Callable[[int, int], None], target: int, number: int) -> None:
    try:
        send(target, number)
    except (ProcessLookupError, PermissionError):
        pass


def reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass  # it was started by an earlier run


def eventually(condition: Callable[[], bool], seconds: float, pause: float = 0.05) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


def wait_until_answers(process: Process, url: str, log: Path, seconds: float = 60) -> None:
    def settled() -> bool:
        return not process.alive() or answers(url)

    if not eventually(settled, seconds) or not process.alive():
        happened = "did not answer" if process.alive() else "ended at once"
        raise StackError(f"The {process.name} {happened}. The end of {log}:\n{tail(log)}")


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as response:
            return response.status == 200
    except (urllib.error.URLError, OSError):
        return False


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_ports(number: int) -> list[int]:
    """Below those that systems give to outgoing connections: until they are bound, no such connection takes one of them."""
    found = (port for port in random.sample(range(10_000, 24_000), 14_000) if port_is_free(port))
    return list(itertools.islice(found, number))


def tail(file: Path, lines: int = 30) -> str:
    try:
        return "\n".join(file.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return "(no log)"


def write_whole(file: Path, text: str, mode: int = 0o600) -> None:
    """Write all of it or nothing, whatever kills us in between."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(file.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as output:
        output.write(text)
    os.replace(fresh, file)
