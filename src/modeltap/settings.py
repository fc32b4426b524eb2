"""Every setting, in one table: name, default, unit, help. CLI help and `docs/settings.md` derive.

Precedence: command line > `MODELTAP_*` environment > `{home}/settings.toml` > default. `serve`
resolves them once and writes `{home}/run/settings.json`, from which its processes read.
"""

import base64
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from modeltap.nouns import CatchUp, Durability, Partition

MIB = 1024 * 1024
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret begins with


@dataclass(frozen=True, slots=True)
class Home:
    """Where everything lives on disk; folders are 0700, secrets 0600 (`docs/architecture.md`)."""

    root: Path

    @property
    def keys(self) -> Path:
        """Master key, key ring, and the local CA."""
        return self.root / "keys"

    @property
    def database(self) -> Path:
        return self.root / "state.db"

    @property
    def buckets(self) -> Path:
        return self.root / "buckets"

    @property
    def spool(self) -> Path:
        """Captured segments and the delivery ledger."""
        return self.root / "spool"

    @property
    def logs(self) -> Path:
        """Log groups and streams (`logbook`)."""
        return self.root / "logs"

    @property
    def environments(self) -> Path:
        """Virtual environments made from image URIs."""
        return self.root / "environments"

    @property
    def run(self) -> Path:
        """What a running `serve` shares between its processes."""
        return self.root / "run"

    @property
    def routing(self) -> Path:
        return self.run / "routing.json"

    @property
    def instances(self) -> Path:
        """One folder an instance: `spec.json`, `socket`, `lock`, `model/`."""
        return self.run / "instances"

    @property
    def jobs(self) -> Path:
        """One folder a running job: `spec.json`, `lock`, `exit`, `ml/`, `work/`."""
        return self.run / "jobs"

    @property
    def transforms(self) -> Path:
        """Transform jobs that run: `instances/`, `artifacts/`, and in `jobs/` a folder each."""
        return self.run / "transforms"

    @property
    def summaries(self) -> Path:
        """Summaries of files that the analyzer has read."""
        return self.root / "summaries"

    @property
    def artifacts(self) -> Path:
        """Fetched archives of the fleets that run."""
        return self.run / "artifacts"

    @property
    def gateways(self) -> Path:
        """One status socket a gateway: `{index}.sock`."""
        return self.run / "gateways"


class ExternalBucket(BaseModel):
    """A bucket that lives on a real S3-compatible store."""

    model_config = ConfigDict(frozen=True)

    endpoint: str
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: str = Field("", repr=False)
    credentials_file: str = ""
    """AWS's shared credentials file, profile `default`, instead of the key above. It is read again
    when the store says that what it held is no longer good."""
    allow_http: bool = False


