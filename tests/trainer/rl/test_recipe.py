"""Recipes are checked before anything is loaded, in one sentence."""

import json
from pathlib import Path

import pytest

from trainer.rl.errors import RecipeError
from trainer.rl.recipe import SECTIONS, SUPERVISED_LOSS, Recipe, load_recipe, make_recipe

RECIPES = Path(__file__).parents[3] / "resources" / "recipes"


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda p: p.name)
def test_shipped_recipes_are_valid_and_name_files_that_exist(path: Path) -> None:
    recipe = load_recipe(path)
    assert f'stage = "{recipe.run.stage}"' in path.read_text().split("[run]")[0]
    assert make_recipe(json.loads(recipe.to_json())) == recipe
    root = RECIPES.parents[1]
    for name in (*recipe.data.texts, *recipe.run.evaluation_texts):
        assert (root / name).exists()


def test_overrides_are_read_as_what_is_wanted() -> None:
    path = RECIPES / "starter-dapo.toml"
    recipe = load_recipe(
        path,
        [
            "loss.clip_high=0.3",
            "data.chunks=2,4",
            "advantage.drops_even_groups=false",
            "run.name=mine",
            "run.steps=7",
            "loss.variant=gspo",
            "data.texts=",
        ],
    )
    assert (recipe.loss.clip_high, recipe.data.chunks, recipe.run.name) == (0.3, (2, 4), "mine")
    assert (recipe.advantage.drops_even_groups, recipe.run.steps, recipe.loss.variant) == (False, 7, "gspo")
    assert recipe.data.texts == ()


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("loss.clip_hihg=0.3", "Did you mean 'clip_high'"),
        ("los.clip_high=0.3", "Did you mean 'loss'"),
        ("loss.clip_high=much", "must be a number"),
        ("loss.clip_low=1.5", "must lie in"),
        ("run.steps=2.5", "must be a whole number"),
        ("run.steps=0", "start at 1"),
        ("run.evaluation_tasks=0", "run.evaluation_steps = 0"),
        ("run.stage=sft", "stage is dapo, and run.stage says sft"),
        ("model.lora_alpha=0", "model.lora_alpha must be above 0"),
        ("reading.context_tokens=-1", "context_tokens must not be negative"),
        ("advantage.drops_even_groups=yes", "must be true or false"),
        ("loss.variant=ppo", "one of dapo, gspo, cispo"),
        ("data.chunks=0", "at least 1 chunk"),
        ("rollout.temperature=0", "greedy"),
        ("optimizer.lr=nan", "must be a number"),
        ("nonsense", "no override"),
        ("data.kind=file", "names none"),
    ],
)
def test_faults_are_told_in_a_sentence(override: str, sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        load_recipe(RECIPES / "starter-dapo.toml", [override])


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("[run\n")
    with pytest.raises(RecipeError, match="cannot be read"):
        load_recipe(path)
    with pytest.raises(RecipeError, match="must be a table"):
        make_recipe({"run": 3})


def test_the_identity_does_not_know_values_at_their_defaults() -> None:
    plain = make_recipe({"stage": "dapo"})
    spelt_out = make_recipe({"stage": "dapo", "loss": {"kl": plain.loss.kl}, "rollout": {"engine": "own"}})
    assert spelt_out.identity == plain.identity


def test_the_identity_is_of_all_but_the_number_of_steps() -> None:
    base = make_recipe({})
    assert base == Recipe()
    assert base.identity == make_recipe({"run": {"steps": 3, "checkpoint_steps": 9}}).identity
    assert base.identity != make_recipe({"loss": {"kl": 0.0}}).identity


def test_there_is_a_recipe_of_every_stage() -> None:
    assert {load_recipe(path).run.stage for path in RECIPES.glob("*.toml")} == set(SECTIONS)


@pytest.mark.parametrize("stage", list(SECTIONS))
def test_a_stage_has_its_own_sections_and_no_others(stage: str) -> None:
    text = {"text": {"folder": "documents"}} if stage == "pretrain" else {}
    recipe = make_recipe({"stage": stage, **text})
    assert (recipe.run.stage, recipe.run.name) == (stage, stage)
    assert set(json.loads(recipe.to_json())) == set(SECTIONS[stage])
    assert (recipe.loss == SUPERVISED_LOSS) == (stage != "dapo")
    foreign = next(name for name in ("advantage", "rollout", "data") if name not in SECTIONS["pretrain"])
    with pytest.raises(RecipeError, match="A recipe of the stage pretrain has no section"):
        make_recipe({"stage": "pretrain", "text": {"folder": "x"}, foreign: {}})
    assert make_recipe({"stage": stage, **text, "run": {"seed": 1}}).identity != recipe.identity


def test_without_a_stage_a_recipe_is_what_it_was() -> None:
    values = {"loss": {"kl": 0.5}, "run": {"steps": 3}}
    assert make_recipe(values).run.stage == "dapo"
    assert make_recipe({**values, "stage": "dapo"}) == make_recipe(values)
    assert make_recipe({"run": {"stage": "sft"}}) == make_recipe({"stage": "sft"})


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"stage": "stf"}, "stage must be one of .*'stf'.*Did you mean 'sft'"),
        ({"stage": "pretrain"}, "needs the section 'text'"),
        ({"stage": "pretrain", "text": {}}, r"text\.folder names no folder"),
        ({"stage": "pretrain", "text": {"folder": "x", "held_out": 1.0}}, r"text\.held_out must lie"),
        ({"stage": "sft", "sft": {"joint": 1}}, r"sft\.joint must be 0"),
        ({"stage": "sft", "sft": {"nois": 0.1}}, "'sft' has no 'nois'.*'noise'"),
        ({"stage": "expert-iteration", "expert": {"least_reward": 0}}, r"expert\.least_reward must lie"),
        ({"stage": "sft", "run": 3}, "must be a table"),
        ({"stage": "sft", "stages": {}}, "no section 'stages'"),
    ],
)
def test_faults_of_stages_are_told_in_a_sentence(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(RecipeError, match=sentence):
        make_recipe(values)


def test_the_stage_can_be_set_from_outside() -> None:
    recipe = load_recipe(RECIPES / "qwen-sft.toml", ["sft.questions=3"])
    assert recipe.sft.questions == 3
    with pytest.raises(RecipeError, match="stage dapo has no section 'sft'"):
        load_recipe(RECIPES / "qwen-sft.toml", ["stage=dapo"])
