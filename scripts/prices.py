"""Writes the price lists of providers from the package `genai-prices` (MIT).

    python -m venv /tmp/prices && /tmp/prices/bin/pip install genai-prices
    /tmp/prices/bin/python scripts/prices.py

Only what the core can apply is taken over: rates of text tokens and of requests, by model, date,
time of day and size of the prompt. Left out, so that their price is unknown: models whose output
is also audio, images or video with rates of their own, models without rates of tokens, providers
that are not told apart by their host. Not known to the core: batch and priority tiers, the longer
of two cache lifetimes, searches, audio or images in a prompt that have a rate of their own.
"""

import datetime
import json
import re
import shutil
from decimal import Decimal
from importlib import metadata
from pathlib import Path
from typing import Any

from genai_prices import data, types

FOLDER = Path(__file__).parents[1] / "python/aigw/compile/prices"
RATES = {
    "input_mtok": "input",
    "cache_read_mtok": "cached_input",
    "cache_write_mtok": "cache_creation_input",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "requests_kcount": "request",
}
IGNORED = re.compile(r"(input_|cache_).*|(web|storage)_searches_kcount|output_citation_mtok")
LEFT_OUT = ("cursor", "databricks", "github-copilot", "huggingface_", "modal", "openai-decisions")
CLOUDS = ("aws", "azure", "google")
PER = {"request": Decimal(10**9)}
DATED = re.compile(r"\^([^$(\[]+?)(?:-|\[-@\])\\d\{[48]\}(?:-\\d\{2\}-\\d\{2\})?\$")
NUMBERED = re.compile(r"\^([^$(\[]+)\\d")


def rules(clause: Any) -> list[Any] | None:  # noqa: ANN401 - types of the package
    """Alternatives, in the language of the core; None: it cannot say that."""
    match clause:
        case types.ClauseOr():
            parts = [rules(part) for part in clause.or_]
            return [rule for part in parts for rule in part or []] or None
        case types.ClauseAnd():
            parts = [rules(part) for part in clause.and_]
            if any(part is None or len(part) != 1 for part in parts):
                return None
            return [[part[0] for part in parts if part]]
        case types.ClauseEquals():
            return [f"={clause.equals.lower()}"]
        case types.ClauseStartsWith():
            return [f"^{clause.starts_with.lower()}"]
        case types.ClauseEndsWith():
            return [f"${clause.ends_with.lower()}"]
        case types.ClauseContains():
            return [f"*{clause.contains.lower()}"]
        case types.ClauseRegex():
            return of_regex(clause.regex)
    return None


def of_regex(text: str) -> list[Any] | None:
    """The few forms that are in use."""
    if "[tT][tT][sS]" in text:
        return ["!*-tts"]
    if match := DATED.fullmatch(text):
        return [f"~{match[1].replace(chr(92), '')}"]
    if match := NUMBERED.fullmatch(text):
        return [f"#{match[1].replace(chr(92), '')}"]
    return None


def levels(price: types.ModelPrice) -> list[dict[str, int]] | None:
    """Rates by size of the prompt in pico-USD; None: they are not all that the model costs."""
    values = {key: value for key, value in vars(price).items() if value is not None}
    if any(key not in RATES and not IGNORED.fullmatch(key) for key in values):
        return None
    known = {RATES[key]: value for key, value in values.items() if key in RATES}
    if not known.keys() & {"input", "output"}:
        return None
    starts = {0}
    for value in known.values():
        if isinstance(value, types.TieredPrices):
            starts |= {tier.start for tier in value.tiers}
    found = []
    for start in sorted(starts):
        level: dict[str, int] = {"above": start} if start else {}
        for name, value in known.items():
            exact = at(value, start) * PER.get(name, Decimal(10**6))
            level[name] = int(exact.to_integral_value())
        found.append(level)
    return found


def at(value: Any, start: int) -> Decimal:  # noqa: ANN401 - types of the package
    """The rate of prompts that are just above `start`."""
    if not isinstance(value, types.TieredPrices):
        return value
    below = [tier.price for tier in value.tiers if tier.start <= start]
    return below[-1] if below else value.base


def periods(model: types.ModelInfo, today: datetime.date) -> list[dict[str, Any]] | None:
    """Rates by time; those that are over for good are left out."""
    if isinstance(model.prices, types.ModelPrice):
        prices = [types.ConditionalPrice(prices=model.prices)]
    else:
        prices = list(model.prices)
    found: list[dict[str, Any]] = []
    for price in prices:
        rates = levels(price.prices)
        if rates is None:
            return None
        period: dict[str, Any] = {"levels": rates}
        match price.constraint:
            case types.StartDateConstraint(start_date=start) if start <= today:
                found = []
            case types.StartDateConstraint(start_date=start):
                midnight = datetime.datetime.combine(start, datetime.time(), datetime.UTC)
                period = {"since": int(midnight.timestamp()), **period}
            case types.TimeOfDateConstraint(start_time=start, end_time=end):
                period = {"daily": [second_of(start), second_of(end)], **period}
            case None:
                found = []
        found.append(period)
    return found or None


def second_of(time: datetime.time) -> int:
    """Second of the day."""
    if time.utcoffset():
        message = "a time of day that is not in UTC"
        raise ValueError(message)
    return time.hour * 3600 + time.minute * 60 + time.second


def list_of(provider: types.Provider, today: datetime.date) -> dict[str, Any]:
    """The list of a provider. A model that is left out hides no other one."""
    entries = []
    for model in provider.models:
        match = rules(model.match)
        if match:
            entries.append({"id": model.id, "match": match, "periods": periods(model, today) or []})
    document: dict[str, Any] = {"entries": entries}
    if provider.id in CLOUDS:
        document["paths"] = True
    if provider.fallback_model_providers:
        document["fallback"] = provider.fallback_model_providers
    return document


def main() -> None:
    """Writes the index and a file for each provider."""
    today = datetime.datetime.now(datetime.UTC).date()
    version = metadata.version("genai-prices")
    providers = [item for item in data.providers if not item.id.startswith(LEFT_OUT)]
    index = {
        "source": f"genai-prices {version}, {today}",
        "hosts": {item.id: item.api_pattern for item in providers},
    }
    for old in FOLDER.glob("*.json"):
        old.unlink()
    (FOLDER / "index.json").write_text(json.dumps(index, indent=1) + "\n")
    for provider in providers:
        document = list_of(provider, today)
        lines = ",\n".join(json.dumps(entry) for entry in document.pop("entries"))
        head = json.dumps(document)[:-1]
        text = f'{head}{", " if document else ""}"entries": [\n{lines}\n]}}\n'
        (FOLDER / f"{provider.id}.json").write_text(text)
    licence = next(f for f in metadata.files("genai-prices") or () if f.name == "LICENSE")
    shutil.copyfile(str(licence.locate()), FOLDER / "LICENSE")


if __name__ == "__main__":
    main()
