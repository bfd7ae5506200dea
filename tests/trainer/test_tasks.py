"""Examples hold what they claim: gold inside, answers verbatim, labels right, look-alikes apart."""

import random

import pytest

from engine.agent.prompts import STARTER
from trainer.batching import RoundPlan
from trainer.examples import Example, Renderer
from trainer.starter import DataSource
from trainer.tasks import Mix
from trainer.tokens import Codec


@pytest.mark.parametrize("size", [1, 2, 5, 12])
def test_read_examples(source: DataSource, size: int) -> None:
    tasks = source.rounds(random.Random(size)).tasks
    for _ in range(200):
        example = tasks.read(size)
        assert len(example.section) == len(example.section_gold) <= max(size, 1)
        assert len(example.memory) <= 8
        assert any(example.section_gold) != example.kind.endswith("-none")
        texts = [s for s, good in zip(example.section, example.section_gold, strict=True) if good]
        assert not set(texts) & {
            s for s, good in zip(example.section, example.section_gold, strict=True) if not good
        }


def test_questions_that_people_asked_get_their_share_of_readings_and_answers(source: DataSource) -> None:
    tasks = source.rounds(random.Random(5)).tasks
    tasks.mix = Mix().with_natural(0.6)
    readings = [tasks.read(6) for _ in range(300)]
    asked = [example for example in readings if example.kind.startswith("natural")]
    assert 140 < len(asked) < 220
    for example in asked:
        texts = dict(zip(example.section, example.section_gold, strict=True))
        assert len(texts) == len(example.section)
        assert any(example.section_gold) != example.kind.endswith("-none")
        assert not set(example.memory) & set(example.section)
    assert any(any(example.memory_gold) for example in asked)  # what is known already is not found again
    answers = [tasks.answer() for _ in range(300)]
    assert 140 < sum("natural" in example.kind for example in answers) < 220


def test_a_mix_with_more_of_one_kind_keeps_the_proportions_of_the_others() -> None:
    mix = Mix().with_natural(0.4)
    assert mix.needle + mix.multi + mix.topic + mix.cloze + mix.natural == pytest.approx(1)
    assert mix.needle / mix.topic == pytest.approx(Mix().needle / Mix().topic)
    assert (mix.natural, mix.natural_answers) == (0.4, 0.4)
    assert Mix().with_natural(0.4, answers=0.7).natural_answers == 0.7
    assert mix.cloze_answers == pytest.approx(0.6 * Mix().cloze_answers / (1 - Mix().natural_answers))


def test_answers_stand_verbatim_in_a_gold_item(source: DataSource) -> None:
    tasks = source.rounds(random.Random(1)).tasks
    num_none = 0
    for _ in range(300):
        example = tasks.answer()
        gold = [s for s, good in zip(example.memory, example.memory_gold, strict=True) if good]
        if example.answer is None:
            num_none += 1
            assert not gold
        else:
            assert any(example.answer in sentence for sentence in gold)
    assert 20 < num_none < 90


def test_a_joint_gate_names_a_sentence_for_one_of_its_questions(source: DataSource, codec: Codec) -> None:
    rounds = source.rounds(random.Random(3))
    seen = {"joint": 0, "joint-none": 0}
    for _ in range(200):
        example = rounds.tasks.joint(6)
        seen[example.kind] += 1
        assert 1 <= len(example.companions) <= STARTER.max_questions - 1
        assert any(example.section_gold) == (example.kind == "joint")
        rendered = rounds.renderer.render(example, shuffle_labels=False)
        shown = codec.decode(rendered.ids)
        assert shown.count("<|q|>") == len(example.companions) + 1
        (first, *_) = [n + 1 for n, good in enumerate(example.section_gold) if good] or [0]
        reply = codec.decode([token for _, token in rendered.reply])
        assert reply == (f"<|s{first}|><|end|>" if first else "<|none|><|end|>")
    assert min(seen.values()) > 50


def test_an_example_without_flags_for_each_sentence_is_refused() -> None:
    with pytest.raises(ValueError, match="flag"):
        Example(kind="x", mode="read", question="q", section=("a",), section_gold=())


def test_lengths_do_not_tell_whether_something_is_there(source: DataSource) -> None:
    tasks = source.rounds(random.Random(4)).tasks
    sizes: dict[bool, list[int]] = {True: [], False: []}
    for _ in range(2_000):
        example = tasks.read(8)
        if not example.kind.startswith(("natural", "multi")):
            sizes[any(example.section_gold)].append(len(example.section))
    means = {present: sum(values) / len(values) for present, values in sizes.items()}
    assert abs(means[True] - means[False]) < 0.5


def test_rendering(codec: Codec) -> None:
    renderer = Renderer(codec, random.Random(0))
    example = Example(
        kind="needle",
        mode="read",
        question="Who left?",
        memory=("Anna stayed.", "Peter left."),
        section=("Nobody spoke.", "Henry left."),
        memory_gold=(False, True),
        section_gold=(False, True),
    )
    rendered = renderer.render(example, shuffle_labels=False)
    assert codec.decode(rendered.ids) == (
        "<|user|><|read|><|q|> Who left?<|memory|> Anna stayed.<|m1|> Peter left.<|m2|>"
        "<|section|> Nobody spoke.<|s1|> Henry left.<|s2|><|end|><|assistant|><|m2|><|s2|>"
    )
    assert [codec.decode([token]) for _, token in rendered.reply] == ["<|m2|>", "<|s2|>", "<|end|>"]
    assert codec.decode([rendered.ids[rendered.reply[0][0]]]) == "<|assistant|>"
    assert [codec.decode([token]) for _, token in rendered.flags] == [
        "<|no|>",
        "<|yes|>",
        "<|no|>",
        "<|yes|>",
    ]


def test_nothing_new_leaves_the_memory_unchanged(codec: Codec) -> None:
    example = Example(
        kind="needle-none",
        mode="read",
        question="Who left?",
        memory=("Peter left.",),
        section=("Nobody spoke.",),
        memory_gold=(True,),
        section_gold=(False,),
    )
    rendered = Renderer(codec, random.Random(0)).render(example)
    assert [codec.decode([token]) for _, token in rendered.reply] == ["<|none|>", "<|end|>"]


def test_answers_keep_the_tokens_of_the_sentence(codec: Codec) -> None:
    example = Example(
        kind="answer-needle",
        mode="answer",
        question="When?",
        memory=("It was in 1871 at noon.",),
        memory_gold=(True,),
        answer="1871",
    )
    rendered = Renderer(codec, random.Random(0)).render(example)
    value = [token for _, token in rendered.reply][:-1]
    ids = rendered.ids
    assert any(ids[start : start + len(value)] == value for start in range(len(ids) - len(value) - 6))


def test_rounds_are_deterministic_and_targets_line_up(source: DataSource, codec: Codec) -> None:
    plan = RoundPlan(
        token_shares={"text": 0.2, "read": 0.4, "answer": 0.3, "joint": 0.1},
        max_sentences=3,
        batch_tokens=1_024,
        num_batches=3,
    )
    first, second = (source.rounds(random.Random(9)).round(plan) for _ in range(2))
    assert all(bool((a.ids == b.ids).all()) for a, b in zip(first, second, strict=True))
    for batch in first:
        assert batch.rows.shape == batch.targets.shape == batch.weights.shape
        for kind, _, rows in batch.examples:
            assert batch.targets[rows[-1]] == codec.end_id, kind
