"""Checks what each crate may depend on, directly or not (`rust/crates.toml`)."""

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def tree(crate: str, *options: str) -> dict[str, set[str]]:
    """Normal dependencies of a crate, with the features that are on."""
    command = ["cargo", "tree", "--locked", "-p", crate, "-e", "normal", "--prefix", "none"]
    command += ["--no-dedupe", "--format", "{p}|{f}", *options]
    text = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        package, _, features = line.partition("|")
        found.setdefault(package.split()[0], set()).update(filter(None, features.split(",")))
    return found


def problems(crate: str, rule: dict[str, list[str]]) -> list[str]:
    """What a crate depends on and may not."""
    everything = tree(crate)
    direct = tree(crate, "--depth", "1").keys() - {crate}
    tokio = everything.get("tokio", set()) & set(rule.get("forbidden_tokio_features", ()))
    return [
        *(f"{crate} may not depend on {name}" for name in rule["forbidden"] if name in everything),
        *(
            f"{crate} depends on {name}, which rust/crates.toml does not allow"
            for name in sorted(direct - set(rule["allowed"]))
        ),
        *(f"{crate} turns on tokio/{feature}" for feature in sorted(tokio)),
    ]


def main() -> int:
    """Prints all problems; 1 when there is one."""
    rules = tomllib.loads((ROOT / "rust/crates.toml").read_text())
    found = [text for crate, rule in rules.items() for text in problems(crate, rule)]
    sys.stderr.writelines(f"{text}\n" for text in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
