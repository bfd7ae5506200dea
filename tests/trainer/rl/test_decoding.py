"""What is drawn, and the log-probabilities that are recorded of it."""

import random
from collections import Counter

import pytest
import torch
from torch import nn

from engine.agent.prompts import STARTER
from engine.backends.base import Request, Sampling, Segment
from engine.backends.llamacpp import LlamaCppBackend
from engine.errors import ContextOverflowError
from tests.trainer.rl.conftest import STARTER as STARTER_FILE
from trainer.rl.backend import TorchBackend
from trainer.rl.data import Conversation
from trainer.rl.decoding import Decoder, Drawn, Row, row_seed
from trainer.rl.logprobs import score_pack
from trainer.rl.models import Policy
from trainer.rl.packing import make_pack

TEXTS = [
    " Maria's ship, the Albatross, left at 07:45 on 3 May 1871.",
    " <|end|> <|s1|> are plain characters in a document",
    " naïve café, Über, Łódź, Ελλάδα, Москва, 東京, 🙂",
    " A  double  space,\ta tab and\nnew\r\n\r\nlines  ",
    "I'm we'll they've 1234567890 x1y2z3 a_b_c --- *** ///",
]
SENTENCES = ["The gate is red.", "The code of the harbour is 4417.", "Anna left in May.", "It rained."]


def _requests(temperature: float = 0.0, seed: int = 0) -> list[Request]:
    """Conversations of all kinds and lengths: with label grammar, with excerpt grammar, free."""
    from engine.agent.config import Mode
    from engine.agent.replies import answer_grammar, closed_replies, read_grammar

    mode = Mode.EXTRACTIVE
    requests = []
    for count in (4, 2, 1, 3):
        prompt = STARTER.read(mode, question="code of the harbour", memory=(), section=SENTENCES[:count])
        grammar = read_grammar(mode, STARTER, num_items=0, num_sentences=count)
        sampling = Sampling(temperature=temperature, seed=seed + count)
        requests += [
            Request(
                prompt=prompt,
                max_tokens=9,
                sampling=sampling,
                grammar=grammar,
                closed=closed_replies(mode, STARTER),
            ),
            Request(prompt=prompt, max_tokens=count, sampling=sampling),
        ]
    memory = (SENTENCES[1],)
    prompt = STARTER.final(mode, question="code of the harbour", memory=memory)
    grammar = answer_grammar(STARTER, memory)
    requests.append(
        Request(prompt=prompt, max_tokens=20, sampling=Sampling(temperature=temperature), grammar=grammar)
    )
    return requests


def _backend(policy: Policy, cache_tokens: int = 100_000) -> TorchBackend:
    return TorchBackend(policy, Decoder(policy.model, policy.vocabulary, cache_tokens=cache_tokens))


def test_tokens_and_greedy_replies_are_those_of_llama_cpp(starter: Policy) -> None:
    ours = _backend(starter)
    theirs = LlamaCppBackend(STARTER_FILE, context_tokens=1024)
    for text in TEXTS:
        assert ours.tokenize(text) == theirs.tokenize(text)
    requests = _requests()
    for one, two in zip(ours.generate(requests), theirs.generate(requests), strict=True):
        assert one.prompt_token_ids == two.prompt_token_ids
        assert (one.text, one.token_ids, one.finish_reason) == (two.text, two.token_ids, two.finish_reason)
    theirs.close()


SEED = 4664230794674462097
HOT = 3.0  # the model is sure of itself: at a temperature of 1 it would hardly ever say something else


def _draw(backend: TorchBackend, requests: list[Request]) -> list[tuple[Row, Drawn]]:
    rows = [backend.row(r, seed=r.sampling.seed, temperature=HOT) for r in requests]
    return list(zip(rows, backend.decoder.draw(rows), strict=True))


