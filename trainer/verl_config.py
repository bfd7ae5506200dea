"""The settings of a recipe under verl's names, and what of them verl has no name for."""

import math
from collections.abc import Iterator
from typing import Any

from trainer.rl.recipe import Recipe

_PROMPT_TOKENS = 1024
"""Room for the question and the wording around chunk and memory."""

_AGGREGATIONS = {
    "token": "token-mean",
    "sequence": "seq-mean-token-mean",
    "constant": "seq-mean-token-sum-norm",
}
_LOSSES = {"dapo": "vanilla", "gspo": "gspo", "cispo": "cispo"}
_NEVER = 1e4
"""Ratio at which verl's dual clip, which cannot be switched off, never begins."""


def trainer_config(recipe: Recipe, *, chunk_tokens: int, memory_tokens: int) -> dict[str, Any]:
    """What `verl.trainer.main_ppo` is given, over its own defaults (`ppo_trainer`).

    Args:
        recipe: what is carried over.
        chunk_tokens: of a chunk.
        memory_tokens: most tokens of the memory, which is also the longest reply.
    """
    prompt_tokens = chunk_tokens + memory_tokens + _PROMPT_TOKENS
    row_tokens = max(recipe.optimizer.token_budget, prompt_tokens + memory_tokens)
    return {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": _data(recipe, chunk_tokens, prompt_tokens, memory_tokens),
        "algorithm": _algorithm(recipe),
        "actor_rollout_ref": {
            "model": _model(recipe),
            "actor": _actor(recipe, row_tokens),
            "ref": {"strategy": "fsdp2", "log_prob_max_token_len_per_gpu": row_tokens},
            "rollout": _rollout(recipe, prompt_tokens, memory_tokens, row_tokens),
        },
        "trainer": _trainer(recipe),
        "transfer_queue": {"enable": True},
    }


def _data(recipe: Recipe, chunk_tokens: int, prompt_tokens: int, reply_tokens: int) -> dict[str, Any]:
    here = "${oc.env:PALIMPSEST_EXPORT}"
    return {
        "train_files": [f"{here}/train.parquet"],
        "val_files": [f"{here}/val.parquet"],
        "prompt_key": "prompt",
        "return_raw_chat": True,
        "apply_chat_template_kwargs": {"enable_thinking": False},
        "filter_overlong_prompts": False,
        "truncation": "error",
        "max_prompt_length": prompt_tokens,
        "max_response_length": reply_tokens,
        "train_batch_size": recipe.rollout.groups,
        "seed": recipe.run.seed,
        "custom_cls": {"path": "pkg://examples.mem_agent.dataset", "name": "HotpotQAMemAgentDataset"},
        "context_chunk_size": chunk_tokens,
    }


def _algorithm(recipe: Recipe) -> dict[str, Any]:
    cap = recipe.loss.importance_cap
    correction: dict[str, Any] = {"bypass_mode": False, "rollout_is": "token" if cap else None}
    if cap:
        correction["rollout_is_threshold"] = cap
    return {
        "adv_estimator": "grpo",
        "norm_adv_by_std_in_grpo": recipe.advantage.divides_by_std,
        "use_kl_in_reward": False,
        "rollout_correction": correction,
    }


def _model(recipe: Recipe) -> dict[str, Any]:
    values: dict[str, Any] = {
        "path": recipe.model.path,
        "enable_gradient_checkpointing": recipe.model.gradient_checkpointing,
    }
    if recipe.model.lora_rank:
        values["lora_rank"] = recipe.model.lora_rank
        values["lora_alpha"] = recipe.model.lora_alpha
        values["target_modules"] = "all-linear"
    return values


def _actor(recipe: Recipe, row_tokens: int) -> dict[str, Any]:
    loss, optimizer = recipe.loss, recipe.optimizer
    return {
        "strategy": "fsdp2",
        "optim": {
            "lr": optimizer.lr,
            "lr_warmup_steps": optimizer.warmup,
            "weight_decay": optimizer.weight_decay,
            "betas": [optimizer.beta1, optimizer.beta2],
            "clip_grad": optimizer.clip_norm,
        },
        "ppo_epochs": 1,
        "ppo_mini_batch_size": math.ceil(recipe.rollout.groups / optimizer.updates),
        "use_dynamic_bsz": True,
        "ppo_max_token_len_per_gpu": row_tokens,
        "policy_loss": {"loss_mode": _LOSSES[loss.variant]},
        "clip_ratio": loss.clip_low,
        "clip_ratio_low": loss.clip_low,
        "clip_ratio_high": loss.clip_high,
        "clip_ratio_c": loss.dual_clip or _NEVER,
        "loss_agg_mode": _AGGREGATIONS[loss.aggregation],
        "use_kl_loss": loss.kl > 0,
        "kl_loss_coef": loss.kl,
        "kl_loss_type": "low_var_kl",
        "entropy_coeff": 0,
    }


def _rollout(recipe: Recipe, prompt_tokens: int, reply_tokens: int, row_tokens: int) -> dict[str, Any]:
    window = prompt_tokens + reply_tokens
    task = {
        "runner_fqn": "uni_agent.framework.task_runner.run_task",
        "dispatch_mode": "ray_task",
        "max_concurrent_sessions": 32,
        # Every conversation of a reading is trained on, not the last one alone.
        "trajectory_selection": "all",
        "runner_kwargs": {
            "task_config_path": "${oc.env:PALIMPSEST_EXPORT}/task_config.yaml",
            "model_name": recipe.run.name,
        },
    }
    return {
        "name": "vllm",
        "mode": "async",
        "n": recipe.rollout.group_size,
        "temperature": recipe.rollout.temperature,
        "top_p": 1.0,
        "top_k": -1,
        "prompt_length": prompt_tokens,
        "response_length": reply_tokens,
        "max_model_len": window,
        "max_num_batched_tokens": window,
        "calculate_log_probs": True,
        "log_prob_max_token_len_per_gpu": row_tokens,
        "tensor_model_parallel_size": 1,
        "gpu_memory_utilization": 0.4,
        "multi_turn": {"enable": True, "max_parallel_calls": 1},
        "agent": {"agent_loop_manager_class": "uni_agent.framework.entry.AgentFrameworkRolloutAdapter"},
        "custom": {
            "agent_framework": {
                "gateway_count": 1,
                "agent_runners": {"task": task},
                "use_reward_loop_worker": False,
                "mask_unfinished_episode": False,
            }
        },
    }


