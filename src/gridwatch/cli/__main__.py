"""`python -m gridwatch.cli`, which the supervisor uses to start gridwatch's own services."""

from gridwatch.cli.app import main

if __name__ == "__main__":
    main()
