"""DAF, the Distributed Agent Framework: Hydra-configured, MLflow-tracked experiments for CoGames."""

__version__ = "0.1.0"
