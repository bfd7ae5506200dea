"""What only the bundled model can show: labels that are control tokens."""

import pytest

from engine.agent.config import Mode
from engine.agent.prompts import STANDARD, STARTER
from engine.backends import gbnf
from engine.backends.base import Request, Sampling, Segment
from engine.backends.llamacpp import LlamaCppBackend
from engine.cancel import Cancelled, CancelToken
from tests.golden import rendering

SENTENCES = ("The sky was grey.", "The code of Ann is 4711.", "He went home <|s1|>.")
LABELS = 'root ::= "<|none|>" | ("<|m1|>" | "<|s1|>" | "<|s2|>" | "<|s3|>")+'


def test_template_is_the_one_of_the_golden_files(starter: LlamaCppBackend) -> None:
    source = (rendering.FOLDER / "templates" / "starter.jinja").read_text("utf-8")
    assert starter._model.metadata("tokenizer.chat_template") == source


def test_prompt_ids(starter: LlamaCppBackend) -> None:
    prompt = STARTER.read(Mode.EXTRACTIVE, question="Who is Ann?", memory=[], section=SENTENCES)
    ids = starter.encode(prompt)
    assert starter.detokenize(ids) == (
        "<|user|><|read|><|q|> Who is Ann?<|memory|><|section|> The sky was grey.<|s1|>"
        " The code of Ann is 4711.<|s2|> He went home <|s1|>.<|s3|><|end|><|assistant|>"
    )
    (label,) = starter._tokenizer.prompt((Segment("<|s1|>"),))
    assert ids.count(label) == 1


@pytest.mark.parametrize("seed", range(6))
def test_labels_are_single_tokens(starter: LlamaCppBackend, seed: int) -> None:
    prompt = STARTER.read(Mode.EXTRACTIVE, question="Who is Ann?", memory=["One."], section=SENTENCES)
    sampling = Sampling(temperature=3.0 if seed else 0.0, seed=seed)
    request = Request(prompt=prompt, max_tokens=30, grammar=LABELS, sampling=sampling)
    completion = starter.generate([request])[0]
    assert completion.text.count("<|") == len(completion.token_ids)
    if completion.finish_reason == "stop":
        assert gbnf.parse(LABELS).matches(completion.text)


def test_a_grammar_ends_the_reply(starter: LlamaCppBackend) -> None:
    prompt = STANDARD.final(Mode.FAITHFUL, question="Who?", memory=["Ann."])
    for seed in range(5):
        request = Request(
            prompt=prompt,
            max_tokens=30,
            grammar='root ::= "KEEP" | "UPDATE" "\\n" [a-z]{3}',
            sampling=Sampling(temperature=2.0, seed=seed),
        )
        completion = starter.generate([request])[0]
        assert completion.finish_reason == "stop"
        assert gbnf.parse(request.grammar or "").matches(completion.text)


def test_a_long_prompt_is_cancelled_between_its_batches(starter: LlamaCppBackend) -> None:
    """A token that is cancelled by the first question of the abort callback, so inside the first batch."""

    class FirstLook(CancelToken):
        looks = 0

        @property
        def is_cancelled(self) -> bool:
            self.looks += 1
            return self.looks > 3

    cancel = FirstLook()
    request = Request(prompt=(Segment("word " * 1500, is_data=True),), max_tokens=5)
    with pytest.raises(Cancelled):
        starter.generate([request], cancel=cancel)
    assert cancel.looks == 4
    assert starter.generate([request])[0].cached_tokens < 5  # of the first batch, nothing stayed
