"""What is asked of a crystal: conditions, how people write them, and whether they can be met."""
