# SPDX-License-Identifier: Apache-2.0
"""The distribution's bcc is what any Python gets, and nothing else of the system with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from labkit.errors import Missing
from labkit.machine import bcc
from labkit.machine.folders import repo_folder

needs_bcc = pytest.mark.skipif(not bcc.SYSTEM_BCC.is_dir(), reason="python3-bpfcc is not installed")


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """Return a new environment's Python, which has nothing installed."""
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    return tmp_path / "venv/bin/python"


def run(python: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, "-c", code],
        env={**os.environ, "PYTHONPATH": str(repo_folder()), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def plant_impostor(python: Path) -> None:
    """Install what `pip install bcc` gives: a package of that name without a BPF class."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = Path(run(python, code).stdout.strip())
    (site / "bcc").mkdir()
    (site / "bcc/__init__.py").write_text("")
    (site / "bcc-0.1.10.dist-info").mkdir()
    (site / "bcc-0.1.10.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: bcc\nVersion: 0.1.10\n")


def test_link_folder_holds_one_link(tmp_path: Path) -> None:
    folder = bcc.link_bcc(tmp_path / "link")
    assert [entry.name for entry in folder.iterdir()] == ["bcc"]
    assert os.readlink(folder / "bcc") == str(bcc.SYSTEM_BCC)


def test_a_stale_link_is_fixed(tmp_path: Path) -> None:
    (tmp_path / "bcc").symlink_to("/nowhere")
    bcc.link_bcc(tmp_path)
    assert os.readlink(tmp_path / "bcc") == str(bcc.SYSTEM_BCC)


def test_without_bcc_the_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(bcc, "SYSTEM_BCC", tmp_path / "absent")
    monkeypatch.delitem(sys.modules, "bcc", raising=False)
    with pytest.raises(Missing) as caught:
        bcc.load_bcc()
    assert "apt-get install python3-bpfcc" in caught.value.fix


def test_the_impostor_is_named_where_there_is_nothing_better(python: Path) -> None:
    plant_impostor(python)
    code = (
        "from pathlib import Path; from labkit.machine import bcc; from labkit.errors import Missing\n"
        "bcc.SYSTEM_BCC = Path('/nowhere')\n"
        "try: bcc.load_bcc()\n"
        "except Missing as error: print(error)"
    )
    said = run(python, code).stdout
    assert "0.1.10" in said and "unrelated" in said and "pip uninstall" in said


@needs_bcc
def test_the_distributions_own_package_is_no_impostor(python: Path) -> None:
    plant_impostor(python)
    code = "from labkit.machine import bcc; print([bcc.impostor()])"
    beside = os.pathsep.join([str(repo_folder()), str(bcc.SYSTEM_BCC.parent)])
    assert run(python, code, PYTHONPATH=beside).stdout == "['0.1.10']\n"
    assert run(Path(sys.executable), code, PYTHONPATH=beside).stdout == "['']\n"


@needs_bcc
def test_a_bare_environment_gets_the_distributions_bcc(python: Path, tmp_path: Path) -> None:
    code = "from labkit.machine.bcc import load_bcc; m = load_bcc(); print(hasattr(m, 'BPF'), m.__version__)"
    ran = run(python, code, LABKIT_CACHE=str(tmp_path / "cache"), BCC_KERNEL_SOURCE="/chosen")
    packaged = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Version}", "python3-bpfcc"], capture_output=True, text=True, check=False
    ).stdout
    has_bpf, version = ran.stdout.split()
    assert has_bpf == "True" and packaged.startswith(version.split("+")[0]), ran.stderr


def other_pythons() -> list[Path]:
    """Return Pythons of this machine that are not the distribution's: an environment manager's, where there is one."""
    found = [Path(sys.base_prefix) / "bin/python3", *Path.home().glob(".pyenv/versions/3.1[1-9]*/bin/python3")]
    found += [Path(path) / "python3" for path in os.environ.get("PATH", "").split(os.pathsep)]
    real = {path.resolve(): path for path in found if path.exists() and "shims" not in path.parts}
    return [path for binary, path in sorted(real.items()) if not binary.is_relative_to("/usr/bin")]


@needs_bcc
@pytest.mark.parametrize("python", other_pythons() or [None], ids=lambda path: str(path and path.parents[1].name))
def test_another_builds_python_gets_the_distributions_bcc(python: Path | None, tmp_path: Path) -> None:
    """As in a conda environment: that Python was not built with the libraries that libbcc was built with."""
    if python is None:
        pytest.skip("there is no Python here but the distribution's")
    code = "from labkit.machine.bcc import load_bcc; print(hasattr(load_bcc(), 'BPF'))"
    ran = run(python, code, LABKIT_CACHE=str(tmp_path / "cache"), BCC_KERNEL_SOURCE="/chosen")
    assert ran.stdout.split() == ["True"], ran.stderr


@needs_bcc
def test_the_impostor_does_not_hide_the_distributions_bcc(python: Path, tmp_path: Path) -> None:
    plant_impostor(python)
    code = "import bcc; from labkit.machine.bcc import load_bcc; print(hasattr(bcc, 'BPF'), hasattr(load_bcc(), 'BPF'))"
    ran = run(python, code, LABKIT_CACHE=str(tmp_path / "cache"), BCC_KERNEL_SOURCE="/chosen")
    assert ran.stdout.split() == ["False", "True"], ran.stderr


@needs_bcc
def test_nothing_else_of_the_system_comes_with_it(python: Path, tmp_path: Path) -> None:
    code = "import sys; from labkit.machine.bcc import load_bcc; p = sys.path[:]; load_bcc(); print(sys.path == p)"
    ran = run(python, code, LABKIT_CACHE=str(tmp_path / "cache"), BCC_KERNEL_SOURCE="/chosen")
    assert ran.stdout.strip() == "True", ran.stderr


@needs_bcc
def test_setup_makes_a_plain_import_work(python: Path) -> None:
    assert run(python, "from labkit.machine.bcc import main; main()").returncode == 0
    code = "import bcc; print(bcc.BPF.__name__)"
    ran = subprocess.run([python, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout.strip() == "BPF", ran.stderr


@needs_bcc
@pytest.mark.bpf
def test_a_program_compiles_and_loads_with_the_headers_found(python: Path, tmp_path: Path) -> None:
    code = (
        "import os, subprocess, sys; from labkit.machine.bcc import load_bcc; bcc = load_bcc()\n"
        "made = bcc.BPF(text=b'int labkit_witness(void *ctx) { return 0; }')\n"
        "made.load_func(b'labkit_witness', bcc.BPF.RAW_TRACEPOINT)\n"
        "sys.stdout.write(subprocess.run(['bpftool', '-j', 'prog', 'list'], capture_output=True, text=True).stdout)"
    )
    ran = run(python, code, LABKIT_CACHE=str(tmp_path / "cache"))
    assert ran.returncode == 0, ran.stderr
    # The kernel keeps 15 characters of a program's name.
    assert "labkit_witness"[:15] in {program.get("name") for program in json.loads(ran.stdout)}
