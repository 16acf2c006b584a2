"""The local stack: the emulator, the gateway simulator and the token issuer, with this project's template deployed on them.

    make run, and the other commands of commands.py     what people use
    Stack(folder, Ports.free()).up(parameters)          what the end-to-end tests use, each with a folder of its own

Everything it knows lies in one folder (.local/). What may be killed at any moment is written whole or not at all, and one
lock, which the system releases whatever happens, says whether a stack is being served from the folder.
"""

import fcntl
import json
import os
import platform
import secrets
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aws
import catalogue
import processes
from client import Client, get_json, post_json
from issuer import ADMIN, AUDIENCE, SERVICE, Issuer
from processes import Process, Register, StackError, free_ports, write_whole
from progress import run_logged, step

ROOT = Path(__file__).resolve().parent.parent
LOCAL = ROOT / "local"
BINARIES = ROOT / "target" / "debug"
HOME = ROOT / ".local"
STACK_NAME = "perennial"
PARTS = ("emulator", "simulator", "issuer")
MAIL_FROM = "billing@perennial.example"


@dataclass(frozen=True)
class Ports:
    emulator: int
    simulator: int
    issuer: int

    @classmethod
    def from_environment(cls) -> "Ports":
        return cls(*(port_setting(name, default) for name, default in SETTINGS.values()))

    @classmethod
    def free(cls) -> "Ports":
        return cls(*free_ports(3))


SETTINGS = {
    "emulator": ("PERENNIAL_PORT", 24566),
    "simulator": ("PERENNIAL_SIMULATOR_PORT", 24567),
    "issuer": ("PERENNIAL_ISSUER_PORT", 24568),
}


