"""`python -m pycnn`: the command line."""

from pycnn.cli import main

if __name__ == "__main__":
    main(prog_name="python -m pycnn")
