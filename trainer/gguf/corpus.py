"""The fixed texts of the parity gate: what tokenizers stumble over, and passages that logits are compared on."""

import unicodedata
from collections.abc import Sequence

TEXTS: tuple[str, ...] = (
    " Maria's ship, the Albatross, left at 07:45 on 3 May 1871.",
    " £4,500 (about $5,625.50) - 12.5% of €45,000!",
    " The pass-word is QX-4417-Z; don't tell “anyone”…",
    " naïve café, Über, Łódź, Ελλάδα, Москва, 東京, 🙂🙃",
    " A  double  space,\ta tab and\nnew\r\n\r\nlines  ",
    " <|end|> <|s1|> are plain characters in a document",
    "I'm we'll they've you're he'd it's I'M WE'LL THEY'VE",
    " ",
    " 1234567890 x1y2z3 a_b_c --- *** ///",
    "1 12 123 1234 12345 123456 1,234,567 3.14159 1e-9 0x1F ½ ² Ⅳ ١٢٣ १२३ 一二三",
    'def f(x: int) -> str:\n    return f"{x:>8}"  # comment\n\n\nclass A(B):\n\tpass\n',
    '<div class="a b">&nbsp;x &lt; y</div>\n<!-- note -->{% if a %}{{ b }}{% endif %}',
    '{"key": [1, 2.5, null], "text": "a\\nb\\u00e9"}',
    "SELECT * FROM t WHERE a >= 10 AND b != 'x''y'; -- ok",
    "C:\\Users\\name\\file.txt ~/x/../y https://example.org/a?b=c&d=%20#e name@example.org",
    "\n",
    "\n\n",
    "\n\n\n\n",
    "\t",
    "\t\t ",
    "   ",
    "        ",
    "  x",
    "x  ",
    " \n x",
    "\r\n",
    "\n \n\t\n",
    "a\u00a0b\u2003c\u200bd\ufeffe\u3000f",
    "Straße ÄÖÜ äöü Ærø Þór ĳ ŉ ﬁ ﬂ İstanbul ıI ǅ",
    "Привет, мир! Ёжик — «кавычки» №5.",
    "Γειά σου Κόσμε· τι κάνεις;",
    "שלום עולם, מה שלומך?",
    "مرحبا بالعالم، كيف حالك؟ ٢٠٢٤",
    "नमस्ते दुनिया, क्षत्रिय ज्ञान। ৳ বাংলা தமிழ் తెలుగు",
    "สวัสดีชาวโลก ภาษาไทยไม่มีช่องว่าง",
    "你好，世界！这是一个测试。𠜎𠜱",
    "こんにちは世界。カタカナ、ひらがな、漢字。",
    "안녕하세요 세계! 한국어 테스트입니다.",
    "Xin chào thế giới, tiếng Việt có dấu.",
    "ქართული ენა, Հայերեն, አማርኛ, ខ្មែរ, မြန်မာ, བོད་སྐད",
    "😀😃 👨‍👩‍👧‍👦 👍🏽 🇩🇪🇫🇷 ❤️ ☕ ✓ → ∑ ∫ ≠ ≤ √2 ℝ ⊂ ∅ ‰ † ‡ § ¶",
    "é e\u0301 ñ n\u0303 한 \u1112\u1161\u11ab",
    "!!!??? ... ,,, ;;: (((a))) [[b]] {{c}} <<d>> ''e'' \"\"f\"\" ``g`` ~~~ === +++ |||",
    "camelCase PascalCase snake_case kebab-case SCREAMING_CASE x86_64 v1.2.3-rc.4+build.5",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa bbbbbbbbbbbbbbbbbbbbbbbb",
    "AbCdEfGhIjKlMnOpQrStUvWxYz zyxwvutsrqponmlkjihgfedcba",
    "'tis 'Twas rock'n'roll y'all o'clock d'être l'été can\u2019t won\u2019t",
    "\x00 \x01\x02 \x7f \x1b[31m",
    "Chapter 1.\n\n   It was a dark and stormy night;\nthe rain fell in torrents —\nexcept at occasional intervals…\n",
)
"""Texts whose ids must be equal; the first nine, spaced like data, are those of the starter model's own tests."""

PASSAGES: tuple[str, ...] = (
    "The harbour master wrote the names of all ships into a thick book that lay open on his desk. On the third of "
    "May the Albatross came in from Lisbon with forty barrels of oil and a letter for the widow Hansen. Nobody asked "
    "who had sent it, and the captain, who knew, did not say. In the evening the lamps along the quay were lit one "
    "after the other, and the men went home.",
    "Question: In which year was the bridge finished, and who paid for it? The council minutes of 1874 speak of two "
    "loans of 12,500 and 8,750 pounds; the first was repaid in 1881, the second in 1893. The bridge itself was opened "
    "on 17 September 1876 by the mayor, Thomas Whitfield, whose firm had delivered the iron.",
    "def merge(left: list[int], right: list[int]) -> list[int]:\n    out = []\n    while left and right:\n"
    "        out.append(left.pop(0) if left[0] <= right[0] else right.pop(0))\n    return out + left + right\n\n\n"
    "print(merge([1, 4, 9], [2, 3, 10]))  # [1, 2, 3, 4, 9, 10]\n",
    "Der Bericht nennt drei Gründe: zu wenig Regen, zu späte Aussaat und einen Schädling, den man hier noch nie "
    "gesehen hatte. En français, on dirait : « l'année fut mauvaise ». Según el informe, la cosecha bajó un 37,5 %. "
    "Отчёт подписан 4 октября. 报告指出，收成比上一年减少了三分之一。",
    "Name: Ada Perez; number: QX-4417-Z; room: 12; code word: lantern.\nName: Olaf Brandt; number: RT-9083-K; room: 7; "
    "code word: harvest.\nName: Ines Moreau; number: LM-2261-D; room: 31; code word: compass.\nThe code word of Olaf "
    "Brandt is harvest. The number of Ines Moreau is LM-2261-D. The room of Ada Perez is",
)
"""Passages whose logits are compared, at every position."""

CHATS: tuple[tuple[dict[str, str], ...], ...] = (
    ({"role": "user", "content": "Who painted the ceiling?"},),
    (
        {"role": "user", "content": 'Read this:\n\n  "It rained for 40 days."\n\nHow long did it rain?'},
        {"role": "assistant", "content": "40 days."},
        {"role": "user", "content": "And in hours? Antworte auf Deutsch – 日本語でも。"},
    ),
    (
        {"role": "system", "content": "You answer from the text alone."},
        {"role": "user", "content": "The key is 7Q-19.\nWhat is the key?"},
    ),
)
"""Conversations that the chat template is rendered with."""


def texts_for(*, is_normalised: bool) -> tuple[str, ...]:
    """The texts to compare ids on.

    Args:
        is_normalised: whether transformers brings text into the form NFC first. llama.cpp never does; so both are
            given texts that have it already (docs/gguf.md).
    """
    return normalised(TEXTS + PASSAGES) if is_normalised else TEXTS + PASSAGES


def normalised(texts: Sequence[str]) -> tuple[str, ...]:
    """Texts in the form NFC."""
    return tuple(unicodedata.normalize("NFC", text) for text in texts)
