"""What users hand in stays in its folder, is text, and is told by file and line."""

from pathlib import Path

import pytest

from coemerge.inputs import check_file, check_inside, files_below, read_text, read_yaml


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    path = tmp_path / "outside" / "secret.txt"
    path.parent.mkdir()
    path.write_text("secret")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "part").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "part/c.txt"):
        (tmp_path / "data" / name).write_text(name)
    return tmp_path / "data"


def test_files_of_a_folder_come_sorted_and_hidden_ones_are_left_out(folder: Path):
    (folder / ".git").mkdir()
    (folder / ".git" / "config").write_text("")
    (folder / ".DS_Store").write_text("")

    assert files_below(folder) == [folder / "a.txt", folder / "b.txt", folder / "part" / "c.txt"]


@pytest.mark.parametrize("to_folder", [False, True])
def test_a_link_that_leaves_the_folder_is_refused(folder: Path, outside: Path, to_folder: bool):
    (folder / "part" / "link.txt").symlink_to(outside.parent if to_folder else outside)

    with pytest.raises(ValueError, match=rf"link\.txt: is a link that leaves .*{outside.parent}"):
        files_below(folder)


def test_so_is_one_that_climbs_out_relatively(folder: Path, outside: Path):
    (folder / "link.txt").symlink_to("../outside/secret.txt")

    with pytest.raises(ValueError, match="leaves its folder"):
        check_inside(folder / "link.txt", folder)


def test_links_inside_are_followed_and_loops_end(folder: Path):
    (folder / "same.txt").symlink_to("part/c.txt")
    (folder / "part" / "again").symlink_to(folder)

    assert folder / "same.txt" in files_below(folder)


def test_a_link_that_leads_nowhere_is_told(folder: Path):
    (folder / "gone.txt").symlink_to("nothing.txt")

    with pytest.raises(ValueError, match=r"gone\.txt: is a link that leads nowhere"):
        files_below(folder)


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(folder)

    assert len(files_below(link)) == 3


def test_a_home_directory_is_no_data_set(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("coemerge.inputs._MOST_FILES", 2)

    with pytest.raises(ValueError, match=r"more than 2 files; name the data's own folder"):
        files_below(folder)


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.TAR.GZ", "x.jsonl.gz", "x.tgz", "x.7z"])
def test_archives_are_refused_by_name_with_the_remedy(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"PK")

    with pytest.raises(ValueError, match=rf"{name}: is an archive; unpack it"):
        check_file(tmp_path / name)


def test_what_is_no_file_is_told():
    with pytest.raises(ValueError, match="/dev/null: no file"):
        check_file(Path("/dev/null"))


def test_text_is_utf8_with_a_mark_or_without(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"\xef\xbb\xbfZ\xc3\xbcrich\r\n")
    (tmp_path / "b").write_bytes("Zürich".encode("utf-16"))

    assert read_text(tmp_path / "a") == "Zürich\n"
    with pytest.raises(ValueError, match="b: not UTF-8 text"):
        read_text(tmp_path / "b")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [1\n", ":2: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", r":3: .*'a' occurs twice"),
        ("a: !!python/object/apply:os.system ['echo x']\n", ":1: .*constructor"),
        ("a: &x [*x]\n", "not valid YAML"),
        ("a: 2020-99-99\n", r"not valid YAML \(month"),
        ("a: !!timestamp x\n", "not valid YAML"),
        ("a: \0\n", "not valid YAML"),
        ("[" * 5000, "not valid YAML"),
        ("? [1]\n: 2\n", "unhashable"),
        ("a: b: c\n", ":1: not valid YAML"),
    ],
)
def test_yaml_is_refused_in_one_line_by_file(tmp_path: Path, text: str, told: str):
    path = tmp_path / "x.yaml"
    path.write_text(text)

    with pytest.raises(ValueError, match=rf"^{path}.*{told}") as raised:
        read_yaml(path)
    assert "\n" not in str(raised.value)


def test_yaml_merges_and_anchors_still_work(tmp_path: Path):
    (tmp_path / "x.yaml").write_text("a: &one {k: 1}\nb: {<<: *one, l: 2}\n")

    assert read_yaml(tmp_path / "x.yaml") == {"a": {"k": 1}, "b": {"k": 1, "l": 2}}
