"""The tokenizer's own rules, on a vocabulary that is made to be difficult."""

from hypothesis import given
from hypothesis import strategies as st

from engine.backends.base import Segment
from engine.backends.tokenization import PromptTokenizer, utf8_safe


class Letters:
    """One token a byte, and <think> which matches always, as user-defined tokens do; `calls` counts."""

    def __init__(self, *, space_prefix: bool = False, bos_id: int | None = None) -> None:
        self.forbidden = {300: "<think>", 301: "<|end|>"}
        self.bos_id = bos_id
        self.calls: list[bytes] = []
        self._prefix = b" " if space_prefix else b""

    def raw_tokenize(self, text: bytes, *, parse_special: bool) -> list[int]:
        self.calls.append(text)
        ids: list[int] = []
        text = self._prefix + text
        while text:
            if text.startswith(b"<think>"):
                ids.append(300)
                text = text[7:]
            elif parse_special and text.startswith(b"<|end|>"):
                ids.append(301)
                text = text[7:]
            else:
                ids.append(text[0])
                text = text[1:]
        return ids

    def piece(self, token_id: int) -> bytes:
        return bytes([token_id]) if token_id < 256 else self.forbidden.get(token_id, "").encode()


def joined(vocabulary: Letters, ids: list[int]) -> str:
    return b"".join(map(vocabulary.piece, ids)).decode()


@given(pieces=st.lists(st.sampled_from(["<think>", "<thi", "nk>", "<|end|>", "x", " ", "<", "é"])))
def test_forbidden_tokens_are_cut(pieces: list[str]) -> None:
    for space_prefix in (False, True):
        vocabulary = Letters(space_prefix=space_prefix)
        ids = PromptTokenizer(vocabulary).data("".join(pieces))
        assert not {300, 301} & set(ids)
        assert joined(vocabulary, ids) == "".join(pieces)


@given(text=st.text(alphabet="ab <é\n", max_size=30), length=st.integers(1, 400))
def test_blocks_join_to_the_text(text: str, length: int) -> None:
    vocabulary = Letters()
    long_text = text * length
    assert joined(vocabulary, PromptTokenizer(vocabulary).data(long_text)) == long_text
    assert max(len(call) for call in vocabulary.calls) <= 2 * 4096


def test_blocks_are_cut_before_words() -> None:
    vocabulary = Letters()
    PromptTokenizer(vocabulary).data("word and word " * 1000)
    blocks = [call for call in vocabulary.calls if len(call) > 100]
    assert len(blocks) > 2
    assert all(block.startswith(b" ") for block in blocks[1:])


def test_wording_is_tokenised_once() -> None:
    vocabulary = Letters()
    tokenizer = PromptTokenizer(vocabulary)
    prompt = (Segment("wording<|end|>"), Segment("data", is_data=True))
    first = tokenizer.prompt(prompt)
    assert first == tokenizer.prompt(prompt)
    assert 301 in first
    assert vocabulary.calls.count(b"wording<|end|>") == 1


def test_one_bos() -> None:
    tokenizer = PromptTokenizer(Letters(bos_id=301))
    assert tokenizer.prompt((Segment("x"),)) == [301, 120]
    assert tokenizer.prompt((Segment("<|end|><|end|>x<|end|>"),)) == [301, 120, 301]
    assert PromptTokenizer(Letters()).prompt((Segment("<|end|>x"),)) == [301, 120]


def test_surrogates() -> None:
    assert utf8_safe("a\ud800b\udfffc😀") == "a\ufffdb\ufffdc😀"
