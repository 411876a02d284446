"""A local model that nobody has names the ones there are."""

from support.command_line import aivax
from support.workspaces import write_gateway


def test_an_unknown_local_model_names_the_nearest_and_no_other_kind_of_file(tmp_path):
    write_gateway(tmp_path, "g", '"@local/smollm2"')
    done = aivax("complete", "hi", cwd=tmp_path, home=tmp_path, stdin="", env={"AIVAX_OFFLINE": "1"})
    assert done.code == 2
    assert "no local model named 'smollm2'; did you mean 'smollm2-135m'?" in done.err
    assert "cl100k" not in done.err
