"""A deployed policy as MLflow loads it: `mlflow.pyfunc.load_model("models:/name@champion").predict(episodes)`.

MLflow copies this file beside the bundle and runs it on loading. It holds nothing of the policy: that is in the bundle.
"""

import warnings
from pathlib import Path

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel, PythonModelContext

# The model is saved with its signature, which MLflow would rather read from annotations, and says so.
with warnings.catch_warnings(record=True):

    class ServedPolicy(PythonModel):  # type: ignore[misc]
        """Plays the bundle's policy alone, all agents of a team.

        Its own code runs only where the model was loaded with `model_config={"trust": True}`.
        """

        def load_context(self, context: PythonModelContext) -> None:
            """Finds the bundle; nothing of it runs."""
            self._bundle = Path(context.artifacts["bundle"])
            self._trust = bool(context.model_config.get("trust"))

        def predict(self, context, model_input, params=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
            """One episode a row, from DataFrame to DataFrame: see `daf.deployment.signature`."""
            from daf.deployment.signature import play

            return play(self._bundle, model_input, trust=self._trust)


set_model(ServedPolicy())