def port_setting(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StackError(f"{name}={text} is not a port")
    return int(text)


class Stack:
    """One local stack and the folder in which it keeps everything."""

    def __init__(self, folder: Path = HOME, ports: Ports | None = None, binaries: Path = BINARIES) -> None:
        self.folder = folder.resolve()
        self.ports = ports or Ports.from_environment()
        self.binaries = binaries
        self.register = Register(self.folder / "processes.json")
        self.endpoint = f"http://127.0.0.1:{self.ports.emulator}"
        self.simulator = f"http://127.0.0.1:{self.ports.simulator}"
        self.issuer = Issuer(f"http://127.0.0.1:{self.ports.issuer}", self.folder / "issuer.pem")
        self.description = self.folder / "stack.json"

    # -- Up and down

    def up(self, parameters: Mapping[str, str] | None = None) -> "Stack":
        """Start, deploy and describe. `parameters` override the template's; an empty secret ARN leaves a gateway out."""
        self.stop_orphans()
        self.claim_ports()
        try:
            self.start()
            self.deploy(parameters)
        except BaseException:
            self.down()
            raise
        return self

    def down(self) -> None:
        """The emulator first: it saves its state, and its functions stop calling the others."""
        for name in PARTS:
            process = self.register.find(name)
            if process:
                processes.stop(process)
        self.register.write([process for process in self.register.read() if process.alive()])

    def has_processes(self) -> bool:
        return any(self.register.find(name) for name in PARTS)

    def stop_orphans(self) -> None:
        """What a killed run left behind. The emulator saves its state even now."""
        if self.has_processes():
            with step("An earlier run was cut short; ending what it left"):
                self.down()

    def claim_ports(self) -> None:
        for name, port in asdict(self.ports).items():
            if not processes.port_is_free(port):
                variable = SETTINGS[name][0]
                raise StackError(f"Port {port}, for the {name}, is taken. Choose another: {variable}=… make run")

    def start(self) -> None:
        with step("Starting the emulator, the gateway simulator and the token issuer"):
            self.start_one("issuer", self.issuer_command(), {}, f"{self.issuer.url}/.well-known/jwks.json")
            self.start_one("simulator", self.simulator_command(), {}, f"{self.simulator}/health")
            emulator = [sys.executable, LOCAL / "emulator.py"]
            self.start_one("emulator", emulator, self.emulator_settings(), f"{self.endpoint}/_ministack/health")

    def start_one(self, name: str, command: list[str | Path], settings: Mapping[str, str], url: str) -> None:
        log = self.log(name)
        # A clean environment: functions inherit the emulator's, and AWS keys from a shell have no business in any of them.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": str(self.folder), "LANG": "C.UTF-8", **settings}
        process = processes.start(name, command, environment, log)
        self.register.add(process)
        processes.wait_until_answers(process, url, log)

    def issuer_command(self) -> list[str | Path]:
        key = self.folder / "issuer.pem"
        return [sys.executable, LOCAL / "issuer.py", "--port", str(self.ports.issuer), "--key", key, "serve"]

    def simulator_command(self) -> list[str | Path]:
        state = self.folder / "simulator.json"
        return [self.binaries / "gateway-simulator", "--port", str(self.ports.simulator), "--state", state]

    def emulator_settings(self) -> dict[str, str]:
        temporary = self.folder / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # unpacked functions of every deployment so far
        temporary.mkdir(parents=True)
        return aws.credentials(self.endpoint) | {
            "AUTH": "true",  # each function may do what its own role allows, and nothing else
            "GATEWAY_PORT": str(self.ports.emulator),
            "BIND_HOST": "127.0.0.1",
            "PERSIST_STATE": "1",
            "STATE_DIR": str(self.folder / "emulator"),
            "TMPDIR": str(temporary),
            # It would look for containers of its own to clear away; there are none, and others' are none of its business.
            "DOCKER_HOST": "unix:///nonexistent",
            "LOG_LEVEL": "WARNING",
        }

    def log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    # -- Deployment

    def deploy(self, parameters: Mapping[str, str] | None = None) -> None:
        keys = self.keys()
        values = self.parameters(keys, parameters or {})
        overrides = ["--parameter-overrides", *(f"{name}={value}" for name, value in values.items() if value)]
        built = self.folder / "build"
        aws.make_bucket(self.endpoint)
        aws.verify_sender(MAIL_FROM, self.endpoint)
        with step("Packaging the functions (sam build)"):
            self.sam("build", "--config-env", "local", "--build-dir", built, *overrides)
        with step("Deploying the template (sam deploy)"):
            self.deploy_template(STACK_NAME, built / "template.yaml", overrides)
        self.describe(keys, values)
        self.introduce_gateways(keys)

    def deploy_template(self, stack: str, template: Path, overrides: Sequence[str] = ()) -> None:
        """Deploy what needs no building any more, under that name, beside whatever else is there."""
        aws.forget_failed_stack(stack, self.endpoint)
        # SAM looks for its settings beside the template, and that may be anywhere.
        settings = ["--config-env", "local", "--config-file", ROOT / "samconfig.toml"]
        try:
            self.sam("deploy", *settings, "--stack-name", stack, "--template", template, *overrides)
        except StackError as failure:
            reasons = aws.failures(stack, self.endpoint)
            title = f"The deployment failed ({self.log('sam')}):"
            raise StackError("\n".join([title, *reasons])) if reasons else failure

    def sam(self, *words: str | Path) -> None:
        environment = aws.shell(self.endpoint) | {
            "PERENNIAL_BINARIES": str(self.binaries),
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "__SAM_CLI_APP_DIR": str(ROOT / ".venv" / "sam"),  # made by tools.py
        }
        run_logged([Path(sys.executable).with_name("sam"), *words], self.log("sam"), environment, ROOT)

    def parameters(self, keys: dict[str, Any], overrides: Mapping[str, str]) -> dict[str, str]:
        values = {
            "Stage": "local",
            "TokenIssuer": self.issuer.url,
            "TokenAudience": AUDIENCE,
            "TestClock": "enabled",
            "StripeApi": f"{self.simulator}/stripe",
            "PaystackApi": f"{self.simulator}/paystack",
            "FlittApi": f"{self.simulator}/flitt",
            "PayPalApi": f"{self.simulator}/paypal",
            "ReturnUrls": "http://127.0.0.1:3000,https://app.example.com",
            "MailFrom": MAIL_FROM,
            "Architecture": {"x86_64": "x86_64", "amd64": "x86_64"}.get(platform.machine().lower(), "arm64"),
            **overrides,
        }
        for parameter, name, held in SECRETS:
            if parameter not in values:
                values[parameter] = aws.keep_secret(f"{STACK_NAME}/{name}", held(keys), self.endpoint)
        if "PayPalSecretArn" not in values:
            values["PayPalSecretArn"] = aws.keep_secret(f"{STACK_NAME}/paypal", self.paypal_secret(keys), self.endpoint)
        return values

    def paypal_secret(self, keys: dict[str, Any]) -> dict[str, Any]:
        """With the simulator's certificate pinned: PayPal's own would be fetched from PayPal, and chain to public roots."""
        held = get_json(f"{self.simulator}/admin/paypal/certificates")
        return {
            "client_id": keys["paypal"]["client_id"],
            "client_secret": keys["paypal"]["client_secret"],
            "webhook_ids": [keys["paypal"]["webhook_id"]],
            "certificates": {held["url"]: held["chain"]},
            "roots": [held["root"]],
        }

    def keys(self) -> dict[str, Any]:
        """The gateways' test keys, made up once."""
        file = self.folder / "keys.json"
        if not file.exists():
            made_up = {
                "stripe": {
                    "secret_key": f"sk_test_{secrets.token_hex(16)}",
                    "webhook_secret": f"whsec_{secrets.token_hex(16)}",
                },
                "paystack": {"secret_key": f"sk_test_{secrets.token_hex(20)}"},
                "flitt": {"merchant_id": "1549901", "payment_key": secrets.token_hex(16)},
                "paypal": {
                    "client_id": f"A{secrets.token_hex(39)}",
                    "client_secret": f"E{secrets.token_hex(39)}",
                    "webhook_id": secrets.token_hex(8).upper(),
                },
            }
            write_whole(file, json.dumps(made_up, indent=2) + "\n")
        return json.loads(file.read_text())

    def describe(self, keys: dict[str, Any], values: Mapping[str, str]) -> None:
        """stack.json, for people and tests; outputs.json, what the template says about itself."""
        found = aws.outputs(STACK_NAME, self.endpoint)
        write_whole(self.folder / "outputs.json", json.dumps(found, indent=2) + "\n")
        webhook_secrets = {}
        if values["StripeSecretArn"]:
            webhook_secrets["stripe"] = keys["stripe"]["webhook_secret"]
        if values["PaystackSecretArn"]:
            webhook_secrets["paystack"] = keys["paystack"]["secret_key"]
        if values["FlittSecretArn"]:
            webhook_secrets["flitt"] = keys["flitt"]["payment_key"]
        description = {
            # The address in the template's ApiUrl is AWS's; the emulator serves the same API under its own.
            "api": f"{self.endpoint}/_aws/execute-api/{found['ApiId']}",
            "simulator": self.simulator,
            "issuer": self.issuer.url,
            "tokens": {
                "acme": self.issuer.mint("acme"),
                "globex": self.issuer.mint("globex"),
                "admin": self.issuer.mint("admin", ADMIN),
                "service": self.issuer.mint("service", SERVICE),
            },
            "webhook_secrets": webhook_secrets,
            "table": found["TableName"],
            "aws_endpoint": self.endpoint,
        }
        write_whole(self.description, json.dumps(description, indent=2) + "\n")

    def introduce_gateways(self, keys: dict[str, Any]) -> None:
        """Tell the simulator, as one would in each gateway's dashboard, who calls it and where webhooks go."""
        hooks = f"{self.client().api}/webhooks"
        configuration = {
            "stripe": {**keys["stripe"], "webhook_url": f"{hooks}/stripe"},
            "paystack": {**keys["paystack"], "webhook_url": f"{hooks}/paystack"},
            "flitt": {**keys["flitt"], "webhook_url": f"{hooks}/flitt"},
            "paypal": {**keys["paypal"], "webhook_url": f"{hooks}/paypal"},
        }
        post_json(f"{self.simulator}/admin/configure", configuration)

    def client(self) -> Client:
        return Client(self.folder)

    def load_catalogue(self) -> None:
        files = sorted((ROOT / "catalogue").glob("*.json"))
        with step(f"Loading {len(files)} catalogues"):
            for file in files:
                catalogue.load(file, self.client().outputs["LoadCatalogueFunction"], self.endpoint)

    # -- One at a time

    @contextmanager
    def served_by_us(self) -> Iterator[None]:
        """Hold the folder's lock, which ends with this process however that ends."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StackError(self.already_running()) from None
            self.register.add(Process.of("stack", os.getpid()))
            yield

    def already_running(self) -> str:
        server = self.register.find("stack")
        by = f" (process {server.pid})" if server else ""
        where = f" at {self.client().api}" if self.description.exists() else ""
        return f"A local stack is running already{where}{by}. End it with: make stop"

    def is_served(self) -> bool:
        try:
            with (self.folder / "lock").open("r+") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return False
        except BlockingIOError:
            return True
        return False


# Parameter, name, and what the secret holds. A secret is what a customer creates before deploying, in the same form.
SECRETS = [
    (
        "StripeSecretArn",
        "stripe",
        lambda keys: {
            "secret_key": keys["stripe"]["secret_key"],
            "webhook_secrets": [keys["stripe"]["webhook_secret"]],
        },
    ),
    (
        # Paystack signs with the API key itself.
        "PaystackSecretArn",
        "paystack",
        lambda keys: {
            "secret_key": keys["paystack"]["secret_key"],
            "webhook_secrets": [keys["paystack"]["secret_key"]],
        },
    ),
    (
        "FlittSecretArn",
        "flitt",
        lambda keys: {
            "merchant_id": keys["flitt"]["merchant_id"],
            "payment_keys": [keys["flitt"]["payment_key"]],
        },
    ),
]