def _trainer(recipe: Recipe) -> dict[str, Any]:
    run = recipe.run
    return {
        "use_v1": True,
        # Rollouts and updates take turns, as here.
        "v1": {"trainer_mode": "sync"},
        "project_name": "palimpsest",
        "experiment_name": run.name,
        "total_training_steps": run.steps,
        "save_freq": run.checkpoint_steps,
        "test_freq": run.evaluation_steps or -1,
        "val_before_train": bool(run.evaluation_steps),
        "logger": ["console", "tensorboard"],
        "nnodes": 1,
        "n_gpus_per_node": 8,
        "default_local_dir": "${oc.env:PALIMPSEST_EXPORT}/checkpoints",
    }


def agent_config(recipe: Recipe, *, memory_tokens: int, most_chunks: int) -> list[dict[str, Any]]:
    """What uni-agent's memory agent is given.

    Args:
        recipe: what is carried over.
        memory_tokens: most tokens of the memory and of the answer.
        most_chunks: of the longest document; further chunks would not be read.
    """
    # Its chunks are cut at token counts and ours at sentence ends: one more never hurts.
    chunks = most_chunks + 1
    return [
        {
            "name": "hotpotqa",
            "sandbox": {"provider": "local"},
            "agent": {
                "name": "mem_agent",
                "max_memorization_length": memory_tokens,
                "max_chunks": chunks,
                "max_final_response_length": memory_tokens,
                "max_steps": chunks + 1,
                "sampling_params_override": {"temperature": recipe.rollout.temperature, "top_k": -1},
            },
        }
    ]


def not_carried_over(recipe: Recipe) -> Iterator[str]:
    """Settings that verl's memory agent has nothing for, one sentence each."""
    yield "Reading mode and prompts: its memory agent rewrites the memory freely, with its own prompts and no grammar."
    if recipe.advantage.drops_even_groups:
        yield "`advantage.drops_even_groups`: dynamic sampling is a recipe of its own in verl (`recipe/dapo`)."
    if recipe.advantage.overlong_weight:
        yield "`advantage.overlong_weight`: there is no shaping of replies that come close to their cap."
    if recipe.advantage.credit != "none":
        yield "`advantage.credit`: every conversation of a reading gets the reading's advantage."
    if recipe.advantage.is_shuffled:
        yield "`advantage.is_shuffled`: advantages are not shuffled; this recipe was a control."
    if recipe.optimizer.decay:
        yield "`optimizer.decay`: the rate stays where it is after the warm-up."
    if recipe.optimizer.is_8bit:
        yield "`optimizer.is_8bit`: set `actor.optim.optimizer_impl` if you want an 8-bit optimizer."


def readme(recipe: Recipe, *, num_train: int, num_val: int, left_out: int) -> str:
    """The README of an export: what is there, how it is run, and what was and was not tried."""
    missing = "\n".join(f"- {sentence}" for sentence in not_carried_over(recipe))
    return f"""# {recipe.run.name}, for verl

Written by `palimpsest train export-verl`.

| file | what it is |
|---|---|
| `train.parquet` | {num_train} questions with their documents |
| `val.parquet` | {num_val} held-out ones |
| `config.yaml` | settings for `verl.trainer.main_ppo`, over verl's own defaults |
| `task_config.yaml` | settings for uni-agent's memory agent |

Columns: `data_source`, `prompt` (the question as a chat), `context` (the document), `ability`,
`reward_model` (`style` "rule", `ground_truth` the wordings of the answer) and `extra_info`.
{left_out} questions were left out: those that the document does not answer, and those with several answers, since the
reward of that agent is 1 for one boxed answer that is among the wordings, and 0 otherwise.

## Running it

In a checkout of uni-agent with verl, vLLM and Ray installed as its README says:

    export PALIMPSEST_EXPORT=/path/to/this/folder
    python -m verl.trainer.main_ppo --config-path "$PALIMPSEST_EXPORT" --config-name config

`trainer.nnodes`, `trainer.n_gpus_per_node`, `rollout.tensor_model_parallel_size` and `rollout.gpu_memory_utilization`
are for one machine with 8 GPUs: change them to yours. `actor_rollout_ref.model.path` is the path of the recipe. A
trained checkpoint comes back as a folder (`python -m verl.model_merger merge --backend fsdp ...`), which
`palimpsest models import` takes.

## What is the same, and what is not

Carried over: learning rate, warm-up, weight decay, betas and gradient clip, group size, questions and updates of a
step, temperature (top-p 1, top-k off), clip ratios, KL coefficient and estimator (k3), how the loss is averaged,
division by the standard deviation, truncated importance sampling, chunk and memory size, adapters, checkpoint and
evaluation steps.
The advantage is that of a reading, given to all of its conversations (`trajectory_selection: all`).

Not carried over:

{missing}

## What was tried

The parquet files were written and read back, and the configuration was checked against the names in verl's and
uni-agent's public sources. **It was not run with verl**: names change between versions, so look at the first lines that
Hydra prints.
"""
