"""What all widgets stand on: colours, messages, work in the background."""
