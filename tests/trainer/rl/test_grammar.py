"""Reply grammars allow the tokens that llama.cpp allows."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from engine.agent.config import Mode
from engine.agent.prompts import STANDARD, STARTER
from engine.agent.replies import answer_grammar, read_grammar
from engine.backends import gbnf
from engine.backends.base import Sampling
from engine.backends.native import NativeModel
from engine.backends.native_sampler import GrammarCache, NativeSampler, _candidates
from engine.errors import GenerationError
from tests.trainer.rl.conftest import STARTER as STARTER_FILE
from trainer.rl.grammar import TokenGrammar, Trie
from trainer.rl.models import Policy

MEMORY = (" The naïve café, No. 7, opened at 07:45 on 3 May 1871.", " Über 4,500 visitors came; £12.50 each.")
GRAMMARS = {
    "labels": read_grammar(Mode.EXTRACTIVE, STARTER, num_items=2, num_sentences=14),
    "labels in words": read_grammar(Mode.EXTRACTIVE, STANDARD, num_items=2, num_sentences=12),
    "gated": read_grammar(Mode.GATED, STANDARD, num_items=0, num_sentences=0),
    "excerpt": answer_grammar(STARTER, MEMORY),
    "nothing to say": answer_grammar(STARTER, ()),
    "classes": 'root ::= [^a-z<é]{2,5} ("x"? [à-ü0-9])* "\\u20ac"',
    "empty loops": 'root ::= ("a"? "b"*)* "c" tail?\ntail ::= "" | "d" tail',
}


@pytest.fixture(scope="module")
def native() -> Iterator[NativeModel]:
    model = NativeModel(STARTER_FILE, num_gpu_layers=0)
    yield model
    model.free()


@pytest.mark.parametrize("name", GRAMMARS)
def test_allowed_tokens_are_those_of_llama_cpp(name: str, starter: Policy, native: NativeModel) -> None:
    source = GRAMMARS[name]
    assert source is not None
    ours = starter.vocabulary.grammar(source)
    control = {t: i for i, t in native.control.items() if t and not native.ends_turn(i)}
    cache = GrammarCache(native)
    rng = random.Random(name)
    places = 0
    for _ in range(6):
        theirs = NativeSampler(Sampling(), cache.new(gbnf.parse(source).with_tokens(control)))
        state = ours.start
        for _ in range(25):
            candidates = _candidates(np.zeros(starter.vocabulary.size, dtype=np.float32))
            theirs._apply(theirs._grammar, candidates)
            wanted = {int(i) for i in candidates["id"][np.isfinite(candidates["logit"])]}
            allowed = ours.allowed(state)
            found = {i for i in range(starter.vocabulary.size) if i in allowed}
            # llama.cpp also lets bytes through that stand in no UTF-8 text; whole characters are the same.
            assert {i for i in found if _is_text(starter, i)} == {i for i in wanted if _is_text(starter, i)}
            assert all(starter.vocabulary.piece(i)[-1] >= 0x80 for i in found ^ wanted)
            places += 1
            token = rng.choice(sorted(wanted & found))
            if token in starter.vocabulary.end_ids:
                break
            theirs._lib.llama_sampler_accept(theirs._grammar, token)
            state = ours.advance(state, token)
        theirs.free()
    cache.free()
    assert places >= 6


def _is_text(policy: Policy, token_id: int) -> bool:
    try:
        policy.vocabulary.piece(token_id).decode()
    except UnicodeDecodeError:
        return False
    return True


def test_what_is_drawn_at_random_matches_the_grammar(starter: Policy) -> None:
    source = 'root ::= ("yes" | "no, " [a-c]{1,3}) "."'
    grammar = starter.vocabulary.grammar(source)
    rng = random.Random(0)
    texts = set()
    for _ in range(30):
        state, ids = grammar.start, list[int]()
        while True:
            allowed = grammar.allowed(state)
            token = rng.choice([i for i in range(starter.vocabulary.size) if i in allowed])
            if token in starter.vocabulary.end_ids:
                break
            ids.append(token)
            state = grammar.advance(state, token)
        texts.add(starter.vocabulary.text(ids))
    assert all(gbnf.parse(source).matches(text) for text in texts)
    assert {"yes."} < texts


def test_a_faulty_or_unmatchable_grammar_is_refused() -> None:
    trie = Trie([b"a", b"b", b""], {2})
    with pytest.raises(GenerationError, match="no rule"):
        TokenGrammar("root ::= other", trie, {})
    grammar = TokenGrammar('root ::= "c"', trie, {})
    with pytest.raises(GenerationError, match="No token"):
        grammar.allowed(grammar.start)
