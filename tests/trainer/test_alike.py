"""What resembles the evidence of a question is found by its words, and is never the evidence."""

from trainer.alike import Alike
from trainer.corpus import NaturalQuestion


def ask(question: str, answer: str | None, *sentences: str, gold: tuple[int, ...] = (0,)) -> NaturalQuestion:
    return NaturalQuestion(source="test", question=question, sentences=sentences, gold=gold, answer=answer)


INVASION = ask(
    "Who was invading Norway?",
    "1940",
    "Norway was invaded by 1940.",
    "The war took two months.",
)
OTHERS = (
    ask("Who left?", "The king", "The king left the country.", "Denmark was invaded by land."),
    ask(
        "What did Norway export?",
        "fish",
        "Norway exported fish and timber.",
        "Those of 1940 had invaded.",
    ),
    ask("Where?", "in a harbour", "It lay in a harbour."),
)


def test_sentences_of_other_passages_that_share_words_best_first() -> None:
    alike = Alike((INVASION, *OTHERS))
    found = [place.sentence for place in alike.to(INVASION)]
    assert set(found) == {"Denmark was invaded by land.", "Norway exported fish and timber."}
    for place in alike.to(INVASION):
        assert place.passage != INVASION.sentences
    assert alike.to(INVASION) is alike.to(INVASION)  # searched once


def test_rare_words_count_more() -> None:
    common = [ask("?", None, f"The harbour of town number {n} was rebuilt.", gold=()) for n in range(30)]
    rare = ask("?", None, "A zeppelin came.", gold=())
    question = ask("Which harbour saw the zeppelin?", "Osterhaven", "Osterhaven was that.")
    found = Alike((question, *common, rare)).to(question)
    assert found[0].sentence == "A zeppelin came."
    assert len(found) == 12


def test_a_question_without_telling_words_resembles_nothing() -> None:
    assert Alike((*OTHERS, INVASION)).to(ask("Is it so?", None, "No.", gold=())) == []
