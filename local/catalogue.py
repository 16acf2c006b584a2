"""Loads catalogues: make catalogue FILE=catalogue/estates.json [STACK=perennial]

With STACK it is the stack of that name in the AWS account that the shell's credentials belong to; without, the running local
stack. Real plans change only where the stack is named, never because a variable happened to be set.

A catalogue has no route in the API: whoever may invoke the function (IAM) may publish plans.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import aws
from botocore.exceptions import BotoCoreError, ClientError

CHANGES = {"created": "new", "new_version": "new version", "unchanged": "unchanged"}


class Refused(Exception):
    """The catalogue was not loaded; the message has a line for each reason."""


def load(file: Path, function: str, endpoint: str | None) -> None:
    """Load one file, and say what became of each plan. All of it is published, or nothing is."""
    try:
        answer = aws.invoke(function, read(file), endpoint)
    except aws.FunctionFailed as failure:
        raise Refused(f"{file.name}: {failure}") from None
    if answer.get("problems"):
        raise Refused("\n".join(describe(file, problem) for problem in answer["problems"]))
    for plan in answer["plans"]:
        print(f"  {plan['plan']:<28} version {plan['version']}  {CHANGES[plan['change']]}", flush=True)


def read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=without_repeats)
    except OSError as error:
        raise Refused(f"{file.name}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise Refused(f"{file.name}: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise Refused(f"{file.name}: {error}") from None


def without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A name given twice would silently lose its first value; in a price list that is somebody's money."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice in one object")
    return fields


def describe(file: Path, problem: dict[str, Any]) -> str:
    where = ": ".join(str(part) for part in (problem.get("plan"), problem.get("field")) if part)
    return f"{file.name}: {where}: {problem['problem']}" if where else f"{file.name}: {problem['problem']}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Load catalogues")
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--stack", help="a CloudFormation stack in AWS")
    where.add_argument("--local", type=Path, metavar="FOLDER", help="a running local stack, by its folder (.local)")
    arguments = parser.parse_args()
    try:
        if arguments.local:
            endpoint = json.loads((arguments.local / "stack.json").read_text())["aws_endpoint"]
            found = json.loads((arguments.local / "outputs.json").read_text())
        else:
            endpoint, found = None, aws.outputs(arguments.stack, None)
        for file in arguments.files:
            load(file, found["LoadCatalogueFunction"], endpoint)
    except FileNotFoundError:
        print("No local stack is running. Start one with make run, or name one in AWS: STACK=…", file=sys.stderr)
        return 1
    except (BotoCoreError, ClientError) as error:
        print(f"AWS: {error}", file=sys.stderr)
        return 1
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
