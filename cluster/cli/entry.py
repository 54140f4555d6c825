"""What `nbmf` starts: the command, or where libraries of an extra are missing, which to install."""

from __future__ import annotations

import sys

from nbmf import extras

EXIT_USAGE = 2


def main() -> None:
    """Runs the command. Without its libraries, as after a bare `pip install nbmf`, it says so and exits with 2."""
    try:
        from cluster.cli.main import main as run

        run()
    except ImportError as error:
        missing = extras.explained(error, "this command")
        if missing is None:
            raise
        print(f"nbmf: {missing.code}: {missing}", file=sys.stderr)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
