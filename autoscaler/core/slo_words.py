"""What somebody meant who wrote an SLO in the words of another tool, or in a hurry. It is offered, never followed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

NUMBER = r"(\d+(?:\.\d+)?)"
OTHER_WORDS = {
    "itl": "tpot",
    "tbt": "tpot",
    "inter-token latency": "tpot",
    "e2e": "latency",
    "response time": "latency",
    "duration": "latency",
    "time to first token": "ttft",
}
_UNITS = {
    "ms": r"milliseconds?|millis|msecs?",
    "us": r"microseconds?|micros|usecs?",
    "s": r"seconds?|secs?",
    "m": r"minutes?|mins?",
}
_TIME = rf"{NUMBER}\s*(?:us|ms|s|m)"
_LEVEL = r"p\d+(?:\.\d+)?|\d+(?:\.\d+)?\s*%"
_SIGNAL = r"(?:latency|ttft|tpot)"
_RATE = rf"[<>]=?\s*{NUMBER}\s*(?:tokens?|tok)\s*/\s*s(?:ec)?(?=$|,)"
Change = str | Callable[[re.Match[str]], str]


def _slower_than(rate: re.Match[str]) -> str:
    """Tokens a second of one request: at least 20 of them are no more than 50 ms for each."""
    return f"< {1000.0 / float(rate[1]):.4g}ms" if float(rate[1]) > 0.0 else rate[0]


# In this order, each on what the one before has left: of lower case, with the usual characters for wide ones.
_CHANGES: tuple[tuple[str, Change], ...] = (
    (r"\s*#.*$", ""),
    (r"^[\"'`]+|[\"'`.,;]+$", ""),
    (r"(?<=\d),(?=\d)", "."),
    (_RATE, _slower_than),
    (r"(?<![\w-])(?:" + "|".join(OTHER_WORDS) + r")(?![\w-])", lambda m: OTHER_WORDS[m[0]]),
    # Levels.
    (r"\b(\d+(?:\.\d+)?)(?:st|nd|rd|th)?[\s-]+percentile\b", r"p\1"),
    (r"\bmedian\b", "p50"),
    (r"\bp99(9+)\b", r"p99.\1"),
    (r"(?<=\d)\s+percent\b", "%"),
    (r"%\s+of\s+(?:all\s+)?(?:the\s+)?requests?\b", "%"),
    # What is compared, and how.
    (r"(?:≤|⩽|=<|≦)", "<="),
    (r"\s*(?::|\bis\b)\s*(?=<|≤)", " "),
    (r"\s*\b(?:is\s+)?(?:under|below|less\s+than|within|at\s+most|in)\b\s*(?=\d)", " < "),
    (rf"(?<=[\w%])\s*(?::|==?|>=?)\s*(?=\d)(?!{NUMBER}\s*%)", " < "),
    # Times: `over` has units of its own.
    *((rf"(<=?\s*\d+(?:\.\d+)?)\s*(?:{words})\b", rf"\1{unit}") for unit, words in _UNITS.items()),
    (rf"(<=?\s*){NUMBER}\s*(?:ns|nanoseconds?)\b", lambda m: f"{m[1]}{float(m[2]) / 1e3:g}us"),
    (rf"(<=?\s*){NUMBER}\s*(?:h|hours?|hrs?)\b", lambda m: f"{m[1]}{float(m[2]) * 60.0:g}m"),
    (r"<(=?)\s*\.(?=\d)", r"<\1 0."),
    # What comes first.
    (rf"^<?\s*({_TIME})\s*(?:@|at|for|>)?\s*({_LEVEL})(?=$|,)", r"\3 < \1"),
    (rf"({_SIGNAL})\s+({_LEVEL})\s*(?=<)", r"\2 \1 "),
    (rf"^({_SIGNAL}\s*)?<?\s*({_TIME})$", lambda m: f"99% {(m[1] or '').strip()} < {m[2]}"),
    # What is between them.
    (rf"({_TIME})\s*(?:;|/|\||&|\+|\band\b|\s)\s*(?={_LEVEL}|{_SIGNAL})", r"\1, "),
    # The end.
    (r"\bfor\s+(\d+(?:\.\d+)?)(?!\s*[%\d.])", r"for \1%"),
    (r"\s(?:over|per|in)\s+(?:a|1)?\s*month$", " over 30d"),
    (
        r"\s(?:over\s+|in\s+)?(\d+)\s*(d|days?|w|weeks?|h|hours?)$",
        lambda m: f" over {m[1]}{m[2][0]}",
    ),
    (r"\s+", " "),
    (r"\s+,", ","),
)


def reworded(text: str) -> str:
    """The same in the words that are allowed, as far as it is understood."""
    found = unicodedata.normalize("NFKC", text).strip().lower().replace("μ", "u")
    for pattern, change in _CHANGES:
        found = re.sub(pattern, change, found).strip()
    return found
