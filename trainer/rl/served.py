"""Rollouts drawn by a vLLM server: the own decoder's protocol, with the weights sent after each update.

The server is another program with other kernels, so nothing is taken on trust: weights are compared by a canary after
every sync (`trainer.rl.served_canary`), prompts by the ids that the server says it took, replies by the grammar that
they were to match. Log-probabilities are the server's where they are of the distribution that was drawn from, else the
trainer's own.
"""

import logging
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from pathlib import Path

import torch

from engine.cancel import CancelToken
from trainer.rl.decoding import Drawn, Row
from trainer.rl.errors import MismatchError, RecipeError
from trainer.rl.models import Policy
from trainer.rl.recipe import Recipe
from trainer.rl.served_canary import Canary, Scores, as_conversation, compare
from trainer.rl.served_replies import read_reply, request_body
from trainer.rl.served_server import RolloutServer
from trainer.rl.served_weights import save_weights

_log = logging.getLogger(__name__)
_NUM_PARALLEL = 64  # requests that wait at the server cost nothing; it forms its own batches
_POLL_S = 0.1


def served_decoder(recipe: Recipe, policy: Policy, folder: Path, scores: Scores) -> "ServedDecoder":
    """The decoder that a recipe with `rollout.engine` vllm asks for; nothing is started before it draws.

    Raises:
        RecipeError: the run has several processes, or a quantised base.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "rollout.engine 'vllm' is for training in one process.",
            hint="Set rollout.engine to own, or start the run without torchrun.",
        )
    if any(parameter.dtype != torch.float32 for parameter in policy.model.parameters()):
        raise RecipeError(
            "rollout.engine 'vllm' needs weights in float32, and those of the base are not.",
            hint="Set model.base_bits to 32, or rollout.engine to own.",
        )
    wanted = recipe.reading.context_tokens or policy.context_tokens
    server = RolloutServer(
        recipe.rollout,
        policy.vocabulary,
        context_tokens=min(wanted, policy.context_tokens),
        precision=recipe.model.precision,
    )
    return ServedDecoder(
        policy,
        server,
        folder=folder,
        scores=scores,
        temperature=recipe.rollout.temperature,
        most_gap=recipe.rollout.canary_gap,
    )


class ServedDecoder:
    """Draws replies through a server; stands where `trainer.rl.decoding.Decoder` stands.

    Args:
        policy: what is trained.
        server: draws.
        folder: of the run; weights lie in it, where the server must be able to read them.
        scores: the trainer's own log-probabilities.
        temperature: of the rollouts.
        most_gap: most difference that the canary lets through, in nats a token.

    Attributes:
        canary: what the last one found; None = nothing was sent yet.
        sync_s: seconds of the last sync: writing, loading, canary.
    """

    def __init__(
        self,
        policy: Policy,
        server: RolloutServer,
        *,
        folder: Path,
        scores: Scores,
        temperature: float,
        most_gap: float,
    ) -> None:
        self.canary: Canary | None = None
        self.sync_s: tuple[float, float, float] | None = None
        self._policy = policy
        self._server = server
        self._folder = folder
        self._scores = scores
        self._temperature = temperature
        self._most_gap = most_gap
        self._is_stale = True
        self._num_syncs = 0

    def weights_changed(self) -> None:
        """The policy was updated: what is drawn next needs a sync."""
        self._is_stale = True

    def draw(self, rows: Sequence[Row], cancel: CancelToken | None = None) -> list[Drawn]:
        """Complete every row, in the order given.

        Raises:
            engine.cancel.Cancelled: after `cancel.cancel()`; replies under way are still waited for.
            MismatchError: the server does not compute what the trainer computes.
            ServerError: it cannot be reached or used.
            GenerationError: it failed.
        """
        cancel = cancel or CancelToken()
        if self._is_stale:
            self._sync()
        if not rows:
            return []
        drawn = self._post_all(rows, cancel)
        assert self.canary is not None, "a sync ends with one"
        return drawn if self.canary.is_restricted else self._recompute(rows, drawn)

    def close(self) -> None:
        """Stop the server, if it is ours."""
        self._server.close()
        self._is_stale = True

    def _sync(self) -> None:
        # Two folders in turn: the server may still have the files mapped that it loaded last.
        target = self._folder / "served" / str(self._num_syncs % 2)
        began = time.perf_counter()
        save_weights(self._policy, target)
        saved = time.perf_counter()
        self._server.load(target)
        loaded = time.perf_counter()
        try:
            self.canary = self._compare()
        except MismatchError as exc:
            if not self._server.start_again(target):
                raise
            _log.warning(
                "vLLM does not reload weights rightly, and is started again for each sync: %s", exc.message
            )
            loaded = time.perf_counter()
            self.canary = self._compare()
        compared = time.perf_counter()
        self.sync_s = (saved - began, loaded - saved, compared - loaded)
        self._num_syncs += 1
        self._is_stale = False
        _log.info(
            "weights sent: %.1f s to write, %.1f s to load, canary %.2g nats on the prompt and %.2g on replies",
            saved - began,
            loaded - saved,
            self.canary.prompt_gap,
            self.canary.reply_gap,
        )
        if not self.canary.is_restricted:
            _log.warning(
                "the server's log-probabilities leave grammar or temperature out: the trainer's own are recorded "
                "(start vLLM with --logprobs-mode processed_logprobs)"
            )

    def _compare(self) -> Canary:
        return compare(
            self._server.client,
            self._server.model,
            self._policy.vocabulary,
            self._scores,
            temperature=self._temperature,
            most_gap=self._most_gap,
        )

    def _post_all(self, rows: Sequence[Row], cancel: CancelToken) -> list[Drawn]:
        with ThreadPoolExecutor(_NUM_PARALLEL) as pool:
            futures = [pool.submit(self._post, row, cancel) for row in rows]
            try:
                _await(futures, cancel)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            # In this thread: grammars remember their states and are not to be shared.
            vocabulary = self._policy.vocabulary
            replies = [future.result() for future in futures]
            return [
                read_reply(self._server.client, reply, row, vocabulary)
                for reply, row in zip(replies, rows, strict=True)
            ]

    def _post(self, row: Row, cancel: CancelToken) -> object:
        cancel.check()
        body = request_body(row, self._server.model, self._policy.vocabulary)
        reply: object = self._server.client.post("/v1/completions", body)
        return reply

    def _recompute(self, rows: Sequence[Row], drawn: Sequence[Drawn]) -> list[Drawn]:
        """The trainer's own log-probabilities: importance weights of one distribution against another mean nothing."""
        talks = [as_conversation(row, each) for row, each in zip(rows, drawn, strict=True)]
        scores = self._scores(talks, self._temperature)
        return [replace(each, logprobs=tuple(values)) for each, values in zip(drawn, scores, strict=True)]


def _await(futures: Sequence["Future[object]"], cancel: CancelToken) -> None:
    """Wait for all; the first failure ends the wait."""
    pending = set(futures)
    while pending:
        done, pending = wait(pending, _POLL_S, FIRST_EXCEPTION)
        for future in done:
            future.result()
        cancel.check()
