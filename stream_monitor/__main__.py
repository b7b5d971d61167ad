"""`stream-monitor`, and `python -m stream_monitor`. An installation that cannot work is told in one line."""

import sys


def main() -> None:
    """Run the command line; exit with 1 where Python is too old or a package is missing."""
    if sys.version_info < (3, 11):  # noqa: UP036  (a checkout asks nobody before it runs)
        sys.exit("stream-monitor: it needs Python 3.11 or newer, and this is {}.{}".format(*sys.version_info))
    try:
        from stream_monitor.cli import main as run
    except ModuleNotFoundError as error:
        reinstall = "the installation lacks a package: pip install --force-reinstall stream-monitor"
        sys.exit(f"stream-monitor: {error.msg}; {reinstall}")
    run()


if __name__ == "__main__":
    main()
