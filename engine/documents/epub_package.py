"""The package of an EPUB: container, manifest, spine, navigation, and safe reading from the zip file."""

import posixpath
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from engine.documents.markup import local_name, one_line, parse_xhtml, parse_xml
from engine.errors import CorruptDocumentError, UnsupportedFormatError

MAX_ENTRIES = 65_536
MAX_ENTRY_BYTES = 64 * 2**20
MAX_TOTAL_BYTES = 512 * 2**20
"""What may be unpacked; only text is, so that a book full of pictures is no zip bomb."""

_FONT_OBFUSCATION = ("http://www.idpf.org/2008/embedding", "http://ns.adobe.com/pdf/enc#RC")
_TEXT_TYPES = frozenset(
    (
        "application/xhtml+xml",
        "text/html",
        "text/x-oeb1-document",
        "application/x-dtbook+xml",
        "image/svg+xml",
        "application/xml",
        "text/xml",
    )
)
_MAX_FALLBACKS = 16
_MAX_NAV_ENTRIES = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineItem:
    """One document of the reading order.

    Attributes:
        href: name of the file in the archive.
        is_text: False for a picture and the like.
    """

    href: str
    is_text: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NavEntry:
    """One line of the table of contents.

    Attributes:
        title: its text.
        level: from 1.
        href: name of the file that it points into; "" = none.
    """

    title: str
    level: int
    href: str


