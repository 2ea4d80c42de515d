"""``python -m mlcourse`` is ``mlcourse``, where the command is not on the path."""

from mlcourse.cli import main

if __name__ == "__main__":
    main(prog_name="mlcourse")
