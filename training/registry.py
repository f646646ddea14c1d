"""MLflow, and nothing else here talks to it: runs, the registered model `leadmatch`, its aliases, its files.

No server is needed: the store is SQLite under LEADMATCH_HOME unless MLFLOW_TRACKING_URI names another. MLflow
is imported at the first call, after its telemetry is off and its time-outs are short: left alone its client
waits four minutes for a registry that is down.
"""

import logging
import os
import shutil
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from data.errors import RegistryError
from training.metrics import Estimate
from training.model_files import FILES

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

EXPERIMENT = MODEL = "leadmatch"
CHAMPION, CHALLENGER = "champion", "challenger"
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"
BUNDLE_FILES = (*FILES, MANIFEST, SIGNATURE)  # every name that a bundle may hold
BUNDLE = "bundle"  # its folder among a registered version's files
LARGEST_FILE_BYTES = 512 * 2**20
DIGEST_TAG = "bundle_digest"
REQUIREMENTS = ("leadmatch", "lightgbm", "numpy", "pandas", "scipy")  # what loading a version in a notebook needs


@dataclass(frozen=True)
class RunInfo:
    """A logged training run and the model version it registered."""

    run_id: str
    model_version: str


@dataclass(frozen=True)
class Version:
    """One registered version."""

    version: str
    run_id: str
    created_at: datetime
    aliases: tuple[str, ...]
    digest: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Run:
    """What a training run was logged with."""

    parameters: Mapping[str, str]
    metrics: Mapping[str, Estimate]
    tags: Mapping[str, str]


class Registry:
    """The registered models of one installation."""

    def __init__(self, home: Path, *, tracking_uri: str | None = None, timeout_s: float = 2.0) -> None:
        """`tracking_uri`: else MLFLOW_TRACKING_URI, else SQLite under `home`; artifacts lie under `home` too.

        timeout_s : of one call to a registry on another machine.
        """
        default = f"sqlite:///{home.resolve() / 'mlflow.db'}"
        self.tracking_uri = tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or default
        self._artifacts = home.resolve() / "artifacts"
        self._timeout_s = timeout_s

    def log_run(
        self,
        *,
        parameters: Mapping[str, Any],
        metrics: Mapping[str, Estimate],
        data_hash: str,
        digest: str,
        figures: Mapping[str, bytes],
        bundle: Path,
        lead_columns: Sequence[str],
        tags: Mapping[str, str] | None = None,
    ) -> RunInfo:
        """Log one training run and register its bundle as the next version of `leadmatch`.

        metrics : each logged as `name` and `name__se`. figures : file name -> content, under figures/.
        bundle : folder of a sealed bundle; `digest` its digest. lead_columns : columns the model reads of a lead.
        """
        if not (bundle / MANIFEST).is_file():
            raise ValueError(f"{bundle} is not sealed: seal it before it is registered.")
        with self._connected() as client:
            import mlflow

            with mlflow.start_run(experiment_id=self._experiment(client)) as run, _scratch() as scratch:
                mlflow.log_params({name: str(value) for name, value in parameters.items()})
                mlflow.log_metrics(_flat(metrics))
                mlflow.set_tags({"data_hash": data_hash, DIGEST_TAG: digest, **(tags or {})})
                _write_all(scratch / "figures", figures)
                mlflow.log_artifacts(str(scratch / "figures"), "figures")
                _copy_bundle(bundle, scratch / BUNDLE)
                logged = mlflow.pyfunc.log_model(
                    name=MODEL,
                    loader_module="training.notebook",
                    data_path=str(scratch / BUNDLE),
                    signature=_signature(lead_columns),
                    pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
                    registered_model_name=MODEL,
                )
            number = str(logged.registered_model_version)
            client.set_model_version_tag(MODEL, number, DIGEST_TAG, digest)
            return RunInfo(run.info.run_id, number)

    def name_challenger(self, model_version: str) -> None:
        """Let the alias `challenger` name this version from now on."""
        with self._connected() as client:
            client.set_registered_model_alias(MODEL, CHALLENGER, model_version)

    def name_champion(self, model_version: str) -> None:
        """Let the alias `champion` name this version from now on; a challenger it is no longer."""
        with self._connected() as client:
            client.set_registered_model_alias(MODEL, CHAMPION, model_version)
            challenger = client.get_registered_model(MODEL).aliases.get(CHALLENGER)
            if str(challenger) == model_version:
                client.delete_registered_model_alias(MODEL, CHALLENGER)

    def versions(self) -> list[Version]:
        """All registered versions, newest first."""
        with self._connected() as client:
            aliases: dict[str, list[str]] = {}
            for model in client.search_registered_models(filter_string=f"name = '{MODEL}'"):
                for alias, number in model.aliases.items():
                    aliases.setdefault(str(number), []).append(alias)
            found = client.search_model_versions(f"name = '{MODEL}'")
            made = [_version(one, tuple(sorted(aliases.get(str(one.version), ())))) for one in found]
            return sorted(made, key=lambda one: -int(one.version))

    def run(self, run_id: str) -> Run:
        """The parameters, metrics and tags that a run was logged with."""
        with self._connected() as client:
            data = client.get_run(run_id).data
            return Run(dict(data.params), _estimates(data.metrics), dict(data.tags))

    def download(self, model_version: str, to: Path) -> None:
        """Fetch a version's bundle files into the folder `to`, by their fixed names and under the size cap.

        What else lies beside them is left there. The files are not checked here: verify the bundle next.
        """
        if not model_version.isdecimal():
            raise RegistryError(f"No version {model_version!r}: versions are numbers.")
        to.mkdir(parents=True, exist_ok=True)
        with self._connected(), _scratch() as scratch:
            from mlflow.artifacts import download_artifacts, list_artifacts

            source = f"models:/{MODEL}/{model_version}/data/{BUNDLE}"
            listed = {Path(one.path).name: one for one in list_artifacts(artifact_uri=source)}
            if MANIFEST not in listed:
                raise RegistryError(f"Version {model_version} of {MODEL} holds no bundle.")
            for name in BUNDLE_FILES:
                if name in listed and not listed[name].is_dir:
                    _check_size(name, listed[name].file_size)
                    got = Path(download_artifacts(artifact_uri=f"{source}/{name}", dst_path=str(scratch)))
                    _check_size(name, got.stat().st_size)
                    shutil.move(got, to / name)

    @contextmanager
    def _connected(self) -> Iterator["MlflowClient"]:
        """A client of this registry; whatever MLflow raises inside becomes a RegistryError of one line."""
        _check_reachable(self.tracking_uri, self._timeout_s)
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # before the import below
        waits = {
            "MLFLOW_HTTP_REQUEST_TIMEOUT": str(max(1, round(self._timeout_s))),
            "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
        }
        with _environment_unless_set(waits), warnings.catch_warnings():
            # MLflow warns of its own libraries' futures and of examples that we leave out on purpose.
            warnings.simplefilter("ignore")
            import mlflow
            from mlflow.exceptions import MlflowException
            from mlflow.tracking import MlflowClient

            # Globally: a URI given to single calls is not passed on to all of what they call. MLflow also writes
            # it to the environment, from where the next Registry of another home would take it.
            with _environment_unless_set({"MLFLOW_TRACKING_URI": self.tracking_uri}):
                mlflow.set_tracking_uri(self.tracking_uri)
            logging.getLogger("mlflow").setLevel(logging.WARNING)
            try:
                yield MlflowClient()
            except (MlflowException, OSError) as error:
                said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
                raise RegistryError(f"The model registry at {_shown(self.tracking_uri)} said: {said}") from error

    def _experiment(self, client: "MlflowClient") -> str:
        from mlflow.exceptions import MlflowException

        known = client.get_experiment_by_name(EXPERIMENT)
        if known is None:
            try:
                # A tracking server knows where its artifacts go; a bare database does not.
                served = self.tracking_uri.startswith(("http:", "https:"))
                place = None if served else self._artifacts.as_uri()
                return str(client.create_experiment(EXPERIMENT, artifact_location=place))
            except MlflowException:  # another trainer was quicker
                known = client.get_experiment_by_name(EXPERIMENT)
                if known is None:
                    raise
        return str(known.experiment_id)


