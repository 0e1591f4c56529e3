"""What is between a command and its user: signals, streams, warnings and progress."""
