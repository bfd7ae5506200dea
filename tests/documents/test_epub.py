"""EPUB: reading order, headings, readable blocks, and hostile archives."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.documents import epub_package
from engine.documents.reader import open_document
from engine.errors import CorruptDocumentError, NoTextError, UnsupportedFormatError

MakeEpub = Callable[..., Path]

NAV = """<nav epub:type="landmarks"><ol><li><a href="b.xhtml">not this</a></li></ol></nav>
<nav epub:type="toc"><ol><li><a href="a.xhtml">Book One</a>
<ol><li><a href="b.xhtml#x">II</a></li></ol></li></ol></nav>"""

NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap><navPoint id="1"><navLabel><text>Old
Style</text></navLabel><content src="a.xhtml"/></navPoint></navMap></ncx>"""


def test_spine_order_headings_and_empty_parts(make_epub: MakeEpub) -> None:
    path = make_epub(
        {
            "b.xhtml": "<p>Second.</p>",
            "a.xhtml": "<h1>Ignored</h1><p>First.</p>",
            "cover.xhtml": "<img alt='' src='x.png'/>",
            "c.xhtml": "<h2>Own\n heading</h2><p>Third.</p>",
            "d.xhtml": "<p>Fourth.</p>",
        },
        nav=NAV,
        spine=["cover.xhtml", "a.xhtml", "b.xhtml", "c.xhtml", "d.xhtml"],
    )
    document = open_document(path)
    assert document.title == "A Made Book"
    assert document.kind == "section"
    assert [page.text for page in document.pages][:3] == ["", "Ignored\n\nFirst.", "Second."]
    assert [page.heading for page in document.pages] == [
        "", "Book One", "Book One, II", "Own heading", "Own heading",
    ]  # fmt: skip
    assert [page.label for page in document.pages] == ["1", "2", "3", "4", "5"]
    assert [(entry.title, entry.level, entry.page_number) for entry in document.outline] == [
        ("Book One", 1, 2), ("II", 2, 3),
    ]  # fmt: skip


def test_navigation_of_epub_2(make_epub: MakeEpub) -> None:
    document = open_document(make_epub({"a.xhtml": "<p>Text.</p>"}, ncx=NCX))
    assert document.pages[0].heading == "Old Style"
    assert document.outline[0].page_number == 1


def test_blocks_become_readable_text(make_epub: MakeEpub) -> None:
    body = """<h1>Title</h1><p>One <b>bold</b>
      line,<br/>broken&nbsp;&mdash; and <a href="x">linked</a>.</p><div>loose<p>nested</p>tail</div>
      <ul><li>first</li><li><p>second</p><ol start="3"><li>inner</li></ol></li></ul>
      <table><tr><th>Name</th><th>Value</th></tr><tr><td>a</td><td>1</td></tr></table>
      <pre>  kept
    as it is</pre><p hidden="hidden">no</p><p style="display: none">no</p>
      <script>no()</script>after<style>no</style>"""
    text = open_document(make_epub({"a.xhtml": body})).text
    assert text == (
        "Title\n\nOne bold line,\nbroken\u00a0— and linked.\n\nloose\n\nnested\n\ntail\n\n"
        "- first\n- second\n3. inner\n\nName\tValue\na\t1\n\n  kept\n    as it is\n\nafter"
    )


def test_markup_that_is_not_well_formed(make_epub: MakeEpub) -> None:
    document = open_document(make_epub({"a.xhtml": "<p>One<p>Two &unknown; <b>three</p>"}))
    assert document.text.startswith("One\n\nTwo")
    assert "three" in document.text


def test_missing_parts_are_named(make_epub: MakeEpub) -> None:
    path = make_epub({"a.xhtml": "<p>Here.</p>", "b.xhtml": "<p>Gone.</p>"})
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist() if "b.xhtml" not in name}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)
    document = open_document(path)
    assert [page.text for page in document.pages] == ["Here.", ""]
    assert "OPS/b.xhtml" in document.warnings[0]


def _encryption(algorithm: str, uri: str) -> dict[str, str]:
    return {
        "META-INF/encryption.xml": '<encryption xmlns:e="http://www.w3.org/2001/04/xmlenc#"><e:EncryptedData>'
        f'<e:EncryptionMethod Algorithm="{algorithm}"/><e:CipherData><e:CipherReference URI="{uri}"/>'
        "</e:CipherData></e:EncryptedData></encryption>"
    }


