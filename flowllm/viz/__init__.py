"""3-D drawing, charts, colours and pages; what is drawn comes in as plain data."""
