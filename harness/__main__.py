"""`python -m harness` is `edgerig`."""

from harness.cli import entry

if __name__ == "__main__":
    entry()
