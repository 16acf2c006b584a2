"""What an answer has to look like."""

from collections.abc import Callable
from typing import Any

from client import Response

# What differs from one answer to the next and says nothing.
INCIDENTAL = {"date", "apigw-requestid", "x-amzn-requestid", "x-amz-request-id", "x-amzn-trace-id", "x-amz-id-2"}


def refusal(answer: Response, status: int, field: str | None = None) -> dict[str, Any]:
    """A problem document of that status, naming the field that is wrong."""
    assert answer.status == status, f"{answer.status}: {answer.body[:500]!r}"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["cache-control"] == "no-store"
    problem = answer.json()
    assert problem["status"] == status
    assert problem["type"].startswith("https://") and problem["title"] and problem["detail"]
    if field is not None:
        assert problem.get("field") == field, problem
    return problem


def substance(answer: Response) -> tuple[int, dict[str, str], bytes]:
    """Everything by which two answers could be told apart."""
    headers = {name: value for name, value in answer.headers.items() if name not in INCIDENTAL}
    return answer.status, headers, answer.body


def patiently(ask: Callable[[], Response]) -> Response:
    """The answer to what may be asked for again under its key or id: of a crowd, some find others faster each time (503), and
    some find the emulator too busy to answer in time. The same again is what helps."""
    for _ in range(60):
        try:
            answer = ask()
        except TimeoutError:
            continue
        if answer.status not in (502, 503, 504):
            return answer
    raise AssertionError("never answered")
