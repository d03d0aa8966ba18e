"""A W&B logger that training does not depend on: where W&B fails, the run goes on without it, and says so once."""

from collections.abc import Callable
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities import rank_zero_only

from metarec.tracking.ending import end, is_of_wandb, reason


@rank_zero_only
def say(what: str) -> None:
    """Print a line on the first process."""
    print(f"metarec: {what}", flush=True)


class GuardedLogger(WandbLogger):
    """Lightning's W&B logger, which logs nothing any more once W&B has failed.

    Attributes:
        lost: whether W&B has failed.
    """

    lost = False

    @property
    def experiment(self) -> Any:
        """The run; what is asked of it does nothing once W&B has failed."""
        if not self.lost and self._experiment is None:
            try:
                self.begin()
            except Exception as error:
                if not is_of_wandb(error):
                    raise
                self.lose(error)
        return Guarded(self, Nothing() if self._experiment is None else self._experiment)

    def begin(self) -> None:
        """Begin the run; raises what W&B raises."""
        _ = super().experiment

    def lose(self, error: BaseException) -> None:
        """Go on without W&B.

        Args:
            error: how it has failed.
        """
        if self.lost:
            return
        self.lost = True
        cure = f"; `metarec sync {self._save_dir}` uploads what was logged" if self._experiment is not None else ""
        say(f"Weights & Biases has failed ({reason(error)}); the run goes on without it{cure}")
        end()


class Guarded:
    """A W&B run, or a part of it, whose calls do nothing once W&B has failed.

    Args:
        logger: the logger whose run it is.
        what: the run, or its configuration or summary.
    """

    def __init__(self, logger: GuardedLogger, what: Any) -> None:
        self._logger, self._what = logger, what

    def __getattr__(self, name: str) -> Any:
        """A value as it is, a function guarded."""
        value = getattr(self._what, name)
        if name in ("config", "summary"):
            return Guarded(self._logger, value)
        return self._guarded(value) if callable(value) else value

    def __setitem__(self, key: str, value: Any) -> None:
        """Set an entry of a configuration or summary."""
        self._guarded(self._what.__setitem__)(key, value)

    def __getitem__(self, key: str) -> Any:
        """An entry of a configuration or summary."""
        return self._what[key]

    def _guarded(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function that takes W&B's failure for its end."""

        def call(*given: Any, **options: Any) -> Any:
            if self._logger.lost:
                return None
            try:
                return function(*given, **options)
            except Exception as error:
                if not is_of_wandb(error):
                    raise
                self._logger.lose(error)
                return None

        return call


class Nothing:
    """Stands for a run that could not begin: has every part, and each does nothing."""

    def __getattr__(self, name: str) -> "Nothing":
        return self

    def __call__(self, *given: Any, **options: Any) -> None:
        """Do nothing."""

    def __setitem__(self, key: str, value: Any) -> None:
        """Do nothing."""
