"""The scale of scores."""

import numpy as np  # noqa: TID253
import pytest

from aivax_cli.retrieval import calibration


def test_similarity_is_the_way_from_the_background_to_one():
    assert calibration.similarity(0.75, 0.75) == 0
    assert calibration.similarity(1.0, 0.75) == 1
    assert calibration.similarity(0.85, 0.75) == pytest.approx(0.4)


def test_the_background_is_the_median_over_different_documents():
    questions = np.array([[1, 0], [1, 0], [0, 1]], dtype=np.float32)
    passages = np.array([[1, 0], [0.6, 0.8], [0.8, 0.6]], dtype=np.float32)
    # a→c 0.8, b→c 0.8, c→a 0, c→b 0.8; a and b are parts of one document
    assert calibration.measured(questions, passages, ["x", "x", "y"]) == pytest.approx(0.8)


def test_a_single_document_is_measured_by_its_other_parts():
    rows = np.array([[1, 0], [0.6, 0.8]], dtype=np.float32)
    assert calibration.measured(rows, rows, ["x", "x"]) == pytest.approx(0.6)


def test_a_single_chunk_takes_the_embedders_own_background():
    rows = np.array([[1, 0]], dtype=np.float32)
    assert calibration.measured(rows, rows, ["x"]) is None
    assert calibration.blended(None, 1, 0.76) == 0.76


def test_few_chunks_count_less_than_many():
    assert calibration.blended(0.9, 12, 0.7) == pytest.approx(0.8)
    assert calibration.blended(0.9, 48, 0.7) == pytest.approx(0.86)


def test_a_collection_of_copies_leaves_room_for_scores():
    assert calibration.blended(1.0, 10_000, 0.99) == calibration.HIGHEST


@pytest.mark.parametrize(
    ("chunks", "at", "outgrown"), [(1, 0, True), (14, 10, False), (15, 10, True), (6, 10, True)]
)
def test_the_background_is_measured_again_after_growth(chunks, at, outgrown):
    assert calibration.outgrown(chunks, at) is outgrown


def test_a_question_has_a_background_of_its_own_where_there_are_many_chunks():
    cosines = np.full(108, 0.6, dtype=np.float32)
    assert calibration.asked(cosines, 0.8) == pytest.approx(0.62)


def test_among_few_chunks_the_collections_background_holds():
    assert calibration.asked(np.array([0.9], dtype=np.float32), 0.77) == pytest.approx(0.78)
    assert calibration.asked(np.array([], dtype=np.float32), 0.77) == pytest.approx(0.77)
