"""Every setting, in one table: name, default, unit, help. CLI help and `docs/settings.md` derive.

Precedence: command line > `MODELTAP_*` environment > `{home}/settings.toml` > default. `serve`
resolves them once and writes `{home}/run/settings.json`, from which its processes read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from modeltap.nouns import Partition

MIB = 1024 * 1024


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
    def gateways(self) -> Path:
        """One status socket a gateway: `{index}.sock`."""
        return self.run / "gateways"


class ExternalBucket(BaseModel):
    """A bucket that lives on a real S3-compatible store."""

    model_config = ConfigDict(frozen=True)

    endpoint: str
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: SecretStr = SecretStr("")
    allow_http: bool = False


class Settings(BaseSettings):
    """One frozen value, built at the roof and passed down by hand."""

    model_config = SettingsConfigDict(frozen=True, env_prefix="MODELTAP_", extra="forbid")

    home: Annotated[Path, Field(description="where all state lives")] = Path("~/.modeltap")
    host: Annotated[str, Field(description="address to bind")] = "127.0.0.1"
    port: Annotated[int, Field(description="port of the endpoints; bulk is this + 1", ge=1, le=65534)] = 8080
    gateways: Annotated[int, Field(description="gateway processes", ge=1, le=64)] = 1
    account: Annotated[str, Field(description="AWS account id to stand for", pattern=r"^\d{12}$")] = "000000000000"
    region: Annotated[str, Field(description="AWS region to stand for")] = "us-east-1"
    role: Annotated[str, Field(description="name of the execution role")] = "ModeltapExecutionRole"

    body_bytes_max: Annotated[int, Field(description="largest request body of an invocation, bytes")] = 25 * MIB
    header_seconds_max: Annotated[float, Field(description="deadline of a request's headers, s")] = 10.0
    invocation_seconds_max: Annotated[float, Field(description="deadline of a model's answer, s")] = 60.0
    startup_seconds_max: Annotated[float, Field(description="deadline of a model's first ping, s")] = 240.0
    stop_seconds_max: Annotated[float, Field(description="from SIGTERM to SIGKILL of a model, s")] = 30.0
    object_bytes_max: Annotated[int, Field(description="largest object of an embedded bucket, bytes")] = 5 * 1024 * MIB

    capture_ring_bytes: Annotated[int, Field(description="ring of a gateway, bytes; a power of two")] = 64 * MIB
    capture_drain_seconds: Annotated[float, Field(description="pause between two drains of a ring, s")] = 0.02
    capture_sync_seconds: Annotated[float, Field(description="longest time a record is unsynced, s")] = 0.1
    capture_seal_seconds: Annotated[float, Field(description="age at which a segment is sealed, s")] = 60.0
    capture_seal_bytes: Annotated[int, Field(description="size at which a segment is sealed, bytes")] = 16 * MIB
    capture_disk_stop_percent: Annotated[float, Field(description="disk use at which capture stops, %")] = 75.0
    capture_disk_resume_percent: Annotated[float, Field(description="disk use below which it resumes, %")] = 70.0
    capture_retry_seconds_max: Annotated[float, Field(description="longest pause between deliveries, s")] = 60.0

    external_buckets: Annotated[
        dict[str, ExternalBucket], Field(description="buckets on a real S3-compatible store, by name")
    ] = {}

    @property
    def partition(self) -> Partition:
        return Partition(self.account, self.region)

    @property
    def layout(self) -> Home:
        return Home(self.home)

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
            init_settings().get("home") or env_settings().get("home") or cls.model_fields["home"].default
        )
        file = TomlConfigSettingsSource(settings_cls, home.expanduser() / "settings.toml")
        return init_settings, env_settings, file


def load(**given: object) -> Settings:
    """Resolve the settings; what is given as None was not given. Raise `ValueError` on a bad one."""
    settings = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    return settings.model_copy(update={"home": settings.home.expanduser().absolute()})
