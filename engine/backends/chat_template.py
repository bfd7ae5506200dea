"""Renders our prompts through a model's own chat template without letting data reach the template.

A template is Jinja code that came with a model file: untrusted, and free to trim or rearrange the message.
Data is therefore replaced by sentinels before rendering and put back afterwards; a template that loses,
doubles or reorders a sentinel is refused. Rendering runs in Jinja's sandbox with bounded loops, macros and
sizes. What the bounds do not catch (a filter that pads to gigabytes) can exhaust the process that reads, not
the window: reading runs in a child process.

There is no default template: a model without one was not made to follow instructions, and a guessed format
would give bad answers without a word about why.
"""

import datetime
import json
import re
import threading
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.exceptions import SecurityError
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

from engine.backends.base import Prompt, Segment
from engine.errors import TemplateError

_MAX_SOURCE_CHARS = 1 << 20
_MAX_VALUE_CHARS = 1 << 22
_MAX_STEPS = 100_000
# Some templates print today's date. A run that is resumed tomorrow must send the same prompts, so the day
# stands still.
_FIXED_DAY = datetime.datetime(2024, 7, 26, tzinfo=datetime.UTC)
_HINT = "Choose another GGUF of this model, or one that is made for chat."


class ChatTemplate:
    """One compiled chat template.

    Args:
        source: Jinja source as it stands in ``tokenizer.chat_template``.
        bos_token: text of the begin-of-sequence token, "" if the model has none.
        eos_token: text of the end-of-sequence token.

    Raises:
        TemplateError: the source is no template.
    """

    def __init__(self, source: str, *, bos_token: str = "", eos_token: str = "") -> None:
        if len(source) > _MAX_SOURCE_CHARS:
            raise TemplateError("The model's chat template is unreasonably long.", hint=_HINT)
        self._source = source
        self._variables = {
            "bos_token": bos_token,
            "eos_token": eos_token,
            "add_generation_prompt": True,
            "enable_thinking": False,
        }
        self._environment = _Environment()
        try:
            self._template = self._environment.compile_metered(source)
        except (jinja2.TemplateError, RecursionError) as exc:
            raise TemplateError(f"The model's chat template is not valid: {exc}.", hint=_HINT) from exc

    def render(self, prompt: Prompt) -> Prompt:
        """Wrap the content of one user message; thinking is off, the model's turn is opened.

        Returns:
            literal segments of the template and of the prompt, with the data segments between them as they
            were.

        Raises:
            TemplateError: the template fails or does not keep the message's pieces in order.
        """
        data = [segment for segment in prompt if segment.is_data]
        stem = self._sentinel_stem(prompt)
        numbers = iter(range(len(data)))
        content = "".join(
            f"{stem}{next(numbers)}Z" if segment.is_data else segment.text for segment in prompt
        )
        text = self._run(content)
        pieces = re.split(re.escape(stem) + r"(\d+)Z", text)
        if [int(number) for number in pieces[1::2]] != list(range(len(data))) or stem in "".join(pieces[::2]):
            raise TemplateError("The model's chat template does not keep the message as it is.", hint=_HINT)
        rendered: list[Segment] = []
        for index, piece in enumerate(pieces):
            segment = data[int(piece)] if index % 2 else Segment(piece)
            if segment.text:
                rendered.append(segment)
        return tuple(rendered)

    def _sentinel_stem(self, prompt: Prompt) -> str:
        """Letters and digits only (filters keep them), found neither in our wording nor in the template."""
        wording = self._source + "".join(segment.text for segment in prompt if not segment.is_data)
        for attempt in range(1000):
            stem = f"PALIMPSEST{attempt}DATA"
            if stem not in wording:
                return stem
        raise TemplateError("The model's chat template imitates our markers.", hint=_HINT)

    def _run(self, content: str) -> str:
        messages = [{"role": "user", "content": content}]
        try:
            return self._environment.run(self._template, {**self._variables, "messages": messages})
        except Exception as exc:  # the template is foreign code: whatever it raises is its failure
            raise TemplateError(f"The model's chat template failed: {exc}.", hint=_HINT) from exc


class _Environment(ImmutableSandboxedEnvironment):
    """The environment that chat templates are written for, with a meter on loops, macros and sizes."""

    intercepted_binops = frozenset(["+", "*", "**", "%"])

    def __init__(self) -> None:
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols", _GenerationTag]
        )
        self.filters["tojson"] = _to_json
        self.globals["raise_exception"] = _raise_exception
        self.globals["strftime_now"] = _FIXED_DAY.strftime
        self._steps_left = 0
        self._lock = threading.Lock()

    def compile_metered(self, source: str) -> jinja2.Template:
        """Compile a template whose loops, macros and concatenations report to this meter."""
        return self.from_string(_Meter().visit(self.parse(source)))

    def run(self, template: jinja2.Template, variables: Mapping[str, Any]) -> str:
        """Render with a fresh meter."""
        with self._lock:
            self._steps_left = _MAX_STEPS
            pieces: list[str] = []
            size = 0
            for piece in template.generate(variables):
                pieces.append(piece)
                size += len(piece)
                _check_size(size)
            return "".join(pieces)

    def meter_items(self, items: Iterable[Any]) -> list[Any]:
        """Items of a loop, paid for in advance."""
        taken: list[Any] = []
        for item in items:
            self.meter_step()
            taken.append(item)
        return taken

    def meter_step(self) -> str:
        """Pay for one round or one call."""
        self._steps_left -= 1
        if self._steps_left < 0:
            raise SecurityError("it runs too long")
        return ""

    def meter_concat(self, *values: Any) -> str:
        """Join values as the operator ``~`` does."""
        texts = [str(value) for value in values]
        _check_size(sum(map(len, texts)))
        return "".join(texts)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator whose result could be huge."""
        if operator == "*" and isinstance(left, int) and not isinstance(right, int):
            left, right = right, left
        if operator == "*" and hasattr(left, "__len__"):
            _check_size(len(left) * right)
        elif operator == "*":
            _check_size(abs(left) + abs(right))
        elif operator == "**" or (operator == "%" and isinstance(left, str)):
            raise SecurityError(f"it uses the operator {operator}")
        result = super().call_binop(context, operator, left, right)
        _check_size(len(result) if hasattr(result, "__len__") else 0)
        return result


class _Meter(NodeTransformer):
    """Rewrites a parsed template so that it reports to `_Environment`; a template cannot shadow these
    attributes."""

    def visit_For(self, node: nodes.For) -> nodes.Node:
        self.generic_visit(node)
        if node.recursive:
            raise SecurityError("it uses a recursive loop")
        node.iter = _call("meter_items", node.iter)
        return node

    def visit_Macro(self, node: nodes.Macro) -> nodes.Node:
        self.generic_visit(node)
        node.body.insert(0, nodes.ExprStmt(_call("meter_step")))
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:
        self.generic_visit(node)
        return _call("meter_concat", *node.nodes)


class _GenerationTag(Extension):
    """The tag ``{% generation %}`` with which some templates mark the model's turns for training: no effect
    here."""

    tags = {"generation"}  # noqa: RUF012 - the attribute that Jinja reads

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Parse the body and leave it as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _call(method: str, *arguments: nodes.Node) -> nodes.Call:
    return nodes.Call(nodes.EnvironmentAttribute(method), list(arguments), [], None, None)


def _check_size(size: int) -> None:
    if size > _MAX_VALUE_CHARS:
        raise SecurityError("its values grow too large")


def _raise_exception(message: object) -> NoReturn:
    raise jinja2.TemplateError(str(message))


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)
