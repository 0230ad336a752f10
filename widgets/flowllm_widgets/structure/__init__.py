"""A crystal in 3-D: drawn as arrays, then by nglview, or by plotly where that is missing."""