def test_recorded_log_probabilities_are_the_trainers_own(starter: Policy) -> None:
    pairs = _draw(_backend(starter), [r for seed in range(5) for r in _requests(1.0, 100 * seed)])
    talks = [
        Conversation(
            prompt_ids=row.ids,
            response_ids=drawn.response_ids,
            rollout_logprobs=drawn.logprobs,
            allowed=drawn.allowed,
            turn=0,
            finish_reason=drawn.finish_reason,
            purpose="read",
            chunk_index=0,
            max_tokens=row.max_tokens,
        )
        for row, drawn in pairs
    ]
    pack = make_pack(talks, [[row] for row in range(len(talks))])
    with torch.no_grad():
        scores = score_pack(starter.model, pack, temperature=HOT, chunk_tokens=64)
    recorded = torch.tensor([value for talk in talks for value in talk.rollout_logprobs])
    assert float((scores.logprobs - recorded).abs().max()) < 1e-4
    assert float(recorded.min()) < -0.5, "some tokens were truly drawn"
    assert any(allowed is None for allowed in pack.allowed)
    assert all(t in a for t, a in zip(pack.targets.tolist(), pack.allowed, strict=True) if a is not None)


def test_neighbours_and_batches_do_not_matter(starter: Policy) -> None:
    requests = _requests(1.0, 7)
    together = [drawn for _, drawn in _draw(_backend(starter), requests)]
    apart = [_draw(_backend(starter), [request])[0][1] for request in requests]
    small = [drawn for _, drawn in _draw(_backend(starter, cache_tokens=250), requests)]
    order = list(range(len(requests)))
    random.Random(0).shuffle(order)
    shuffled = dict(zip(order, _draw(_backend(starter), [requests[i] for i in order]), strict=True))
    for number, drawn in enumerate(together):
        for other in (apart[number], small[number], shuffled[number][1]):
            assert other.response_ids == drawn.response_ids
            assert other.logprobs == pytest.approx(drawn.logprobs, abs=1e-5)


def test_seeds_make_the_draws(starter: Policy) -> None:
    request = _requests(1.0)[1]
    backend = _backend(starter)
    rows = [backend.row(request, seed=seed, temperature=HOT) for seed in (1, 2, 3, 4, 1)]
    drawn = backend.decoder.draw(rows)
    assert drawn[0] == drawn[4]
    assert len({each.response_ids for each in drawn}) > 2


def test_draws_follow_the_distribution(model: nn.Module) -> None:
    vocabulary = _Plain()
    decoder = Decoder(model, vocabulary, cache_tokens=10**6)  # type: ignore[arg-type]
    count = 4000
    rows = [Row(ids=(5, 6, 7), max_tokens=1, seed=row_seed("test", n)) for n in range(count)]
    found = Counter(drawn.response_ids[0] for drawn in decoder.draw(rows))
    with torch.no_grad():
        wanted = model(input_ids=torch.tensor([[5, 6, 7]])).logits[0, -1].softmax(-1).tolist()
    # Chi-square over the likely tokens: mean = degrees of freedom, five standard deviations on top.
    likely = [token for token, p in enumerate(wanted) if p * count >= 5]
    chi = sum((found[token] - wanted[token] * count) ** 2 / (wanted[token] * count) for token in likely)
    assert chi < len(likely) + 5 * (2 * len(likely)) ** 0.5


class _Plain:
    """A vocabulary of letters, whose token 1 ends a turn."""

    size = 97
    end_ids = frozenset({1})

    def piece(self, token_id: int) -> bytes:
        return bytes([32 + token_id % 90])


def test_a_prompt_beyond_the_window_is_refused(starter: Policy) -> None:
    backend = TorchBackend(starter, _backend(starter).decoder, context_tokens=64)
    request = Request(prompt=(Segment("word " * 80, is_data=True),), max_tokens=8)
    with pytest.raises(ContextOverflowError):
        backend.generate([request])
    with pytest.raises(ValueError, match="whole distribution"):
        backend.generate([Request(prompt=(Segment("a"),), max_tokens=8, sampling=Sampling(top_p=0.9))])


def test_row_seeds_differ_and_stay() -> None:
    seeds = {
        row_seed("run", step, "task", g, turn) for step in range(4) for g in range(4) for turn in range(4)
    }
    assert len(seeds) == 64
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert row_seed("run", 1, "task", 2, 3) == SEED
