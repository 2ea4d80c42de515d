"""No attack gains a mark, sees a secret, changes what is not its own, or leaves a process behind.

One course holds all attacks and honest submissions between them, and is graded in one batch.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.companions import files_beside
from mlcourse.grading.submission import seed_of
from tools.release import ROOT, release

from . import evidence
from .base import Attack, Place
from .catalogue import every_attack
from .course import Handed, hand_in_attack, hand_in_honest
from .evidence import Batch
from .plants import VARIABLE, Servers, listening, new_tokens, plant

ATTACKS = every_attack()
ASSIGNMENTS = sorted({attack.assignment for attack in ATTACKS})
RESULTS = ROOT / "_build" / "attacks.json"  # what tools.stock_attacks puts beside its own results
PATIENCE = 900  # seconds after which the batch is given up: far more than it takes

FEEDBACK = """
import sys
from pathlib import Path
from tools.release import open_course, succeed
for name in sys.argv[2:]:
    succeed(open_course(Path(sys.argv[1])).generate_feedback(name), f"The feedback of {name}")
"""

# Says where it runs. Only when this one is held back are the others let loose.
PROBE = Attack(
    "probe",
    "probe",
    "says where it runs",
    {
        "fit_least_squares": """
        import os, socket
        print("sees the course:", os.path.exists("@COURSE@/exam-questions.txt"))
        print("sees the home:", os.path.exists("@HOME@/secrets.txt"))
        print("processes:", os.readlink("/proc/self/ns/pid") if os.path.exists("/proc/self/ns/pid") else "none")
        try:
            socket.create_connection(("127.0.0.1", @PORT@), timeout=2)
            print("reaches loopback: True")
        except OSError:
            print("reaches loopback: False")
        """
    },
)

pytestmark = [
    pytest.mark.isolation,
    pytest.mark.skipif(
        shutil.which("bwrap") is None,
        reason="bubblewrap is missing, without which nothing is isolated: apt-get install bubblewrap",
    ),
]


def run(command: list[str], home: Path, token: str) -> str:
    """Run a program of the instructor and return what it said; end it, with its children, when it takes too long."""
    environment = os.environ | {"HOME": str(home), VARIABLE: token, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        said, _ = process.communicate()
        return f"given up after {PATIENCE} seconds\n" + said.decode(errors="replace")
    return f"exit code {process.returncode}\n" + said.decode(errors="replace")


def grade(course: Path, home: Path, assignment: str, token: str) -> tuple[dict[str, dict], str]:
    """Grade a course and return the entries of the JSON file by student, and what was said."""
    target = course.parent / f"{assignment}.json"
    program = str(Path(sys.executable).parent / "mlcourse")
    command = [program, "grade", "--course", str(course), "--assignment", assignment, "--jobs", "2"]
    said = run([*command, "--json", str(target)], home, token)
    if not target.exists():
        return {}, said
    entries = json.loads(target.read_text(encoding="utf-8"))["submissions"]
    return {entry["student"]: entry for entry in entries}, said


def require_isolation(folder: Path) -> None:
    """Stop before any attack runs where the probe was not held back: the attacks would reach this machine."""
    course, home = folder / "course", folder / "home"
    course.mkdir(parents=True)
    release(course, names=[PROBE.assignment])
    tokens = new_tokens()
    plant(course, home, PROBE.assignment, tokens)
    with listening(home, tokens) as servers:
        hand_in_attack(course, PROBE, Place(course, home, ROOT, "probe", "probe", servers.port, servers.socket))
        _, said = grade(course, home, PROBE.assignment, tokens["environment"])
    path = course / "autograded" / "probe" / PROBE.assignment / f"{PROBE.assignment}.ipynb"
    assert path.exists(), f"The probe was not graded: {said}"
    outputs = [cell.get("outputs", []) for cell in nbformat.read(path, as_version=4).cells]
    text = "".join(output.get("text", "") for each in outputs for output in each)
    here = os.readlink("/proc/self/ns/pid")
    for line in ("sees the course: False", "sees the home: False", "reaches loopback: False"):
        assert line in text, f"The probe is not isolated, so no attack is run. It says: {text}"
    assert "processes:" in text, f"The probe did not run: {text} {said}"
    assert here not in text, "The probe runs among this machine's processes, so no attack is run."


def hand_in_all(attacks: list[Attack], batch: Batch, servers: Servers) -> list[Handed]:
    """Hand in the attacks, each with a mark of its own."""
    handed = []
    for number, attack in enumerate(attacks):
        student = attack.student or attack.name
        mark = f"{batch.prefix}n{number:03d}"
        place = Place(batch.course, batch.home, batch.repository, student, mark, servers.port, servers.socket)
        handed.append(hand_in_attack(batch.course, attack, place))
    return handed


@pytest.fixture(scope="module")
def graded(request, tmp_path_factory) -> tuple[Batch, dict[str, Handed]]:
    """Return a course with the attacks of this run after grading, and where each was handed in."""
    attacks = chosen(request.session.items)
    require_isolation(tmp_path_factory.mktemp("probe"))
    folder = tmp_path_factory.mktemp("attacks")
    course, home, tokens = folder / "course", folder / "home", new_tokens()
    release(course, names=ASSIGNMENTS)
    plant(course, home, "linear_regression", tokens)
    honest: dict[tuple[str, str], float] = {}
    for assignment in ASSIGNMENTS:
        honest |= hand_in_honest(course, assignment, tokens["other"])
    batch = Batch(course, home, ROOT, tokens, honest, prefix=f"at{secrets.token_hex(2)}")
    with listening(home, tokens) as servers:
        handed = hand_in_all(attacks, batch, servers)
        batch.digests = evidence.digests(course, home, [student for student, _ in honest])
        for assignment in ASSIGNMENTS:
            entries, said = grade(course, home, assignment, tokens["environment"])
            batch.log += said
            batch.results |= {(student, assignment): entry for student, entry in entries.items()}
        batch.log += run([sys.executable, "-c", FEEDBACK, str(course), *ASSIGNMENTS], home, tokens["environment"])
    batch.received = b"\n".join(servers.received)
    batch.processes = evidence.processes(batch.prefix)
    batch.strewn = evidence.strewn(course, home, ROOT, batch.prefix)
    learn_the_seed(batch)
    by_name = {item.attack.name: item for item in handed}
    batch.found = {name: [str(item) for item in evidence.findings(batch, by_name[name])] for name in by_name}
    if len(attacks) == len(ATTACKS):
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(batch.found, indent=1), encoding="utf-8")
    return batch, by_name


def chosen(items: list[pytest.Item]) -> list[Attack]:
    """Return the attacks that this run of pytest asks for: with ``-k NAME`` only that one is graded."""
    asked = [item.callspec.params for item in items if isinstance(item, pytest.Function) and hasattr(item, "callspec")]
    names = {parameters.get("name") for parameters in asked}
    return [attack for attack in ATTACKS if attack.name in names]


def learn_the_seed(batch: Batch) -> None:
    """Add the seed that was drawn, and the hidden inputs of every submission, to what nobody may see."""
    text = (batch.course / ".mlcourse-seed").read_text(encoding="utf-8").strip()
    batch.tokens["seed"] = text
    for name in ASSIGNMENTS:
        of_the_course = evidence.hidden_digits(name, int(text))
        batch.hidden[name] = set(of_the_course)
        for path in batch.course.glob(f"autograded/*/{name}/{name}.ipynb"):
            student = path.parents[1].name
            files = files_beside(batch.course / "submitted" / student / name)[0]
            own = evidence.hidden_digits(name, seed_of(int(text), nbformat.read(path, as_version=4), files))
            assert own - of_the_course, "a submission has no hidden inputs of its own"
            # Those of the honest ones, nobody may see; those of an attack, it may not show.
            batch.hidden[name if (student, name) in batch.honest else f"{student}/{name}"] |= own


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS])
def test_an_attack_achieves_nothing(graded, name):
    batch, _ = graded
    assert batch.found[name] == []


@pytest.mark.parametrize("name", [attack.name for attack in ATTACKS])
def test_an_attack_is_reported(graded, name):
    batch, handed = graded
    item = handed[name]
    entry = batch.results.get((item.place.student, item.attack.assignment))
    assert entry is not None, f"{name} is not in the results. {batch.log[-2_000:]}"
    assert entry["status"] in ("graded", "partial", "failed")
    assert entry["status"] == "graded" or entry["message"]


def test_honest_marks_and_the_instructors_files_are_unchanged(graded):
    batch, _ = graded
    assert [str(finding) for finding in evidence.harm_to_others(batch)] == []
    for (student, assignment), mark in batch.honest.items():
        assert batch.results[student, assignment]["score"] == mark


def test_honest_submissions_have_feedback(graded):
    batch, _ = graded
    for student, assignment in batch.honest:
        assert evidence.page(batch.course, student, assignment).exists(), batch.log[-2_000:]


def test_the_seed_is_for_the_owner_alone(graded):
    batch, _ = graded
    assert (batch.course / ".mlcourse-seed").stat().st_mode & 0o077 == 0


def test_enough_is_tried():
    assert len(ATTACKS) >= 66
    assert len({attack.family for attack in ATTACKS}) >= 20
    assert {attack.assignment for attack in ATTACKS} <= set(chapters())
