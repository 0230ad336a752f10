"""Reads the pictures of a still."""

import base64
import re


def pictures_in(text: str) -> list[str]:
    """The SVG of each image of a still."""
    codes = re.findall(r'src="data:image/svg\+xml;base64,([^"]+)"', text)
    return [base64.b64decode(code).decode() for code in codes]
