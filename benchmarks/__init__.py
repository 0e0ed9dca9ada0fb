"""Studies too slow for the tests; results are committed beside the command that made them."""