def test_drm_is_refused(make_epub: MakeEpub) -> None:
    files = _encryption("http://www.w3.org/2001/04/xmlenc#aes128-cbc", "OPS/a.xhtml")
    with pytest.raises(UnsupportedFormatError, match="DRM"):
        open_document(make_epub({"a.xhtml": "<p>x</p>"}, files=files))


def test_obfuscated_fonts_are_no_drm(make_epub: MakeEpub) -> None:
    files = _encryption("http://www.idpf.org/2008/embedding", "OPS/font.otf")
    assert open_document(make_epub({"a.xhtml": "<p>x</p>"}, files=files)).text == "x"


def test_nothing_outside_of_the_archive_is_read(make_epub: MakeEpub, tmp_path: Path) -> None:
    (tmp_path / "secret.xhtml").write_text("<html><body>secret</body></html>")
    names = ["../../secret.xhtml", "/etc/passwd", "file:///etc/passwd", "..%2f..%2fsecret.xhtml"]
    document = open_document(
        make_epub({"a.xhtml": "<p>x</p>", **dict.fromkeys(names, "")}, spine=["a.xhtml", *names])
    )
    assert "secret" not in document.text
    assert "root:" not in document.text
    assert len(document.pages) == 5


def test_entities_are_not_expanded(make_epub: MakeEpub, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("top secret")
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    body = (
        f'<?xml version="1.0"?><!DOCTYPE html [<!ENTITY l0 "ha">{laughs}'
        f'<!ENTITY file SYSTEM "{secret.as_uri()}">]>'
        '<html xmlns="http://www.w3.org/1999/xhtml"><body><p>before &l9; &file; after</p></body></html>'
    )
    text = open_document(make_epub({"a.xhtml": body})).text
    assert "secret" not in text
    assert len(text) < 1000
    assert "before" in text


def test_deep_nesting(make_epub: MakeEpub) -> None:
    bodies = ["<p>start</p>" + "<div>" * depth + "deep" + "</div>" * depth for depth in (1000, 20_000)]
    document = open_document(make_epub({"a.xhtml": bodies[0], "b.xhtml": bodies[1]}))
    assert [page.text for page in document.pages] == ["start\n\ndeep", ""]
    assert "OPS/b.xhtml" in document.warnings[0]


def test_zip_bomb_is_refused(make_epub: MakeEpub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epub_package, "MAX_ENTRY_BYTES", 2**20)
    path = make_epub({"a.xhtml": "<p>" + "0" * 2**21 + "</p>"})
    assert path.stat().st_size < 2**17
    with pytest.raises(UnsupportedFormatError, match="unreasonable size"):
        open_document(path)


def test_many_small_bombs_are_refused(make_epub: MakeEpub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epub_package, "MAX_TOTAL_BYTES", 2**20)
    chapters = {f"{number}.xhtml": "<p>" + "0" * 2**18 + "</p>" for number in range(8)}
    with pytest.raises(UnsupportedFormatError, match="unreasonable size"):
        open_document(make_epub(chapters))


def test_too_many_entries_are_refused(make_epub: MakeEpub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(epub_package, "MAX_ENTRIES", 3)
    with pytest.raises(UnsupportedFormatError, match="more than 3 files"):
        open_document(make_epub({"a.xhtml": "<p>x</p>"}))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.95])
def test_truncated_archive(make_epub: MakeEpub, share: float) -> None:
    path = make_epub({"a.xhtml": "<p>" + "words " * 500 + "</p>"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CorruptDocumentError, match=r"damaged or no EPUB"):
        open_document(path)


def test_archive_without_package_or_text(make_epub: MakeEpub, tmp_path: Path) -> None:
    path = tmp_path / "empty.epub"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/epub+zip")
    with pytest.raises(CorruptDocumentError, match="no package file"):
        open_document(path)
    with pytest.raises(NoTextError):
        open_document(make_epub({"a.xhtml": "<p> </p>"}))
    with pytest.raises(CorruptDocumentError, match="no reading order"):
        open_document(make_epub({"a.xhtml": "<p>x</p>"}, spine=[]))
