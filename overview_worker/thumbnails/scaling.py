"""Scaling a course image to thumbnails: bytes in, bytes out. Pillow, and no other I/O.

What Open edX does, as its stored thumbnails show: fitted into the size with the aspect ratio kept, never
enlarged, JPEG of Pillow's default quality. Unlike it, a picture is turned as its camera says, and what
is transparent is white.
"""

import io
import struct
import warnings
import zlib
from collections.abc import Sequence

from PIL import Image, UnidentifiedImageError

from overview_worker.documents import Size
from overview_worker.thumbnail_ports import ImageRefused

#: What is taken, whatever the file's name says: what browsers show in a page.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")
#: Pixels of the largest picture that is decoded: a transparent WebP needs 20 bytes for each.
MAX_PIXELS = 16_000_000
#: Of a JPEG more are taken: it is decoded smaller at once.
MAX_JPEG_PIXELS = 50_000_000
JPEG_QUALITY = 75

#: How many bytes of a file are looked at to see whether it is an SVG.
_SVG_HEAD_BYTES = 65_536
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
#: Orientations in which width and height change places.
_LYING = frozenset({5, 6, 7, 8})
_LIMITS = f"are taken: {MAX_PIXELS:,}, of a JPEG {MAX_JPEG_PIXELS:,}"
# What Pillow raises for files that are broken, or made to break it. Not every exception: a task that
# runs out of time, and a machine out of memory, say nothing about the picture.
_BROKEN = (
    *(OSError, EOFError, SyntaxError, ValueError, TypeError, AttributeError, LookupError),
    *(ArithmeticError, AssertionError, BufferError, RuntimeError, struct.error, zlib.error),
)


def is_svg(content: bytes) -> bool:
    """Return whether a file is an SVG drawing, judged by how it begins."""
    rest = content[:_SVG_HEAD_BYTES].removeprefix(b"\xef\xbb\xbf").lstrip()
    while rest.startswith((b"<?", b"<!")):
        end = _end_of_declaration(rest)
        if end < 0:
            return False
        rest = rest[end:].lstrip()
    return rest[:5] in (b"<svg>", b"<svg ", b"<svg\n", b"<svg\r", b"<svg\t")


def refuse_broken_svg(content: bytes) -> None:
    """Raise ImageRefused for an SVG that breaks off; all else of a drawing is the browser's to judge."""
    if b"</svg" not in content:
        raise ImageRefused("the SVG breaks off: it has no end tag")


def scaled_jpegs(content: bytes, sizes: Sequence[Size]) -> list[bytes]:
    """Return the picture as one JPEG a size, without any metadata; of an animation the first frame.

    Raises:
        ImageRefused: it is no picture of ``FORMATS``, too large or broken; the reason names it.
    """
    try:
        with warnings.catch_warnings():
            # Pillow warns of much that it then reads; only this is a reason to stop.
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                return _scaled(image, sizes)
    except UnidentifiedImageError as error:
        raise ImageRefused(
            f"not a picture of a known kind ({', '.join(FORMATS)} or SVG)"
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused(f"more pixels than {_LIMITS}") from error
    except _BROKEN as error:
        raise ImageRefused(f"broken: {type(error).__name__}: {error}") from error


def fitted_size(width: int, height: int, *, within: Size) -> tuple[int, int]:
    """Return the size of a picture that is shrunk into a size, its aspect ratio kept."""
    factor = min(within.width / width, within.height / height, 1.0)
    return max(1, round(width * factor)), max(1, round(height * factor))


def _scaled(image: Image.Image, sizes: Sequence[Size]) -> list[bytes]:
    _refuse_size(image)
    orientation = _orientation(image)
    longest = max(max(size.width, size.height) for size in sizes)
    # A large JPEG is decoded smaller at once, but still twice as large as it is needed.
    image.draft(None, (2 * longest, 2 * longest))
    image.load()
    _refuse_size(image)  # a first frame may be larger than its file says
    picture = _with_eight_bits(image)
    return [_jpeg(picture, size, orientation) for size in sizes]


def _refuse_size(image: Image.Image) -> None:
    width, height = image.size
    # A JPEG of several pictures has a name of its own.
    limit = MAX_JPEG_PIXELS if image.format in ("JPEG", "MPO") else MAX_PIXELS
    if width * height > limit:
        raise ImageRefused(f"{width} x {height} pixels: more than {_LIMITS}")


def _orientation(image: Image.Image) -> int:
    """Return how the camera was held; 1, as it is, where that cannot be read."""
    try:
        return int(image.getexif().get(_ORIENTATION_TAG, 1))
    except _BROKEN:
        return 1


def _with_eight_bits(image: Image.Image) -> Image.Image:
    """Return the picture in RGB, or in RGBA where it has transparent parts."""
    if image.mode.startswith("I"):  # 16 bits a pixel, of which the upper ones are kept
        image = image.convert("I").point(lambda value: value * (1 / 256)).convert("L")
    has_alpha = "transparency" in image.info or image.mode in ("RGBA", "LA", "PA", "RGBa", "La")
    return image.convert("RGBA" if has_alpha else "RGB")


def _jpeg(picture: Image.Image, size: Size, orientation: int) -> bytes:
    if orientation in _LYING:
        size = Size(width=size.height, height=size.width)
    small = picture.resize(
        fitted_size(*picture.size, within=size), Image.Resampling.LANCZOS, reducing_gap=2.0
    )
    if small.mode == "RGBA":
        page = Image.new("RGB", small.size, "white")
        page.paste(small, mask=small.getchannel("A"))
        small = page
    if orientation in _TURNS:
        small = small.transpose(_TURNS[orientation])
    small.info = {}  # Pillow would write comments and the like again
    output = io.BytesIO()
    small.save(output, "JPEG", quality=JPEG_QUALITY)
    return output.getvalue()


def _end_of_declaration(text: bytes) -> int:
    """Return where the declaration or comment that ``text`` begins with is over; -1 if it is not."""
    closing = b"?>" if text.startswith(b"<?") else b"-->" if text.startswith(b"<!--") else b">"
    bracket, close = text.find(b"["), text.find(closing)
    if closing == b">" and 0 <= bracket < close:  # a document type with entities of its own
        closing = b"]>"
        close = text.find(closing)
    return close + len(closing) if close >= 0 else -1
