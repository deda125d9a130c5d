"""No compressed messages: 204 KB of gzip became 200 MB in a worker, before any check could run."""

from typing import NoReturn

from kombu import compression


class CompressedMessageRefused(ValueError):
    """A message says that its body is compressed; nothing of ours ever is."""


#: Content types and aliases that kombu may know a decompressor for.
_KNOWN = {
    "application/x-gzip": ["gzip", "zlib"],
    "application/zlib": [],
    "application/x-bz2": ["bzip2", "bzip"],
    "application/x-brotli": ["brotli"],
    "application/x-lzma": ["lzma", "xz"],
    "application/zstd": ["zstd", "zstandard"],
}


def refuse_compressed_messages() -> None:
    """Make kombu refuse every compressed message in this process, before it inflates anything."""
    for content_type, aliases in _KNOWN.items():
        compression.register(_refuse, _refuse, content_type, aliases=aliases)


def _refuse(body: bytes) -> NoReturn:
    raise CompressedMessageRefused("compressed messages are refused")
