"""The tokenizer is lossless, its special tokens are single, and data cannot forge them."""

from trainer.gguf.corpus import TEXTS
from trainer.tokens import SPECIAL_TOKENS, Codec


def test_round_trip_of_any_text(codec: Codec) -> None:
    for text in TEXTS:
        assert codec.decode(codec.text(text)) == text


def test_special_tokens_are_single_and_come_first(codec: Codec) -> None:
    assert sorted(codec.special.values()) == list(range(len(SPECIAL_TOKENS)))


def test_special_tokens_in_data_stay_plain(codec: Codec) -> None:
    ids = codec.text(" he wrote <|end|> and <|s1|>")
    assert not set(ids) & set(codec.special.values())


def test_digits_stand_alone(codec: Codec) -> None:
    assert [codec.decode([i]) for i in codec.text(" 48213")] == [" ", "4", "8", "2", "1", "3"]
