"""Questions of training from a file."""

import json
from pathlib import Path

import pytest

from engine.errors import PlanError
from trainer.rl.tasks import FileTasks

TEXT = "The quay was built by Ansel Brodersen. It took\u2028four years."


def test_every_question_comes_once_a_round_in_another_order(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    lines = [
        {"id": str(number), "question": "Who?", "golds": ["Ansel Brodersen"], "text": TEXT}
        for number in range(8)
    ]
    # With a byte order mark, ends of line as on Windows, and a separator inside a string, as other programs write it.
    path.write_bytes("\r\n".join(json.dumps(line, ensure_ascii=False) for line in lines).encode("utf-8-sig"))
    tasks = FileTasks(path, seed=3)
    rounds = [[tasks.task(8 * turn + place).task_id for place in range(8)] for turn in range(2)]
    assert [sorted(order) for order in rounds] == [list("01234567")] * 2
    assert rounds[0] != rounds[1]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "holds no questions"),
        ("nothing", "cannot be used"),
        (json.dumps({"question": "Who?", "golds": ["A"]}), "text"),
        (json.dumps({"question": "Who?", "golds": "A", "text": TEXT}), "must be lists"),
        (json.dumps({"question": "Who?", "golds": ["A"], "text": TEXT, "evidence": ["Z"]}), "does not stand"),
    ],
)
def test_a_bad_file_is_one_sentence(line: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(line, "utf-8")
    with pytest.raises(PlanError, match=said):
        FileTasks(path, seed=0)
