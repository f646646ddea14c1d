"""Everything that an installation can set, each with its unit, range and reason."""

from pathlib import Path

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from data.errors import InputError


class Settings(BaseSettings):
    """Settings read from the environment, each under the prefix `LEADMATCH_`."""

    model_config = SettingsConfigDict(env_prefix="LEADMATCH_", frozen=True, extra="ignore")

    home: Path = Field(Path("var"), description="Folder of all state: ledger, MLflow store, bundles, keys.")
    database_url: str | None = Field(None, description="SQLAlchemy URL of the ledger; SQLite under home if unset.")
    request_deadline_ms: int = Field(2_000, ge=50, le=60_000, description="A decision later than this is not made.")
    max_body_bytes: int = Field(65_536, ge=1_024, description="A larger request body is refused (413).")
    max_batch_body_bytes: int = Field(
        4_194_304, ge=1_024, description="The same for /v1/assign/batch, /v1/outcomes and /v1/reps."
    )
    lock_timeout_ms: int = Field(1_500, ge=10, description="How long a writer waits for the ledger before 503.")
    requests_at_once: int = Field(2, ge=1, description="Leads that one worker scores or assigns at once; others queue.")
    one_core: bool = Field(True, description="Each worker answers on one processor core (Linux); others do the rest.")
    queue_wait_ms: int = Field(20, ge=1, description="A wait in the queue that is always allowed.")
    queue_burst: int = Field(
        50, ge=0, description="Requests that may wait longer, up to their deadline; then 503 until there is leisure."
    )
    key_requests_per_minute: int = Field(
        60_000, ge=1, description="Requests of one key that one worker answers in a minute; more get 429."
    )
    key_failures_per_minute: int = Field(
        10, ge=1, description="Keys refused from one address within a minute; then it gets 429."
    )
    bundle_poll_seconds: float = Field(2.0, gt=0, description="How often a worker looks for a newly promoted model.")
    sweep_seconds: float = Field(30.0, gt=0, description="How often a worker looks for leads that nobody contacts.")
    registry_timeout_seconds: float = Field(2.0, gt=0, description="Time-out of one call to the model registry.")

    public_url: str = Field(
        "http://127.0.0.1:3000", description="Where people open the pages; https makes the session's cookie Secure."
    )
    session_hours: int = Field(72, ge=1, le=8_760, description="Hours until a signed-in person has to sign in again.")

    dask: str | None = Field(
        None, description="Scheduler of a Dask cluster for train, evaluate and match; this machine alone if unset."
    )

    @property
    def ledger_url(self) -> str:
        """Where the ledger lives: the given URL, or SQLite under `home`."""
        return self.database_url or f"sqlite:///{self.home.resolve() / 'ledger.db'}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's store when MLFLOW_TRACKING_URI names no other: SQLite under `home`."""
        return f"sqlite:///{self.home.resolve() / 'mlflow.db'}"

    @property
    def bundles(self) -> Path:
        """Folder of verified model bundles, one folder a digest."""
        return self.home / "bundles"


def read_settings() -> Settings:
    """The settings as the environment has them. Raises InputError, one line, for the first that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = error.errors(include_url=False)[0]
    name = str(wrong["loc"][0])
    default = Settings.model_fields[name].default
    expected = str(wrong["msg"]).removeprefix("Input should be ").partition(",")[0]
    # A number is no secret; a database's URL, which is text, holds a password.
    number = isinstance(default, int | float)
    came = f"{str(wrong['input'])[:40]!r}" if number else "something else"
    remedy = f"or unset it for the default, {default}" if number else "or unset it"
    raise InputError(f"LEADMATCH_{name.upper()}: expected {expected}, came {came}; correct it, {remedy}.")
