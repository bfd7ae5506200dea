"""Generated facts say what they claim, and look-alikes never answer."""

import dataclasses
import random

import pytest

from engine.evaluation.facts import Attribute, Entity, FactGenerator, FactLists
from engine.evaluation.lists import EVALUATION_LISTS
from trainer.lists import HELD_BACK_WORDS, TRAINING_LISTS, with_corpus_words, words_in, words_of

BOTH = pytest.mark.parametrize("lists", [EVALUATION_LISTS, TRAINING_LISTS], ids=["held-back", "training"])


@BOTH
def test_statement_holds_entity_attribute_and_value(lists: FactLists) -> None:
    facts = FactGenerator(lists, random.Random(1))
    for _ in range(300):
        fact = facts.fact()
        assert fact.value in fact.statement
        assert fact.entity.parts[-1] in fact.statement
        assert all(word.casefold() in fact.statement.casefold() for word in fact.attribute.words)


@BOTH
def test_question_names_entity_and_attribute_and_never_the_value(lists: FactLists) -> None:
    facts = FactGenerator(lists, random.Random(2))
    for _ in range(300):
        fact = facts.fact()
        question = facts.question(fact)
        assert fact.entity.parts[-1] in question
        assert all(word.casefold() in question.casefold() for word in fact.attribute.words)
        if len(fact.value) > 4 and fact.value not in fact.entity.text:
            assert fact.value not in question


@BOTH
def test_look_alikes_differ_in_what_they_are_about_and_in_value(lists: FactLists) -> None:
    facts = FactGenerator(lists, random.Random(3))
    for _ in range(150):
        fact = facts.fact()
        for other in facts.look_alikes(fact, 4):
            assert other.key != fact.key
            assert other.value != fact.value


def test_same_seed_draws_the_same_facts() -> None:
    first, second = (FactGenerator(EVALUATION_LISTS, random.Random(5)) for _ in range(2))
    assert [first.fact() for _ in range(20)] == [second.fact() for _ in range(20)]


def test_training_and_evaluation_share_no_word_of_names_attributes_and_values() -> None:
    assert words_of(TRAINING_LISTS).isdisjoint(HELD_BACK_WORDS)


def test_training_and_evaluation_share_no_phrasing() -> None:
    for family, templates in EVALUATION_LISTS.statements.items():
        ours = {template.casefold() for template in TRAINING_LISTS.statements[family]}
        assert ours.isdisjoint(template.casefold() for template in templates)
    for family, templates in EVALUATION_LISTS.questions.items():
        ours = {template.casefold() for template in TRAINING_LISTS.questions[family]}
        assert ours.isdisjoint(template.casefold() for template in templates)


def test_words_of_the_corpus_are_filtered_too() -> None:
    words = {"first_names": ["Zelda", "Aveline", "AVELINE"], "nouns": ["teapot", "viaduct", "curfew"]}
    widened = with_corpus_words(TRAINING_LISTS, words)
    assert "Zelda" in widened.first_names
    assert words_of(widened).isdisjoint(HELD_BACK_WORDS)


def test_a_name_with_an_article_gets_no_second_one() -> None:
    lists = dataclasses.replace(EVALUATION_LISTS, statements={"noun": ("The {entity} has {value}.",)})
    facts = FactGenerator(lists, random.Random(1))
    entity = Entity(kind="place", parts=("the", "Holmby", "quay"))
    attribute = Attribute(family="noun", words=("girth",), value_kind="measure")
    assert facts.statement(entity, attribute, "7 litres").startswith("The Holmby quay has 7 litres")


def test_words_come_out_of_running_text() -> None:
    ties = [f"tie{first}{second}" for first in "abcdefghijklmno" for second in "abcdefghij"]
    told = "the lantern of old Marenton wandered towards Quelbri, and Bess of Dover laughed"
    words = words_in([*([" ".join(ties)] * 9), told, "Perhaps nobody saw it."])
    assert set(words["verbs"]) == {"wandered", "laughed"}
    assert {"lantern", "towards", "nobody"} <= {*words["nouns"], *words["adjectives"]}
    names = {name for kind in ("first_names", "last_names", "places", "stems") for name in words[kind]}
    # What begins a sentence may be any word, and what stands behind a mark may be another sentence.
    assert names == {"Marenton", "Quelbri", "Dover", "Bess"}


@pytest.mark.parametrize("told", ["they counted the sheep of old Marenton before supper", ""])
def test_assembled_phrasings_hold_nothing_back_and_are_many(told: str) -> None:
    lists = with_corpus_words(TRAINING_LISTS, words_in([told]))
    assert words_of(lists).isdisjoint(HELD_BACK_WORDS)
    assert len(set(lists.statements["noun"])) > 50 * len(set(TRAINING_LISTS.statements["noun"]))
