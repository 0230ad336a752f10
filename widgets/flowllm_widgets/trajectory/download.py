"""A link in the notebook that saves bytes of the kernel as a file."""

from __future__ import annotations

from pathlib import Path

import traitlets

from flowllm_widgets.shared.part import Part

HERE = Path(__file__).parent


class DownloadLink(Part):
    """A download link; hidden without a name.

    Attributes:
        name: of the file.
        mime: its media type.
        content: its bytes.
    """

    _esm = HERE / "download.js"
    _css = HERE / "download.css"

    name = traitlets.Unicode().tag(sync=True)
    mime = traitlets.Unicode("application/octet-stream").tag(sync=True)
    content = traitlets.Bytes(b"").tag(sync=True)

    def offer(self, name: str, content: bytes, mime: str) -> None:
        """Offer another file."""
        with self.hold_sync():
            self.name, self.content, self.mime = name, content, mime

    def withdraw(self) -> None:
        """Offer nothing."""
        self.offer("", b"", "application/octet-stream")
