"""Model files: their headers, where they lie, and their tokenizers. Loads no weights.

gguf.py         read_header(path), check_model(path): refuses before llama.cpp sees the file
gguf_layout.py  one file as it lies on the disk
locate.py       find_model("demo", a path or a name on the shelf), find_adapters(name), sha256_of(path)
shelf.py        model files that other programs keep on this disk
inspect.py      what any model file is, and what to do with it;  quantisation.py  how good it is, in one word
memory.py       how much memory a model takes, from its header
speed.py        how fast it may write, roughly; an estimate
gate.py         what llama.cpp can do with its architecture
tokenizer.py    Tokenizer: the vocabulary of a GGUF file; the one door to llama_cpp in this room
byte_tokenizer.py  ByteTokenizer: bytes are tokens; for the scripted engine and the tests
markup.py       special tokens: found in templates, broken in documents
"""

from __future__ import annotations

from typing import Protocol

from pipeline.data import Vocabulary
from pipeline.models.markup import Markup


class TokenizerLike(Protocol):
    """What prompting, chunking and the engines need of a tokenizer."""

    @property
    def vocabulary(self) -> Vocabulary:
        """Every token as bytes; what may not stand in an answer has an empty piece."""
        ...

    @property
    def markup(self) -> Markup:
        """The special tokens, by their texts."""
        ...

    @property
    def bos(self) -> int | None:
        """The token a prompt begins with, if the vocabulary has one."""
        ...

    @property
    def eos(self) -> int | None:
        """The token a text ends with, if the vocabulary has one."""
        ...

    @property
    def add_bos(self) -> bool:
        """Whether the model was trained to see `bos` first."""
        ...

    @property
    def eog(self) -> frozenset[int]:
        """Tokens that end a generation."""
        ...

    @property
    def template(self) -> str | None:
        """The chat template the file carries."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal fingerprints tokenise alike."""
        ...

    def encode(self, text: str | bytes, *, special: bool = False, first: bool = False) -> list[int]:
        """Token ids, without BOS. `first`: the text begins the prompt or follows a special token."""
        ...

    def encode_data(self, text: str, *, first: bool = False) -> list[int]:
        """Token ids of a document's text: no special or markup token can come out, whatever the text holds."""
        ...

    def count(self, text: str) -> int:
        """The number of ids `encode_data` gives."""
        ...

    def token_text(self, token: int) -> str:
        """The text of one token for people, special ones included."""
        ...
