"""The command line, `python -m pycnn`."""

from __future__ import annotations

import sys

try:
    import click
    import rich
except ImportError as error:
    sys.exit(
        f"python -m pycnn needs {error.name}, which is not installed: "
        "pip install 'pycnn[cli]' brings click and rich"
    )

from . import bench, inspect, kernels, look, networks, report, study


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="pycnn")
def main() -> None:
    """Convolutional networks on hand-written kernels, checked against PyTorch."""


for module in (networks, kernels, inspect, look, study, bench, report):
    for command in vars(module).values():
        if isinstance(command, click.Command):
            main.add_command(command)
