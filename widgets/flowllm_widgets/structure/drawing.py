"""Drawings of crystals, as the package makes them for pages and widgets alike."""

from flowllm.viz.moving import MAX_ATOMS, MovingDrawing, draw_moving, draw_still

__all__ = ["MAX_ATOMS", "MovingDrawing", "draw_moving", "draw_still"]
