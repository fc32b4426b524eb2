"""Why an execution ended as it did, and what to do, in one sentence. Pure.

`CAUSES` leads each failure text that our code can produce to a sentence; the first one that fits
holds. Whoever writes a new text adds its row: `tests/unit/control/test_control_explaining.py` asks
the code itself for its texts. A text that is not known, as of a user's own image, is given as it
is, with the place of the log.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from modeltap.nouns import WITH_VIOLATIONS


@dataclass(frozen=True, slots=True)
class Ended:
    """What is known of an execution; `violations`: how many of each kind, in short words."""

    name: str  # by which the command line finds it
    schedule: str
    endpoint: str
    window: str  # as people read it
    again: str  # the command that runs it again
    status: str
    reason: str = ""
    job: str | None = None
    violations: Mapping[str, int] = field(default_factory=dict)


RUN = "{again}"
LOG = "modeltap logs --job {job}"

CAUSES: tuple[tuple[str, str], ...] = (
    # ------------------------------------------------------------ of the window
    (
        r"Job inputs had no data: there is no object below .*: it is without\.",
        "No record of {endpoint} from {window} was delivered when the run began, and some were "
        "still on their way: look whether they have come (modeltap capture ls {endpoint}), then "
        + RUN,
    ),
    (
        r"Job inputs had no data: there is no object below (?P<first>\S+)",
        "{endpoint} left no record from {window} (below {first}): nobody called it then, or it "
        "captured nothing; see modeltap capture ls {endpoint}, and once there are records, " + RUN,
    ),
    (
        r"Job inputs had no data: no usable row in .*; refused: (?P<refused>.*?)\. Check",
        "No record from {window} could be used (refused: {refused}): send what the baseline knows, "
        "or give the schedule a preprocessor script that reads it, then " + RUN,
    ),
    (
        r"Job inputs had no data: no transform job of the window captured to (?P<at>\S+)\.(?: |$)",
        "No batch transform that began in {window} captured to {at}: none ran then, or none had "
        "that address in its DataCaptureConfig; once there is one, " + RUN,
    ),
    (
        r"Job inputs had no data",
        "Of the records that the run was given none is from {window}: check the offsets of the "
        "schedule's window, and whether {endpoint} was called then; after that, " + RUN,
    ),
    (
        r"The captured records could not be listed(?: at (?P<at>\S+))?: (?P<why>.*?)\.(?: |$)",
        "The bucket of the captured records refused or did not answer ({why}): check that "
        "it is there, and the settings of its store, then " + RUN,
    ),
    # ------------------------------------------------------------ of what the schedule names
    (
        r'Could not find job definition ".*/(?P<name>[^"/]*)"',
        "The schedule's job definition {name} was deleted: update the schedule with another one, "
        "then " + RUN,
    ),
    (
        r'Could not find endpoint "',
        "The endpoint {endpoint} was deleted: create it again, or delete the schedule {schedule}.",
    ),
    (
        r"Endpoint \S+ captures nothing",
        "The endpoint {endpoint} captures nothing: update it to a config with a DataCaptureConfig; "
        "the next run finds its records.",
    ),
    (
        r"Could not find the baselining job (?P<name>\S+),",
        "The baselining job {name} is not known here, so there is no baseline: name its documents "
        "by address (ConstraintsResource, StatisticsResource), or run it again, then " + RUN,
    ),
    (
        r"The baseline's (?P<what>constraints|statistics) are no (?P<name>\S+\.json)",
        "The baseline's {what} cannot be read as a {name}: put back the file that the baseline job "
        "wrote, or mend what was edited, then " + RUN,
    ),
    (
        r"baseline_(?P<what>constraints|statistics) cannot be read: (?P<why>.*?)\.(?: |$)",
        "The baseline's {what} are no JSON ({why}): put back the file that the baseline job wrote, "
        "then " + RUN,
    ),
    (
        r'No S3 objects found under S3 URL "(?P<uri>[^"]+)"',
        "There is nothing at {uri}, which the schedule names: upload the baseline or script there, "
        "or update the schedule, then " + RUN,
    ),
    (
        r"(?:Error: )?(?P<name>\S+): there is no such script",
        "The script {name} is not there: upload it to the address that the schedule names, then "
        + RUN,
    ),
    (
        r"(?P<name>\S+): preprocess_handler ended its process",
        "The preprocessor script {name} crashed at record after record: mend it by what it said ("
        + LOG
        + "), upload it, then "
        + RUN,
    ),
    (
        r"(?P<name>\S+): postprocess_handler failed \((?P<why>.*?)\): see",
        "The report was made, and then the postprocessor script {name} failed ({why}): mend it by "
        "what it said (" + LOG + "), upload it, then " + RUN,
    ),
    (
        r"Error: (?P<name>\S+\.py): (?P<why>.*?)(?: AlgorithmError|$)",
        "The script {name} could not be loaded ({why}): mend it, upload it, then " + RUN,
    ),
    (
        r"The environment variable (?P<name>\S+) is missing"
        r"|(?P<other>dataset_format|analysis_type)(?:'s| is )",
        "The job definition's Environment misleads the analyzer (at {name}{other}): leave that "
        "variable to modeltap, update the schedule, then " + RUN,
    ),
    # ------------------------------------------------------------ of inputs and outputs
    (
        r"Input (?P<name>\S+): (?P<why>.*) Upload it\.",
        "The input {name} was gone when it was fetched ({why}): upload it, then " + RUN,
    ),
    (
        r"Input (?P<name>\S+) could not be fetched from (?P<uri>\S+): (?P<why>.*?)\. Check",
        "The input {name} could not be fetched from {uri} ({why}): check the bucket and the "
        "settings of its store, then " + RUN,
    ),
    (
        r"the inputs are larger than the job's volume of (?P<size>\d+) GB",
        "The window's records are larger than the schedule's volume of {size} GB: update it with a "
        "larger ClusterConfig.VolumeSizeInGB, then " + RUN,
    ),
    (
        r"More than \d+ objects have keys|An input's object cannot be a file|is no manifest"
        r"|The manifest \S+ is over",
        "An input of the run cannot be fetched as files ({reason}): mend what is at its address, "
        "then " + RUN,
    ),
    (
        r"Output \S+ could not be uploaded to (?P<uri>\S+): (?P<why>.*?)\. Check",
        "The report could not be uploaded to {uri} ({why}): check that the bucket is there, and "
        "the settings of its store, then " + RUN,
    ),
    (
        r"The report's folder (?P<uri>\S+) could not be cleared: (?P<why>.*?)\. Check",
        "The folder of the report, {uri}, could not be cleared ({why}): check that the bucket is "
        "there, and the settings of its store, then " + RUN,
    ),
    (
        r"Its outputs are unreadable: (?P<why>.*?)\.(?: |$)",
        "This machine could not read the report that the run wrote ({why}): see to its disk, then "
        + RUN,
    ),
    # ------------------------------------------------------------ of the program and the machine
    (
        r"MaxRuntimeExceeded: The job had run for (?P<seconds>\d+) s",
        "The run was not done after {seconds} s: give the schedule a larger "
        "StoppingCondition.MaxRuntimeInSeconds (at most its period) or a shorter window, then "
        + RUN,
    ),
    (
        r"was ended by SIGKILL",
        "The run was killed, most often for want of memory: lower the setting "
        "monitor_memory_bytes_max or give the machine more, then " + RUN,
    ),
    (
        r"InternalError: the analyzer failed \((?P<name>\w+)\)",
        "The analyzer has a fault of its own ({name}): please report it with the job's log ("
        + LOG
        + ").",
    ),
    (
        r"The process that watched the job was killed|modeltap was stopped while the job ran"
        r"|The processing job \S+ is gone",
        "The run was cut off, and nothing is known to be wrong with it: " + RUN,
    ),
    (
        r"This machine could not go on with the (?:run|job): (?P<why>.*?)\.?$",
        "This machine could not go on with the run ({why}): see to its disk, memory and open "
        "files, then " + RUN,
    ),
    (
        r"The environment of image (?P<name>\S+) could not be built",
        "The environment of {name} could not be built: see to it that the package index can be "
        "reached (" + LOG + "), then " + RUN,
    ),
    (
        r"Jobs may not run the program (?P<name>\S+): the setting",
        "Jobs may not run the program {name}: whoever runs modeltap adds it to the setting "
        "job_commands and starts modeltap again, then " + RUN,
    ),
    (
        r"There is no program (?P<name>\S+) on this machine"
        r"|(?P<other>\S+) cannot be run by the user that runs modeltap",
        "The program {name}{other} is not there, or may not be run: install it, let modeltap's "
        "user run it, then " + RUN,
    ),
    (
        r"The image (?P<name>\S+) could not be pulled: (?P<why>.*) Check",
        "The image {name} could not be pulled ({why}): mend its name, or let the container engine "
        "reach its registry, then " + RUN,
    ),
    (
        r"modeltap does not know the image (?P<name>\S+), |The image (?P<other>\S+) is scikit",
        "The image {name}{other} cannot be run here: update the schedule with one that can, such "
        "as …/sagemaker-model-monitor-analyzer, then " + RUN,
    ),
    (
        r"The job's program could not be started: (?P<why>.*?)\. Check",
        "The schedule's program could not be started ({why}): mend ContainerEntrypoint, update the "
        "schedule, then " + RUN,
    ),
    (
        r"/opt/ml/output/message is not UTF-8",
        "The schedule's program wrote a message that is no text (/opt/ml/output/message): mend the "
        "program, then " + RUN,
    ),
    (
        r"^Error: (?P<why>.*?)\.? AlgorithmError: The job's program",
        "The analyzer could not do its work ({why}): mend that, then " + RUN,
    ),
    (
        r"AlgorithmError: The job's program (?P<how>.*?)\. Its last lines",
        "The schedule's program {how}: mend it by what it said (" + LOG + "), then " + RUN,
    ),
)
"""What a reason holds (a regular expression) and the sentence, with the groups and `Ended`."""

_VIOLATIONS = re.compile(r"with (\d{1,9}) violations?\b")

_COMPILED = [(re.compile(pattern, re.DOTALL), sentence) for pattern, sentence in CAUSES]

_RUNNING: Mapping[str, str] = {
    "Pending": "It waits until all records from {window} are delivered, or their grace is over, "
    "and for a free place among the jobs: nothing is to be done.",
    "InProgress": "It is running: what it says is in " + LOG,
    "Stopping": "It is being stopped.",
}


def explain(ended: Ended) -> str:
    """Say in one sentence why an execution ended so, and what to do."""
    known = {name: getattr(ended, name) for name in Ended.__slots__}
    if ended.status in _RUNNING:
        return _RUNNING[ended.status].format(**known)
    if ended.status == "Completed":
        return f"Nothing is wrong: the records from {ended.window} keep to the baseline."
    if ended.status == WITH_VIOLATIONS:
        return _of_violations(ended)
    for pattern, sentence in _COMPILED:
        match = pattern.search(ended.reason)
        if match is not None:
            groups = {name: value or "" for name, value in match.groupdict().items()}
            return sentence.format(**{**known, **groups})
    return _unknown(ended).format(**known)


def violations_told(message: str) -> int | None:
    """Read how many violations an exit message tells of, as the analyzer's do."""
    found = _VIOLATIONS.search(message)
    return None if found is None else int(found[1])


def _unknown(ended: Ended) -> str:
    if not ended.reason and ended.status == "Stopped":
        return "Its processing job was stopped by hand: to have the report all the same, " + RUN
    log = f"; its log: {LOG}" if ended.job else ""
    return ("It failed: {reason}" if ended.reason else "It failed, and no reason is known") + log


def _of_violations(ended: Ended) -> str:
    count = sum(ended.violations.values())
    kinds = ", ".join(f"{each:,} {kind}" for kind, each in ended.violations.items())
    found = f"{count:,} violation{'s' if count != 1 else ''} ({kinds})" if count else "violations"
    return (
        f"The records from {ended.window} do not keep to the baseline, {found}: look at them "
        f"(modeltap monitor report {ended.name}), and if the data are as they "
        "should be now, suggest a new baseline and update the schedule."
    )