def _signature(lead_columns: Sequence[str]) -> Any:
    """Rep and lead columns -> probability. Every lead column may be missing, and be text as well as typed."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import AnyType

    names = dict.fromkeys((*lead_columns, "created_at"))
    lead = [ColSpec(AnyType(), name, required=False) for name in names]
    pairs = Schema([ColSpec(DataType.string, "rep_id"), *lead])
    return ModelSignature(inputs=pairs, outputs=Schema([ColSpec(DataType.double)]))


def _check_reachable(uri: str, timeout_s: float) -> None:
    """Raise RegistryError quickly where MLflow would try for minutes."""
    place = urlsplit(uri)
    if place.scheme.startswith("sqlite"):
        file = Path(place.path[1:])
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists() and file.stat().st_size:
            with file.open("rb") as opened:
                if opened.read(15) != b"SQLite format 3":
                    raise RegistryError(f"{file} is not an SQLite database: restore it, or move it away to start anew.")
    elif place.hostname:
        port = place.port or {"https": 443, "http": 80, "mysql": 3306}.get(place.scheme.split("+")[0], 5432)
        try:
            socket.create_connection((place.hostname, port), timeout=timeout_s).close()
        except OSError as error:
            what = f"The model registry at {_shown(uri)} cannot be reached ({error})"
            raise RegistryError(f"{what}: start it, or set MLFLOW_TRACKING_URI to another.") from error


def _shown(uri: str) -> str:
    """The URI without the password that it may hold."""
    place = urlsplit(uri)
    return place._replace(netloc=place.netloc.rpartition("@")[2]).geturl()


def _check_size(name: str, size: int | None) -> None:
    if size is not None and size > LARGEST_FILE_BYTES:
        raise RegistryError(f"{name} has {size} bytes, more than a bundle's file may have.")


def _flat(metrics: Mapping[str, Estimate]) -> dict[str, float]:
    values = {name: estimate.value for name, estimate in metrics.items()}
    return values | {f"{name}__se": estimate.standard_error for name, estimate in metrics.items()}


def _estimates(flat: Mapping[str, float]) -> dict[str, Estimate]:
    names = [name for name in flat if not name.endswith("__se")]
    return {name: Estimate(flat[name], flat.get(f"{name}__se", float("nan"))) for name in names}


def _version(one: Any, aliases: tuple[str, ...]) -> Version:
    created_at = datetime.fromtimestamp(one.creation_timestamp / 1000, tz=UTC)
    tags = dict(one.tags)
    return Version(str(one.version), str(one.run_id), created_at, aliases, tags.get(DIGEST_TAG), tags)


@contextmanager
def _environment_unless_set(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for a while; one that the user set stands."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update({name: value for name, value in values.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def _write_all(folder: Path, files: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)


def _copy_bundle(bundle: Path, to: Path) -> None:
    to.mkdir()
    for name in BUNDLE_FILES:
        if (bundle / name).is_file():
            shutil.copyfile(bundle / name, to / name)
