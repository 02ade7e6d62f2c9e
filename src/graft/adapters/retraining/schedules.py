"""What calls `kedro retrain` in time: a line of crontab, or a service and a timer of systemd."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

from graft.adapters.conf import check_case
from graft.adapters.retraining.exit_codes import NO_FAULT
from graft.adapters.retraining.timetable import FIELDS, calendar_lines, check_cron
from graft.adapters.tasks_of_case import DEFAULT_CASE
from graft.vision.errors import OptionsError

DECISIONS = "data/09_ledger/retrain.log"
"""Below the project: the decisions of scheduled calls, as JSON, one after the other."""
MESSAGES = "data/09_ledger/retrain.messages.log"
STOP_S = 180
"""What a stopped training has to write its checkpoint."""
_SHORTHAND = {"minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"}
_CALENDAR = re.compile(r"[A-Za-z0-9_*,.:/~+ -]*[:-][A-Za-z0-9_*,.:/~+ -]*")


def cron_line(project: Path, case: str | None, when: str) -> str:
    """One line for `crontab -e`.

    It appends decisions to DECISIONS and what is said meanwhile to MESSAGES; only when the exit
    code is not 0 it prints a line, which cron mails.

    Args:
        when: five fields of cron.

    Raises:
        OptionsError: for another schedule, an unknown case, or paths that no line can hold.
    """
    fields = check_cron(when)
    case = _known(project, case)
    command = shlex.join([str(_kedro()), "retrain", "--env", case, "--json"])
    commands = (
        f"cd {shlex.quote(str(project.resolve()))}",
        f"mkdir -p {shlex.quote(str(Path(DECISIONS).parent))}",
        f"{command} >> {DECISIONS} 2>> {MESSAGES}",
    )
    told = f'echo "kedro retrain --env {case} ended with exit code $?; see {MESSAGES}"'
    # In a crontab a bare % ends the command.
    line = f"{' && '.join(commands)} || {told}".replace("%", r"\%")
    return f"{' '.join(fields)} {line}"


def systemd_units(project: Path, case: str | None, when: str) -> dict[str, str]:
    """A service that runs once, and the timer that starts it; by file name.

    Decisions and messages go to the journal, under the service's name.

    Args:
        when: five fields of cron, or a calendar event of systemd.

    Raises:
        OptionsError: as `cron_line`.
    """
    events = _events(when)
    case = _known(project, case)
    name = f"graft-retrain-{case}"
    values = {
        "case": case,
        "name": name,
        "project": _escaped(str(project.resolve())),
        "kedro": _quoted(str(_kedro())),
        "codes": " ".join(str(int(code)) for code in NO_FAULT),
        "stop_s": STOP_S,
        "events": "\n".join(f"OnCalendar={event}" for event in events),
    }
    units = {f"{name}.service": _SERVICE, f"{name}.timer": _TIMER}
    return {file: text.format(**values) for file, text in units.items()}


_SERVICE = """\
[Unit]
Description=graft: retrain {case} where there is a reason

[Service]
Type=oneshot
WorkingDirectory={project}
ExecStart={kedro} retrain --env {case} --json
SuccessExitStatus={codes}
SyslogIdentifier={name}
# SIGTERM to the command alone: it writes a checkpoint, and the next call goes on from there.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec={stop_s}
"""

_TIMER = """\
[Unit]
Description=graft: when {case} is looked at

[Timer]
{events}
# What was missed while the machine was off is made up for.
Persistent=true

[Install]
WantedBy=timers.target
"""


def _kedro() -> Path:
    """The command of this environment, whatever PATH a scheduler has."""
    return Path(sys.executable).absolute().with_name("kedro")


def _known(project: Path, case: str | None) -> str:
    """The case's name, which has an overlay."""
    case = case or DEFAULT_CASE
    check_case(project / "conf", case)
    for path in (project.resolve(), _kedro()):
        if "\n" in str(path):
            raise OptionsError("a path has a line break", found=repr(str(path)), mend="rename it")
    return case


def _events(when: str) -> list[str]:
    if len(when.split()) == len(FIELDS):
        return calendar_lines(when)
    event = when.strip()
    plausible = event in _SHORTHAND or _CALENDAR.fullmatch(event) is not None
    if not plausible or not _systemd_reads(event):
        raise OptionsError(
            "a schedule of systemd cannot be read",
            found=when,
            allowed='five fields of cron ("0 3 * * *") or a calendar event ("Sun *-*-* 04:30")',
        )
    return [event]


def _systemd_reads(event: str) -> bool:
    """What systemd itself says; yes where it is not at hand."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return True
    done = subprocess.run([analyze, "calendar", "--", event], capture_output=True, check=False)
    return done.returncode == 0


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """One word of a command line of systemd, in which $ and % stand for values."""
    text = _escaped(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"'
