"""Whether there is a W&B account to upload to; nothing is sent, and nobody is asked."""

from metarec.errors import InputError

CURE = "run `wandb login`, or set WANDB_API_KEY"


def require_wandb() -> None:
    """Refuse to go on without the package.

    Raises:
        InputError: wandb cannot be imported.
    """
    try:
        import wandb  # noqa: F401
    except ImportError as error:
        raise InputError(f"Weights & Biases cannot be used ({error}); pip install wandb") from error


def has_account() -> bool:
    """Whether wandb finds credentials where it looks for them: environment, .netrc, its settings.

    Raises:
        InputError: it finds some that cannot be any.
    """
    from wandb.errors import AuthenticationError
    from wandb.sdk import wandb_setup
    from wandb.sdk.lib import wbauth

    host = wandb_setup.singleton().settings.base_url
    try:
        found = wbauth.authenticate_session(host=host, source="metarec", prompt=False, update_session=False)
    except AuthenticationError as error:
        raise InputError(f"Weights & Biases: {' '.join(str(error).split())}; {CURE}") from error
    return found is not None


def require_account(what: str) -> None:
    """Refuse to go on without an account.

    Args:
        what: what needs it.

    Raises:
        InputError: there is none.
    """
    require_wandb()
    if not has_account():
        raise InputError(f"{what} needs a Weights & Biases account; {CURE}")
