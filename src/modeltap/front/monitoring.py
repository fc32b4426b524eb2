"""Model Monitor's operations with a will of their own."""

import asyncio
from collections.abc import Callable, Mapping

from modeltap.control.definitions import endpoint_of, inline
from modeltap.front.app import Call, Operation
from modeltap.front.kinds import DATA_QUALITY, Resources
from modeltap.front.monitor_refusals import check_definition
from modeltap.nouns import Document


class Monitoring:
    """Job definitions; Describe, List and Delete are as of any kind."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    def operations(self) -> dict[str, Operation]:
        return {name: self._threaded(function) for name, function in WAKING.items()}

    def _threaded(self, function: "Callable[[Monitoring, Document], Document]") -> Operation:
        async def operation(call: Call) -> Document:
            return await asyncio.to_thread(function, self, call.params)

        return operation

    def create_definition(self, params: Document) -> Document:
        definition = inline(params)
        check_definition(definition)
        status = {"EndpointName": endpoint_of(definition)}
        return self._resources.create(DATA_QUALITY, params, status)


WAKING: Mapping[str, Callable[[Monitoring, Document], Document]] = {
    "CreateDataQualityJobDefinition": Monitoring.create_definition,
}
