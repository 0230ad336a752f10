"""PeriodicTable: elements to choose from, and how often sets of crystals have them."""
