"""The instances of a transform job, and the requests to them.

A crew launches through the same hands as endpoints do. A member is one instance that works off
objects, and the requests that are in flight to it; one whose process has died is replaced. What a
request comes to, and whether it is made again, stands in `verdict`: once more for what another try
may change (no answer in time, an instance that died, 5xx), as `InvocationsMaxRetries` says; never
for a 4xx, because the same request gets the same answer.
"""

import asyncio
from dataclasses import dataclass

from modeltap.clock import Clock
from modeltap.control.fleets import model_data_url, primary_container
from modeltap.control.jobs import Job
from modeltap.control.launching import Berth, Launching
from modeltap.errors import (
    AnswerUnreadable,
    HouseError,
    InstanceGone,
    InvocationTimedOut,
    LaunchFailed,
)
from modeltap.hosting.launcher import Launcher, Unhealthy
from modeltap.link.links import Links
from modeltap.nouns import (
    TRANSFORM_LOG_GROUP,
    Answer,
    Cancellable,
    Document,
    Instance,
    Invocation,
    ModelSpec,
)
from modeltap.transform.records import Batch
from modeltap.transform.terms import Terms

RETRY_SECONDS = 0.5
"""Between two tries of a request."""
VARIANT = "AllTraffic"


class ObjectFailed(Exception):
    """An object cannot be transformed, but others may be. `whose` error it is, as AWS says it."""

    whose = "ClientError"
    said = b""  # the model's own words, if any


class ModelFailed(ObjectFailed):
    """It is the model that cannot."""

    whose = "AlgorithmError"

    def __init__(self, why: str, said: bytes) -> None:
        super().__init__(why)
        self.said = said


class NoInstance(LaunchFailed):
    """An instance could not be launched. The others of a crew may go on."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a request has no answer that can be used, and whether another try may help."""

    why: str
    again: bool


def verdict(outcome: Answer | HouseError) -> Verdict | None:
    """Judge what a request came to; None: it has its answer."""
    match outcome:
        case Answer(status=status):
            good = 200 <= status < 300
            return None if good else Verdict(f"the model answered {status}", status >= 500)
        case InvocationTimedOut():
            return Verdict(
                "the model did not answer in ModelClientConfig.InvocationsTimeoutInSeconds", True
            )
        case InstanceGone():
            return Verdict("the model's process died", True)
        case AnswerUnreadable():
            return Verdict(f"the model's answer cannot be used: {outcome}", False)
        case _:
            return Verdict("modeltap could not make the request", False)


def model_spec(model: Document, request: Document, terms: Terms) -> ModelSpec:
    """Tell what an instance hosts; the request's variables go before the model's."""
    container = primary_container(model)
    told = container.get("Environment", {}) | terms.variables | request.get("Environment", {})
    return ModelSpec(model["ModelName"], container["Image"], model_data_url(container), told)


class Crew:
    """The instances of one job."""

    def __init__(
        self, job: Job, terms: Terms, launching: Launching, launcher: Launcher, clock: Clock
    ) -> None:
        assert job.model is not None
        self.job = job
        self._model = model_spec(job.model, job.spec, terms)
        self._launching = launching
        self._launcher = launcher
        self._clock = clock
        self._instances: set[str] = set()

    async def join(self) -> Instance:
        """Launch one more. Raise `NoInstance`."""
        instance = f"i-{self._clock.uuid4().replace('-', '')[:17]}"
        self._instances.add(instance)
        try:
            return await self._launching.launch(self._berth(instance))
        except Unhealthy as error:
            raise NoInstance(
                f"AlgorithmError: The model of the transform job could not be loaded. {error.why} "
                f"See: modeltap logs --job {self.job.name}"
            ) from error
        except LaunchFailed as error:
            raise NoInstance(str(error)) from error

    async def replaced(self, instance: Instance) -> Instance:
        """Give an instance that lives: this one, or its successor. Raise `NoInstance`."""
        if self._launcher.alive(instance.id):
            return instance
        await self._stop(instance.id)
        return await self.join()

    async def dismiss(self) -> None:
        """Stop all."""
        await asyncio.gather(*map(self._stop, list(self._instances)))

    async def _stop(self, instance: str) -> None:
        await self._launcher.stop(instance)
        self._instances.discard(instance)

    def _berth(self, instance: str) -> Berth:
        return Berth(
            id=instance,
            whose="transform job",
            owner=self.job.name,
            variant=VARIANT,
            fleet=self.job.name,
            archive=f"{self.job.name}-0",
            model=self._model,
            log_group=TRANSFORM_LOG_GROUP,
            log_stream=f"{self.job.name}/{instance}",
        )


@dataclass(frozen=True, slots=True)
class Asked:
    """A request in flight."""

    instance: str
    told: "asyncio.Future[Answer | HouseError]"
    flight: Cancellable

    def cancel(self) -> None:
        """Withdraw it, if it is not answered; nobody waits."""
        self.told.cancel()
        self.flight.cancel()


class Member:
    """One instance, and what it is asked."""

    def __init__(
        self, instance: Instance, crew: Crew, terms: Terms, links: Links, clock: Clock
    ) -> None:
        self._instance = instance
        self._crew = crew
        self._terms = terms
        self._links = links
        self._clock = clock

    async def ready(self) -> None:
        """Have an instance that lives. Raise `NoInstance`."""
        self._instance = await self._crew.replaced(self._instance)

    def ask(self, batch: Batch) -> Asked:
        """Send a batch."""
        told: asyncio.Future[Answer | HouseError] = asyncio.get_running_loop().create_future()

        def done(outcome: Answer | HouseError) -> None:
            if not told.done():
                told.set_result(outcome)

        invocation = Invocation(
            self._clock.uuid4(),
            self._crew.job.name,
            batch.body,
            content_type=self._terms.content_type,
            accept=self._terms.accept,
            received_ns=self._clock.now_ns(),
        )
        flight = self._links.send(self._instance, invocation, done)
        return Asked(self._instance.id, told, flight)

    async def answer(self, batch: Batch, asked: Asked) -> Answer:
        """Wait for a batch's answer, and ask again where that may help.

        Raise `ObjectFailed`, its text about the batch; `NoInstance` where an instance that died
        has no successor.
        """
        try:
            for left in range(self._terms.retries, -1, -1):
                outcome = await asked.told
                found = verdict(outcome)
                if found is None and isinstance(outcome, Answer):
                    return outcome
                if found is not None and not (found.again and left):
                    said = outcome.body if isinstance(outcome, Answer) else b""
                    raise ModelFailed(f"{batch.title}: {found.why}", said)
                if asked.instance == self._instance.id:  # else it was lost with an instance
                    await self._clock.sleep(RETRY_SECONDS)
                    await self.ready()
                asked = self.ask(batch)
        finally:
            asked.cancel()
        raise AssertionError("the last try returns or raises")
