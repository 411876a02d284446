"""pip's own configuration files."""

import os
from pathlib import Path

from aivax_cli.assets.config import index_config


def environ_of(tmp_path: Path, **more: str) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path / "config")} | more


def write(file: Path, text: str) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_the_users_file_names_indexes_and_certificates(tmp_path: Path) -> None:
    bundle = write(tmp_path / "ca.pem", "")
    lines = [
        "[global]",
        "index-url = https://corp/simple",
        "extra-index-url =",
        "  https://x/",
        "  https://y",
    ]
    write(tmp_path / "config" / "pip" / "pip.conf", "\n".join([*lines, f"cert = {bundle}"]))
    config = index_config(environ_of(tmp_path))
    assert config.urls == ("https://corp/simple", "https://x", "https://y")
    assert config.certificates == bundle


def test_the_environment_wins_over_files(tmp_path: Path) -> None:
    write(tmp_path / "config" / "pip" / "pip.conf", "[global]\nindex-url = https://corp/simple")
    assert index_config(environ_of(tmp_path, PIP_INDEX_URL="https://mine")).urls[0] == "https://mine"


def test_a_named_file_wins_over_the_users(tmp_path: Path) -> None:
    write(tmp_path / "config" / "pip" / "pip.conf", "[global]\nindex-url = https://corp/simple")
    named = write(tmp_path / "named.conf", "[global]\nindex_url = https://named/simple")
    assert index_config(environ_of(tmp_path, PIP_CONFIG_FILE=str(named))).urls[0] == "https://named/simple"


def test_a_file_that_pip_could_not_read_is_passed_over(tmp_path: Path) -> None:
    without = index_config(environ_of(tmp_path))
    write(tmp_path / "config" / "pip" / "pip.conf", "index-url = https://no-section")
    assert index_config(environ_of(tmp_path)) == without


def test_certificates_that_do_not_exist_are_passed_over(tmp_path: Path) -> None:
    bundle = write(tmp_path / "ca.pem", "")
    environ = environ_of(tmp_path, PIP_CERT=str(tmp_path / "gone.pem"), SSL_CERT_FILE=str(bundle))
    environ["PIP_CONFIG_FILE"] = os.devnull
    assert index_config(environ).certificates == bundle
