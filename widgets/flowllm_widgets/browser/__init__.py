"""A sortable, filterable table of crystals, with the chosen one in 3-D."""
