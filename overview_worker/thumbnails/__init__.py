"""Thumbnails of course images: a step of its own after the rebuild, never inside its transaction."""
