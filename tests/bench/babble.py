"""What people say, by chance and yet always the same: words by Zipf's law, a fifth Chinese, now and then an emoji."""

from __future__ import annotations

import random
from itertools import accumulate

COMMON = ("the", "to", "hello", "and", "notification", "is", "that", "meeting")
"""The most common words, in their order."""

WORDS = 50_000
"""So many there are; the others are made of syllables, the shorter ones more common."""

HANZI = "的我是了不会议在有人这大"
"""The most common of 3,000 characters."""

PHRASES = ("会议", "今天", "我们", "什么", "时候")
EMOJI = ("👍", "😂", "❤️", "🎉", "🙏", "👍🏽", "🔥", "🚀")


class Babble:
    """One way to babble: the same `seed` says the same."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.words = self._vocabulary()
        """The most common first."""
        others = self.chance.sample([chr(code) for code in range(0x4E00, 0x9C20)], 3_000)
        self._hanzi = list(dict.fromkeys((*HANZI, *others)))[:3_000]
        self._words_upto = list(accumulate(1 / (rank + 2.7) ** 1.05 for rank in range(WORDS)))
        self._hanzi_upto = list(accumulate(1 / (rank + 8) for rank in range(len(self._hanzi))))

    def _vocabulary(self) -> list[str]:
        found = dict.fromkeys(COMMON)
        while len(found) < WORDS:
            syllables = 1 if len(found) < 60 else 2 if len(found) < 2_500 else self.chance.choice((2, 3, 3, 4, 4, 5))
            found["".join(self._syllable() for _ in range(syllables))] = None
        return list(found)

    def _syllable(self) -> str:
        end = self.chance.choice("nrst") if self.chance.random() < 0.3 else ""
        return self.chance.choice("bcdfghjklmnprstvwz") + self.chance.choice("aeiou") + end

    def sentence(self) -> str:
        """About twelve words, or twelve characters of Chinese."""
        chance, length = self.chance, max(2, int(self.chance.gauss(12, 5)))
        if chance.random() < 0.2:
            said = "".join(chance.choices(self._hanzi, cum_weights=self._hanzi_upto, k=length))
            middle = chance.choice(PHRASES) if chance.random() < 0.1 else "，" if chance.random() < 0.5 else ""
            said = said[: length // 2] + middle + said[length // 2 :]
        else:
            said = " ".join(chance.choices(self.words, cum_weights=self._words_upto, k=length)).capitalize()
        return f"{said} {chance.choice(EMOJI)}" if chance.random() < 0.05 else said
