"""3-D drawing, charts, colours and pages, from plain data."""
