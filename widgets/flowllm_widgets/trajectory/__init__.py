"""The path of crystals along the flow: in 3-D, as curves over t, and as files."""
