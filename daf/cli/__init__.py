"""The command line: what it says, its help, its exit codes."""
