"""Small pictures for tests of thumbnails: made when they are asked for, of any kind."""

import io
from typing import Any

from PIL import Image

RED, GREEN, BLUE, WHITE = (220, 20, 20), (20, 180, 20), (20, 20, 220), (255, 255, 255)
SVG = (
    b'<?xml version="1.0"?>\n<!-- a card -->\n<svg xmlns="http://www.w3.org/2000/svg"><g/></svg>\n'
)


def picture(
    kind: str = "PNG",
    *,
    size: tuple[int, int] = (900, 500),
    mode: str = "RGB",
    color: Any = RED,
    **options: Any,
) -> bytes:
    """Return one picture of one colour as a file."""
    return saved(Image.new(mode, size, color), kind, **options)


def quartered(size: tuple[int, int] = (400, 200)) -> Image.Image:
    """Return a picture whose corners tell which way is up: red and green above, blue and white below."""
    width, height = size
    image = Image.new("RGB", size, WHITE)
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """Return a picture as a file."""
    output = io.BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()


def opened(content: bytes) -> Image.Image:
    """Return the picture that a file holds, read to its end."""
    image = Image.open(io.BytesIO(content))
    image.load()
    return image


def color_at(image: Image.Image, x: float, y: float) -> tuple[int, int, int]:
    """Return the colour at a place, given as shares of width and height."""
    found = image.convert("RGB").getpixel((int(x * image.width), int(y * image.height)))
    assert isinstance(found, tuple)
    red, green, blue = found
    return int(red), int(green), int(blue)


def is_near(one: tuple[int, ...], other: tuple[int, ...], *, within: int = 12) -> bool:
    """Whether two colours look the same; JPEG keeps none exactly."""
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))
