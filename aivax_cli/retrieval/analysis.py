"""Text becomes the tokens of the lexical index: folded, stop words out, stemmed in two languages.

Every word gives two tokens, its English stem with an `e` before it and its Portuguese stem with a `p`. A
word of either language thus meets its inflections, and no language has to be guessed. Spanish shares enough
of Portuguese's endings to gain from it too.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from threading import Lock

ANALYZER = "fold-en-pt/3"
"""Name of this analysis. An index built by another one is rebuilt at the next ingest."""

STEM_CACHE_WORDS = 100_000
"""Words whose stems are remembered; Snowball in Python takes some 30 µs a word."""

MIN_PLURAL_CHARS = 4

_WORD = re.compile(r"[^\W_]+")

# Short on purpose: `before`, `first` or `most` may be what a question turns on; common words weigh little.
_ENGLISH = """
a an and are as at be been by did do does for from had has have how in is it its of on or that the these
this those to was were what when where which who whom why with
"""
_PORTUGUESE = """
a ao aos aquela aquelas aquele aqueles aquilo as ate com como da das de dela delas dele deles depois do dos
e ela elas ele eles em entre era eram essa essas esse esses esta estao estas estava estavam este estes estou
eu foi foram ha isso isto ja la lhe lhes mais mas me mesmo meu meus minha minhas muito na nao nas nem no nos
nossa nossas nosso nossos num numa o os ou para pela pelas pelo pelos por porque qual quais quando quanto
quantos quanta quantas que quem se seja sejam sem ser sera seu seus so sua suas tambem te tem tinha tinham
ter teu teus tu tua tuas um uma umas uns voce voces onde sao sobre
"""
# Spanish words that mean something in English or Portuguese (son, sin, once, real…) are left in.
_SPANISH = """
al algo como con cual cuales cuando cuanto cuantos cuanta cuantas del desde donde el ella ellas ellos en
entre es esa esas ese eso esos esta estas este esto estos fue fueron ha han hasta hay la las le les lo los
mas me mi mis mucho muy nada ni no nosotros o os para pero por porque que quien quienes se su sus tambien te
tiene tienen tu tus un una unas uno unos y ya yo
"""
STOP_WORDS = frozenset(f"{_ENGLISH} {_PORTUGUESE} {_SPANISH}".split())
"""English, Portuguese and Spanish function words, folded."""


def fold(text: str) -> str:
    """`text` in compatibility form, without case and without diacritics: `Ação ﬁnal` → `acao final`."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", text)
    kept = "".join(char for char in decomposed if not unicodedata.combining(char))
    return unicodedata.normalize("NFC", kept.casefold())


def words(text: str) -> list[str]:
    """The folded words of `text` in order, stop words left out."""
    return [word for word in _WORD.findall(fold(text)) if word not in STOP_WORDS]


def _singular(word: str) -> str:
    """`nacoes` → `nacao`: the Portuguese stemmer knows this plural by its tilde alone, which folding took."""
    return word[:-3] + "ao" if len(word) > MIN_PLURAL_CHARS and word.endswith("oes") else word


class Analyzer:
    """Stems words, remembering what it has stemmed. Safe to share between threads."""

    def __init__(self) -> None:
        import snowballstemmer

        english = snowballstemmer.stemmer("english")
        portuguese = snowballstemmer.stemmer("portuguese")
        lock = Lock()

        @lru_cache(maxsize=STEM_CACHE_WORDS)
        def stems(word: str) -> tuple[str, str]:
            with lock:  # a Snowball stemmer keeps the word it works on in itself
                return "e" + english.stemWord(word), "p" + portuguese.stemWord(_singular(word))

        self._stems = stems

    def tokens(self, text: str) -> list[str]:
        """The tokens of `text` in order, two for each word that is no stop word."""
        return [token for word in words(text) for token in self._stems(word)]

    def document(self, parts: Iterable[str]) -> str:
        """What FTS5 is given for a passage made of `parts`: its tokens, separated by spaces."""
        return " ".join(token for part in parts for token in self.tokens(part))

    def query(self, text: str) -> tuple[str, ...]:
        """The distinct tokens of a question, in order of appearance."""
        return tuple(dict.fromkeys(self.tokens(text)))
