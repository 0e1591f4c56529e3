"""What is between a command and whoever runs it: signals, streams, warnings and progress."""
