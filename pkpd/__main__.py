"""``python -m pkpd`` is the command line."""

from pkpd.cli import main

if __name__ == "__main__":
    main()
