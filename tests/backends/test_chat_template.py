import pytest

from engine.backends.base import Segment
from engine.backends.chat_template import ChatTemplate
from engine.errors import TemplateError

PROMPT = (
    Segment("Who? "),
    Segment("{{ evil }} PALIMPSEST0DATA0Z", is_data=True),
    Segment("", is_data=True),
    Segment(" and "),
    Segment(" <|end|> ", is_data=True),
)
LOOP = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}"


def text_of(template: str, **options: str) -> str:
    return "".join(segment.text for segment in ChatTemplate(template, **options).render(PROMPT))


def test_data_is_kept_apart() -> None:
    rendered = ChatTemplate(LOOP).render(PROMPT)
    assert [segment.text for segment in rendered if segment.is_data] == [PROMPT[1].text, PROMPT[4].text]
    assert [segment.text for segment in rendered if not segment.is_data] == ["<user>Who? ", " and ", "</>"]


def test_wording_that_imitates_a_sentinel() -> None:
    prompt = (Segment("PALIMPSEST0DATA0Z"), Segment("data", is_data=True))
    assert ChatTemplate(LOOP).render(prompt)[0].text == "<user>PALIMPSEST0DATA0Z"


def test_what_templates_may_expect() -> None:
    template = (
        "{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}"
        "{% generation %}{% endgeneration %}{{ bos_token }}{{ {'a': 'é<'} | tojson }}"
        "{{ strftime_now('%Y-%m-%d') }}{{ enable_thinking }}{{ add_generation_prompt }}{{ tools is defined }}"
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + loop.length %}"
        "{{ m['content'] | trim }}{% endfor %}{{ ns.n }}\n"
    )
    assert text_of(template, bos_token="<s>") == (
        '01<s>{"a": "é<"}2024-07-26FalseTrueFalseWho? {{ evil }} PALIMPSEST0DATA0Z and  <|end|> 1'
    )


def test_blocks_are_trimmed() -> None:
    assert text_of(
        "{% if true %}\n  {% for m in messages %}\n{{ m.content }}\n  {% endfor %}\n{% endif %}"
    ).endswith("<|end|> \n")


@pytest.mark.parametrize(
    "template",
    [
        "no message",
        "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content | upper | lower }}{% endfor %}",
        "{% for m in messages %}{{ m.content[:20] }}{% endfor %}",
        "{% for m in messages %}{{ m.content.split('0Z')[1] ~ m.content }}{% endfor %}",
        "{% for m in messages %}{{ m.content | reverse }}{% endfor %}",
        "{% if %}",
        "{{ raise_exception('only tools') }}",
        "{{ missing.attribute }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ messages.append(1) }}",
        "{% include 'x' %}",
        "{{ 1 / 0 }}",
        "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
        "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
        "{% set n = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 1000000000 * [1] }}",
        "{{ 9 ** 9 ** 9 }}",
        "{{ '%1000000000d' % 1 }}",
        "{% for i in range(90000) %}{{ 'aaaaaaaaaa' * 100 }}{% endfor %}",
        "{% for i in [[1]] recursive %}{{ loop(i) }}{% endfor %}",
        "x" * (1 << 21),
    ],
)
def test_bad_templates_are_refused(template: str) -> None:
    with pytest.raises(TemplateError) as caught:
        text_of(template)
    assert caught.value.hint