class Settings(BaseSettings):
    """One frozen value, built at the roof and passed down by hand."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MODELTAP_", extra="forbid")

    home: Path = Field(Path("~/.modeltap"), description="where all state lives")
    host: str = Field("127.0.0.1", description="address to bind")
    port: int = Field(8080, description="port of the endpoints; bulk is this + 1", ge=1, le=65533)
    metrics_port: int = Field(
        0, description="port of /metrics on loopback; 0: port + 2", ge=0, le=65535
    )
    gateways: int = Field(1, description="gateway processes", ge=1, le=64)
    account: str = Field(
        "000000000000", description="AWS account id to stand for", pattern=r"^\d{12}$"
    )
    region: str = Field("us-east-1", description="AWS region to stand for")
    role: str = Field("ModeltapExecutionRole", description="name of the execution role")

    instances_max: int = Field(
        100, description="instances of all endpoints, and those of all transform jobs", ge=1
    )
    processing_jobs_max: int = Field(
        20, description="processing jobs that run at once; one more is refused", ge=1
    )
    job_commands: str = Field(
        "",
        description="programs of this machine that jobs may name as images, or folders of them: "
        "absolute paths, parted by colons",
    )
    container_program: str = Field(
        "docker",
        description="docker or podman, for the images of jobs that are not known; empty: none",
    )
    container_memory_bytes_max: int = Field(
        0, description="memory of a job's container, bytes; 0: all there is", ge=0
    )
    container_cpus_max: float = Field(
        0.0, description="processors of a job's container; 0: all there are", ge=0
    )
    monitor_memory_bytes_max: int = Field(
        2048 * MIB,
        description="memory of an analysis, bytes; beyond half of it, files are sketched",
    )
    monitor_catch_up: CatchUp = Field(
        CatchUp.RUN,
        description="runs of schedules that were due while the server was down: run, skip, latest",
    )
    monitor_grace_seconds: float = Field(
        300.0, description="longest wait of a run for records of its window on their way, s", ge=0
    )
    monitor_executions_max: int = Field(
        1000, description="executions of a schedule that are kept in its history", ge=100
    )
    webhook_url: str = Field(
        "",
        description="where runs with violations or that failed, and alerts, are posted; "
        "empty: nowhere",
    )
    webhook_secret: str = Field(
        "",
        description="signs what is posted: `whsec_` and the base64 of 24 to 64 random bytes",
        repr=False,
        validate_default=True,
    )
    webhook_attempts_max: int = Field(
        20, description="posts of a notice before it is given up; 20 take some two days", ge=1
    )
    metrics_retention_days: int = Field(
        15, description="for which points of metrics are kept, days", ge=1
    )
    body_bytes_max: int = Field(
        25 * MIB, description="largest request body of an invocation, bytes"
    )
    header_seconds_max: float = Field(10.0, description="deadline of a request's headers, s")
    invocation_seconds_max: float = Field(60.0, description="deadline of a model's answer, s")
    startup_seconds_max: float = Field(240.0, description="deadline of a model's first ping, s")
    stop_seconds_max: float = Field(
        30.0, description="from SIGTERM to SIGKILL of a model or job, s"
    )
    batch_rows_max: int = Field(
        256, description="most rows that a model predicts together; 1: none wait for another", ge=1
    )
    object_bytes_max: int = Field(
        5 * 1024 * MIB, description="largest object of an embedded bucket, bytes"
    )

    capture_ring_bytes: int = Field(
        64 * MIB, description="ring of a gateway, bytes; a power of two"
    )
    capture_drain_seconds: float = Field(0.02, description="pause between two drains of a ring, s")
    capture_sync_seconds: float = Field(0.1, description="longest time a record is unsynced, s")
    capture_durability: Durability = Field(
        Durability.BESTEFFORT,
        description="what answers wait for, where their endpoint config has no tag that says it",
    )
    capture_durable_seconds_max: float = Field(
        0.05, description="longest wait for a record to be durable, s"
    )
    capture_seal_seconds: float = Field(60.0, description="age at which a segment is sealed, s")
    capture_seal_bytes: int = Field(
        16 * MIB, description="size at which a segment is sealed, bytes"
    )
    capture_disk_stop_percent: float = Field(75.0, description="disk use at which capture stops, %")
    capture_disk_resume_percent: float = Field(
        70.0, description="disk use below which it resumes, %"
    )
    capture_disk_free_bytes_min: int = Field(
        64 * MIB, description="free disk below which capture stops, too, bytes", ge=0
    )
    capture_endpoint_bytes_max: int = Field(
        10 * 1024 * MIB, description="an endpoint's bytes in the spool at which it stops", ge=0
    )
    capture_retry_seconds_max: float = Field(
        60.0, description="longest pause between deliveries, s"
    )

    external_buckets: dict[str, ExternalBucket] = Field(
        {}, description="buckets on a real S3-compatible store, by name"
    )

    @field_validator("webhook_url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        if url:
            check_url(url)
        return url

    @field_validator("webhook_secret")
    @classmethod
    def _signs(cls, secret: str, info: ValidationInfo) -> str:
        if secret or info.data.get("webhook_url"):
            webhook_key(secret)
        return secret

    @property
    def webhook_key(self) -> bytes:
        return webhook_key(self.webhook_secret)

    @field_validator("job_commands")
    @classmethod
    def _are_absolute(cls, value: str) -> str:
        if any(path and not path.startswith("/") for path in value.split(":")):
            raise ValueError("every path must be absolute, as /usr/local/bin/my-monitor is")
        return value

    @property
    def commands(self) -> tuple[Path, ...]:
        """Give the programs, and the folders of programs, that jobs may name as images."""
        return tuple(Path(path) for path in self.job_commands.split(":") if path)

    @property
    def partition(self) -> Partition:
        return Partition(self.account, self.region)

    @property
    def reachable_host(self) -> str:
        """Name an address at which this machine reaches what is bound to `host`."""
        wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
        return wildcard.get(self.host, self.host)

    @property
    def layout(self) -> Home:
        return Home(self.home)

    @property
    def scrape_port(self) -> int:
        """Give the port of `/metrics`."""
        return self.metrics_port or self.port + 2

    @property
    def bulk_port(self) -> int:
        return self.port + 1

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        home = Path(
            init_settings().get("home")
            or env_settings().get("home")
            or cls.model_fields["home"].default
        )
        file = TomlConfigSettingsSource(settings_cls, home.expanduser() / "settings.toml")
        return init_settings, env_settings, file


def check_url(url: str) -> None:
    """Raise `ValueError`, without the address: it may be a secret."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("give an address that begins with http:// or https:// and names a host")
    if parts.username is not None or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("no user, no fragment, and no character that must be %-encoded, please")
    _ = parts.port  # raises where it is none


def webhook_key(secret: str) -> bytes:
    """Give the bytes that sign (Standard Webhooks 1.0). Raise `ValueError`, without the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError(
            f"give {SECRET_PREFIX} and the base64 of 24 to 64 random bytes, such as "
            f'"{SECRET_PREFIX}$(openssl rand -base64 32)"'
        )
    return key


def load(**given: object) -> Settings:
    """Resolve the settings; None means not given. Raise `ValueError` on a bad one."""
    named: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    settings = Settings(**named)
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})


def read(path: Path) -> Settings:
    """Read the settings that `serve` resolved, in one of its own processes."""
    return Settings.model_validate_json(path.read_bytes())
