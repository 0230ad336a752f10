"""What a command does from its input to its files."""
