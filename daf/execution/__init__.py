"""How work runs: jobs on processes, progress, interrupts."""
