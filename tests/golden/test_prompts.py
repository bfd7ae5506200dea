"""The prompts stay what they are, and our idea of each family's format is llama.cpp's idea too."""

import ctypes
import hashlib

import pytest

from engine.agent.prompts import STARTER_1
from engine.backends.native import library
from engine.backends.tokenization import utf8_safe
from tests.golden import rendering

# llama.cpp's own name of each format, and what it does otherwise: it neither adds Qwen's default system
# message nor closes an empty thought.
BUILT_IN = {
    "qwen2.5": (
        "chatml",
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "<|im_end|>\n",
        "",
    ),
    "qwen3": ("chatml", "", "<think>\n\n</think>\n\n"),
    "llama3": ("llama3", "<|begin_of_text|>", ""),
    "gemma2": ("gemma", "<bos>", ""),
    "mistral": ("mistral-v3-tekken", "<s>", ""),
}


@pytest.mark.parametrize("family", rendering.BOS)
def test_prompts_are_the_golden_ones(family: str) -> None:
    golden = (rendering.FOLDER / "prompts" / f"{family}.txt").read_text("utf-8")
    assert rendering.golden_text(family) == golden, (
        "python -m tests.golden.rendering, and look at the difference"
    )


def test_the_first_starters_prompts_have_not_changed() -> None:
    # Part of the identity of a run: with another digest, a reading that such a file began would not go on.
    digest = hashlib.sha256(STARTER_1.digest().encode()).hexdigest()
    assert digest.startswith("34f958400fca4ba8")


@pytest.mark.parametrize("family", BUILT_IN)
def test_formats_agree_with_llama_cpp(family: str) -> None:
    name, before, after = BUILT_IN[family]
    template = rendering.template_of(family)
    for _, prompt in rendering.cases(rendering.prompt_set_of(family)):
        ours = "".join(segment.text for segment in template.render(prompt))
        content = "".join(segment.text for segment in prompt)
        assert ours == before + apply_built_in(name, content) + after


def apply_built_in(name: str, content: str) -> str:
    """Format one user message with llama.cpp's own code."""
    lib = library()
    encoded = utf8_safe(content).encode()
    messages = (lib.llama_chat_message * 1)(lib.llama_chat_message(role=b"user", content=encoded))
    buffer = ctypes.create_string_buffer(len(encoded) + 1000)
    size = lib.llama_chat_apply_template(name.encode(), messages, 1, True, buffer, len(buffer))
    assert 0 < size <= len(buffer)
    return buffer.raw[:size].decode()


def test_data_is_not_in_our_wording() -> None:
    for family in rendering.BOS:
        template = rendering.template_of(family)
        for name, prompt in rendering.cases(rendering.prompt_set_of(family)):
            rendered = template.render(prompt)
            assert [s for s in rendered if s.is_data] == [s for s in prompt if s.is_data], name
            wording = "".join(s.text for s in rendered if not s.is_data)
            assert "Finch" not in wording
            assert "Ignore" not in wording
