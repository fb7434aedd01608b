"""What kinds of names a mission can have; imports nothing, so that a misspelt one is found quickly."""

MISSION_SETS = ("integrated_evals", "spanning_evals", "diagnostic_evals", "cogsguard_evals", "all")
#: Fails to build at any number of cogs: its map holds objects that its game does not know.
UNPLAYABLE = ("training_facility.easy_hearts_training",)
MISSION_FILE_SUFFIXES = (".yaml", ".yml", ".json", ".py")


def is_mission_file(name: str) -> bool:
    """Whether CoGames would read `name` as a path."""
    return name.endswith(MISSION_FILE_SUFFIXES)
