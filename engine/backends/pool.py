"""Several backends with the same model as one: servers on several machines or GPUs, or contexts on several cores, share
the requests of a batch."""

import dataclasses
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from engine.backends.base import Backend, Completion, ModelInfo, OnToken, Prompt, Request
from engine.cancel import Cancelled, CancelToken
from engine.errors import ModelLoadError


class PoolBackend:
    """Spreads every batch evenly over its members, which compute at the same time.

    Args:
        members: at least one; closed with the pool. All must be the same model.
        lookahead: chunks that are worth computing at once; None = what the members gain from together.

    Raises:
        ModelLoadError: the members are different models; they are closed.
    """

    def __init__(self, members: Sequence[Backend], *, lookahead: int | None = None) -> None:
        self._members = list(members)
        first = self._members[0].info
        for member in self._members[1:]:
            if member.info.fingerprint != first.fingerprint:
                other = member.info.name
                self.close()
                raise ModelLoadError(
                    f"The servers have different models: {first.name} and {other}.",
                    hint="Name servers that run the same model with the same settings.",
                )
        self._info = dataclasses.replace(
            first,
            context_tokens=min(member.info.context_tokens for member in self._members),
            lookahead=lookahead or sum(member.info.lookahead for member in self._members),
            proves_tokens=all(member.info.proves_tokens for member in self._members),
            runtime=(("copies", len(self._members)), *first.runtime),
        )

    @property
    def info(self) -> ModelInfo:
        """What the model is; looking ahead pays as soon as there are two members."""
        return self._info

    def tokenize(self, text: str) -> list[int]:
        """See `Backend.tokenize`."""
        return self._members[0].tokenize(text)

    def encode(self, prompt: Prompt) -> list[int]:
        """See `Backend.encode`."""
        return self._members[0].encode(prompt)

    def generate(
        self,
        requests: Sequence[Request],
        *,
        cancel: CancelToken | None = None,
        on_token: OnToken | None = None,
    ) -> list[Completion]:
        """Complete a batch; see `Backend.generate`. An error of one member stops the others."""
        cancel = cancel or CancelToken()
        shares = [
            list(range(number, len(requests), len(self._members))) for number in range(len(self._members))
        ]
        busy = [(member, share) for member, share in zip(self._members, shares, strict=True) if share]
        if len(busy) <= 1:
            return self._members[0].generate(requests, cancel=cancel, on_token=on_token)
        return self._side_by_side(requests, busy, cancel, on_token)

    def _side_by_side(
        self,
        requests: Sequence[Request],
        busy: Sequence[tuple[Backend, list[int]]],
        cancel: CancelToken,
        on_token: OnToken | None,
    ) -> list[Completion]:
        stop = CancelToken(cancel)
        one_at_a_time = threading.Lock()

        def complete(member: Backend, share: list[int]) -> list[Completion]:
            def tell(index: int, text: str) -> None:
                with one_at_a_time:  # observers are not made for several threads
                    stop.check()
                    if on_token is not None:
                        on_token(share[index], text)

            try:
                return member.generate([requests[index] for index in share], cancel=stop, on_token=tell)
            except BaseException:
                stop.cancel()
                raise

        with ThreadPoolExecutor(len(busy)) as pool:
            futures = [(pool.submit(complete, member, share), share) for member, share in busy]
        failures = [failure for future, _ in futures if (failure := future.exception()) is not None]
        if failures:
            # The others were cancelled because of the one that failed.
            raise next((failure for failure in failures if not isinstance(failure, Cancelled)), failures[0])
        completions: dict[int, Completion] = {}
        for future, share in futures:
            completions.update(zip(share, future.result(), strict=True))
        return [completions[index] for index in range(len(requests))]

    def close(self) -> None:
        """Close every member. A second call does nothing."""
        for member in self._members:
            member.close()
