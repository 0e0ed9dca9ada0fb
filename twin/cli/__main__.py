"""``python -m twin.cli``."""

from twin.cli.main import main

main()
