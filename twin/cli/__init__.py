"""The command line: parses, calls, prints. Slow imports wait for the command that needs them."""
