"""``python -m pkpd`` is the command ``pkpd``."""

from pkpd.cli import main

if __name__ == "__main__":
    main()
