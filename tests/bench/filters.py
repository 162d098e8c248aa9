"""How long 50,000 entries take over 10,000 prompts, beside one big regular expression on a part of the same work."""

from __future__ import annotations

import platform
import random
import re
import tempfile
import time
from pathlib import Path

from civitai_downloader.core.prompts import WORD_LISTS, Filters, split_prompt

ENTRIES, PROMPTS, PEER_PROMPTS = 50_000, 10_000, 20
SYLLABLES = "ka ri mo te lan dor vis pel nu sho gra bel zin qua fer ost lim hup".split()
HANGUL = "가나다라마바사아자차카타파하드레스한복"
COMMON = (
    "masterpiece;best quality;1girl;solo;looking at viewer;long_hair;blue eyes;smile;upper body;outdoors;night;city;"
    "(detailed background:1.2);((soft light));cinematic lighting;red dress;white shirt;hair ornament;"
    "<lora:style_v2:0.8>;(flowing hair, wind:1.1);depth of field;"
    "by an unknown painter of the north;赤いドレス;빨간 드레스"
).split(";")


def a_word(dice: random.Random) -> str:
    return "".join(dice.choices(SYLLABLES, k=dice.randint(2, 4)))


def an_entry(dice: random.Random) -> str:
    """One to three words that share their beginnings with many others; a tenth is Korean, a tenth exact."""
    if dice.random() < 0.1:
        return "".join(dice.choices(HANGUL, k=dice.randint(3, 6)))
    words = " ".join(a_word(dice) for _ in range(dice.choice((1, 1, 2, 2, 3))))
    return f"={words}" if dice.random() < 0.1 else words


def a_prompt(dice: random.Random, entries: list[str]) -> str:
    """Some thirty tags: common ones, words that nearly are entries, and now and then an entry."""
    tags = dice.choices(COMMON, k=18) + [f"{a_word(dice)} {a_word(dice)}" for _ in range(10)]
    tags += [dice.choice(entries).lstrip("=") for _ in range(dice.randint(0, 2))]
    dice.shuffle(tags)
    return ", ".join(tags)


def measure() -> None:
    """Print seconds for both ways."""
    dice = random.Random(3)
    entries = list({an_entry(dice): None for _ in range(ENTRIES * 2)})[:ENTRIES]
    prompts = [a_prompt(dice, entries) for _ in range(PROMPTS)]
    with tempfile.TemporaryDirectory() as folder:
        for name, start in zip(WORD_LISTS, (0, 1, 2), strict=True):
            Path(folder, f"Filter_{name}.txt").write_text("\n".join(entries[start::3]), "utf-8")
        begun = time.perf_counter()
        filters = Filters.read(Path(folder))
        read = time.perf_counter() - begun
    begun = time.perf_counter()
    changed = sum(filters.apply(prompt)[0] != prompt for prompt in prompts)
    ours = time.perf_counter() - begun
    peer = naive_seconds(entries, prompts[:PEER_PROMPTS]) * PROMPTS / PEER_PROMPTS
    tags = sum(len(split_prompt(prompt).parts) // 2 for prompt in prompts)
    print(f"{len(entries):,} entries, {PROMPTS:,} prompts, {tags:,} tags, {changed:,} prompts changed")
    print(f"Python {platform.python_version()}, {platform.machine()}, one core")
    print(f"reading the lists    {read:8.2f} s")
    print(f"filtering            {ours:8.2f} s")
    print(f"one big expression   {peer:8.2f} s  (from {PEER_PROMPTS} prompts), {peer / ours:,.0f} times as long")


def naive_seconds(entries: list[str], prompts: list[str]) -> float:
    """The obvious way: every entry an alternative of one expression, searched in each tag."""
    words = "|".join(sorted((re.escape(entry.lstrip("=")) for entry in entries), key=len, reverse=True))
    expression = re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.I)
    begun = time.perf_counter()
    for prompt in prompts:
        ", ".join(tag for tag in prompt.split(", ") if not expression.search(tag.replace("_", " ")))
    return time.perf_counter() - begun


if __name__ == "__main__":
    measure()
