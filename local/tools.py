"""Makes the virtual environment .venv with the pinned tools, once; says what the machine itself lacks, or installs it.

Runs with whatever python3 there is and needs nothing but the standard library.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
REQUIREMENTS = ROOT / "local" / "requirements.txt"
CONSTRAINTS = ROOT / "local" / "constraints.txt"
OLDEST = (3, 11)


def main() -> None:
    if sys.version_info < OLDEST:
        continue_with_newer_python()
    install_what_the_machine_lacks()
    make_environment()


def continue_with_newer_python() -> None:
    for minor in range(14, OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        # A version manager may offer a name and then decline to run it.
        if found and subprocess.run([found, "-c", ""], capture_output=True).returncode == 0:
            os.execv(found, [found, *sys.argv])
    sys.exit(f"Python 3.11 or newer is needed; {sys.executable} is {sys.version.split()[0]}.")


def install_what_the_machine_lacks() -> None:
    if not shutil.which("cargo"):
        sys.exit("Rust is needed: https://rustup.rs (cargo was not found on the PATH).")
    packages = []
    if not shutil.which("cc"):
        packages.append("build-essential")  # TLS and the tests' SQLite bring C code
    if not can_make_environments():
        packages.append(f"python3.{sys.version_info[1]}-venv")
    if not packages:
        return
    line = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if not shutil.which("apt-get") or os.geteuid() != 0:
        sys.exit(f"This machine lacks {' and '.join(packages)}. Install with: sudo {' '.join(line)}")
    print(f"• Installing {' and '.join(packages)}", flush=True)
    quiet = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
    subprocess.run(["apt-get", "update", "--quiet"], env=quiet, stdin=subprocess.DEVNULL, check=True)
    subprocess.run(line, env=quiet, stdin=subprocess.DEVNULL, check=True)


def can_make_environments() -> bool:
    # Debian ships venv without the ensurepip it needs; only importing both tells.
    return subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True).returncode == 0


def make_environment() -> None:
    stamp = VENV / "made-from"
    wanted = fingerprint()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print("• Making .venv with the pinned tools (a minute or two, once)", flush=True)
    shutil.rmtree(VENV, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
    install = [str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-input"]
    install += ["--requirement", str(REQUIREMENTS), "--constraint", str(CONSTRAINTS)]
    if subprocess.run(install, stdin=subprocess.DEVNULL).returncode != 0:
        sys.exit(f"The tools could not be installed. The line that failed:\n  {' '.join(install)}")
    # SAM looks on the network for a newer version of itself, once a week; this says that it has, until the year 2100.
    (VENV / "sam").mkdir()
    (VENV / "sam" / "metadata.json").write_text('{"lastVersionCheck": 4102444800.0}')
    # Last, so that an interrupted installation starts over.
    stamp.write_text(wanted)


def fingerprint() -> str:
    made_from = hashlib.sha256(REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    return f"{made_from} python3.{sys.version_info[1]} {VENV}\n"


if __name__ == "__main__":
    main()