@contextmanager
def open_package(path: Path) -> Iterator["Package"]:
    """Open an EPUB for reading.

    Raises:
        CorruptDocumentError: it is no EPUB or damaged.
        UnsupportedFormatError: it is protected by DRM, or unpacks to more than any book.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            yield Package(path.name, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as exc:
        # zipfile reports an entry with a password as RuntimeError, an unknown compression as
        # NotImplementedError.
        raise CorruptDocumentError(
            f"{path.name} is damaged or no EPUB.", hint="Download or export it again."
        ) from exc


class Package:
    """An open EPUB.

    Args:
        name: of the file, for messages.
        archive: the open zip file.
    """

    def __init__(self, name: str, archive: zipfile.ZipFile) -> None:
        self._name = name
        self._archive = archive
        self._read_bytes = 0
        if len(archive.infolist()) > MAX_ENTRIES:
            raise UnsupportedFormatError(f"{name} holds more than {MAX_ENTRIES:,} files.")
        self._names = set(archive.namelist())
        opf_name = self._opf_name()
        opf = parse_xml(self.read(opf_name) or b"")
        if opf is None:
            raise CorruptDocumentError(f"{name} has no package file: it is damaged or no EPUB.")
        self._folder = posixpath.dirname(opf_name)
        self._items: dict[str, Any] = {
            item.get("id"): item for item in opf.iter("{*}item") if item.get("id") and item.get("href")
        }
        self._spine_element = next(opf.iter("{*}spine"), None)
        self.title = one_line(
            next((t.text or "" for t in opf.iter("{http://purl.org/dc/elements/1.1/}title")), "")
        )
        self.spine = self._spine()
        if not self.spine:
            raise CorruptDocumentError(f"{name} has no reading order: it is damaged or no EPUB.")
        self._refuse_drm()

    def read(self, href: str) -> bytes | None:
        """Content of a file of the archive; None if there is no such file.

        Raises:
            UnsupportedFormatError: it unpacks to more than the limits.
        """
        if href not in self._names:
            return None
        with self._archive.open(href) as file:
            data = file.read(MAX_ENTRY_BYTES + 1)
        self._read_bytes += len(data)
        if len(data) > MAX_ENTRY_BYTES or self._read_bytes > MAX_TOTAL_BYTES:
            raise UnsupportedFormatError(
                f"{self._name} unpacks to an unreasonable size.", hint="It may be made to harm the reader."
            )
        return data

    def navigation(self) -> list[NavEntry]:
        """Table of contents: of EPUB 3 if there is one, else of EPUB 2."""
        for item in self._items.values():
            if "nav" in (item.get("properties") or "").split():
                href = self._resolve(item.get("href"), self._folder)
                entries = list(self._nav_entries(href)) if href else []
                if entries:
                    return entries
        ncx_id = self._spine_element.get("toc") if self._spine_element is not None else None
        for key, item in self._items.items():
            if key == ncx_id or item.get("media-type") == "application/x-dtbncx+xml":
                href = self._resolve(item.get("href"), self._folder)
                return list(self._ncx_entries(href)) if href else []
        return []

    def _opf_name(self) -> str:
        container = parse_xml(self.read("META-INF/container.xml") or b"")
        if container is not None:
            for rootfile in container.iter("{*}rootfile"):
                href = self._resolve(rootfile.get("full-path") or "", "")
                if href in self._names:
                    return href or ""
        for name in sorted(self._names):
            if name.lower().endswith(".opf"):
                return name
        raise CorruptDocumentError(f"{self._name} has no package file: it is damaged or no EPUB.")

    def _spine(self) -> tuple[SpineItem, ...]:
        if self._spine_element is None:
            return ()
        items = []
        for itemref in self._spine_element.iter("{*}itemref"):
            item = self._items.get(itemref.get("idref"))
            if item is not None:
                items.append(self._spine_item(item))
        return tuple(items)

    def _spine_item(self, item: Any) -> SpineItem:
        """Follow the fallbacks of a foreign resource to one that is text."""
        candidate = item
        for _ in range(_MAX_FALLBACKS):
            if candidate is None or self._is_text(candidate):
                break
            candidate = self._items.get(candidate.get("fallback"))
        chosen = item if candidate is None or not self._is_text(candidate) else candidate
        href = self._resolve(chosen.get("href"), self._folder)
        return SpineItem(href=href or chosen.get("href"), is_text=self._is_text(chosen))

    @staticmethod
    def _is_text(item: Any) -> bool:
        return (item.get("media-type") or "").strip().lower() in _TEXT_TYPES

    def _resolve(self, href: str, folder: str) -> str | None:
        """Name in the archive of what `href` points to; None if that is outside of it."""
        path = unquote(href.partition("#")[0].partition("?")[0])
        if "://" in path or path.startswith(("/", "data:", "mailto:")):
            return None
        resolved = posixpath.normpath(posixpath.join(folder, path)) if path else ""
        if not resolved or resolved.startswith("../") or resolved == "..":
            return None
        if resolved not in self._names and posixpath.join(folder, href) in self._names:
            return posixpath.join(folder, href)  # names that were never percent-encoded
        return resolved

    def _nav_entries(self, href: str) -> Iterator[NavEntry]:
        root = parse_xhtml(self.read(href) or b"")
        if root is None:
            return
        navs = [element for element in root.iter("{*}nav")]
        toc = next(
            (nav for nav in navs if "toc" in (nav.get("{http://www.idpf.org/2007/ops}type") or "")), None
        )
        toc = toc if toc is not None else next(iter(navs), None)
        if toc is None:
            return
        level = 0
        num_entries = 0
        for link in toc.iter("{*}a", "{*}span"):
            level = sum(1 for above in link.iterancestors() if local_name(above) == "ol")
            title = one_line("".join(link.itertext()))
            parent = link.getparent()
            if not title or parent is None or local_name(parent) != "li":
                continue
            target = self._resolve(link.get("href") or "", posixpath.dirname(href))
            yield NavEntry(title=title, level=max(level, 1), href=target or "")
            num_entries += 1
            if num_entries >= _MAX_NAV_ENTRIES:
                return

    def _ncx_entries(self, href: str) -> Iterator[NavEntry]:
        root = parse_xml(self.read(href) or b"")
        if root is None:
            return
        for number, point in enumerate(root.iter("{*}navPoint")):
            if number >= _MAX_NAV_ENTRIES:
                return
            label = next(point.iter("{*}text"), None)
            content = next(point.iter("{*}content"), None)
            level = 1 + sum(1 for above in point.iterancestors() if local_name(above) == "navpoint")
            title = one_line("".join(label.itertext())) if label is not None else ""
            source = content.get("src") if content is not None else ""
            target = self._resolve(source or "", posixpath.dirname(href))
            if title:
                yield NavEntry(title=title, level=level, href=target or "")

    def _refuse_drm(self) -> None:
        encryption = parse_xml(self.read("META-INF/encryption.xml") or b"")
        if encryption is None:
            return
        texts = {item.href for item in self.spine}
        for data in encryption.iter("{*}EncryptedData"):
            method = next(data.iter("{*}EncryptionMethod"), None)
            algorithm = method.get("Algorithm") if method is not None else ""
            reference = next(data.iter("{*}CipherReference"), None)
            uri = unquote(reference.get("URI") or "") if reference is not None else ""
            if algorithm not in _FONT_OBFUSCATION and uri in texts:
                raise UnsupportedFormatError(
                    f"{self._name} is protected against copying (DRM).",
                    hint="Only the shop's own reader can open it; ask for a file without protection.",
                )
